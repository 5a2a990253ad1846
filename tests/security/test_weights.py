"""Weights from strangers: nothing in them runs, nothing they claim is believed."""

from __future__ import annotations

import builtins
import collections
import io
import json
import os
import random
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch

from medvision.errors import ModelError
from medvision.models.checkpoints import read_checkpoint, read_progress
from medvision.models.retinanet.checkpoint import read_state
from medvision.training.fitting import fit

RAN = "ran"


class Gadget:
    """What pickle calls when it reads it."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


GADGETS = {
    "a command": Gadget(os.system, f"touch {RAN}"),
    "a process": Gadget(subprocess.Popen, ["touch", RAN]),
    "an expression": Gadget(builtins.eval, f"open({RAN!r}, 'w')"),
    "a statement in a state dictionary": collections.OrderedDict(a=Gadget(builtins.exec, "import os")),
    "a file opened": Gadget(builtins.open, RAN, "w"),
    "another file unpickled": Gadget(torch.load, "other.pth"),
    "code from the net": Gadget(torch.hub.load, "stranger/repository", "model"),
    "memory without end": Gadget(bytearray, 1 << 50),
}


def write_safetensors(path: Path, header: object, data: bytes = b"", length: int | None = None) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def tensor(shape: list[int], offsets: list[int], kind: str = "F32") -> dict[str, object]:
    return {"a": {"dtype": kind, "shape": shape, "data_offsets": offsets}}


LYING = {
    "a shape beyond the file": (tensor([1 << 40], [0, 4 << 40]), b"1234", None),
    "a shape that overflows": (tensor([1 << 62, 16], [0, 4]), b"1234", None),
    "a shape for other bytes": (tensor([1], [0, 8]), bytes(8), None),
    "a negative size": (tensor([-1], [0, 4]), b"1234", None),
    "offsets beyond the file": (tensor([4], [100, 116]), b"1234", None),
    "offsets backwards": (tensor([1], [4, 0]), b"1234", None),
    "a hole": (tensor([1], [8, 12]), bytes(12), None),
    "tensors over each other": (tensor([2], [0, 8]) | {"b": tensor([2], [4, 12])["a"]}, bytes(12), None),
    "bytes of nobody": (tensor([1], [0, 4]), bytes(400), None),
    "an unknown kind": (tensor([1], [0, 4], "X9"), bytes(4), None),
    "a header longer than the file": (b"{}", b"", 1 << 63),
    "a header of a gigabyte": (b"{}", b"", 1 << 30),
    "a header without end": (b"[" * 100_000, b"", None),
    "a header that is no text": (b"\xff\xfe", b"", None),
}


@pytest.mark.parametrize("read", [read_checkpoint, read_state, read_progress])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("what", GADGETS)
def test_a_pickle_that_calls_is_refused_and_does_not_run(what, zipped, read, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pth"
    torch.save({"state_dict": GADGETS[what]}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match="weights_only=True"):
        read(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("what", LYING)
def test_a_lying_header_of_safetensors_is_refused(what, tmp_path):
    path = tmp_path / "model.safetensors"
    write_safetensors(path, *LYING[what])
    with pytest.raises(ModelError, match="not a safetensors file that can be read") as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "stranger",
    [
        torch.zeros(1).expand(1 << 40),
        torch.zeros(1 << 40, device="meta"),
        torch.sparse_coo_tensor(
            torch.zeros((1, 0), dtype=torch.long), torch.zeros(0), (1 << 40,), check_invariants=True
        ),
    ],
)
def test_a_tensor_that_stands_for_more_than_the_file_holds_is_refused(stranger, tmp_path):
    torch.save({"a": stranger}, tmp_path / "model.pth")
    with pytest.raises(ModelError, match="without values of their own"):
        read_state(tmp_path / "model.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_checkpoints_end_in_one_line(zipped, tmp_path):
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(3, 3)}, buffer, _use_new_zipfile_serialization=zipped)
    whole, path = buffer.getvalue(), tmp_path / "model.pth"
    rng = random.Random(1)  # noqa: S311
    for _ in range(250):
        damaged = bytearray(whole[: rng.choice([len(whole), rng.randrange(len(whole))])])
        for at in rng.sample(range(len(damaged)), min(len(damaged), rng.choice([1, 2, 8]))):
            damaged[at] = rng.randrange(256)
        path.write_bytes(damaged)
        with suppress(ModelError):
            read_state(path)


def test_a_training_does_not_go_on_from_a_pickle_that_calls(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "callbacks": GADGETS["a command"]}, tmp_path / "last.ckpt")
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    module = pl.LightningModule()
    module.training_step = lambda *_: None
    module.validation_step = lambda *_: None
    module.configure_optimizers = lambda: None
    with pytest.raises(ModelError, match="weights_only=True"):
        fit(trainer, module, [0], [0], tmp_path / "last.ckpt")
    assert not (tmp_path / RAN).exists()
