"""A synthetic chest-CT cohort, written as DICOM with its truth."""

from __future__ import annotations

import csv
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from io import StringIO
from multiprocessing import get_context
from pathlib import Path

from medvision.errors import UsageError
from medvision.files import cannot_write, make_folder, write_text
from medvision.progress import track
from medvision.simulation.dirt import Dirt, check_dirt, dirt_of_patient, write_dirty
from medvision.simulation.extras import write_dose_report, write_localiser
from medvision.simulation.headers import make_visit
from medvision.simulation.phantom import sample_patient, stream
from medvision.simulation.scanners import Size
from medvision.simulation.scanning import scan_patient
from medvision.simulation.truth import Record, annotation_rows, patient_record, truth_document

logger = logging.getLogger(__name__)

LOCALISER_SHARE, DOSE_REPORT_SHARE = 0.4, 0.3


def simulate_cohort(
    out: Path,
    *,
    patients: int,
    seed: int,
    size: Size = "full",
    dirt: Sequence[str] = (),
    workers: int = 1,
) -> None:
    """Write `out/dicom/…`, `annotations.csv`, `seriesuids.csv` (both as LUNA16) and `truth.json`.

    The same seed gives the same bytes, whatever the number of workers; a patient does not depend on how many
    there are. Files of an earlier run in `out` are replaced.

    Args:
        out: folder to make.
        patients: how many, ≥ 1.
        seed: ≥ 0.
        size: full: 512² and what a hospital sends; small: 256² and thick slices, for quick runs.
        dirt: kinds of spoiled data to mix in, one a patient in turn (see `dirt`); "all" for every kind.
        workers: processes.

    Raises:
        UsageError: a number out of bounds or an unknown kind of dirt.
        OutputError: `out` cannot be written.
    """
    kinds = check_dirt(dirt)
    for name, value, least in (("patients", patients, 1), ("seed", seed, 0), ("workers", workers, 1)):
        if value < least:
            raise UsageError(f"{name}: {value} is too small; the least is {least}")
    make_folder(out)
    work = partial(simulate_patient, out, seed=seed, size=size, dirt=kinds)
    try:
        records = list(track(_run(work, patients, workers), "simulate", total=patients))
        _write_tables(out, seed, size, records)
    except OSError as error:
        raise cannot_write(out, error) from error
    logger.info("simulated %d patients in %s", patients, out)


def _run(work: partial[Record], patients: int, workers: int) -> Iterator[Record]:
    """Records in the order of the patients."""
    if workers == 1:
        yield from map(work, range(patients))
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, range(patients))


def simulate_patient(out: Path, index: int, *, seed: int, size: Size, dirt: Sequence[Dirt]) -> Record:
    """Write one patient's series below `out/dicom` and return the truth about them."""
    phantom = sample_patient(seed, index, size)
    visit = make_visit(phantom)
    folder = out / "dicom" / phantom.patient.patient_id
    if folder.exists():
        shutil.rmtree(folder)
    hu = scan_patient(phantom)
    spoiled = dirt_of_patient(dirt, index)
    write_dirty(folder / "axial", phantom, visit, hu, spoiled)
    series = ["axial"]
    chance = stream(seed, index, 6).random(2)
    if chance[0] < LOCALISER_SHARE:
        write_localiser(folder / "localiser", phantom, visit, hu)
        series.append("localiser")
    if chance[1] < DOSE_REPORT_SHARE:
        write_dose_report(folder / "dose_report", phantom, visit)
        series.append("dose_report")
    return patient_record(phantom, spoiled, series)


def _write_tables(out: Path, seed: int, size: Size, records: list[Record]) -> None:
    buffer = StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(annotation_rows(records))
    write_text(out / "annotations.csv", buffer.getvalue())
    write_text(out / "seriesuids.csv", "".join(f"{record['series_instance_uid']}\n" for record in records))
    write_text(out / "truth.json", json.dumps(truth_document(seed, size, records), indent=1) + "\n")
