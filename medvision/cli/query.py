"""`medvision query`."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from medvision.cli import options
from medvision.cli.console import show

if TYPE_CHECKING:
    from medvision.dicom.network.archive import Archive
    from medvision.dicom.network.find import Row

logger = logging.getLogger(__name__)

SHOWN = {
    "study": ("study_date", "modalities", "n_series", "n_instances", "study_description"),
    "series": ("modality", "series_number", "n_instances", "series_description"),
}
"""Columns for the terminal, beside the UID; the CSV has all."""
PATIENT = ("patient_id", "accession_number")
"""Columns that --show-patient brings."""


def _filters(command: options.Command) -> options.Command:
    """Options that say what is looked for; each named as in `find.Filter`."""
    texts = {
        "patient_id": ("--patient-id", "ID", "Patient ID; * and ? are wildcards."),
        "accession_number": ("--accession", "NUMBER", "Accession Number."),
        "study_instance_uid": ("--study", "UID", "Study Instance UID."),
        "series_instance_uid": ("--series", "UID", "Series Instance UID; with --level series."),
        "study_date": ("--date", "DATES", "Study Date: 20260131, 20260101-20260131 or 20260101-."),
        "modality": ("--modality", "CT", "Modality of a series, or one of a study's."),
        "description": ("--description", "TEXT", "Description; * and ? are wildcards."),
    }
    for name, (option, metavar, words) in reversed(texts.items()):
        command = click.option(option, name, default="", metavar=metavar, help=words)(command)
    return command


def _connection(command: options.Command) -> options.Command:
    """Options that say how the archive is spoken to; each named as in `archive.Connection`."""
    pem = {
        "--tls-ca": "Trust these authorities.  [default: the system's]",
        "--tls-cert": "This side's certificate.",
        "--tls-key": "Its private key.",
    }
    made = [
        click.option(
            "--via",
            type=click.Choice(["get", "move"]),
            default="get",
            show_default=True,
            help="C-GET, or C-MOVE to --ae-title, which the archive must know.",
        ),
        click.option(
            "--ae-title", default="MEDVISION", show_default=True, metavar="AET", help="This side's AE title."
        ),
        click.option(
            "--listen",
            default="127.0.0.1:11112",
            show_default=True,
            metavar="ADDRESS:PORT",
            help="Where C-MOVE's objects are received.",
        ),
        click.option("--tls", is_flag=True, help="Encrypt the line to AET@host:port."),
        *(click.option(name, type=options.EXISTING_FILE, metavar="PEM", help=pem[name]) for name in pem),
        click.option(
            "--token-file", type=options.EXISTING_FILE, metavar="FILE", help="Bearer token, for DICOMweb."
        ),
    ]
    for option in reversed(made):
        command = option(command)
    return command


@click.command(
    short_help="Ask an archive for studies, fetch them.",
    epilog=options.example("medvision query ORTHANC@localhost:4242 --modality CT --retrieve inbox"),
)
@click.argument("archive", metavar="ARCHIVE")
@click.option(
    "--level",
    type=click.Choice(["study", "series"]),
    default="study",
    show_default=True,
    help="What a row of the table is.",
)
@_filters
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Rows at most.  [default: all]")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="CSV",
    help="Where to write the whole table.",
)
@click.option(
    "--retrieve", type=options.FOLDER, metavar="DIR", help="Fetch what is found: DIR/<study>/<series>/*.dcm."
)
@click.option(
    "--show-patient", is_flag=True, help="Patient IDs and accession numbers, too; a CSV is then yours alone."
)
@_connection
@options.common
def query(
    archive: str,
    level: Literal["study", "series"],
    limit: int | None,
    out: Path | None,
    retrieve: Path | None,
    *,
    show_patient: bool,
    as_json: bool,
    **given: Any,  # noqa: ANN401  the options of _filters and _connection
) -> int:
    """Ask ARCHIVE for studies or series: AE_TITLE@host:port (C-FIND), or https://host/dicom-web (QIDO-RS).

    The table names nobody unless asked to. --retrieve fetches what it lists by C-GET, C-MOVE or WADO-RS; what
    lies there already is not written again.
    """
    if given["series_instance_uid"] and level != "series":
        raise click.UsageError("--series needs --level series beside it")

    from medvision.dicom.network.archive import Connection, open_archive
    from medvision.dicom.network.find import Filter
    from medvision.dicom.network.peers import PeerError
    from medvision.errors import NetworkError

    wanted = Filter(**{field.name: given.pop(field.name) for field in fields(Filter)})
    asked = open_archive(archive, Connection(**given))
    try:
        rows = asked.find(wanted, level=level, limit=limit)
    except PeerError as error:
        raise NetworkError(str(error)) from error
    if not show_patient:
        rows = [{name: text for name, text in row.items() if name not in PATIENT} for row in rows]
    if out:
        _write(rows, out, private=show_patient)
    counts = {"rows": len(rows)}
    if retrieve and rows:
        counts |= _retrieve(asked, rows, retrieve)
    exit_code = _exit_code(counts, wanted=retrieve is not None)
    record = {"exit_code": exit_code, "counts": counts, "rows": rows}
    show(record, [*_table(rows, level), _summary(counts, level)], as_json=as_json)
    return exit_code


def _exit_code(counts: dict[str, int], *, wanted: bool) -> int:
    """0 all well; 4 nothing found, or nothing could be fetched; 3 something could not be fetched."""
    if not counts["rows"] or (wanted and not counts["objects"]):
        return 4
    return 3 if counts.get("failed") else 0


def _retrieve(archive: Archive, rows: Sequence[Row], folder: Path) -> dict[str, int]:
    """Fetch row by row; one that fails does not stop the others."""
    from medvision.dicom.network.inbox import Inbox, InboxFullError
    from medvision.dicom.network.peers import PeerError
    from medvision.errors import OutputError
    from medvision.progress import track

    inbox = Inbox(folder)
    counts = {"objects": 0, "failed": 0}
    for row in track(rows, "retrieve", len(rows)):
        try:
            fetched = archive.fetch(inbox, row["study_instance_uid"], row.get("series_instance_uid", ""))
            if fetched.completed + fetched.failed == 0:
                raise PeerError("the archive gave nothing")  # noqa: TRY301  told as every other failure
            counts["objects"] += fetched.completed
            counts["failed"] += fetched.failed
        except PeerError as error:
            logger.error("study %s: %s", row["study_instance_uid"], error)  # noqa: TRY400  it says it all
            counts["failed"] += 1
        except InboxFullError as error:
            raise OutputError(f"cannot write to {folder}: {error}; make room there") from error
    return counts


def _write(rows: Sequence[Row], path: Path, *, private: bool) -> None:
    from medvision.files import make_folder, write_text

    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["study_instance_uid"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    make_folder(path.parent)
    write_text(path, text.getvalue(), private=private)


def _table(rows: Sequence[Row], level: Literal["study", "series"]) -> list[str]:
    columns = (*SHOWN[level], f"{level}_instance_uid")
    texts = [columns, *(tuple(row[column] for column in columns) for row in rows)]
    widths = [max(len(text[place]) for text in texts) for place in range(len(columns))]
    return ["  ".join(map(str.ljust, text, widths)).rstrip() for text in texts] if rows else []


def _summary(counts: dict[str, int], level: str) -> str:
    found = f"{counts['rows']} {'studies' if level == 'study' else 'series'} found"
    if "objects" not in counts:
        return found
    return f"{found}, {counts['objects']} objects fetched, {counts['failed']} failed"
