"""A model's card in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

HASHES = ("hashes", "fingerprints", "salt", "key_id")
"""Ends of the names of what tells a person nothing."""

_BOUNDS = ("_lower", "_upper")
_OWN_WORDS = ("schema_version", "name", "version", "task", "metrics", "operating_points", "training")
_WIDTH = 18


def told(values: Any) -> Any:  # noqa: ANN401  whatever YAML holds
    """A card without hashed identifiers."""
    if isinstance(values, Mapping):
        return {key: told(value) for key, value in values.items() if not key.endswith(HASHES)}
    return values


def card_lines(card: Mapping[str, Any], folder: str) -> Iterator[str]:
    """What a card says: what the model is, how good it was measured to be, what it learnt from."""
    yield f"{card['name']} {card['version']} ({card['task']})"
    yield _line("folder", folder)
    yield from _metrics(card["metrics"])
    for point in card.get("operating_points", ()):
        yield _line(
            "operating point",
            f"{point['fp_per_scan']:g} false positives a scan: sensitivity {point['sensitivity']:.2f} "
            f"at a probability of {point['threshold']:.3g}",
        )
    yield from _section("learnt from", told(card.get("training", {})))
    for key, value in told(card).items():
        if key not in _OWN_WORDS:
            yield from _section(key.replace("_", " "), value)


def _metrics(metrics: Mapping[str, float]) -> Iterator[str]:
    for name, value in metrics.items():
        if name.endswith(_BOUNDS) and name[: -len(_BOUNDS[0])] in metrics:
            continue
        bounds = [metrics.get(name + end) for end in _BOUNDS]
        limits = "" if None in bounds else f" (95 %: {bounds[0]:.3g} to {bounds[1]:.3g})"
        yield _line("measured", f"{name} {value:.4g}{limits}")


def _section(title: str, value: Any) -> Iterator[str]:  # noqa: ANN401
    if isinstance(value, Mapping):
        words = [f"{key} {_text(one)}" for key, one in value.items() if one is not None]
        if words:
            yield _line(title, ", ".join(words))
    elif value is not None:
        yield _line(title, _text(value))


def _text(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} {_text(one)}" for key, one in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "/".join(_text(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _line(title: str, text: str) -> str:
    return f"  {title:{_WIDTH}} {text}"
