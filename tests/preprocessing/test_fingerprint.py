"""The same scan keeps its fingerprint, whatever was done to it; two patients' differ."""

from __future__ import annotations

import itertools

import highdicom as hd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from medvision.dicom.catalogue import catalogue
from medvision.preprocessing.fingerprint import (
    BITS,
    NEAR_DUPLICATE_BITS,
    distances,
    fingerprint,
    is_near_duplicate,
)
from tests.preprocessing.bodies import body, lungs_of


def volume_of(array, affine):
    return hd.Volume(np.ascontiguousarray(array), affine, coordinate_system="PATIENT")


def scaled(affine, factors):
    result = np.array(affine)
    result[:3, :3] *= factors
    return result


def noisy(volume):
    noise = np.random.default_rng(0).normal(0, 50, volume.array.shape)
    return volume_of((volume.array + noise).astype(np.int16), volume.affine)


def cropped(volume):
    count = round(0.05 * len(volume.array))
    return volume_of(volume.array[count:-count], volume.affine)


def thinned(volume):
    return volume_of(volume.array[::2], scaled(volume.affine, (2, 1, 1)))


def resampled(volume):
    zoomed = ndimage.zoom(volume.array, (1, 0.8, 0.8), order=1)
    return volume_of(zoomed, scaled(volume.affine, (1, 1 / 0.8, 1 / 0.8)))


def padded(volume):
    return volume_of(np.pad(volume.array, ((0, 0), (5, 9), (7, 3)), constant_values=-2048), volume.affine)


def offset(volume):
    return volume_of(volume.array + np.int16(15), volume.affine)


def compressed(volume):
    return volume_of(volume.array // 16 * 16, volume.affine)


CHANGES = (noisy, cropped, resampled, padded, offset, compressed)


@pytest.fixture(scope="module")
def patients():
    return [patient(number) for number in range(6)]


def patient(number, spacing_mm=4.0):
    """Lungs of their own, and in them blobs that stand for heart, hilum and vessels."""
    random = np.random.default_rng(1000 + number)
    centers = random.uniform((-110, -50, -70), (110, 50, 70), (40, 3))
    radii = random.uniform(5, 16, len(centers))
    blobs = [(tuple(center), radius) for center, radius in zip(centers, radii, strict=True)]
    return body(spacing_mm, lungs=lungs_of(number), nodules=blobs)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_the_same_scan_is_recognised(patients, change):
    for volume in patients[:4]:
        assert is_near_duplicate(fingerprint(change(volume)), [fingerprint(volume)])


def test_patients_are_told_apart(patients):
    found = [fingerprint(volume) for volume in patients]
    apart = [int(distances(one, [other])[0]) for one, other in itertools.combinations(found, 2)]
    assert min(apart) > 2 * NEAR_DUPLICATE_BITS


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(3)), st.tuples(*[st.booleans()] * 3))
def test_it_does_not_depend_on_how_the_array_lies_in_memory(order, flipped):
    volume = patient(1, 6.0)
    turned = volume.permute_spatial_axes(order)
    for axis, flip in enumerate(flipped):
        turned = turned.flip_spatial(axis) if flip else turned
    # Every n-th voxel is taken from another end, so a few bits near zero may turn.
    assert is_near_duplicate(fingerprint(turned), [fingerprint(volume)])


def test_it_is_256_bits_in_hexadecimal(patients):
    found = fingerprint(patients[0])
    assert len(bytes.fromhex(found)) * 8 == BITS
    assert distances(found, [found, "0" * 64, "f" * 64])[0] == 0
    assert distances("0" * 64, ["f" * 64]).tolist() == [BITS]
    assert distances(found, []).shape == (0,)
    assert not is_near_duplicate(found, [])


@pytest.mark.parametrize("hu", [-1000, 40])
def test_a_volume_without_a_body_has_one_too(hu):
    empty = volume_of(np.full((8, 9, 10), hu, np.int16), np.diag([2.0, 2.0, 2.0, 1.0]))
    assert len(fingerprint(empty)) == BITS // 4


@pytest.mark.real
def test_a_real_scan_is_recognised_and_is_no_phantom(lidc_0001, patients):
    (entry,) = [entry for entry in catalogue([lidc_0001]).series if entry.status != "rejected"]
    volume = entry.load().volume
    found = fingerprint(volume)
    for change in (*CHANGES, thinned):
        assert is_near_duplicate(fingerprint(change(volume)), [found]), change.__name__
    assert distances(found, [fingerprint(other) for other in patients]).min() > 4 * NEAR_DUPLICATE_BITS
