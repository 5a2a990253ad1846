"""The lung mask on bodies that are not as they should be; what is lung in each is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import highdicom as hd
import numpy as np
import pytest

from medvision.geometry import voxel_to_lps
from medvision.inference.lung_check import lung_search_check
from medvision.inference.lung_places import near_lungs
from medvision.preprocessing.lungs import find_lungs
from medvision.volumes import LungMask
from tests.preprocessing.bodies import LEFT_LUNG, RIGHT_LUNG, Ellipsoid, body

LUNGS = (RIGHT_LUNG, LEFT_LUNG)


@dataclass(frozen=True)
class Painted:
    """A body to paint on.

    Attributes:
        hu: of each voxel.
        points: LPS mm of each voxel.
        affine: index to LPS mm.
    """

    hu: np.ndarray
    points: np.ndarray
    affine: np.ndarray

    def paint(self, where: Callable[[np.ndarray], np.ndarray], hu: float) -> Painted:
        return Painted(np.where(where(self.points), np.int16(hu), self.hu), self.points, self.affine)

    def noisy(self, hu: float) -> Painted:
        noise = np.random.default_rng(0).normal(0, hu, self.hu.shape)
        noisy = np.clip(self.hu + noise, -1024, 3000).astype(np.int16)
        return Painted(noisy, self.points, self.affine)

    def cut(self, *slices: slice) -> Painted:
        start = np.array([s.start or 0 for s in slices])
        affine = self.affine.copy()
        affine[:3, 3] = voxel_to_lps(self.affine, start)
        return Painted(self.hu[slices], self.points[slices], affine)

    def lungs(self) -> LungMask:
        return find_lungs(hd.Volume(np.ascontiguousarray(self.hu), self.affine, "PATIENT"))

    def air(self, *lungs: Ellipsoid) -> np.ndarray:
        """What is lung and holds air."""
        return np.any([lung.holds(self.points) for lung in lungs], axis=0) & (self.hu < -400)


def painted(**content) -> Painted:
    volume = body(**content)
    index = np.stack(np.indices(volume.spatial_shape), axis=-1)
    return Painted(volume.array, voxel_to_lps(volume.affine, index), np.array(volume.affine))


def ball(center: tuple[float, float, float], radius_mm: float) -> Callable[[np.ndarray], np.ndarray]:
    return Ellipsoid(center, (radius_mm,) * 3).holds


def share(mask: LungMask, where: np.ndarray, side: int | None = None) -> float:
    """Of a region, what is in the mask."""
    inside = mask.labels > 0 if side is None else mask.labels == side
    return float(inside[where].mean())


def beyond(mask: LungMask, lungs: np.ndarray) -> float:
    """What is in the mask and no lung, as a share of the lungs."""
    return float(((mask.labels > 0) & ~lungs).sum() / lungs.sum())


def vessels(points: np.ndarray) -> np.ndarray:
    """A lattice of rods from feet to head, 3 mm thick and 15 mm apart."""
    return ((points[..., 1:2] % 15 < 3) & (points[..., 0:1] % 15 < 3))[..., 0]


def test_a_tumour_at_the_wall_stays_in():
    """It is 40 mm wide and lies half in the wall: a mark on its middle counts as one in the lung."""
    x, y, z = RIGHT_LUNG.center_mm
    center = (x - RIGHT_LUNG.half_axes_mm[0] + 4, y, z)
    scan = painted().paint(ball(center, 20.0), 40)
    mask = scan.lungs()
    grid = tuple(scan.hu.shape)
    assert near_lungs(mask, scan.affine, grid)[ball(center, 2.0)(scan.points)].all()
    assert share(mask, scan.air(*LUNGS)) > 0.99


def test_effusion_leaves_the_rest_of_its_side():
    scan = painted().paint(lambda p: LEFT_LUNG.holds(p) & (p[..., 1] + 0.4 * p[..., 2] > 10), 15)
    mask = scan.lungs()
    assert mask.found
    assert share(mask, scan.air(LEFT_LUNG), side=2) > 0.99
    assert share(mask, scan.air(RIGHT_LUNG), side=1) > 0.99
    assert lung_search_check(mask).verdict == "ok"


def test_a_side_without_air_is_told():
    scan = painted().paint(LEFT_LUNG.holds, 15)
    mask = scan.lungs()
    check = lung_search_check(mask)
    assert share(mask, scan.air(RIGHT_LUNG), side=1) > 0.99
    assert (check.verdict, check.message) == (
        "warn",
        "only the right lung holds air: the left side was not searched",
    )


def test_one_lung_is_not_split_in_two():
    """Even where a collapsed part divides its air into two pieces, one above the other."""
    scan = painted(lungs=(LEFT_LUNG,)).paint(lambda p: LEFT_LUNG.holds(p) & (abs(p[..., 2]) < 12), 30)
    mask = scan.lungs()
    assert share(mask, scan.air(LEFT_LUNG), side=2) > 0.99
    assert "only the left lung" in lung_search_check(mask).message


@pytest.mark.parametrize("noise_hu", [0.0, 60.0])
def test_emphysema_is_lung(noise_hu):
    scan = painted().paint(lambda p: RIGHT_LUNG.holds(p) | LEFT_LUNG.holds(p), -975)
    scan = scan.paint(lambda p: (RIGHT_LUNG.holds(p) | LEFT_LUNG.holds(p)) & vessels(p), -650)
    mask = scan.noisy(noise_hu).lungs()
    assert share(mask, scan.air(*LUNGS)) > 0.98


def test_the_windpipe_does_not_make_one_lung_of_two():
    scan = painted().paint(lambda p: (np.hypot(p[..., 0], p[..., 1]) < 9) & (p[..., 2] > -5), -1000)
    scan = scan.paint(lambda p: (np.hypot(p[..., 1], p[..., 2]) < 7) & (abs(p[..., 0]) < 40), -1000)
    mask = scan.lungs()
    assert share(mask, scan.air(RIGHT_LUNG), side=1) > 0.99
    assert share(mask, scan.air(LEFT_LUNG), side=2) > 0.99


@pytest.mark.parametrize("padding_hu", [-1024, -2048])
def test_lung_cut_off_at_the_picture_s_circle_is_kept(padding_hu):
    scan = painted().noisy(12).paint(lambda p: np.hypot(p[..., 0], p[..., 1]) > 95, padding_hu)
    pictured = scan.air(*LUNGS) & (np.hypot(scan.points[..., 0], scan.points[..., 1]) < 93)
    mask = scan.lungs()
    assert share(mask, pictured) > 0.98
    assert beyond(mask, scan.air(*LUNGS)) < 0.15


def test_lung_cut_off_at_the_picture_s_edge_is_kept():
    scan = painted().noisy(12).cut(slice(None), slice(None), slice(64))
    assert share(scan.lungs(), scan.air(RIGHT_LUNG, LEFT_LUNG)) > 0.98


def test_prone_on_foam():
    """Foam looks like lung and lies against the body; nothing of it is lung."""
    scan = painted().paint(lambda p: (p[..., 1] < -96) & (abs(p[..., 0]) < 110), -930).noisy(12)
    mask = scan.lungs()
    assert share(mask, scan.air(*LUNGS)) > 0.99
    assert share(mask, scan.points[..., 1] < -96) == 0


@pytest.mark.parametrize("slices", [slice(0, 40), slice(40, 80), slice(38, 44), slice(40, 41)])
def test_a_part_of_the_lungs(slices):
    """Down to a single slice."""
    scan = painted().cut(slices, slice(None), slice(None))
    mask = scan.lungs()
    assert mask.found
    assert share(mask, scan.air(RIGHT_LUNG), side=1) > 0.95
    assert share(mask, scan.air(LEFT_LUNG), side=2) > 0.95


def test_a_newborn():
    """The body at 0.4 of its size: 58 ml a lung."""
    grown = body()
    affine = np.diag([0.4, 0.4, 0.4, 1]) @ grown.affine
    mask = find_lungs(hd.Volume(grown.array, affine, "PATIENT"))
    assert mask.found
    x = voxel_to_lps(mask.affine, np.argwhere(mask.labels == 1))[:, 0]
    assert x.max() < 0
    assert (mask.labels == 1).sum() * abs(np.linalg.det(mask.affine[:3, :3])) > 50_000


@pytest.mark.parametrize("gas_hu", [-1000, -950])
def test_the_stomach_s_gas_is_no_lung(gas_hu):
    stomach = ball((45.0, -20.0, -92.0), 26.0)
    lungs = (RIGHT_LUNG, Ellipsoid((70.0, 0.0, 20.0), (45.0, 60.0, 70.0)))
    scan = painted(lungs=lungs).paint(stomach, gas_hu).noisy(20)
    mask = scan.lungs()
    assert share(mask, scan.air(*lungs)) > 0.99
    assert share(mask, stomach(scan.points)) < 0.1


def test_metal_beside_the_lung():
    scan = painted().paint(ball((0.0, -60.0, 0.0), 12.0), 30_000)
    assert share(scan.lungs(), scan.air(*LUNGS)) > 0.99


def test_air_without_vessels_is_doubted():
    """A belly full of gas, or destroyed lungs: everything is searched, and it is said."""
    mask = painted().paint(lambda p: RIGHT_LUNG.holds(p) | LEFT_LUNG.holds(p), -1000).lungs()
    check = lung_search_check(mask)
    assert (mask.found, mask.absent) == (False, False)
    assert mask.labels.sum() > 0
    assert check.verdict == "warn"
    assert "hold no vessels: the whole body was searched" in check.message


def test_too_much_air_is_doubted():
    huge = Ellipsoid((0.0, 0.0, 0.0), (133.0, 88.0, 1000.0))
    mask = painted(lungs=(huge,)).lungs()
    assert not mask.found
    assert "more than lungs do: the whole body was searched" in lung_search_check(mask).message


@pytest.mark.parametrize("hu", [-1024, -850, 0, 30_000])
def test_a_volume_of_one_value_holds_no_lung(hu):
    mask = find_lungs(hd.Volume(np.full((12, 40, 40), hu, np.int16), np.diag([3.0, 3, 3, 1]), "PATIENT"))
    assert (mask.found, mask.absent) == (False, True)
    assert lung_search_check(mask).message == "nothing like a lung is there: nothing was searched"
