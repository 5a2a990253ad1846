"""From stored bytes to HU, against plain arithmetic in floating point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medvision.dicom.headers import Rescale, read_header
from medvision.dicom.pixels import is_believable_padding, stored_values, to_hu
from medvision.dicom.sources import SourceFile
from tests.dicom.builders import Slices, save

stored = st.sampled_from(["int16", "uint16", "int8", "uint8", "int32"]).flatmap(
    lambda dtype: hnp.arrays(dtype, (3, 4))
)
intercepts = st.one_of(st.just(-1024.0), st.integers(-9000, 9000).map(float), st.floats(-2000, 2000))


@given(values=stored, slope=st.one_of(st.just(1.0), st.floats(0.1, 3)), intercept=intercepts)
def test_hu_equal_exact_arithmetic_clipped_to_int16(values, slope, intercept):
    out = np.empty(values.shape, np.int16)
    exact = values.astype(np.float64) * slope + intercept
    n_below = to_hu(values, Rescale(slope, intercept, None), out)
    np.testing.assert_array_equal(out, np.rint(np.clip(exact, -1024, 32767)))
    assert n_below == (exact < -1024).sum()


@given(values=hnp.arrays("int16", (3, 4), elements=st.integers(-3000, 9000)), low=st.integers(4200, 5000))
def test_padding_becomes_air_even_above_everything(values, low):
    out = np.empty(values.shape, np.int16)
    to_hu(values, Rescale(1.0, -1024.0, (low, 6000)), out)
    padded = (values >= low) & (values <= 6000)
    assert (out[padded] == -1024).all()
    np.testing.assert_array_equal(out[~padded], np.clip(values[~padded].astype(int) - 1024, -1024, None))


def test_a_padding_value_that_means_tissue_is_not_believed():
    rescale = Rescale(1.0, 0.0, (0, 0))
    out = np.empty((1, 2), np.int16)
    to_hu(np.array([[0, 40]], np.int16), rescale, out)
    assert out.tolist() == [[0, 40]]
    assert not is_believable_padding(rescale)
    assert is_believable_padding(Rescale(1.0, -1024.0, (-2000, -2000)))


def header_of(tmp_path, ds):
    path = save(ds, tmp_path / "a.dcm")
    header = read_header(SourceFile(path, "a.dcm", path.stat().st_size))
    return header, path.read_bytes()


@pytest.mark.parametrize(("signed", "expected"), [(False, 0xFFE), (True, -2)])
def test_bits_beyond_bits_stored_are_dropped_and_the_sign_extended(tmp_path, signed, expected):
    ds = Slices(signed=signed).dataset(0)
    ds.BitsStored, ds.HighBit = 12, 11
    ds.PixelData = np.full(16 * 12, 0xAFFE, "<u2").tobytes()  # an overlay in the upper bits
    assert (stored_values(*header_of(tmp_path, ds)) == expected).all()


def test_values_shifted_up_by_the_high_bit_are_shifted_down(tmp_path):
    ds = Slices().dataset(0)
    ds.BitsStored, ds.HighBit = 12, 15
    ds.PixelData = np.full(16 * 12, 0x1230, "<u2").tobytes()
    assert (stored_values(*header_of(tmp_path, ds)) == 0x123).all()


@pytest.mark.parametrize("vr", ["US", "SS"])
def test_padding_of_a_signed_image_may_be_written_unsigned(tmp_path, vr):
    ds = Slices(signed=True).dataset(0)
    ds.add_new("PixelPaddingValue", vr, 63536 if vr == "US" else -2000)
    header, _ = header_of(tmp_path, ds)
    assert header.rescale.padding == (-2000, -2000)
