"""`medvision verify`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medvision.cli import options
from medvision.cli.console import show

if TYPE_CHECKING:
    from medvision.inference.verify import Verification

DIFFERS = 3
OUTCOMES = {
    "same": "the same findings, bit for bit",
    "within_tolerance": "the same findings, within what other hardware or versions may change",
    "differs": "NOT the same",
}
SIGNATURES = {
    True: "valid",
    False: "INVALID: the report was changed, or signed by another key",
    None: "ABSENT",
}


@click.command(
    short_help="Replay a case: does the same come out?",
    epilog=options.example("medvision verify out/1.2.840.113619.2.55.3/report.json"),
)
@click.argument("report", type=options.EXISTING_FILE)
@click.option(
    "--source",
    "sources",
    multiple=True,
    type=options.EXISTING,
    metavar="SRC",
    help="Where the scan is; may be given several times.  [default: where infer found it]",
)
@click.option("--model", metavar="MODEL", help="The model.  [default: the one that infer used]")
@options.device
@click.option(
    "--key",
    type=options.EXISTING_FILE,
    metavar="PUB.pem",
    help="Public key: the signature must be there and right.",
)
@options.common
def verify(
    report: Path,
    sources: tuple[Path, ...],
    model: str | None,
    device: str,
    key: Path | None,
    *,
    as_json: bool,
) -> int:
    """Replay REPORT (a report.json) from its input, model and settings, and say what differs.

    Ends with 0 when the findings are the same, with 3 when anything differs or the signature is not right.
    """
    from medvision.reporting.signing import is_signed, read_public_key

    signed = is_signed(report, read_public_key(key)) if key else None

    from medvision.inference.verify import verify as verify_report
    from medvision.tracking import resolve_model

    directory = resolve_model(model) if model else None
    result = verify_report(report, sources=sources, model=directory, device=device)
    right = result.outcome != "differs" and (key is None or signed is True)
    record: dict[str, Any] = {"exit_code": 0 if right else DIFFERS, **asdict(result)}
    lines = _lines(result)
    if key:
        record["signature"] = {True: "valid", False: "invalid", None: "absent"}[signed]
        lines.append(f"signature: {SIGNATURES[signed]}")
    show(record, lines, as_json=as_json)
    return 0 if right else DIFFERS


def _lines(result: Verification) -> list[str]:
    lines = [
        f"{difference.what}: {difference.recorded} → {difference.replayed}"
        f"{' (may be)' if difference.tolerated else ''}"
        for difference in result.differences
    ]
    conditions = "on the same hardware and versions" if result.exact else "on other hardware or versions"
    return [*lines, f"{OUTCOMES[result.outcome]} ({result.findings} findings, {conditions})"]
