"""Bundles: read without running anything in them, and written so that MONAI's own parser builds them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch

from medvision.config.retinanet import BoxConfig, GridConfig, RetinaNetConfig
from medvision.errors import ModelError
from medvision.inference.detectors import open_detector
from medvision.inference.retinanet.maps import Engine
from medvision.models.retinanet.boxes import select
from medvision.models.retinanet.bundle import INFERENCE, METADATA, call_arguments, read_bundle
from medvision.models.retinanet.bundle_writing import inference_settings, write_bundle
from medvision.models.retinanet.card import RetinaNetCard
from medvision.models.retinanet.checkpoint import MODEL_FILE
from medvision.models.retinanet.network import RetinaNet
from tests.models.cards import tiny_card
from tests.models.retinanet.monai_peer import LayerGetter

pytestmark = pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")  # MONAI's

TINY = RetinaNetConfig(blocks=(1, 1, 1, 1), width=4, pyramid_channels=16)
GRID = GridConfig(spacing_mm=(0.8, 0.8, 1.5), window_hu=(-1000, 400))
BOXES = BoxConfig(window_vox=(64, 64, 32), score_threshold=0.01, nms_overlap=0.3, per_scan=20, overlap=0.5)


def card() -> RetinaNetCard:
    return RetinaNetCard(
        name="tiny",
        version="2",
        task="detect_retinanet",
        network=TINY,
        grid=GRID,
        boxes=BOXES,
        operating_points=(),
        metrics={},
        training=tiny_card().training,
        licence="Apache-2.0",
    )


def network(config: RetinaNetConfig = TINY) -> RetinaNet:
    torch.manual_seed(0)
    return RetinaNet(config).eval()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", network(), card())


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_written_is_read_again(bundle):
    found, read = read_bundle(bundle)
    assert (read.network, read.grid, read.boxes) == (TINY, GRID, BOXES)
    assert (read.name, read.version) == ("tiny", "2")
    wanted = network().state_dict()
    assert all(torch.equal(tensor, wanted[key]) for key, tensor in found.state_dict().items())


def test_the_published_settings_are_the_defaults():
    """The published bundle names its layers by `resnet50` and places, not by names."""
    config = RetinaNetConfig()
    settings = inference_settings(config, GridConfig(), BoxConfig())
    extractor = settings["feature_extractor"]
    assert "resnet_fpn_feature_extractor(@backbone,3,False,[1, 2],None)" in extractor
    assert list(config.size_divisible) == [16, 16, 8]
    assert settings["infer_patch_size"] == [512, 512, 192]


def test_the_published_form_is_understood(bundle):
    edit(
        bundle / INFERENCE,
        feature_extractor="$monai.apps.detection.networks.retinanet_network.resnet_fpn_feature_extractor("
        "@backbone,3,False,[1,2],None)",
        backbone="$monai.networks.nets.resnet.resnet50(spatial_dims=3,conv1_t_stride=[2,2,1])",
    )
    torch.save(network(RetinaNetConfig(pyramid_channels=256)).state_dict(), bundle / MODEL_FILE)
    assert read_bundle(bundle)[1].network == RetinaNetConfig()


def test_expressions_are_parsed_and_never_run():
    told = call_arguments("$@detector.set(score_thresh=0.1, mode=__import__('os').system('false'), n=@x)")
    assert told == {"score_thresh": 0.1}
    assert call_arguments("$this is no python") == {}
    assert call_arguments(None) == {}


@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader")  # a plug-in that MONAI looks for
@torch.enable_grad()  # MONAI's evaluator switches gradients off and leaves them so: here they come back
def test_monai_builds_and_runs_the_bundle(bundle, monkeypatch):
    """MONAI's ConfigParser evaluates inference.json; its detector finds what ours does."""
    from monai.apps.detection.networks import retinanet_detector
    from monai.bundle import ConfigParser
    from monai.networks.blocks import backbone_fpn_utils

    stand_in = SimpleNamespace(_utils=SimpleNamespace(IntermediateLayerGetter=LayerGetter))
    monkeypatch.setattr(backbone_fpn_utils, "torchvision_models", stand_in)
    monkeypatch.setattr(retinanet_detector, "Matcher", type("Matcher", (), {}))
    parser = ConfigParser()
    parser.read_config(str(bundle / INFERENCE))
    parser.read_meta(str(bundle / METADATA))
    parser["bundle_root"] = str(bundle)
    values = np.random.default_rng(0).integers(-1000, 400, (80, 70, 40)).astype(np.int16)
    (bundle / "data").mkdir()
    nibabel.Nifti1Image(values, np.diag([0.8, 0.8, 1.5, 1])).to_filename(bundle / "data" / "scan.nii.gz")
    detector = parser.get_parsed_content("detector")
    parser.get_parsed_content("initialize")
    parser.get_parsed_content("run")
    (of_file,) = torch.load(bundle / "eval" / "boxes.pt", weights_only=False)
    scaled = torch.from_numpy((values + 1000) / 1400).float().clamp(0, 1)
    expected = select(Engine(network(), BOXES).maps(scaled), (80, 70, 40), TINY, BOXES)
    torch.testing.assert_close(torch.as_tensor(of_file["box"]), expected.corners_vox, atol=1e-3, rtol=0)
    image = torch.rand(1, 80, 70, 40)
    with torch.inference_mode():
        theirs = detector([image], use_inferer=True)[0]
    ours = select(Engine(network(), BOXES).maps(image[0]), (80, 70, 40), TINY, BOXES)
    assert len(ours.scores) == len(theirs["label_scores"]) > 0
    torch.testing.assert_close(ours.corners_vox, theirs["box"], atol=1e-3, rtol=0)
    torch.testing.assert_close(ours.scores, theirs["label_scores"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("wrapped", ["state_dict", "model", "module."])
def test_weights_alone_are_enough(tmp_path, wrapped):
    torch.manual_seed(0)
    state = RetinaNet().state_dict()
    packed = {f"module.{k}": v for k, v in state.items()} if wrapped == "module." else {wrapped: state}
    torch.save(packed, tmp_path / "model.pt")
    detector = open_detector(tmp_path / "model.pt")
    assert detector.card.network == RetinaNetConfig()
    assert not detector.explains


def test_other_anchors_are_told(bundle):
    settings = json.loads((bundle / INFERENCE).read_text())
    settings["anchor_generator"]["base_anchor_shapes"].append([4, 4, 4])
    edit(bundle / INFERENCE, **settings)
    with pytest.raises(ModelError, match="num_anchors is 3, but there are 4 base_anchor_shapes"):
        read_bundle(bundle)
    settings["network_def"]["num_anchors"] = 4
    edit(bundle / INFERENCE, **settings)
    with pytest.raises(ModelError, match=r"cls_logits.*shape \(3.*not \(4.*another number of anchors"):
        read_bundle(bundle)


def test_other_keys_are_told(bundle):
    state = torch.load(bundle / MODEL_FILE, weights_only=True)
    state["backbone.conv1.weight"] = state.pop("feature_extractor.body.conv1.weight")
    torch.save(state, bundle / MODEL_FILE)
    with pytest.raises(ModelError, match=r"1 keys missing \(feature_extractor.*1 unknown \(backbone"):
        read_bundle(bundle)


def test_no_weights_no_json_no_model(bundle, tmp_path):
    (bundle / INFERENCE).write_text("{")
    with pytest.raises(ModelError, match="not JSON"):
        read_bundle(bundle)
    (bundle / INFERENCE).unlink()
    (bundle / MODEL_FILE).unlink()
    with pytest.raises(ModelError, match=r"has no models/model\.pt"):
        read_bundle(bundle)
    (tmp_path / "x.pt").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="not a checkpoint that can be read"):
        read_bundle(tmp_path / "x.pt")
    torch.save([1, 2], tmp_path / "x.pt")
    with pytest.raises(ModelError, match="no state dictionary"):
        read_bundle(tmp_path / "x.pt")


def test_torchscript_is_refused_with_a_way_out(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.ts", "w") as archive:
        archive.writestr("model/code/__torch__.py", "")
        archive.writestr("model/data.pkl", b"")
    with pytest.raises(ModelError, match=r"TorchScript program.*models/model\.pt"):
        open_detector(tmp_path / "model.ts")


def test_a_pickle_with_code_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"state_dict": Evil()}, tmp_path / "model.pt")
    with pytest.raises(ModelError, match="weights_only"):
        read_bundle(tmp_path / "model.pt")
    assert not (tmp_path / "ran").exists()
