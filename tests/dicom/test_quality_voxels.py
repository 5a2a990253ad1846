"""What the voxels show: each fault made on purpose is named, and a clean scan is not blamed."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medvision.dicom.catalogue import catalogue
from medvision.dicom.headers import Header, PixelEncoding, Rescale
from medvision.dicom.quality import look_at_voxels
from medvision.dicom.quality.chest import find_chest, turn
from medvision.dicom.sources import SourceFile
from medvision.geometry import voxel_to_lps
from medvision.simulation.phantom import sample_patient
from medvision.simulation.scanning import scan_patient
from tests.strategies import affines

AIR_HU = -1024
RNG = np.random.default_rng(0)


def header(tmp_path=None, **changes) -> Header:
    """A header that vouches for its HU."""
    encoding = PixelEncoding("1.2.840.10008.1.2", False, 0, None, 1, 1, "MONOCHROME2", 16, 12, 11, False)
    file = SourceFile(tmp_path, "x", 0)
    blank = Header(
        file, 0, "", "1.2.3", "1.2", "1.1", "", "CT", (), "", 1, 1, None, None, None, None, "", None, None,
        None, "", False, encoding, Rescale(1, -1024, None), None, (("PatientPosition", "HFS"),),
    )  # fmt: skip
    return replace(blank, **changes)


class Scan:
    """A simulated scan without DICOM."""

    def __init__(self, seed: int, index: int) -> None:
        self.phantom = sample_patient(seed, index, "small")
        self.hu = np.maximum(scan_patient(self.phantom), AIR_HU)
        self.affine = self.phantom.grid.affine

    def checks(self, hu=None, affine=None, **changes):
        hu, affine = self.hu if hu is None else hu, self.affine if affine is None else affine
        return {check.name: check for check in look_at_voxels(hu, affine, 0.2, [header(**changes)])}

    def slices(self, first: float, last: float) -> np.ndarray:
        """The scan between two heights of the lungs: 0 the lowest slice with lung, 1 the highest."""
        chest = find_chest(self.hu, self.affine)
        low, high = chest.index[0][[chest.levels.start, chest.levels.stop - 1]]
        start = 0 if first == 0 else int(low + first * (high - low))
        return self.hu[start : int(low + last * (high - low)) if last < 1 else None]


@pytest.fixture(scope="module")
def plain() -> Scan:
    """Without contrast medium; the whole square is reconstructed."""
    return Scan(11, 3)


@pytest.fixture(scope="module")
def enhanced() -> Scan:
    """With contrast medium; outside the circle is padding."""
    return Scan(7, 0)


def blamed(checks) -> set[str]:
    return {check.name for check in checks.values() if check.verdict != "ok"}


def test_clean_scans_are_not_blamed(plain, enhanced):
    for scan in (plain, enhanced):
        checks = scan.checks(contrast_agent=scan is enhanced)
        assert blamed(checks) == set()
        for check in checks.values():
            assert check.value
            assert check.limit
            assert not check.message


def test_values_are_those_of_the_patient_and_the_scanner(plain, enhanced):
    for scan in (plain, enhanced):
        noise = float(scan.checks()["noise"].value.split()[0])
        assert 0.9 < noise / scan.phantom.acquisition.noise_hu < 1.4  # more in the middle than in the lungs
    assert "heart 4" in plain.checks()["HU of blood"].value
    assert plain.phantom.patient.tissues.venous_blood == pytest.approx(41, abs=1)
    assert plain.checks()["contrast medium"].value.startswith("no")
    assert enhanced.checks()["contrast medium"].value.startswith("yes")
    chest = find_chest(plain.hu, plain.affine)
    x = voxel_to_lps(plain.affine, [0, 0, chest.index[2][chest.middle]])[0]
    assert abs(x) < 12  # the simulated patient lies around x = 0


def narrowed(scan: Scan) -> np.ndarray:
    """A circle of 75 % of the width."""
    cut = scan.hu.shape[1] // 8
    hu = scan.hu[:, cut:-cut, cut:-cut].copy()
    place = np.linspace(-1, 1, hu.shape[1])
    hu[:, place[:, None] ** 2 + place**2 > 1] = AIR_HU
    return hu


def with_metal(scan: Scan, streaks_hu: float = 0) -> np.ndarray:
    """A ball of 30 mm beside the spine, and dark and bright rays from it."""
    hu = scan.hu.astype(np.float32)
    slices, rows, columns = np.ogrid[tuple(slice(n) for n in hu.shape)]
    spacing, pixel = scan.phantom.acquisition.spacing_mm, scan.phantom.acquisition.pixel_mm
    center = 0.6 * hu.shape[0], 0.6 * hu.shape[1], 0.5 * hu.shape[2]
    down, right = (rows - center[1]) * pixel, (columns - center[2]) * pixel
    height = (slices - center[0]) * spacing
    near = np.abs(height) < 15
    hu += near * streaks_hu * np.sin(23 * np.arctan2(down, right)) * np.exp(-np.hypot(down, right) / 60)
    hu[height**2 + down**2 + right**2 < 15**2] = 3071
    return np.clip(hu, AIR_HU, 3071).astype(np.int16)


def moved(scan: Scan, mm: float) -> np.ndarray:
    """The patient moves down by some mm, once."""
    hu, first = scan.hu.copy(), len(scan.hu) // 3
    hu[first:] = np.roll(hu[first:], round(mm / scan.phantom.acquisition.pixel_mm), axis=1)
    return hu


def noisy(scan: Scan, sd_hu: float) -> np.ndarray:
    return np.clip(scan.hu + RNG.normal(0, sd_hu, scan.hu.shape), AIR_HU, 3071).astype(np.int16)


def breathed(scan: Scan) -> np.ndarray:
    """10 mm of the patient are never seen."""
    first, gone = len(scan.hu) // 3, round(10 / scan.phantom.acquisition.spacing_mm)
    return np.concatenate([scan.hu[:first], scan.hu[first + gone :]])


FAULTS = {
    "mirrored": (lambda s: s.hu[:, :, ::-1], "heart side", "the heart lies on the right"),
    "front to back": (lambda s: s.hu[:, ::-1], "front and back", "the spine lies in front"),
    "half turn": (lambda s: s.hu[:, ::-1, ::-1], "front and back", "upside down"),
    "upside down": (lambda s: s.hu[::-1], "head end", "head and feet are exchanged"),
    "narrow": (narrowed, "field of view", "lung lies at its edge|chest wall is cut off"),
    "one side": (lambda s: s.hu[:, :, s.hu.shape[2] // 5 :], "field of view", "lung lies at its edge"),
    "no apices": (lambda s: s.slices(0, 0.92), "lung coverage", "the lungs are cut off at the top$"),
    "no bases": (lambda s: s.slices(0.08, 1), "lung coverage", "the lungs are cut off at the bottom$"),
    "middle": (lambda s: s.slices(0.2, 0.8), "lung coverage", "at the top and at the bottom"),
    "metal": (with_metal, "metal", "there is metal"),
    "streaks": (lambda s: with_metal(s, 500), "metal", "makes streaks"),
    "noise": (lambda s: noisy(s, 100), "noise", "the scan is noisy"),
    "too bright": (lambda s: s.hu + np.int16(100), "HU of air", "HU scale may be wrong"),
    "steep": (lambda s: (0.8 * s.hu).astype(np.int16), "HU of air", "HU scale may be wrong"),
    "moved": (lambda s: moved(s, 5), "motion", "jumps between slices"),
    "breathed": (breathed, "motion", "jumps between slices"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(plain, enhanced, fault):
    make, name, words = FAULTS[fault]
    for scan in (plain, enhanced):
        check = scan.checks(make(scan))[name]
        assert check.verdict == "warn"
        assert re.search(words, check.message)


def test_too_low_a_scale_shows_in_the_blood(plain):
    assert blamed(plain.checks(np.maximum(plain.hu - 80, AIR_HU))) >= {"HU of blood"}


def test_a_jump_is_told_with_its_place(plain):
    first = len(plain.hu) // 3
    place = voxel_to_lps(plain.affine, [first - 0.5, 0, 0])[2]
    assert f"at {place:.1f} mm" in plain.checks(moved(plain, 5))["motion"].message


def test_a_contrast_medium_that_is_named_and_not_there_is_warned_about(plain, enhanced):
    assert "contrast medium" in blamed(plain.checks(contrast_agent=True))
    assert "contrast medium" not in blamed(enhanced.checks(contrast_agent=True))


def test_the_table_tells_a_wrong_patient_position(plain):
    prone = plain.checks(attributes=(("PatientPosition", "HFP"),))["front and back"]
    assert "the table lies behind (patient position HFP)" in prone.message
    assert plain.checks(attributes=())["front and back"].verdict == "ok"


@pytest.mark.parametrize(
    ("axes", "signs"),
    [((1, 0, 2), (1, -1, 1)), ((2, 0, 1), (-1, -1, 1)), ((0, 1, 2), (-1, 1, -1)), ((1, 2, 0), (1, 1, -1))],
)
def test_how_the_array_lies_in_memory_does_not_matter(plain, axes, signs):
    turned = plain.hu.transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]
    affine = plain.affine.copy()
    affine[:3, :3] = plain.affine[:3, :3][:, axes] * signs
    upright, as_written = plain.checks(), plain.checks(np.ascontiguousarray(turned), affine)
    by_sample = {"HU", "motion", "metal"}  # sampled within the acquired slices
    for name in upright.keys() - by_sample:
        assert as_written[name] == upright[name]


@given(affine=affines())
def test_a_turned_view_runs_along_the_body(affine):
    hu = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    view, spacing = turn(hu, affine)
    assert view.base is not None
    for axis in range(3):
        step = np.zeros(3)
        step[axis] = 1
        index = [np.argwhere(hu == view[tuple(map(int, place))])[0] for place in (np.zeros(3), step)]
        moved_mm = voxel_to_lps(affine, index[1]) - voxel_to_lps(affine, index[0])
        assert np.linalg.norm(moved_mm) == pytest.approx(spacing[axis])
        assert moved_mm[2 - axis] >= -1e-6


def test_what_is_no_chest_is_said_and_not_judged_as_one():
    hu = np.full((60, 96, 96), -1000, np.int16)
    place = np.linspace(-1, 1, 96)
    hu[:, place[:, None] ** 2 + place**2 < 0.5] = 40
    checks = {c.name: c for c in look_at_voxels(hu, np.diag([3.0, 3, 3, 1]), 0, [header()])}
    assert checks["lung coverage"].message == "no lungs were found: is this a chest?"
    assert not checks.keys() & {"heart side", "head end", "HU of blood"}
    assert checks["noise"].value == "0 HU in soft tissue"


@st.composite
def odd_volumes(draw):
    """Any shape, blocks of lung, air, tissue and metal wherever they fall."""
    shape = draw(st.tuples(*[st.integers(1, 40)] * 3))
    hu = np.full(shape, draw(st.sampled_from([AIR_HU, -1000, -850, 40, 3071, 32767])), np.int16)
    for _ in range(draw(st.integers(0, 6))):
        low = [draw(st.integers(0, n - 1)) for n in shape]
        high = [draw(st.integers(a + 1, n)) for a, n in zip(low, shape, strict=True)]
        value = draw(st.sampled_from([AIR_HU, -990, -850, -700, -100, 40, 300, 3071]))
        hu[tuple(map(slice, low, high))] = value
    return hu


@given(hu=odd_volumes(), affine=affines(), scale=st.sampled_from([0.3, 1, 4, 12]))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_volume_is_too_odd(hu, affine, scale):
    affine = affine.copy()
    affine[:3, :3] *= scale
    for check in look_at_voxels(hu, affine, 0.0, [header()]):
        assert check.value
        assert check.limit
        assert (check.verdict == "ok") == (check.message == "")


@pytest.mark.real
def test_a_real_scan_gets_sensible_values(lidc_0001):
    (entry,) = [entry for entry in catalogue([lidc_0001]).series if entry.status != "rejected"]
    checks = {check.name: check for check in entry.read()[0].checks}
    assert blamed(checks) == {"metal"}  # contrast medium in the arm's vein and the upper vena cava, 3,071 HU
    assert "undiluted contrast medium" in checks["metal"].message
    assert checks["kernel"].value == "STANDARD (soft)"
    assert checks["lung coverage"].value == "top 0 cm², bottom 0 cm²"
    assert 15 < float(checks["noise"].value.split()[0]) < 25
    assert checks["contrast medium"].value.startswith("yes")
    assert checks["front and back"].value == "spine behind, table behind"
    assert checks["heart side"].value.endswith("to the left")
