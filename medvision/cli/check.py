"""`medvision check`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from medvision.cli import options
from medvision.cli.console import show

if TYPE_CHECKING:
    from medvision.contracts.checking import CheckResult
    from medvision.contracts.violations import Violation

SOMETHING_WRONG = 3
HEADER = ("file", "line", "column", "value", "rule", "contract")
WIDEST = 60


@click.command(
    epilog=options.example("medvision check out", "medvision check labels.csv --contract annotations")
)
@click.argument("path", type=options.EXISTING)
@click.option("--contract", metavar="NAME", help="Hold a single file to this contract, whatever its name.")
@options.common
def check(path: Path, contract: str | None, *, as_json: bool) -> int:
    """Run the data contracts on PATH: a STORE, OUT, model, cohort or evaluation, or a CSV, JSON or YAML file.

    Prints everything that is wrong as a table and ends with 3; with 0 where nothing is. Changes nothing.
    """
    from medvision.contracts.checking import check as check_path

    result = check_path(path, contract)
    exit_code = SOMETHING_WRONG if result.count else 0
    record = {
        "exit_code": exit_code,
        "files": len(result.items),
        "rows": result.rows,
        "violations": result.count,
        "shown": [asdict(violation) for violation in result.violations],
    }
    show(record, _lines(path, result), as_json=as_json)
    return exit_code


def _lines(path: Path, result: CheckResult) -> list[str]:
    contracts = sorted({item.contract for item in result.items})
    checked = f"{len(result.items)} files and {result.rows} rows checked against {', '.join(contracts)}"
    if not result.count:
        return [f"{checked}: nothing wrong"]
    folder = path if path.is_dir() else path.parent
    lines = _table([HEADER, *(_cells(violation, folder) for violation in result.violations)])
    hidden = result.count - len(result.violations)
    more = f", the first {len(result.violations)} of them above" if hidden else ""
    return [*lines, f"{checked}: {result.count} violations{more}"]


def _cells(violation: Violation, folder: Path) -> tuple[str, ...]:
    source = Path(violation.source)
    shown = source.relative_to(folder) if source.is_relative_to(folder) else source
    line = "" if violation.line is None else str(violation.line)
    return (str(shown), line, violation.column, violation.value or "", violation.rule, violation.contract)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their content, up to a limit; what is longer is never cut, only out of line."""
    widths = [min(WIDEST, max(map(len, column))) for column in zip(*rows, strict=True)]
    return [_row(row, widths) for row in rows]


def _row(cells: Iterable[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
