"""How sure the detector is: looks at mirror images, and where a reader sees their spread."""

from __future__ import annotations

import csv
import json

import highdicom as hd
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from medvision.cli.main import run
from medvision.errors import UsageError
from medvision.geometry import voxel_to_lps
from medvision.inference.cohort import infer
from medvision.inference.mirrored import mirrored_heat, mirrored_views
from medvision.inference.proposals import heat_map
from medvision.models.directory import save_model
from medvision.preprocessing.resample import Isotropic
from medvision.preprocessing.views import extract_views
from tests.inference.retinanet.test_detector import CARD, TINY
from tests.inference.test_cohort import write_body
from tests.models.cards import lively_detector, tiny_card
from tests.models.retinanet.test_network import awake

UID = "1.2.7.1"
AFFINE = np.array([[0, 0, 1.5, -40], [0, 1.5, 0, -30], [1.5, 0, 0, 100], [0, 0, 0, 1.0]])
LOOKED_AT = ("probability_mean", "probability_std")


class Brightness(nn.Module):
    """A network to which left and right are alike."""

    def forward(self, image: Tensor) -> Tensor:
        return functional.avg_pool3d(image, 2).repeat(1, 2, 1, 1, 1)


class Slope(nn.Module):
    """One that says more the further a place lies to the left."""

    def forward(self, image: Tensor) -> Tensor:
        half = functional.avg_pool3d(image, 2)
        return (half * 0 + torch.linspace(-2, 2, half.shape[-1])).repeat(1, 2, 1, 1, 1)


def test_views_of_a_mirrored_scan_are_mirrored_views():
    hu = np.random.default_rng(0).integers(-1000, 400, (20, 22, 24)).astype(np.int16)
    center = voxel_to_lps(AFFINE, (np.array(hu.shape) - 1) / 2)[None]

    def views(array: np.ndarray) -> np.ndarray:
        volume = hd.Volume(np.ascontiguousarray(array), AFFINE, "PATIENT")
        return extract_views(volume, center, size_mm=20.0, size_px=16)

    found = list(mirrored_views(torch.from_numpy(views(hu))))
    assert len(found) == 3
    for axis, mirrored in enumerate(found):
        np.testing.assert_allclose(mirrored, views(np.flip(hu, axis)), atol=2e-3)


def test_heat_comes_back_from_the_mirror_to_its_place():
    """Whatever the box's size: the mirrored box is filled up on the other side."""
    torch.manual_seed(0)
    grid = Isotropic(torch.full((33, 46, 35), -900.0), AFFINE)
    grid.hu[10:13, 30:34, 5:8] = 200.0
    heat, _ = heat_map(Brightness(), grid, dtype=torch.float32)
    index = np.unravel_index(heat.probability.argmax(), heat.probability.shape)
    centers = voxel_to_lps(heat.affine, np.array([index, (0, 0, 0)]))
    looks = list(mirrored_heat(Brightness(), grid, centers))
    assert len(looks) == 3
    for look in looks:
        np.testing.assert_allclose(look, [heat.probability.max(), heat.probability[0, 0, 0]], atol=5e-3)


def test_only_the_mirrored_axis_matters():
    grid = Isotropic(torch.zeros(32, 32, 32), AFFINE)
    heat, _ = heat_map(Slope(), grid, dtype=torch.float32)
    left = voxel_to_lps(heat.affine, (8, 8, 12))[None]
    up, front, side = (float(look[0]) for look in mirrored_heat(Slope(), grid, left))
    assert up == front == pytest.approx(float(heat.probability[8, 8, 13]), abs=5e-3)
    assert side < 0.5 < up


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mirrored")
    write_body(folder / "scan", UID)
    save_model(folder / "model", tiny_card(), lively_detector())
    for name, uncertainty in (("plain", False), ("out", True)):
        infer(
            [folder / "scan"],
            folder / name,
            model=folder / "model",
            threshold=0.0,
            uncertainty=uncertainty,
        )
    return folder


def test_the_spread_stands_in_report_table_and_page(places):
    plain, told = (json.loads((places / name / UID / "report.json").read_text()) for name in ("plain", "out"))
    assert plain["uncertainty"] is None
    assert told["uncertainty"]["looks"] == 4
    assert len(told["findings"]) == len(plain["findings"]) > 0
    for with_it, without in zip(told["findings"], plain["findings"], strict=True):
        mean, std = (with_it.pop(name) for name in LOOKED_AT)
        assert [without.pop(name) for name in LOOKED_AT] == [None, None]
        assert with_it == without
        assert 0 < mean < 1
        assert 0 <= std < 0.5
        assert abs(mean - with_it["probability"]) <= 2 * std + 1e-3
    with (places / "out" / UID / "findings.csv").open(newline="") as stream:
        assert any(float(row["probability_std"]) > 0 for row in csv.DictReader(stream))
    pages = [(places / name / UID / "report.html").read_text() for name in ("plain", "out")]
    assert ["±\u00a0" in page.partition("</table>")[0] for page in pages] == [False, True]
    assert "Probability, mean over mirror images" in pages[1]
    tables = [(places / name / "predictions.csv").read_bytes() for name in ("plain", "out")]
    assert tables[0] == tables[1]


def test_a_replay_looks_as_often(places, capsys):
    assert run(["verify", str(places / "out" / UID / "report.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["outcome"] == "same"


def test_a_detector_that_cannot_tell_says_so(tmp_path):
    write_body(tmp_path / "scan", UID)
    save_model(tmp_path / "model", CARD, awake(TINY))
    with pytest.raises(UsageError, match="model tiny cannot tell its uncertainty; leave out --uncertainty"):
        infer([tmp_path / "scan"], tmp_path / "out", model=tmp_path / "model", uncertainty=True)
