"""`medvision models export`: a model directory with its networks as graphs beside."""

from __future__ import annotations

import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import torch
import yaml

from medvision.errors import ModelError, OutputError
from medvision.files import file_sha256, make_folder, write_text, write_whole
from medvision.models.card import CARD, Card
from medvision.models.directory import WEIGHTS
from medvision.models.export.graphs import PACKAGES, SUFFIX, check_installed, open_graph, write_graph
from medvision.models.export.parts import Part, parts_of
from medvision.models.export.record import EXPORT, ExportRecord, Format, PartRecord
from medvision.progress import track

TOLERANCE: dict[Format, float] = {"torch": 1e-4, "onnx": 1e-4, "openvino": 3e-2}
"""How far outputs may be from the model's, as a part of their largest; OpenVINO keeps weights as float16 and
computes in bfloat16 where the processor does."""


def export_model(folder: Path, out: Path, form: Format) -> ExportRecord:
    """Write every network of a model as a graph, and compare each with the model.

    Beside the graphs lies what a model directory has, so that `infer` takes it as one; `export.json` comes
    last.

    Args:
        folder: model directory.
        out: to write; another folder than `folder`.
        form: `onnx`, `openvino` or `torch`.

    Raises:
        ModelError: the model cannot be read or exported, or a graph's output is not the model's.
        UsageError: a package that the format needs is missing.
        OutputError: the folder cannot be written.
    """
    check_installed(PACKAGES[form], f"--format {form}")
    if (folder / EXPORT).is_file():
        raise ModelError(f"{folder} is an export itself; give the model that it was made from")
    card, parts = parts_of(folder)
    if out.resolve() == folder.resolve():
        raise OutputError(f"{out} is the model itself; choose another output folder")
    make_folder(out)
    (out / EXPORT).unlink(missing_ok=True)
    record = ExportRecord(
        format=form,
        model_sha256=card.weights_sha256,
        versions={name: version(name) for name in ("medvision", "torch", *PACKAGES[form])},
        parts=tuple(_export_part(part, out, form) for part in track(parts, "exporting")),
    )
    _copy_model(folder, card, out, form)
    write_text(out / EXPORT, record.model_dump_json(indent=2) + "\n")
    return record


def _copy_model(folder: Path, card: Card, out: Path, form: Format) -> None:
    """The weights, and a card whose version tells that graphs stand for them."""
    with write_whole(out / WEIGHTS) as aside:
        shutil.copyfile(folder / WEIGHTS, aside)
    told = card.model_copy(update={"version": f"{card.version}+{form}"}).model_dump(mode="json")
    write_text(out / CARD, yaml.safe_dump(told, sort_keys=False, allow_unicode=True))


def _export_part(part: Part, out: Path, form: Format) -> PartRecord:
    program = torch.export.export(
        part.network, (part.example(),), dynamic_shapes=(part.dynamic_shapes(),), strict=False
    )
    with tempfile.TemporaryDirectory(dir=out, prefix=".part-") as aside:
        path = Path(aside) / f"{part.name}{SUFFIX[form]}"
        write_graph(program, path, form)
        difference = _difference(part, path, form)
        files = sorted(Path(aside).iterdir())
        hashes = {file.name: file_sha256(file) for file in files}
        for file in files:
            file.replace(out / file.name)
    return PartRecord(
        name=part.name,
        file=path.name,
        sha256=hashes,
        input=part.input,
        input_shape=part.named_shape(),
        output=part.output,
        largest_difference=difference,
    )


def _difference(part: Part, path: Path, form: Format) -> float:
    """The largest difference on random inputs of two sizes.

    Raises:
        ModelError: it is beyond the tolerance.
    """
    graph, largest = open_graph(path, form), 0.0
    for larger in (0, 1):
        image = part.example(larger=larger, seed=larger)
        with torch.inference_mode():
            wanted = part.network(image)
        difference = float((graph(image) - wanted).abs().max())
        limit = TOLERANCE[form] * max(1.0, float(wanted.abs().max()))
        if not difference <= limit:
            raise ModelError(
                f"{part.name} as {form} gives outputs that differ by {difference:.2g}, more than {limit:.2g}"
            )
        largest = max(largest, difference)
    return largest
