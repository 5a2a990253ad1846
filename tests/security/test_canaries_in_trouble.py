"""Marked files that cannot be used, in marked folders and archives: the patient is in no reason and no error.

Paths of files that could not be used are in `problems.csv` on purpose; nothing else holds any.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless

from medvision.cli.main import COMMANDS
from medvision.models.directory import save_model
from tests.dicom.builders import edit
from tests.dicom.identified import MARKS, marks_in
from tests.inference.test_cohort import write_body
from tests.models.cards import tiny_card, tiny_detector
from tests.security import test_canaries, test_canaries_in_training, test_canaries_on_the_network
from tests.security.offline import Gone, run_offline
from tests.security.test_canaries import FORMATS, mark_slice

TRIED = {"simulate", "doctor", "ingest", "infer", "verify", "check"}
GOOD, CUT, ZIPPED, UNDECODABLE = (f"1.2.3.{number}" for number in range(1, 5))


def write_marked(folder: Path, uid: str) -> Path:
    """A series of a marked patient under marked names."""
    write_body(folder, uid, spacing_mm=8.0)
    for path in folder.iterdir():
        edit(path, mark_slice)
        path.rename(path.with_name(f"ZZ00074Q-{path.name}"))
    return folder


def write_trouble(folder: Path) -> None:
    """Four marked series: a good one, one with cut files, one in an archive, one that no decoder reads."""
    people = folder / "ZZ00071Q Tänzer"
    write_marked(people / "good", GOOD)
    for path in sorted(write_marked(people / "cut", CUT).iterdir())[3:5]:
        path.write_bytes(path.read_bytes()[:-5000])
    with zipfile.ZipFile(folder / "ZZ00072Q.zip", "w") as archive:
        for path in write_marked(folder / "zip", ZIPPED).iterdir():
            archive.write(path, f"ZZ00075Q/{path.name}")
    shutil.rmtree(folder / "zip")
    for path in write_marked(people / "undecodable", UNDECODABLE).iterdir():
        ds = pydicom.dcmread(path)
        ds.PixelData = encapsulate([b"ZZ00077Q is no picture"])
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = JPEG2000Lossless
        ds.save_as(path)
    (folder / "ZZ00076Q.txt").write_text("ZZ00078Q")


@pytest.fixture(scope="module")
def gone(tmp_path_factory) -> Gone:
    folder = tmp_path_factory.mktemp("trouble")
    scans, out, store = folder / "ZZ00070Q scans", folder / "out", folder / "store"
    write_trouble(scans)
    save_model(folder / "model", tiny_card(), tiny_detector())
    report, loud = out / GOOD / "report.json", ["-vv", "--json"]
    infer = ["infer", str(scans), "-o", str(out), "--model", str(folder / "model"), "--all-series", *FORMATS]
    commands = [
        ["simulate", "-o", str(folder / "simulated"), "--patients", "1", "--size", "small", *loud],
        ["ingest", str(scans), "-o", str(store), *loud],
        ["ingest", str(scans), "-o", str(store), *loud],
        [*infer, *loud],
        [*infer, *loud],
        ["verify", str(report), *loud],
        ["check", str(store), *loud],
        ["doctor", *loud],
    ]
    return run_offline(folder, commands)


def test_every_command_has_been_tried_without_a_network():
    others = (test_canaries, test_canaries_in_training, test_canaries_on_the_network)
    assert TRIED.union(*(module.TRIED for module in others)) == set(COMMANDS)


def test_one_series_fails_and_nobody_is_asked(gone):
    assert gone.exit_codes == [0, 3, 3, 3, 3, 0, 0, 0], gone.stderr
    assert gone.asked_nobody


def test_no_mark_is_in_what_was_printed_or_logged(gone):
    assert not MARKS.findall((gone.stdout + gone.stderr).encode())


def test_only_problems_tell_paths_of_files(gone):
    found = {Path(path).relative_to(gone.folder / "out") for path in marks_in(gone.folder / "out")}
    assert {path.name for path in found if path.suffix != ".dcm"} == {"problems.csv"}
    problems = (gone.folder / "out" / "problems.csv").read_text(encoding="utf-8").splitlines()
    said = [line.partition(",")[2] for line in problems]
    assert len(said) > 10
    assert not MARKS.findall("\n".join(said).encode())


def test_nothing_temporary_is_left(gone):
    assert not list((gone.folder / "tmp").iterdir())
    assert not list(gone.folder.rglob("*.part"))
