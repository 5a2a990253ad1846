"""`medvision infer`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from medvision.cli import options
from medvision.cli.console import show
from medvision.cli.places import PlaceType
from medvision.errors import UsageError

if TYPE_CHECKING:
    from medvision.remote.places import Place
    from medvision.reporting.languages import LanguageCode


@click.command(
    short_help="Find nodules in chest CTs, write reports.",
    epilog=options.example("medvision infer /data/patient-1 -o out --model demo/model"),
)
@options.sources
@click.option(
    "-o", "--out", type=PlaceType(options.FOLDER), required=True, metavar="OUT", help="Folder to write."
)
@click.option(
    "--model",
    required=True,
    metavar="MODEL",
    help="A model directory, runs:/RUN/PATH, models:/NAME@ALIAS or monai-bundle:PATH.",
)
@options.formats("json,csv,html")
@options.device
@options.fp_per_scan("Report as many marks as give X false positives a scan.  [default: the model's]")
@options.threshold("Report findings from probability P on.")
@click.option(
    "--series",
    multiple=True,
    metavar="UID",
    help="Analyse this series; may be given several times.  [default: the best of each study]",
)
@click.option("--all-series", is_flag=True, help="Analyse every usable series of a study.")
@click.option(
    "--patient-data",
    type=options.EXISTING_FILE,
    metavar="CSV",
    help="What guidelines ask of patients: age, smoking, screening … (docs/guidelines.md).",
)
@click.option(
    "--language",
    type=click.Choice(["en", "de", "es", "zh"]),
    default="en",
    show_default=True,
    envvar="MEDVISION_LANGUAGE",
    show_envvar=True,
    help="Of the pages; tables and report.json are English.",
)
@click.option(
    "--sign", type=options.EXISTING_FILE, metavar="KEY.pem", help="Sign each report.json (Ed25519)."
)
@click.option(
    "--priors",
    type=options.EXISTING,
    multiple=True,
    metavar="DIR|STORE|OUT",
    help="Where earlier examinations of the same patients lie; findings are compared with the latest one.",
)
@click.option(
    "--uncertainty",
    is_flag=True,
    help="Tell each finding's probability with its spread over the scan's mirror images; takes longer.",
)
@click.option(
    "--runner",
    default="local",
    show_default=True,
    metavar="local|dask|dask://HOST:PORT",
    callback=lambda _, __, name: _check_runner(name),
    help="Who does the work: this process, Dask workers here, or a Dask cluster (docs/scaling.md).",
)
@options.resume
@options.index
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    metavar="N",
    help="Scans to read ahead; with --runner dask, its worker processes.",
)
@options.common
def infer(  # noqa: PLR0913  one argument an option
    sources: tuple[Place, ...],
    out: Place,
    model: str,
    formats: tuple[str, ...],
    device: str,
    workers: int,
    *,
    fp_per_scan: float | None,
    threshold: float | None,
    series: tuple[str, ...],
    index: Path | None,
    patient_data: Path | None,
    sign: Path | None,
    priors: tuple[Path, ...],
    runner: str,
    all_series: bool,
    uncertainty: bool,
    language: LanguageCode,
    resume: bool,
    as_json: bool,
) -> int:
    """Find nodules in the chest CTs among SRC: DICOM files, folders, archives, or a STORE made by ingest.

    Of several series of a study the best for nodules is analysed; the worklist says which and why.
    Makes OUT/worklist.html, one folder with a report for each series, and predictions.csv (LUNA16 format).
    """
    if fp_per_scan is not None and threshold is not None:
        raise click.UsageError("--fp-per-scan and --threshold exclude each other; give one.")
    if series and all_series:
        raise click.UsageError("--series and --all-series exclude each other; give one.")

    from medvision.files import make_folder
    from medvision.tracking import resolve_model

    directory = resolve_model(model)
    if isinstance(out, Path):
        make_folder(out)

    from medvision.inference.cohort import infer as infer_sources

    result = infer_sources(
        sources,
        out,
        model=directory,
        formats=formats,
        device=device,
        fp_per_scan=fp_per_scan,
        threshold=threshold,
        resume=resume,
        workers=workers,
        series=series,
        all_series=all_series,
        index=index,
        patient_data=patient_data,
        sign=sign,
        priors=priors,
        language=language,
        runner=runner,
        uncertainty=uncertainty,
    )
    lines = [", ".join(f"{number} {name}" for name, number in result.counts.items())]
    if result.exit_code:
        lines.append(f"not every series could be used; see {out / 'problems.csv'} and {out / 'series.csv'}")
    record = {"exit_code": result.exit_code, "counts": result.counts, "worklist": result.worklist}
    show(record, [*lines, f"worklist: {result.worklist}"], as_json=as_json)
    return result.exit_code


def _check_runner(name: str) -> str:
    from medvision.inference.runner_names import check_runner

    try:
        return check_runner(name)
    except UsageError as error:
        raise click.BadParameter(str(error)) from error
