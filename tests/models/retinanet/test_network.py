"""The same weights give MONAI's boxes and scores; other people's weights find their place."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from medvision.config.retinanet import BoxConfig, RetinaNetConfig
from medvision.errors import ModelError
from medvision.inference.retinanet.maps import Engine
from medvision.models.backbones.resnet import ResNet
from medvision.models.retinanet.boxes import overlaps, select, suppress
from medvision.models.retinanet.initial import initialise
from medvision.models.retinanet.loading import fold
from medvision.models.retinanet.network import RetinaNet
from medvision.models.retinanet.stem import PhasedConvolution
from tests.models.retinanet.monai_peer import monai_detector

pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")  # MONAI's

SMALL = RetinaNetConfig(blocks=(1, 2, 1, 1), width=4, pyramid_channels=16)
LIMITS = BoxConfig(score_threshold=0.012, window_vox=(64, 64, 32))


def awake(config: RetinaNetConfig, seed: int = 0) -> RetinaNet:
    """Random weights whose scores differ from place to place, as a trained network's do."""
    torch.manual_seed(seed)
    network = RetinaNet(config).eval()
    with torch.no_grad():
        for parameter in network.classification_head.parameters():
            if parameter.ndim > 1:
                parameter.mul_(8)
    return network


@pytest.mark.parametrize(
    ("shape", "windows"),
    [((50, 64, 30), False), ((100, 90, 60), True), ((64, 32, 110), True), ((16, 16, 8), False)],
)
def test_boxes_and_scores_are_monais(monkeypatch, shape, windows):
    network = awake(SMALL)
    detector = monai_detector(monkeypatch, SMALL, LIMITS)
    detector.network.load_state_dict(network.state_dict())
    image = torch.rand(shape, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        theirs = detector([image[None]], use_inferer=windows)[0]
    ours = select(Engine(network, LIMITS).maps(image), shape, SMALL, LIMITS)
    assert len(ours.scores) == len(theirs["labels_scores"])
    torch.testing.assert_close(ours.corners_vox, theirs["boxes"], atol=1e-3, rtol=0)
    torch.testing.assert_close(ours.scores, theirs["labels_scores"], atol=1e-4, rtol=0)


def test_the_whole_r50_has_monais_keys_and_answers(monkeypatch):
    config, limits = RetinaNetConfig(), BoxConfig(score_threshold=0.01)
    network = awake(config)
    detector = monai_detector(monkeypatch, config, limits)
    detector.network.load_state_dict(network.state_dict())
    image = torch.rand(32, 48, 16)
    with torch.inference_mode():
        theirs = detector([image[None]])[0]
    ours = select(Engine(network, limits).maps(image), (32, 48, 16), config, limits)
    assert len(ours.scores) == len(theirs["labels_scores"]) > 0
    torch.testing.assert_close(ours.corners_vox, theirs["boxes"], atol=1e-3, rtol=0)
    torch.testing.assert_close(ours.scores, theirs["labels_scores"], atol=1e-4, rtol=0)


def test_folding_changes_no_answer():
    network = awake(SMALL)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    image = torch.rand(1, 1, 32, 32, 16)
    with torch.inference_mode():
        before = network(image)
        after = fold(network)(image)
    for a, b in zip(before.logits + before.codes, after.logits + after.codes, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


corners = st.lists(st.tuples(*[st.integers(0, 20)] * 6), max_size=12).map(
    lambda rows: torch.tensor(
        [(x, y, z, x + 1 + w, y + 1 + h, z + 1 + d) for x, y, z, w, h, d in rows], dtype=torch.float32
    ).reshape(-1, 6)
)


@given(corners, st.floats(0, 1))
def test_what_is_kept_overlaps_little_and_what_is_dropped_much(boxes, limit):
    scores = torch.linspace(1, 0.1, max(len(boxes), 1))[: len(boxes)]
    kept = suppress(boxes, scores, limit, 100)
    between = overlaps(boxes[kept], boxes[kept]).fill_diagonal_(0)
    assert (between <= limit).all()
    for dropped in set(range(len(boxes))) - set(kept.tolist()):
        better = kept[scores[kept] > scores[dropped]]
        assert (overlaps(boxes[dropped : dropped + 1], boxes[better]) > limit).any()


def test_nothing_above_the_threshold_is_no_box():
    image = torch.zeros(16, 16, 8)
    limits = BoxConfig(score_threshold=0.9)
    found = select(Engine(awake(SMALL), limits).maps(image), (16, 16, 8), SMALL, limits)
    assert found.corners_vox.shape == (0, 6)


def test_a_picture_network_is_inflated(tmp_path):
    """A volume that is the same in every slice gives what the 2D convolution gives, transposed to x, y."""
    resnet = ResNet("resnet50")
    torch.save(resnet.state_dict(), tmp_path / "resnet50.pth")
    network = RetinaNet()
    initialise(network, str(tmp_path / "resnet50.pth"))
    picture = torch.rand(1, 1, 40, 30)
    flat = resnet.conv1(picture.repeat(1, 3, 1, 1))
    volume = picture.transpose(2, 3)[..., None].repeat(1, 1, 1, 1, 16)
    deep = network.feature_extractor.body.conv1(volume)[..., 8].transpose(2, 3)
    torch.testing.assert_close(deep, flat, atol=1e-4, rtol=1e-4)


def test_a_3d_resnet_is_taken_as_it_is(tmp_path):
    theirs = RetinaNet(SMALL.model_copy(update={"returned_layers": (1, 2, 3, 4)})).feature_extractor.body
    state = {f"module.{k}": v for k, v in theirs.state_dict().items() if not k.endswith("downsample.0.bias")}
    torch.save({"state_dict": state}, tmp_path / "medicalnet.pth")
    network = RetinaNet(SMALL)
    initialise(network, str(tmp_path / "medicalnet.pth"))
    body = network.feature_extractor.body
    assert torch.equal(body.layer2[1].conv2.weight, theirs.layer2[1].conv2.weight)
    assert not body.layer1[0].downsample[0].bias.any()


def test_another_network_is_refused(tmp_path):
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"no ResNet-50: it has no bn1\.weight"):
        initialise(RetinaNet(), str(tmp_path / "other.pth"))
    torch.save({"conv1.weight": torch.zeros(32, 3, 3, 3)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"shape \(32, 3, 3, 3\), but \(64, 1, 7, 7, 7\)"):
        initialise(RetinaNet(), str(tmp_path / "other.pth"))


@pytest.mark.parametrize("stride", [(2, 2, 1), (1, 2, 2), (1, 1, 1), (3, 2, 1)])
def test_a_convolution_by_phases_is_the_convolution(stride):
    torch.manual_seed(0)
    plain = nn.Conv3d(1, 5, 7, stride, padding=3)
    image = torch.randn(2, 1, 12, 24, 10)
    with torch.inference_mode():
        torch.testing.assert_close(PhasedConvolution(plain)(image), plain(image), atol=1e-5, rtol=1e-5)
