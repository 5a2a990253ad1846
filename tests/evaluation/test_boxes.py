"""Average precision beside MONAI's own, on the same boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.evaluation.boxes import OVERLAPS, average_precision, cubes, overlaps
from medvision.evaluation.matching import Lesions, Marks


def random_cohort(seed: int, n_scans: int = 4):
    random = np.random.default_rng(seed)
    n_nodules, n_marks = random.integers(1, 8), random.integers(0, 40)
    nodules = Lesions(
        random.integers(n_scans, size=n_nodules),
        random.uniform(-10, 10, (n_nodules, 3)),
        random.uniform(3, 20, n_nodules),
    )
    near = random.integers(n_nodules, size=n_marks)
    marks = Marks(
        nodules.scan[near],
        nodules.center_mm[near] + random.normal(0, 3, (n_marks, 3)),
        np.round(random.random(n_marks), 1),
    )
    return marks, nodules.diameter_mm[near] * random.uniform(0.5, 1.5, n_marks), nodules


def monai_figures(marks, side_mm, nodules, n_scans: int = 4):
    """MONAI's COCOMetric, as its training of the LUNA16 bundle uses it."""
    from monai.apps.detection.metrics.coco import COCOMetric
    from monai.apps.detection.metrics.matching import matching_batch
    from monai.data.box_utils import box_iou

    metric = COCOMetric(classes=["nodule"], iou_list=[0.1], max_detection=[100], verbose=False)
    truth = cubes(nodules.center_mm, nodules.diameter_mm)
    boxes = cubes(marks.center_mm, side_mm)
    of_marks = [np.flatnonzero(marks.scan == scan) for scan in range(n_scans)]
    of_truth = [np.flatnonzero(nodules.scan == scan) for scan in range(n_scans)]
    results = matching_batch(
        iou_fn=box_iou,
        iou_thresholds=metric.iou_thresholds,
        pred_boxes=[boxes[rows] for rows in of_marks],
        pred_classes=[np.zeros(len(rows), np.int64) for rows in of_marks],
        pred_scores=[marks.probability[rows] for rows in of_marks],
        gt_boxes=[truth[rows] for rows in of_truth],
        gt_classes=[np.zeros(len(rows), np.int64) for rows in of_truth],
    )
    return metric(results)[0]


@settings(max_examples=40, deadline=None)  # MONAI is imported in the first
@given(st.integers(0, 10_000))
def test_agrees_with_monai(seed):
    marks, side_mm, nodules = random_cohort(seed)
    theirs = monai_figures(marks, side_mm, nodules)
    ours = average_precision(marks, side_mm, nodules)
    assert ours.ap[0] == pytest.approx(theirs["AP_IoU_0.10_MaxDet_100"], abs=1e-6)
    assert ours.mean == pytest.approx(theirs["mAP_IoU_0.10_0.50_0.05_MaxDet_100"], abs=1e-6)
    assert ours.recall[0] == pytest.approx(theirs["AR_IoU_0.10_MaxDet_100"], abs=1e-6)
    assert np.mean(ours.recall) == pytest.approx(theirs["mAR_IoU_0.10_0.50_0.05_MaxDet_100"], abs=1e-6)


def test_perfect_boxes_none_and_empty_ones():
    nodules = Lesions(np.array([0, 1]), np.array([[0.0, 0, 0], [5, 5, 5]]), np.array([6.0, 9.0]))
    perfect = Marks(nodules.scan, nodules.center_mm, np.array([0.9, 0.8]))
    assert average_precision(perfect, nodules.diameter_mm, nodules).mean == 1.0
    empty = Marks(np.empty(0, np.int64), np.empty((0, 3)), np.empty(0))
    assert average_precision(empty, np.empty(0), nodules).ap == (0.0,) * len(OVERLAPS)
    points = average_precision(perfect, np.zeros(2), nodules)
    assert points.recall == (0.0,) * len(OVERLAPS)


def test_overlap_of_shifted_cubes():
    one = cubes(np.zeros((1, 3)), np.array([2.0]))
    shifted = cubes(np.array([[1.0, 0, 0], [2, 0, 0], [0, 0, 0]]), np.array([2.0, 2.0, 1.0]))
    assert overlaps(one, shifted)[0] == pytest.approx([1 / 3, 0, 1 / 8])


def test_at_most_a_hundred_boxes_a_scan():
    nodules = Lesions(np.array([0]), np.zeros((1, 3)), np.array([6.0]))
    centers = np.full((101, 3), 50.0)
    centers[100] = 0
    marks = Marks(np.zeros(101, np.int64), centers, np.linspace(1, 0, 101))
    assert average_precision(marks, np.full(101, 6.0), nodules).recall[0] == 0
    assert average_precision(marks, np.full(101, 6.0), nodules, max_marks=101).recall[0] == 1
