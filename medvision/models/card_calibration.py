"""Recalibration as `model.yaml` says it: a method and its numbers."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Literal, Self

from numpy.typing import ArrayLike

from medvision.config.base import Settings

if TYPE_CHECKING:
    from medvision.evaluation.calibration import Calibration, Floats

Method = Literal["temperature", "platt", "beta", "isotonic"]


class CardCalibration(Settings):
    """What probabilities are recalibrated by (`medvision.evaluation.calibration`)."""

    method: Method
    numbers: dict[str, float | tuple[float, ...]]

    @classmethod
    def of(cls, method: Method, calibration: Calibration) -> Self:
        """Write a fitted map down."""
        return cls(method=method, numbers=asdict(calibration))  # type: ignore[call-overload]

    def apply(self, probabilities: ArrayLike) -> Floats:
        """Recalibrate probabilities of any shape."""
        from medvision.evaluation.calibration import KINDS  # SciPy, which a look at a card does without

        return KINDS[self.method](**self.numbers).apply(probabilities)
