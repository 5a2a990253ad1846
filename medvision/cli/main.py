"""Entry point of `medvision`: finds the command, turns every error into one line and an exit code."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence

import click

from medvision import telemetry
from medvision.cli.console import TRACEBACK, set_verbosity, show_error
from medvision.cli.options import show_version, verbosity
from medvision.errors import MedvisionError
from medvision.log_context import log_fields, new_run_id

COMMANDS = (
    "simulate",
    "ingest",
    "train",
    "infer",
    "verify",
    "evaluate",
    "calibrate",
    "check",
    "drift",
    "models",
    "listen",
    "query",
    "doctor",
)
UNFORESEEN = 1
INTERRUPTED = 130  # what a shell reports for a process that Ctrl-C ended

logger = logging.getLogger(__name__)

_EPILOG = """\b
Example: look for nodules in a folder of DICOM files
  medvision infer /data/patient-1 -o out --model demo/model

\b
Exit codes: 0 all well · 2 wrong usage or configuration · 3 finished, but some series failed ·
4 nothing could be processed · 1 anything unforeseen.

\b
MEDVISION_LOG_FORMAT=json writes the log as JSON, one object a line."""


class _LazyGroup(click.Group):
    """Imports a command's module when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"medvision.cli.{cmd_name}")
        return getattr(module, cmd_name)  # type: ignore[no-any-return]


@click.group(cls=_LazyGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=show_version,
    help="Show the version.",
)
@verbosity
def medvision() -> None:
    """Find lung nodules in chest CT: DICOM in, reports out. Research use, not a medical device."""


def run(arguments: Sequence[str], command: click.Command = medvision, name: str = "medvision") -> int:
    """Run one command line and return its exit code; no error escapes, a traceback shows only with -vv."""
    with log_fields(run=new_run_id()):
        return _run(arguments, command, name)


def _run(arguments: Sequence[str], command: click.Command, name: str) -> int:
    as_json = "--json" in arguments
    telemetry.switch_off()
    set_verbosity(0)
    try:
        return command.main(list(arguments), prog_name=name, standalone_mode=False) or 0
    except click.Abort:
        return show_error("interrupted", INTERRUPTED, as_json=as_json)
    except click.ClickException as error:
        return show_error(_in_one_line(error), error.exit_code, as_json=as_json)
    except MedvisionError as error:
        logger.log(TRACEBACK, "traceback:", exc_info=error)
        return show_error(str(error), error.exit_code, as_json=as_json)
    except Exception as error:  # the last line of defence
        logger.log(TRACEBACK, "traceback:", exc_info=error)
        message = f"unexpected {type(error).__name__}: {error} (-vv shows where)"
        return show_error(message, UNFORESEEN, as_json=as_json)


def _in_one_line(error: click.ClickException) -> str:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return f"which command?\n{error.format_message()}"
    context = getattr(error, "ctx", None)
    where = f" See {context.command_path} --help." if context else ""
    return f"{error.format_message()}{where}"


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))
