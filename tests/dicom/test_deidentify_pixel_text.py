"""Letters drawn into every slice are found; bodies, beds, rods and single letters are not taken for them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from medvision.dicom.catalogue import catalogue
from medvision.dicom.deidentify.pixel_text import shows_text


def volume(seed=0, *, noise=10, shape=(20, 128, 160)):
    """A cylinder of soft tissue in air, with noise."""
    rows, columns = np.mgrid[: shape[1], : shape[2]]
    body = np.hypot(rows - 64, columns - 80) < 50
    hu = np.where(body, 40, -1000) + np.random.default_rng(seed).normal(0, noise, shape)
    return np.rint(hu).astype(np.int16)


def write(hu, text, place=(4, 4), value=1000, **kinds):
    """Draw a text into every slice."""
    picture = Image.new("L", hu.shape[:0:-1])
    ImageDraw.Draw(picture).text(place, text, fill=255, **kinds)
    hu[:, np.array(picture) > 100] = value
    return hu


@pytest.mark.parametrize("place", [(4, 4), (60, 60), (90, 110)])
@pytest.mark.parametrize("size", [10, 14, 24])
def test_a_name_is_found_wherever_it_stands(place, size):
    assert shows_text(write(volume(), "DOE JANE", place, font_size=size))


def test_nothing_is_found_where_nothing_is_written():
    assert not shows_text(volume())
    assert not shows_text(volume(noise=0))  # a phantom without noise: one shape, larger than a letter
    assert not shows_text(write(volume(), "R"))  # a side marker names nobody
    assert not shows_text(write(volume(), "DOE JANE", value=-1024))
    assert not shows_text(np.full((20, 32, 32), 40, np.int16))


def test_what_is_written_into_some_slices_only_is_not_found():
    hu = write(volume(), "DOE JANE")
    hu[7] = volume(1)[7]

    assert not shows_text(hu)


def test_few_slices_tell_nothing():
    assert not shows_text(write(volume(), "DOE JANE")[:5])


def test_rods_beside_each_other_far_apart_are_no_word():
    hu = volume(noise=0)
    for left in (5, 45, 85, 125):
        hu[:, 5:15, left : left + 8] = 500

    assert not shows_text(hu)


def test_a_real_scan_shows_none(lidc_0001):
    (entry,) = (entry for entry in catalogue([lidc_0001]).series if entry.status != "rejected")

    assert not shows_text(entry.read()[0].hu)
