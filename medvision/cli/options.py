"""Options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from medvision.cli.console import set_verbosity
from medvision.cli.places import PlaceType

Command = Callable[..., Any]
_VERBOSITY = "medvision.verbosity"

FOLDER = click.Path(path_type=Path, file_okay=False)
EXISTING_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
EXISTING = click.Path(path_type=Path, exists=True)

sources = click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=PlaceType(EXISTING))
workers = click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="Cores to use.  [default: all]"
)
resume = click.option(
    "--resume/--no-resume", default=True, show_default=True, help="Keep what an earlier run has finished."
)
index = click.option(
    "--index",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to remember headers, so that the next run reads only what has changed.  "
    "[default: STORE/index.sqlite; for infer, the user's cache]",
)
seed = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="S")


def formats(default: str, note: str = "") -> Callable[[Command], Command]:
    """--formats: what is written for each Series."""
    return click.option(
        "--formats",
        default=default,
        show_default=True,
        metavar="LIST",
        callback=_split_formats,
        help=f"What to write for each series: json,csv,html, and as DICOM seg,labelmap,sr,sc,kos{note}.",
    )


def device(command: Command) -> Command:
    """--device: where the networks run."""
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        metavar="auto|cpu|cuda[:N]",
        callback=_check_device,
        help="Where the networks run.",
    )(command)


def fp_per_scan(help_text: str) -> Callable[[Command], Command]:
    """--fp-per-scan: an operating point by its false positives."""
    return click.option(
        "--fp-per-scan", type=click.FloatRange(min=0, min_open=True), metavar="X", help=help_text
    )


def threshold(help_text: str) -> Callable[[Command], Command]:
    """--threshold: an operating point by its probability."""
    return click.option("--threshold", type=click.FloatRange(0, 1), metavar="P", help=help_text)


def _split_formats(_: click.Context, __: click.Parameter, text: str) -> tuple[str, ...]:
    """Known formats, each once."""
    from medvision.reporting.case import FORMATS

    chosen = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [name for name in chosen if name not in FORMATS]
    if unknown or not chosen:
        raise click.BadParameter(f"{text!r}: choose from {','.join(FORMATS)}")
    return chosen


def _check_device(_: click.Context, __: click.Parameter, name: str) -> str:
    """A device that can be asked for."""
    kind, _colon, number = name.partition(":")
    if name in {"auto", "cpu", "cuda"} or (kind == "cuda" and number.isdecimal()):
        return name
    raise click.BadParameter(f"{name!r}: choose from auto, cpu, cuda, cuda:N")


def example(*lines: str) -> str:
    """Epilog of a command: lines to paste, kept as they are."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def common(command: Command) -> Command:
    """Add what every command has: --json, -v and -q."""
    as_json = click.option("--json", "as_json", is_flag=True, help="Last line of stdout is one JSON object.")
    return as_json(verbosity(command))


def verbosity(command: Command) -> Command:
    """Add -v and -q, which count both before and after the command's name."""
    quiet = click.option("-q", "--quiet", count=True, expose_value=False, callback=_quieter, help="Say less.")
    louder = click.option(
        "-v", "--verbose", count=True, expose_value=False, callback=_louder, help="Say more; -vv: tracebacks."
    )
    return louder(quiet(command))


def _louder(context: click.Context, _: click.Parameter, count: int) -> None:
    context.meta[_VERBOSITY] = context.meta.get(_VERBOSITY, 0) + count
    set_verbosity(context.meta[_VERBOSITY])


def _quieter(context: click.Context, parameter: click.Parameter, count: int) -> None:
    _louder(context, parameter, -count)


def show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001  click's signature
    """Print the installed version and end."""
    if wanted:
        from importlib.metadata import version

        click.echo(f"medvision {version('medvision')}")
        context.exit()


def count_workers(workers: int | None) -> int:
    """The number asked for, or the cores that this process may use."""
    if workers is not None:
        return workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
