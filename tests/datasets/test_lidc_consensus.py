from __future__ import annotations

import highdicom as hd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medvision.datasets.lidc_consensus import consensus_mask, consensus_volume_mm3
from medvision.datasets.lidc_nodules import nodules
from medvision.errors import DataError
from medvision.volumes import Scan, SliceReference
from tests.datasets.lidc_marks import FRAME, SERIES, mark, reading

SHAPE = (5, 40, 44)


def scan(shape=SHAPE):
    affine = np.array([[0, 0, 0.5, -100], [0, 0.5, 0, -50], [1, 0, 0, 0], [0, 0, 0, 1]], float)
    volume = hd.Volume(np.zeros(shape, np.int16), affine, coordinate_system="PATIENT")
    slices = tuple(SliceReference(f"{SERIES}.z{k}", k) for k in range(shape[0]))
    return Scan(SERIES, SERIES, "", "", volume, slices)


def nodule(*marks):
    (found,) = nodules(reading(*marks), FRAME, min_readers=1)
    return found


lefts = st.lists(st.integers(8, 12), min_size=1, max_size=4)


@settings(deadline=None, max_examples=40)
@given(lefts, st.integers(1, 4))
def test_k_of_n_is_what_counting_readers_gives(drawn, k):
    marks = [mark(reader, left=left) for reader, left in enumerate(drawn)]
    votes = np.zeros(SHAPE, int)
    for left in drawn:
        votes[:3, 11:17, left + 1 : left + 7] += 1
    mask = consensus_mask(nodule(*marks), scan(), k)
    assert mask.shape == SHAPE
    np.testing.assert_array_equal(mask, votes >= k)
    assert consensus_volume_mm3(nodule(*marks), FRAME, k) == pytest.approx((votes >= k).sum() * 0.25)


@settings(deadline=None, max_examples=40)
@given(lefts, st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_a_share_is_of_those_who_outlined_it(drawn, share):
    marks = [mark(reader, left=left) for reader, left in enumerate(drawn)]
    votes = np.zeros(SHAPE, int)
    for left in drawn:
        votes[:3, 11:17, left + 1 : left + 7] += 1
    np.testing.assert_array_equal(consensus_mask(nodule(*marks), scan(), share), votes / len(drawn) >= share)


def test_two_pieces_of_one_reader_are_one_vote():
    mask = consensus_mask(nodule(mark(0, left=10), mark(0, left=12)), scan(), 2)
    assert not mask.any()


def test_slices_that_readers_do_not_share():
    low, high = mark(0, slices=(0, 1)), mark(1, slices=(1, 3))
    mask = consensus_mask(nodule(low, high), scan(), 1)
    assert mask.any(axis=(1, 2)).tolist() == [True, True, False, True, False]
    assert consensus_volume_mm3(nodule(low, high), FRAME, 2) == pytest.approx(36 * 0.25)


@pytest.mark.parametrize("level", [0, 5, 0.0, 1.5, -1, float("nan")])
def test_levels_out_of_bounds(level):
    with pytest.raises(DataError, match="neither 1 to 4 readers nor a share"):
        consensus_mask(nodule(mark()), scan(), level)


def test_a_nodule_of_another_scan():
    with pytest.raises(DataError, match="are nodule and scan of the same series"):
        consensus_mask(nodule(mark(left=40)), scan())
    with pytest.raises(DataError, match="lies on no slice of the scan"):
        consensus_mask(nodule(mark(slices=(70,))), scan())
