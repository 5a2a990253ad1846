"""Honest probabilities: temperature, Platt, beta and isotonic calibration of a binary classifier.

Sources: temperature: Guo et al., ICML 2017 (arXiv:1706.04599); Platt: Platt, Advances in Large Margin
Classifiers 1999, without his smoothed targets; beta: Kull, Silva Filho and Flach, AISTATS
2017; isotonic: Zadrozny and Elkan, KDD 2002. Each map rises with the probability, so the order of samples
(the AUC) stays, up to ties of the isotonic one. Each contains the identity, so on the data of its fit none is
less likely than what it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit

from medvision.errors import DataError
from medvision.evaluation.classification import checked_binary

Floats = NDArray[np.float64]
Method = Literal["temperature", "platt", "beta", "isotonic"]

EPSILON = 1e-6
"""No probability is nearer to 0 or 1: one certain error would cost everything."""
MAX_LOG_TEMPERATURE = 5.0
"""Temperatures from 1/148 to 148; classes that are told apart without an error would want 0."""
MAX_SLOPE = 100.0
"""Bound of Platt's and beta's slopes, for the same reason."""


class Calibration(Protocol):
    """A map of probabilities; its fields are plain numbers, to be written into a model's card."""

    def apply(self, probabilities: ArrayLike) -> Floats:
        """Recalibrate probabilities of any shape."""


@dataclass(frozen=True, slots=True)
class Temperature:
    """One number: the logit is divided by it. Safe with few samples."""

    temperature: float

    def apply(self, probabilities: ArrayLike) -> Floats:
        """Recalibrate probabilities of any shape."""
        return _clip(expit(logit(_clip(probabilities)) / self.temperature))


@dataclass(frozen=True, slots=True)
class Platt:
    """Two numbers: expit(slope · logit p + intercept), the slope not negative; corrects the prevalence."""

    slope: float
    intercept: float

    def apply(self, probabilities: ArrayLike) -> Floats:
        """Recalibrate probabilities of any shape."""
        return _clip(expit(self.slope * logit(_clip(probabilities)) + self.intercept))


@dataclass(frozen=True, slots=True)
class Beta:
    """Three numbers: expit(a ln p − b ln(1 − p) + c), a and b not negative; corrects each side by itself."""

    a: float
    b: float
    c: float

    def apply(self, probabilities: ArrayLike) -> Floats:
        """Recalibrate probabilities of any shape."""
        p = _clip(probabilities)
        return _clip(expit(self.a * np.log(p) - self.b * np.log1p(-p) + self.c))


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Any rising map, linear between its corners. Follows noise unless there are about a thousand samples."""

    before: tuple[float, ...]
    after: tuple[float, ...]

    def apply(self, probabilities: ArrayLike) -> Floats:
        """Recalibrate probabilities of any shape."""
        return _clip(np.interp(_clip(probabilities), self.before, self.after))


def fit_calibration(method: Method, targets: ArrayLike, probabilities: ArrayLike) -> Calibration:
    """Fit on samples that neither trained the classifier nor will judge the result.

    Args:
        method: "temperature", "platt", "beta" or "isotonic".
        targets: (n,) 0 or 1.
        probabilities: (n,) in [0, 1].

    Raises:
        DataError: an unknown method, sizes differ, values out of range, or only one class.
    """
    if method not in FITS:
        raise DataError(f"unknown calibration {method!r}; choose from {', '.join(FITS)}")
    target, probability = checked_binary(targets, probabilities)
    return FITS[method](target, probability)


def log_loss(targets: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean negative log likelihood; probabilities are kept EPSILON from 0 and 1.

    Raises:
        DataError: sizes differ or values out of range.
    """
    target, probability = checked_binary(targets, probabilities, both_classes=False)
    return _loss(target, _clip(probability))


def _clip(probabilities: ArrayLike) -> Floats:
    return np.clip(np.asarray(probabilities, np.float64), EPSILON, 1 - EPSILON)


def _loss(target: Floats, clipped: Floats) -> float:
    return float(-np.mean(np.where(target == 1, np.log(clipped), np.log1p(-clipped))))


def _fit_temperature(target: Floats, probability: Floats) -> Temperature:
    found = minimize_scalar(
        lambda log: _loss(target, Temperature(float(np.exp(log))).apply(probability)),
        bounds=(-MAX_LOG_TEMPERATURE, MAX_LOG_TEMPERATURE),
        method="bounded",
    )
    fitted, as_it_is = Temperature(float(np.exp(found.x))), Temperature(1.0)
    return min(as_it_is, fitted, key=lambda one: _loss(target, one.apply(probability)))


def _fit_platt(target: Floats, probability: Floats) -> Platt:
    p = _clip(probability)
    found = _regress(np.stack([logit(p), np.ones_like(p)], axis=1), target, np.array([1.0, 0.0]))
    fitted, as_it_is = Platt(*found), Platt(1.0, 0.0)
    return min(as_it_is, fitted, key=lambda one: _loss(target, one.apply(probability)))


def _fit_beta(target: Floats, probability: Floats) -> Beta:
    p = _clip(probability)
    features = np.stack([np.log(p), -np.log1p(-p), np.ones_like(p)], axis=1)
    found = _regress(features, target, np.array([1.0, 1.0, 0.0]))
    fitted, as_it_is = Beta(*found), Beta(1.0, 1.0, 0.0)
    return min(as_it_is, fitted, key=lambda one: _loss(target, one.apply(probability)))


def _regress(features: Floats, target: Floats, start: Floats) -> tuple[float, ...]:
    """Logistic regression whose slopes, all but the last number, are not negative."""

    def loss(parameters: Floats) -> tuple[float, Floats]:
        score = features @ parameters
        value = float(np.mean(np.logaddexp(0, score) - target * score))
        return value, features.T @ (expit(score) - target) / len(target)

    bounds = [*[(0, MAX_SLOPE)] * (len(start) - 1), (None, None)]
    return tuple(map(float, minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x))


def _fit_isotonic(target: Floats, probability: Floats) -> Isotonic:
    from sklearn.isotonic import IsotonicRegression

    regression = IsotonicRegression(y_min=EPSILON, y_max=1 - EPSILON, out_of_bounds="clip")
    regression.fit(_clip(probability), target)
    return Isotonic(tuple(map(float, regression.X_thresholds_)), tuple(map(float, regression.y_thresholds_)))


FITS: dict[str, Callable[[Floats, Floats], Calibration]] = {
    "temperature": _fit_temperature,
    "platt": _fit_platt,
    "beta": _fit_beta,
    "isotonic": _fit_isotonic,
}
KINDS: dict[str, Callable[..., Calibration]] = {
    "temperature": Temperature,
    "platt": Platt,
    "beta": Beta,
    "isotonic": Isotonic,
}
"""What each method's numbers make."""
