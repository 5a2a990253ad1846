"""How a check is made."""

from __future__ import annotations

from medvision.volumes import QualityCheck, Verdict


def make_check(
    name: str, value: str, limit: str, message: str = "", verdict: Verdict = "warn"
) -> QualityCheck:
    """A check with a message has the verdict given, one without is ok."""
    return QualityCheck(name, verdict if message else "ok", value, limit, message)


def signed(number: float) -> str:
    """A whole number with a real minus sign, as reports print HU."""
    return f"{number:.0f}".replace("-", "−")
