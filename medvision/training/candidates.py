"""What stage one proposes on the training patients: the lookalikes that the second look learns from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medvision.config.detection import DetectionConfig
from medvision.datasets.labelled import LabelledSeries
from medvision.findings import Annotation, Candidate, Point
from medvision.inference.proposals import propose
from medvision.models.heatmap import HeatMapNet
from medvision.preprocessing.views import extract_views
from medvision.progress import track
from medvision.training.second_look import SecondLookSamples
from medvision.training.volumes import TrainingVolume

UNKNOWN = -1
"""Malignancy of what is no nodule or was not judged."""


@dataclass(frozen=True, slots=True)
class SeriesCandidates:
    """Stage one's candidates of one Series with what is true about them.

    Attributes:
        series: the Series and its annotations.
        candidates: proposals, the most probable first; annotated nodules may follow.
        views: (N, V, S, S) what the second look sees.
        is_nodule: (N,) whether the candidate lies inside an annotated nodule.
        malignant: (N,) 1, 0 or `UNKNOWN`.
        is_excluded: (N,) whether it lies inside an excluded finding and no nodule: it counts neither way.
        weight: of the patient, beside others.
    """

    series: LabelledSeries
    candidates: tuple[Candidate, ...]
    views: NDArray[np.float16]
    is_nodule: NDArray[np.bool_]
    malignant: NDArray[np.int8]
    is_excluded: NDArray[np.bool_]
    weight: float = 1.0


def find_candidates(
    network: HeatMapNet,
    volumes: Sequence[TrainingVolume],
    config: DetectionConfig,
    *,
    learning: bool,
) -> list[SeriesCandidates]:
    """Run stage one over patients and cut the views of what it proposes.

    Args:
        network: stage one.
        volumes: the patients.
        config: limits and size of the views.
        learning: views are wide enough for random crops, the annotated nodules themselves are added, and only
            the most probable proposals are kept. Otherwise exactly what inference sees.
    """
    description = "candidates to learn" if learning else "candidates to judge"
    return [_of_series(network, volume, config, learning=learning) for volume in track(volumes, description)]


def _of_series(
    network: HeatMapNet, volume: TrainingVolume, config: DetectionConfig, *, learning: bool
) -> SeriesCandidates:
    candidates, _ = propose(network, volume.box, config.candidates)
    look = config.second_look
    if learning:
        annotated = [_as_candidate(annotation) for annotation in volume.series.annotations]
        candidates = candidates[: config.hard_negatives.second_look_per_scan] + annotated
    centers = [candidate.center_lps_mm for candidate in candidates]
    views = extract_views(
        volume.series.load().volume,
        centers,
        size_mm=look.training_size_mm if learning else look.size_mm,
        size_px=look.training_size_px if learning else look.size_px,
    )
    truths = [hit(center, volume.series.annotations) for center in centers]
    others = [hit(center, volume.series.excluded) for center in centers]
    excluded = [t is None and o is not None for t, o in zip(truths, others, strict=True)]
    return SeriesCandidates(
        volume.series,
        tuple(candidates),
        views,
        np.array([truth is not None for truth in truths], dtype=np.bool_),
        np.array([_malignancy(truth) for truth in truths], dtype=np.int8),
        np.array(excluded, dtype=np.bool_),
        volume.weight,
    )


def _as_candidate(annotation: Annotation) -> Candidate:
    return Candidate(annotation.center_lps_mm, 1.0, 1.0, 2 * annotation.radius_mm)


def hit(center: Point, annotations: Iterable[Annotation]) -> Annotation | None:
    """The nearest annotation whose sphere holds the point (the LUNA16 rule)."""
    distances = [(float(np.linalg.norm(np.subtract(center, a.center_lps_mm))), a) for a in annotations]
    inside = [(distance, a) for distance, a in distances if distance < a.radius_mm]
    return min(inside, key=lambda pair: pair[0])[1] if inside else None


def _malignancy(truth: Annotation | None) -> int:
    return UNKNOWN if truth is None or truth.malignant is None else int(truth.malignant)


def second_look_samples(found: Sequence[SeriesCandidates]) -> SecondLookSamples:
    """The candidates of all Series in one table, without those that count neither way."""
    counted = [~one.is_excluded for one in found]
    pairs = list(zip(found, counted, strict=True))
    return SecondLookSamples(
        views=np.concatenate([one.views[kept] for one, kept in pairs]),
        is_nodule=np.concatenate([one.is_nodule[kept] for one, kept in pairs]),
        malignant=np.concatenate([one.malignant[kept] for one, kept in pairs]),
        patient_ids=tuple(one.series.patient_id for one, kept in pairs for _ in range(kept.sum())),
        weights=np.concatenate([np.full(kept.sum(), one.weight, np.float32) for one, kept in pairs]),
    )
