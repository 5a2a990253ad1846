"""`medvision doctor`."""

from __future__ import annotations

from dataclasses import asdict

import click

from medvision.cli import options
from medvision.cli.console import show

SOMETHING_IS_WRONG = 3
_MARKS = {"ok": "ok  ", "warn": "note", "fail": "FAIL"}


@click.command(short_help="Check the installation.", epilog=options.example("medvision doctor"))
@options.common
def doctor(*, as_json: bool) -> int:
    """Check the installation: packages, processor, memory, GPU, weights, decoders, servers, settings.

    Works offline. Ends with 0 where medvision can work, notes included, and with 3 where something must be
    mended.
    """
    from medvision.cli.checks import all_checks
    from medvision.cli.environment_checks import environment_checks

    checks = [*all_checks(), *environment_checks()]
    usable = all(check.verdict != "fail" for check in checks)
    lines = [f"{_MARKS[check.verdict]}  {check.name:18} {check.found}" for check in checks]
    advice = [f"to mend: {check.name}: {check.advice}" for check in checks if check.advice]
    show(
        {"usable": usable, "checks": [asdict(check) for check in checks]}, [*lines, *advice], as_json=as_json
    )
    return 0 if usable else SOMETHING_IS_WRONG
