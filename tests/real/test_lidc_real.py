"""LIDC-IDRI's own XML beside LUNA16's published numbers."""

from __future__ import annotations

import csv
import tarfile
from collections import Counter, defaultdict
from itertools import islice, pairwise

import numpy as np
import pytest

from medvision.datasets.cohort import open_cohort
from medvision.datasets.lidc import (
    PixelFrame,
    consensus_mask,
    consensus_volume_mm3,
    frame_of,
    nodules,
    open_lidc,
    read_readings,
    write_patches,
)
from medvision.datasets.lidc_clusters import by_contours
from medvision.dicom.store import ingest

pytestmark = pytest.mark.real

N_FILES = 80
"""Unpacking and parsing all 1,318 takes too long for a test: `python -m benchmarks lidc_luna16` does."""
UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001.179049373636438705059720603192"


@pytest.fixture(scope="module")
def luna16(real_data):
    """Series Instance UID → (n, 4) x, y, z, diameter."""
    rows = defaultdict(list)
    with (real_data / "luna16" / "annotations.csv").open() as stream:
        for row in csv.DictReader(stream):
            rows[row["seriesuid"]].append(
                [float(row[k]) for k in ("coordX", "coordY", "coordZ", "diameter_mm")]
            )
    return {uid: np.array(values) for uid, values in rows.items()}


@pytest.fixture(scope="module")
def some(real_data, tmp_path_factory):
    """The first files of the archive."""
    folder = tmp_path_factory.mktemp("xml")
    with tarfile.open(real_data / "lidc" / "lidc-xml.tar.xz", "r|xz") as archive:
        for member in islice(archive, N_FILES):
            archive.extract(member, folder, filter="data")
    return read_readings(folder)


@pytest.fixture(scope="module")
def downloaded(lidc_0001):
    (series,) = open_lidc(lidc_0001)
    return series


def test_a_downloaded_patient_has_luna16s_nodule_to_a_thousandth_of_a_millimetre(downloaded, luna16):
    assert downloaded.patient_id == "LIDC-IDRI-0001"
    (nodule,) = [item for item in downloaded.nodules if item.n_readers >= 3]
    annotation = nodule.luna16_annotation
    ((*center, diameter),) = luna16[UID]
    np.testing.assert_allclose(annotation.center_lps_mm, center, atol=0.001)
    assert annotation.diameter_mm == pytest.approx(diameter, abs=1e-6)
    assert (annotation.density, annotation.malignant) == ("solid", True)
    assert nodule.ratings == {
        "subtlety": 5, "internalStructure": 1, "calcification": 6, "sphericity": 3.5, "margin": 3.5,
        "lobulation": 3, "spiculation": 4.5, "texture": 5, "malignancy": 5,
    }  # fmt: skip


def test_its_masks_are_tissue_and_nest(downloaded):
    scan = downloaded.load()
    (nodule,) = downloaded.nodules
    masks = [consensus_mask(nodule, scan, readers) for readers in (1, 2, 3, 4)]
    for larger, smaller in pairwise(masks):
        assert not (smaller & ~larger).any()
    hu = [float(scan.volume.array[mask].mean()) for mask in masks]
    assert hu == sorted(hu)
    assert -200 < hu[0] < hu[3] < 100
    volume = consensus_volume_mm3(nodule, frame_of(scan), 2)
    assert masks[1].sum() * frame_of(scan).voxel_mm3 == pytest.approx(volume)
    assert np.argwhere(masks[1]).mean(axis=0) == pytest.approx([89.7, 367.1, 316.3], abs=0.5)


def test_its_cohort_and_that_of_its_store_are_the_same(lidc_0001, downloaded, tmp_path):
    (direct,) = open_cohort(lidc_0001)
    ingest([lidc_0001], tmp_path / "store")
    (stored,) = open_lidc(tmp_path / "store", lidc_0001)
    np.testing.assert_allclose(
        stored.nodules[0].center_lps_mm, downloaded.nodules[0].center_lps_mm, atol=1e-9
    )
    assert direct.annotations == downloaded.labelled().annotations
    assert len(direct.excluded) == len(stored.points) == 22


def test_its_patch_is_centred_on_the_nodule(downloaded, tmp_path):
    manifest = write_patches([downloaded], tmp_path)
    with manifest.open() as stream:
        (row,) = csv.DictReader(stream)
    cube = np.load(tmp_path / row["path"]).astype(float)
    assert (row["patient_id"], row["malignancy"], row["malignant"]) == ("LIDC-IDRI-0001", "5", "1")
    assert cube.shape == (51, 51, 51)
    middle = cube[22:29, 22:29, 22:29].mean()
    assert middle > 0.6
    assert middle > 2 * cube[25, 25, 45:].mean()


def test_every_file_is_accounted_for(some):
    assert len(some.by_series) + some.n_doubled + some.n_radiographs == some.n_files > 70
    assert (some.n_others, some.left_out) == (0, ())
    assert some.n_doubled > 0
    kinds = Counter(mark.kind for found in some.by_series.values() for mark in found.marks)
    assert set(kinds) == {"nodule", "small_nodule", "non_nodule"}


def test_luna16s_nodules_come_back(some, luna16, real_data):
    """Without the CT the pixel spacing is not known, but z is, and so is the ratio of two diameters."""
    listed = set((real_data / "luna16" / "seriesuids.csv").read_text().split())
    z_mm, ratios = [], []
    for uid, found in some.by_series.items():
        if uid not in listed:
            continue
        ours = [item.luna16_annotation for item in nodules(found, PixelFrame(0.7, slice_spacing_mm(found)))]
        theirs = luna16.get(uid, np.empty((0, 4)))
        assert len(ours) == len(theirs)
        for annotation in ours:
            near = np.abs(theirs[:, 2] - annotation.center_lps_mm[2]).argmin()
            z_mm.append(abs(theirs[near, 2] - annotation.center_lps_mm[2]))
        if len(ours) == 2:
            order = np.argsort([a.center_lps_mm[2] for a in ours]), np.argsort(theirs[:, 2])
            one = np.array([a.diameter_mm for a in ours])[order[0]]
            other = theirs[order[1], 3]
            ratios.append((one[0] / one[1]) / (other[0] / other[1]))
    assert len(z_mm) > 40
    assert np.mean(np.array(z_mm) < 0.01) > 0.95
    assert len(ratios) > 5
    assert np.mean(np.abs(np.array(ratios) - 1) < 0.001) > 0.9


def slice_spacing_mm(found):
    levels = sorted({round(line.z_mm, 3) for mark in found.marks for line in mark.outlines})
    return float(np.diff(levels).min()) if len(levels) > 1 else 1.0


def test_both_cluster_rules_find_nearly_the_same_nodules(some):
    frame = PixelFrame(0.7, 1.25)
    counts = [
        (len(nodules(found, frame)), len(nodules(found, frame, rule=by_contours)))
        for found in some.by_series.values()
    ]
    assert np.mean([one == other for one, other in counts]) > 0.97
