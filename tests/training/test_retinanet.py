"""The RetinaNet's training: boxes stay on nodules, losses are MONAI's, and a whole job on tiny bodies."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from medvision.config.augmentation import AugmentationConfig
from medvision.config.detection import MiningConfig
from medvision.config.retinanet import BoxConfig, GridConfig, RetinaNetConfig
from medvision.config.retinanet_training import FitConfig, RetinaNetJob
from medvision.errors import ModelError
from medvision.findings import Candidate
from medvision.inference.cohort import infer
from medvision.models.retinanet.boxes import encode
from medvision.models.retinanet.loading import load_retinanet
from medvision.models.retinanet.network import RetinaNet
from medvision.training import ranks
from medvision.training.jobs import run_job
from medvision.training.patch_loader import PatchLoader
from medvision.training.patch_places import PatchPlaces
from medvision.training.retinanet import module
from medvision.training.retinanet.looking import taken
from medvision.training.retinanet.loss import DetectionLoss
from medvision.training.retinanet.module import train_network
from medvision.training.retinanet.patches import BoxPatches, lung_box_ras
from medvision.training.volumes import TrainingVolume, prepare_one
from tests.models.retinanet.monai_peer import monai_detector
from tests.training.test_detection import write_store
from tests.training.test_proposal_patches import labelled

TINY = RetinaNetConfig(blocks=(1, 1, 1, 1), width=4, pyramid_channels=16)
GRID = GridConfig(spacing_mm=(2.0, 2.0, 2.5))
TURNED = AugmentationConfig(rotation_deg=10)
FIT = FitConfig(patch_vox=(64, 64, 48), steps=30, batch_size=2, validate_every=10, validation_patches=4)


@pytest.fixture(scope="module")
def volume() -> TrainingVolume:
    return prepare_one(labelled(), labelled().load(), partial(lung_box_ras, grid=GRID))


@pytest.mark.parametrize("index", range(10))
def test_boxes_stay_on_their_nodules(volume, index):
    """Whatever was flipped: the middle of each box is dense, and just outside of the box there is lung."""
    fit = FIT.model_copy(update={"nodule_fraction": 1.0})
    patch = BoxPatches([volume], fit, GRID, length=10, seed=5, augmentation=TURNED).patch(index)
    assert len(patch.boxes) >= 1
    for box in patch.boxes.numpy():
        low, high = box[:3], box[3:]
        if (low <= 1).any() or (high >= np.array(patch.hu.shape) - 2).any():
            continue  # cut off by the patch
        x, y, z = np.rint((low + high) / 2).astype(int)
        assert patch.hu[x, y, z] > -300
        for axis in range(3):
            for edge, outward in ((low, -2), (high, 2)):
                place = (low + high) / 2
                place[axis] = edge[axis] + outward
                a, b, c = np.rint(place).astype(int)
                assert patch.hu[a, b, c] < -300


def test_the_same_number_is_the_same_patch(volume):
    one, again = (
        BoxPatches([volume], FIT, GRID, length=4, seed=1, augmentation=TURNED).batch(range(4)) for _ in "ab"
    )
    assert all(torch.equal(one[key], again[key]) for key in one)
    patches = BoxPatches([volume], FIT, GRID, length=4, seed=1, augmentation=TURNED)
    (later,) = PatchLoader(patches, 2, first=1)
    assert torch.equal(later["image"], one["image"][2:])


@pytest.mark.parametrize("box_loss", ["smooth_l1", "giou"])
def test_losses_are_monais(monkeypatch, box_loss):
    torch.manual_seed(0)
    fit = FIT.model_copy(update={"box_loss": box_loss})
    network = RetinaNet(TINY).eval()
    detector = monai_detector(monkeypatch, TINY, BoxConfig())
    detector.network.load_state_dict(network.state_dict())
    detector.set_atss_matcher(fit.matched_places, center_in_gt=False)
    detector.set_hard_negative_sampler(fit.anchors_per_patch, fit.positive_fraction, fit.min_negatives, 1.0)
    if box_loss == "giou":
        from monai.losses.giou_loss import BoxGIoULoss

        detector.set_box_regression_loss(BoxGIoULoss(reduction="mean"), encode_gt=False, decode_pred=True)
    detector.train()
    for layer in detector.modules():
        if isinstance(layer, torch.nn.BatchNorm3d):
            layer.eval()
    images = torch.rand(2, 1, 48, 48, 24)
    truth = [torch.tensor([[10.0, 12, 6, 20, 21, 13], [30, 30, 10, 37, 38, 16]]), torch.zeros(0, 6)]
    torch.manual_seed(1)
    targets = [{"boxes": boxes, "labels": torch.zeros(len(boxes), dtype=torch.long)} for boxes in truth]
    theirs = detector(images, targets)
    torch.manual_seed(1)
    ours = DetectionLoss(TINY, fit.model_copy(update={"pool_size": 1.0}))(network(images), truth)
    torch.testing.assert_close(ours.classification, theirs["classification"])
    torch.testing.assert_close(ours.boxes, theirs["box_regression"])


def test_focal_loss_forgives_what_is_easy():
    maps = RetinaNet(TINY).eval()(torch.rand(1, 1, 48, 48, 24))
    boxes = [torch.tensor([[10.0, 12, 6, 20, 21, 13]])]
    plain, focal = (
        DetectionLoss(TINY, FIT.model_copy(update={"classification_loss": kind}))(maps, boxes)
        for kind in ("bce", "focal")
    )
    assert focal.classification < plain.classification


def test_encoding_undoes_decoding():
    from medvision.models.retinanet.boxes import decode

    torch.manual_seed(0)
    anchors = torch.cat((torch.rand(50, 3) * 40, torch.rand(50, 3) * 10 + 45), dim=1)
    codes = torch.randn(50, 6) * 0.3
    assert torch.allclose(encode(decode(codes, anchors), anchors), codes, atol=1e-5)


def configure(store: Path, folder: Path, **fit: object) -> RetinaNetJob:
    return RetinaNetJob(
        task="detect_retinanet",
        output=folder / "model",
        data={"cohort": [store], "validation_fraction": 0.5, "workers": 1},
        network=TINY,
        grid={"spacing_mm": (4.0, 4.0, 4.5)},
        fit={**FIT.model_dump(), "patch_vox": (64, 64, 32), "steps": 20, "learning_rate": 0.02, **fit},
        boxes={"window_vox": (96, 96, 48), "score_threshold": 0.001},
        tracking={"enabled": False},
    )


def test_a_whole_job_learns_and_infers(tmp_path):
    store = write_store(tmp_path, 4)
    result = run_job(configure(store, tmp_path))
    assert result.metrics["validation/nodules"] == 4
    _, card = load_retinanet(result.model)
    assert card.training.patients == 2
    assert len(card.operating_points) == 7
    assert not (result.model / ".work").exists()
    done = infer([store], tmp_path / "out", model=result.model, threshold=0.9, formats=("json", "html"))
    assert done.exit_code == 0
    assert done.counts["processed"] == 4


def test_weights_that_do_not_exist_are_told(tmp_path):
    store = write_store(tmp_path, 2)
    with pytest.raises(ModelError, match=r"nowhere\.pt not found"):
        run_job(configure(store, tmp_path, weights="nowhere.pt"))


def test_a_patch_draws_the_same_negatives_whoever_learns_from_it():
    """Alone, in a batch, and after other draws; and what comes after is as if nothing was drawn."""
    torch.manual_seed(0)
    loss, box = DetectionLoss(TINY, FIT), torch.tensor([[10.0, 12, 6, 20, 21, 13]])
    images = torch.rand(2, 1, 48, 48, 24)
    network = RetinaNet(TINY).eval()
    state = torch.random.get_rng_state()
    both = loss(network(images), [box, box], numbers=[4, 9])
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(5)
    first, second = (
        loss(network(images[one : one + 1]), [box], numbers=[number]) for one, number in ((0, 4), (1, 9))
    )
    torch.testing.assert_close(both.classification, (first.classification + second.classification) / 2)
    assert loss(network(images[1:]), [box], numbers=[4]).classification != second.classification


def test_losses_of_two_processes_have_the_batchs_mean_and_gradients(monkeypatch):
    """Though they have unlike many nodules, and one of them something to ignore."""
    torch.manual_seed(0)
    loss, network = DetectionLoss(TINY, FIT), RetinaNet(TINY).eval()
    images = torch.rand(2, 1, 64, 64, 32)
    boxes = [torch.tensor([[10.0, 12, 6, 20, 21, 13], [30, 30, 10, 37, 38, 16]]), torch.zeros(0, 6)]
    ignored = [torch.zeros(0, 6), torch.tensor([[40.0, 40, 6, 60, 60, 20]])]

    def asked(chosen: slice, *, shared: bool) -> tuple[torch.Tensor, torch.Tensor]:
        network.zero_grad()
        numbers = [7, 8][chosen]
        found = loss(network(images[chosen]), boxes[chosen], ignored[chosen], numbers, shared=shared).total
        found.backward()
        return found.detach(), torch.cat([part.grad.flatten() for part in network.parameters()])

    whole, gradient = asked(slice(0, 2), shared=False)
    counts: list[list[torch.Tensor]] = [[], []]
    for number, own in enumerate(counts):
        monkeypatch.setattr(ranks, "mean", lambda value, own=own: own.append(value) or value)
        asked(slice(number, number + 1), shared=True)
    assert counts[0][1] > 0 == counts[1][1]
    monkeypatch.setattr(ranks, "count", lambda: 2)
    parts = []
    for number in range(2):
        means = iter((first + second) / 2 for first, second in zip(*counts, strict=True))
        monkeypatch.setattr(ranks, "mean", lambda _, means=means: next(means))
        parts.append(asked(slice(number, number + 1), shared=True))
    torch.testing.assert_close((parts[0][0] + parts[1][0]) / 2, whole)
    torch.testing.assert_close((parts[0][1] + parts[1][1]) / 2, gradient, atol=1e-5, rtol=1e-3)


def learn(volume: TrainingVolume, folder: Path, **job: object) -> RetinaNet:
    changed = configure(folder, folder, steps=20, validate_every=2, patience=2).model_copy(
        update={"grid": GRID, **job}
    )
    return train_network([volume], [volume], changed, folder / "fit")


def test_the_checkpoint_of_the_best_froc_is_kept_and_patience_ends_the_training(
    volume, tmp_path, monkeypatch
):
    """The network is found best at its second validation, and no better at the two after that."""
    center = volume.series.annotations[0].center_lps_mm
    looks: list[torch.Tensor] = []

    def scripted(network, _):
        looks.append(network.feature_extractor.body.conv1.weight.detach().clone())
        mark = Candidate(center if len(looks) == 2 else (0.0, 0.0, -500.0), 0.9, 0.9, 18.0)
        return lambda _: [mark]

    monkeypatch.setattr(module, "taken", scripted)
    network = learn(volume, tmp_path, choose_by="froc")
    assert len(looks) == 4
    kept = network.feature_extractor.body.conv1.weight
    assert torch.equal(kept, looks[1])
    assert not torch.equal(kept, looks[3])


def test_false_marks_are_looked_for_again_and_learnt_from(volume, tmp_path, monkeypatch):
    """The network's real marks, of the moment: a network under training goes on as if it was not asked."""
    asked, places = [], []

    def watching(network, job):
        find = taken(network, job)

        def watched(one):
            before = {key: value.clone() for key, value in network.state_dict().items()}
            asked.append(find(one))
            assert network.training
            assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
            return asked[-1]

        return watched

    def drawing(self, random):
        if self.hard_fraction:
            places.append(len(self.false_marks))
        return draw(self, random)

    draw = PatchPlaces.draw
    monkeypatch.setattr(module, "taken", watching)
    monkeypatch.setattr(PatchPlaces, "draw", drawing)
    mining = MiningConfig(fraction=0.4, every=2, per_scan=3)
    learn(volume, tmp_path, hard_negatives=mining, boxes=BoxConfig(score_threshold=0.0001))
    assert len(asked) >= 1
    assert len(asked[0]) > 3
    assert places[:4] == [0] * 4
    assert places[-1] == 3


