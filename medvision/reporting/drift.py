"""`drift.json` and its page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from medvision.evaluation.drift.document import ChartBin, DriftDocument, FeatureRecord, Status
from medvision.files import make_folder, write_text
from medvision.reporting.html import render

STATUS: dict[Status, str] = {
    "drift": "drift",
    "unclear": "may be chance",
    "stable": "stable",
    "too_few": "too few scans",
    "absent": "not in both",
}
ORDER: tuple[Status, ...] = ("drift", "unclear", "stable", "too_few", "absent")
WIDTH, HEIGHT = 320, 110
"""Of a chart's bars, in its own units."""

LABELS = 4
"""A chart of numbers names so many of its bins: more would run into each other."""

CHARACTER_WIDTH = 5.5
"""Of a label, in units of the chart; a longer name of a category is cut, and whole when pointed at."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, and what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    of_reference: bool
    title: str


@dataclass(frozen=True, slots=True)
class Label:
    """The name of a bin below its bars."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A feature's pairs of bars; the highest one fills the height.

    Attributes:
        bars: in the order of the bins.
        labels: below the bars.
        top: share that the height means, such as "42 %".
    """

    bars: tuple[Bar, ...]
    labels: tuple[Label, ...]
    top: str


def write_drift(document: DriftDocument, out: Path) -> None:
    """Write `drift.json` and `drift.html`.

    Raises:
        OutputError: the folder cannot be written.
    """
    make_folder(out)
    write_text(out / "drift.json", document.model_dump_json(indent=2) + "\n")
    write_text(out / "drift.html", drift_page(document))


def drift_page(document: DriftDocument) -> str:
    """The self-contained page: what has drifted first."""
    features = sorted(document.features, key=lambda feature: ORDER.index(feature.status))
    return render(
        "drift.html",
        drift=document,
        headline=_headline(document),
        status=STATUS,
        cards=[(feature, chart(feature)) for feature in features if feature.bins],
        absent=[feature.title.lower() for feature in features if feature.status == "absent"],
        size=(WIDTH, HEIGHT),
    )


def _headline(document: DriftDocument) -> str:
    drifted = [feature.title.lower() for feature in document.features if feature.status == "drift"]
    if drifted:
        return f"Beyond the limits: {', '.join(drifted)}"
    if document.verdict == "too_few":
        return "Too few scans to tell whether anything has changed"
    return "No feature is beyond the limits"


def chart(feature: FeatureRecord) -> Chart:
    """Place the bars: each bin a slot, the reference on the left of it."""
    highest = max(max(one.reference, one.current) for one in feature.bins)
    slot = WIDTH / len(feature.bins)
    bars = [
        _bar(one, slot, position, highest, of_reference=of_reference)
        for position, one in enumerate(feature.bins)
        for of_reference in (True, False)
    ]
    return Chart(tuple(bars), _labels(feature, slot), f"{highest:.0%}")


def _bar(one: ChartBin, slot: float, position: int, highest: float, *, of_reference: bool) -> Bar:
    share = one.reference if of_reference else one.current
    height, width = HEIGHT * share / highest, 0.4 * slot
    x = slot * position + (0.1 * slot if of_reference else 0.5 * slot)
    side = "reference" if of_reference else "current"
    return Bar(
        round(x, 2),
        round(HEIGHT - height, 2),
        round(width, 2),
        round(height, 2),
        of_reference,
        f"{one.label}: {side} {share:.1%}",
    )


def _labels(feature: FeatureRecord, slot: float) -> tuple[Label, ...]:
    """Every bin of a category; of numbers some, by where they begin."""
    if feature.kind == "category":
        room = int(slot / CHARACTER_WIDTH)
        return tuple(
            Label(round(slot * (position + 0.5), 2), _cut(one.label, room))
            for position, one in enumerate(feature.bins)
        )
    step = -(-len(feature.bins) // LABELS)
    return tuple(
        Label(round(slot * (position + 0.5), 2), feature.bins[position].label.split(" to ")[0])
        for position in range(0, len(feature.bins), step)
    )


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: max(1, room - 1)]}…"
