"""From a scan to candidates: where MONAI's own transforms and detector put them; and what bad input gives."""

from __future__ import annotations

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import torch

from medvision.config.retinanet import BoxConfig, GridConfig, RetinaNetConfig
from medvision.errors import ModelError
from medvision.findings import Candidate
from medvision.inference.cohort import infer
from medvision.inference.detectors import open_detector
from medvision.inference.lung_places import near_lungs
from medvision.inference.retinanet.detector import RetinaNetPredictor, candidates
from medvision.inference.retinanet.maps import Engine
from medvision.models.directory import save_model
from medvision.models.retinanet.boxes import select
from medvision.models.retinanet.bundle_writing import write_bundle
from medvision.models.retinanet.card import RetinaNetCard
from medvision.preprocessing.lungs import find_lungs
from medvision.preprocessing.ras import ras_grid, to_ras, window
from medvision.tracking import resolve_model
from medvision.volumes import Scan
from tests.models.cards import tiny_card, tiny_detector
from tests.models.retinanet.monai_peer import monai_detector
from tests.models.retinanet.test_network import awake
from tests.preprocessing.bodies import body

pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")  # MONAI's

TINY = RetinaNetConfig(blocks=(1, 1, 1, 1), width=4, pyramid_channels=16)
LIMITS = BoxConfig(window_vox=(64, 64, 32), score_threshold=0.012, per_scan=40)
GRID = GridConfig(spacing_mm=(3.0, 3.0, 4.0))
CARD = RetinaNetCard(
    name="tiny",
    version="1",
    task="detect_retinanet",
    network=TINY,
    grid=GRID,
    boxes=LIMITS,
    operating_points=tiny_card().operating_points,
    metrics={},
    training=tiny_card().training,
    licence="Apache-2.0",
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle"), awake(TINY), CARD)


def scan_of(volume: hd.Volume) -> Scan:
    return Scan("1.2", "1.2", "1", "P", volume, ())


def theirs(monkeypatch: pytest.MonkeyPatch, volume: hd.Volume) -> tuple[np.ndarray, np.ndarray]:
    """Centres in LPS mm and scores, by MONAI's transforms and detector alone."""
    from monai import transforms as mt
    from monai.apps.detection.transforms.array import AffineBox
    from monai.data import MetaTensor

    flip = np.diag([-1.0, -1.0, 1.0, 1.0])
    image = MetaTensor(
        torch.from_numpy(volume.array.astype(np.float32))[None], affine=torch.from_numpy(flip @ volume.affine)
    )
    steps = mt.Compose(
        [
            mt.Orientation("RAS", labels=None),
            mt.Spacing(GRID.spacing_mm),
            mt.ScaleIntensityRange(*GRID.window_hu, 0.0, 1.0, clip=True),
        ]
    )
    image = steps(image)
    detector = monai_detector(monkeypatch, TINY, LIMITS)
    detector.network.load_state_dict(awake(TINY).state_dict())
    with torch.inference_mode():
        found = detector([image.as_tensor()], use_inferer=image.numel() >= 64 * 64 * 32)[0]
    world = AffineBox()(found["boxes"], flip @ image.affine.numpy())
    corners = np.asarray(world, dtype=np.float64)
    return (corners[:, :3] + corners[:, 3:]) / 2, found["labels_scores"].numpy()


@pytest.mark.parametrize("orientation", ["HPL", "FAR", "PHR"])
def test_centres_are_monais_in_lps_mm(monkeypatch, orientation):
    volume = body(nodules=[((-70.0, 10.0, 5.0), 12.0)], spacing_mm=3.0).to_patient_orientation(orientation)
    centers, scores = theirs(monkeypatch, volume)
    network = awake(TINY)
    grid = ras_grid(to_ras(volume), GRID.spacing_mm)
    image = window(grid.hu, GRID.window_hu)
    shape = tuple(image.shape)
    exact = Engine(network, LIMITS)
    found = candidates(
        select(exact.maps(image), shape, TINY, LIMITS), torch.ones(shape, dtype=torch.bool), grid.affine
    )
    assert len(found) == len(centers) > 0
    np.testing.assert_allclose([c.center_lps_mm for c in found], centers, atol=1e-3)
    np.testing.assert_allclose([c.probability for c in found], scores, atol=1e-4)


def test_a_gpu_with_too_little_memory_gets_smaller_windows_then_the_cpu(bundle):
    """The second name of the CPU stands for a GPU."""
    scan = scan_of(body(spacing_mm=3.0))
    fits = 10_000
    sizes: list[int] = []

    def refuse(_, arguments):
        sizes.append(arguments[0].numel())
        if sizes[-1] > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")

    predictor = RetinaNetPredictor(bundle, "cpu:0")
    predictor._engines["cpu:0"].network.feature_extractor.body.register_forward_pre_hook(refuse)
    assert predictor.predict(scan).device == "cpu:0"
    assert sizes[0] > fits
    assert max(sizes[1:]) == 64 * 64 * 32 // 4**3
    fits = 0
    on_cpu = predictor.predict(scan)
    assert on_cpu.device == "cpu"
    assert on_cpu.candidates == RetinaNetPredictor(bundle, "cpu").predict(scan).candidates


def test_candidates_lie_by_the_lungs(bundle):
    volume = body(spacing_mm=3.0)
    detection = open_detector(bundle, "cpu").predict(scan_of(volume))
    assert detection.candidates
    assert [c.probability for c in detection.candidates] == sorted(
        (c.probability for c in detection.candidates), reverse=True
    )
    near = near_lungs(find_lungs(volume), volume.affine, volume.spatial_shape)
    for candidate in detection.candidates:
        index = np.rint(volume.map_reference_to_indices(np.array([candidate.center_lps_mm]))).astype(int)[0]
        low, high = np.maximum(index - 2, 0), index + 3
        assert near[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].any()
    heat = detection.heat_map
    assert heat.probability.max() <= 1
    assert set(detection.seconds) == {"lungs", "resampling", "proposals"}


@pytest.mark.parametrize("shape", [(1, 60, 60), (30, 5, 7), (2, 2, 2)])
def test_volumes_smaller_than_a_tile_are_looked_at(bundle, shape):
    volume = hd.Volume(
        np.full(shape, -800, dtype=np.int16), np.diag([3.0, 3.0, 3.0, 1.0]), coordinate_system="PATIENT"
    )
    detection = open_detector(bundle, "cpu").predict(scan_of(volume))
    assert all(isinstance(candidate, Candidate) for candidate in detection.candidates)


def test_a_bundle_is_a_model_of_infer(bundle, tmp_path):
    from tests.inference.test_cohort import write_body

    write_body(tmp_path / "scan", "1.2.3.9")
    model = resolve_model(f"monai-bundle:{bundle}")
    done = infer([tmp_path / "scan"], tmp_path / "out", model=model, formats=("json", "csv", "html"))
    assert done.exit_code == 0
    assert (tmp_path / "out" / "1.2.3.9" / "report.html").is_file()
    again = infer([tmp_path / "scan"], tmp_path / "out", model=model, formats=("json", "csv", "html"))
    assert again.counts["reused"] == 1


def test_the_kind_of_model_is_found_by_its_card(tmp_path):
    save_model(tmp_path / "lite", tiny_card(), tiny_detector())
    save_model(tmp_path / "retinanet", CARD, awake(TINY))
    assert open_detector(tmp_path / "lite", "cpu").explains
    assert isinstance(open_detector(tmp_path / "retinanet", "cpu"), RetinaNetPredictor)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="no model at"):
        open_detector(tmp_path / "empty", "cpu")
    with pytest.raises(ModelError, match="bundle nowhere is not there"):
        resolve_model("monai-bundle:nowhere")