def test_what_does_not_fit_is_told():
    def job(**changes: object) -> RetinaNetJob:
        return RetinaNetJob.model_validate(
            {"task": "detect_retinanet", "output": "m", "data": {"cohort": "c"}, **changes}
        )

    with pytest.raises(ValueError, match=r"data\.unlabelled, which only detect_lite learns from"):
        job(data={"cohort": "c", "unlabelled": "u"})
    with pytest.raises(ValueError, match=r"fit\.nodule_fraction 0\.5 and hard_negatives\.fraction 0\.6"):
        job(hard_negatives={"fraction": 0.6})
    with pytest.raises(ValueError, match="square slices only"):
        job(fit={"patch_vox": (192, 160, 80)}, augmentation={"kernel_gain": 1.2})
    assert job(fit={"patch_vox": (192, 160, 80)}).augmentation.blur_z_mm == 0


def test_patches_that_are_not_square_are_turned_by_halves_only(volume):
    fit = FIT.model_copy(update={"patch_vox": (64, 80, 48), "nodule_fraction": 1.0})
    patches = BoxPatches([volume], fit, GRID, length=12, seed=5, augmentation=AugmentationConfig())
    for number in range(12):
        patch = patches.patch(number)
        assert patch.hu.shape == (64, 80, 48)
        for low, high in ((box[:3], box[3:]) for box in patch.boxes.numpy()):
            x, y, z = np.rint((low + high) / 2).astype(int)
            if (low > 1).all() and (high < np.array(patch.hu.shape) - 2).all():
                assert patch.hu[x, y, z] > -300
