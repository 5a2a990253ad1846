"""The patient and its image: tissues in their ranges, nodules where the truth says, lookalikes no nodules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from medvision.geometry import lps_to_voxel
from medvision.simulation.fields import axial_affine, build_fields
from medvision.simulation.lesions import NODULE_COUNT_SHARES, PlacedNodule
from medvision.simulation.mediastinum import AORTA, TRACHEA
from medvision.simulation.nodules import nodule_coverage
from medvision.simulation.patient import TISSUE_HU_RANGES
from medvision.simulation.phantom import Grid, Phantom, sample_patient
from medvision.simulation.render import render
from medvision.simulation.shapes import columns
from medvision.simulation.thorax import LOBES, lobe_index, lung_distance, muscle_distance, spine_center
from medvision.simulation.trees import sample_lung_points
from tests.simulation.bodies import bare

PATIENTS = 8


@pytest.fixture(scope="module")
def patients() -> list[Phantom]:
    return [sample_patient(11, index, "small") for index in range(PATIENTS)]


@pytest.fixture(scope="module")
def chest(phantom: Phantom) -> tuple[np.ndarray, np.ndarray]:
    """A noiseless image from below the diaphragm to the neck, and its affine."""
    affine = axial_affine((-200.0, -170.0, -150.0), (4.0, 2.0, 2.0))
    healthy = replace(phantom, nodules=(), lookalikes=())
    return render(healthy, Grid((70, 165, 200), affine)), affine


def hu_at(chest, points_lps_mm) -> np.ndarray:
    image, affine = chest
    z, y, x = np.rint(lps_to_voxel(affine, np.atleast_2d(points_lps_mm))).astype(int).T
    return image[z, y, x]


def within(values, tissue: str) -> bool:
    low, high = TISSUE_HU_RANGES[tissue]
    return bool(low <= np.median(values) <= high)


def test_lungs(chest, phantom):
    points = sample_lung_points(np.random.default_rng(0), phantom.thorax, 800, 8.0)
    points = points[(points[:, 2] > -140) & (points[:, 2] < 120)]
    values = hu_at(chest, points)
    assert within(values, "lung")
    assert 0.01 < (values > -600).mean() < 0.25, "vessels take some of the lung"
    back, front = values[points[:, 1] > 30], values[points[:, 1] < -20]
    assert np.median(back) > np.median(front), "blood collects behind"


def test_blood_and_airway(chest, phantom):
    place = phantom.thorax.place
    aorta = place(np.array([AORTA[8][:3]]))
    assert within(hu_at(chest, aorta), "blood")
    trachea = place(np.array([TRACHEA[1][:3]]))
    assert hu_at(chest, trachea)[0] < -900


def test_liver_and_bone(chest, phantom):
    thorax = phantom.thorax
    liver = thorax.place(np.array([[-66.0, -12, thorax.dome_mm[0] - 25]]))
    assert within(hu_at(chest, liver), "liver")
    levels = np.arange(-100.0, 60, 4)
    spine = np.stack([np.zeros_like(levels), spine_center(levels), levels], axis=1)
    assert within(hu_at(chest, thorax.place(spine)), "marrow")


def test_fat_muscle_air_and_cortex(chest, phantom):
    image, affine = chest
    z, y, x = (affine[2 - k, 3] + affine[2 - k, k] * np.arange(n) for k, n in enumerate(image.shape))
    at = (x[None, None, :], y[None, :, None], z[:, None, None])
    muscle = muscle_distance(phantom.thorax, at)
    side = (np.abs(at[1]) < 60) & (at[2] < 0)
    assert within(image[side & (muscle > 3) & (muscle < phantom.thorax.fat_mm * 0.4 + 3)], "fat")
    assert within(image[side & (muscle < -2) & (muscle > -8) & (image < 300)], "muscle")
    assert within(image[muscle > 80], "air")
    assert within(image[image > 400], "cortex")


def test_patients_differ_and_cover_the_range(patients):
    assert {item.patient.female for item in patients} == {True, False}
    assert len({item.acquisition.vendor.manufacturer for item in patients}) >= 3
    assert len({item.thorax.scale for item in patients}) == PATIENTS
    counts = [len(item.nodules) for item in patients]
    assert max(counts) <= 6
    assert len(set(counts)) >= 3
    assert NODULE_COUNT_SHARES[0] > 0.1, "some patients have none"
    assert any(item.patient.emphysema for item in patients)


def test_a_patient_is_the_same_again():
    first, again = (sample_patient(11, 3, "small") for _ in range(2))
    assert [nodule.center_lps_mm for nodule in first.nodules] == [
        item.center_lps_mm for item in again.nodules
    ]
    np.testing.assert_array_equal(first.trees.arteries.end_mm, again.trees.arteries.end_mm)
    assert first.acquisition == again.acquisition
    assert first.patient == again.patient


def test_nodules_lie_in_the_lung_and_apart(patients):
    for item in patients:
        centers = np.array([nodule.center_lps_mm for nodule in item.nodules]).reshape(-1, 3)
        if not len(centers):
            continue
        assert (lung_distance(item.thorax, columns(centers)) < 0).all()
        lobes = [LOBES[k] for k in lobe_index(item.thorax, columns(centers))]
        assert lobes == [nodule.lobe for nodule in item.nodules]
        for k, nodule in enumerate(item.nodules):
            gaps = np.linalg.norm(np.delete(centers, k, axis=0) - centers[k], axis=1)
            assert (gaps > nodule.diameter_mm / 2).all()


def test_attachments_are_where_they_should_be(patients):
    for item in patients:
        for nodule in item.nodules:
            depth = -lung_distance(item.thorax, columns(np.array([nodule.nodule.center_lps_mm])))[0]
            radius = nodule.nodule.diameter_mm / 2
            if nodule.attachment == "pleura":
                assert depth < radius
            elif nodule.attachment == "isolated":
                assert depth > radius


def solid_nodule(patients: list[Phantom], attachment: str) -> tuple[Phantom, PlacedNodule]:
    for item in patients:
        for nodule in item.nodules:
            if nodule.attachment == attachment and nodule.nodule.density == "solid":
                return item, replace(nodule, nodule=bare(nodule.nodule))
    pytest.fail(f"no solid nodule with attachment {attachment} among {len(patients)} patients")


@pytest.mark.parametrize(("attachment", "tolerance"), [("isolated", 0.03), ("pleura", 0.08)])
def test_rendered_nodule_has_the_true_volume_and_place(patients, attachment, tolerance):
    item, placed = solid_nodule(patients, attachment)
    reach = placed.nodule.reach_mm + 4
    origin = np.floor(np.asarray(placed.center_lps_mm) - reach)
    count = int(2 * reach) + 1
    grid = Grid((count,) * 3, axial_affine(tuple(origin.tolist()), (1.0, 1.0, 1.0)))
    healthy = render(replace(item, nodules=(), lookalikes=()), grid)
    ill = render(replace(item, nodules=(placed,), lookalikes=()), grid)
    share = np.where(healthy < -500, (ill - healthy) / (placed.nodule.layers[0].hu - healthy), 0)
    if attachment == "isolated":
        share += np.where(healthy >= -500, nodule_coverage(grid.shape, grid.affine, placed.nodule), 0)
    assert share.sum() == pytest.approx(placed.volume_mm3, rel=tolerance)
    index = np.stack(np.nonzero(share > 0), axis=1)
    weights = share[share > 0]
    center = (index * weights[:, None]).sum(axis=0) / weights.sum()
    np.testing.assert_allclose(center, lps_to_voxel(grid.affine, placed.center_lps_mm), atol=0.6)


def test_lookalikes_are_of_every_kind_and_no_nodules(patients):
    kinds = {lookalike.kind for item in patients for lookalike in item.lookalikes}
    assert kinds == {
        "vessel_end_on", "bifurcation", "pleural_thickening", "rib_end",
        "osteophyte", "mucus_plug", "scar", "motion",
    }  # fmt: skip
    for item in patients:
        nodules = {nodule.center_lps_mm for nodule in item.nodules}
        assert not nodules & {lookalike.center_lps_mm for lookalike in item.lookalikes}


def test_lookalikes_are_painted(patients):
    item = patients[0]
    chosen = next(look for look in item.lookalikes if look.kind == "vessel_end_on")
    origin = tuple((np.floor(np.asarray(chosen.center_lps_mm)) - 12).tolist())
    grid = Grid((24, 24, 24), axial_affine(origin, (1.0, 1.0, 1.0)))
    bare = replace(item, nodules=(), lookalikes=())
    change = render(replace(bare, lookalikes=(chosen,)), grid) - render(bare, grid)
    assert change.max() > 100


def test_thick_slices_are_means_of_thin_ones(phantom):
    origin = (-120.0, -60.0, -40.0)
    thin = render(phantom, Grid((12, 40, 40), axial_affine(origin, (1.0, 2.0, 2.0))))
    thick = render(
        phantom, Grid((4, 40, 40), axial_affine((origin[0], origin[1], origin[2] + 1), (3.0, 2.0, 2.0)))
    )
    means = thin.reshape(4, 3, 40, 40).mean(axis=1)
    assert np.abs(means - thick).mean() < 25
    assert np.corrcoef(means.ravel(), thick.ravel())[0, 1] > 0.99


def test_lungs_are_two_without_pockets(phantom):
    lung = build_fields(phantom.thorax, phantom.patient, (-180.0, 130.0), 4.0, seed=0).lung
    labels, count = ndimage.label(lung < 0)
    litres = np.sort(np.bincount(labels.ravel())[1:] * 4.0**3 / 1e6)[::-1]
    assert count >= 2
    assert litres[1] > 0.35 * litres[0]
    assert litres[2:].sum() < 0.01
    assert 2 < litres[:2].sum() < 8
