"""`medvision models export`: a model directory with its networks as graphs beside."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import torch
import yaml
from torch import Tensor

from medvision.errors import DataError, ModelError, OutputError, UsageError
from medvision.files import file_sha256, make_folder, write_text, write_whole
from medvision.models.card import CARD, Card
from medvision.models.directory import WEIGHTS
from medvision.models.export.graphs import (
    PACKAGES,
    QUANTISER,
    SUFFIX,
    check_installed,
    open_graph,
    write_graph,
)
from medvision.models.export.parts import Part, parts_of
from medvision.models.export.record import EXPORT, Change, ExportRecord, Format, PartRecord
from medvision.progress import track

TOLERANCE: dict[Format, float] = {"torch": 1e-4, "onnx": 1e-4, "openvino": 3e-2}
"""How far outputs may be from the model's in float32, as a part of their largest; OpenVINO keeps weights as
float16."""

FEWEST_SAMPLES = 8
"""Every second one sets the ranges of int8, the others judge."""
MOST_CHANGE = 0.2
"""Mean change of a probability beyond which an int8 graph is refused."""

Samples = Mapping[str, Sequence[Tensor]]
"""Part of a model → inputs of it, float32, each a batch of one."""


def export_model(folder: Path, out: Path, form: Format, samples: Samples | None = None) -> ExportRecord:
    """Write every network of a model as a graph, and compare each with the model.

    With samples the graphs compute in int8, and the record tells what that changes.

    Beside the graphs lies what a model directory has, so that `infer` takes it as one; `export.json` comes
    last.

    Args:
        folder: model directory.
        out: to write; another folder than `folder`.
        form: `onnx`, `openvino` or `torch`.
        samples: real inputs, for int8.

    Raises:
        ModelError: the model cannot be read or exported, or a graph's output is not the model's.
        DataError: too few samples.
        UsageError: a package that the format needs is missing, or int8 of a format that has none.
        OutputError: the folder cannot be written.
    """
    check_installed((*PACKAGES[form], *(QUANTISER if samples else ())), f"--format {form}")
    if samples is not None and form == "torch":
        raise UsageError("int8 goes with --format onnx or openvino, not torch")
    if (folder / EXPORT).is_file():
        raise ModelError(f"{folder} is an export itself; give the model that it was made from")
    card, parts = parts_of(folder)
    if out.resolve() == folder.resolve():
        raise OutputError(f"{out} is the model itself; choose another output folder")
    make_folder(out)
    (out / EXPORT).unlink(missing_ok=True)
    record = ExportRecord(
        format=form,
        precision="float" if samples is None else "int8",
        model_sha256=card.weights_sha256,
        versions={name: version(name) for name in ("medvision", "torch", *PACKAGES[form])},
        parts=tuple(
            _export_part(part, out, form, None if samples is None else _enough(samples, part))
            for part in track(parts, "exporting")
        ),
    )
    _copy_model(folder, card, out, form if samples is None else f"{form}-int8")
    write_text(out / EXPORT, record.model_dump_json(indent=2) + "\n")
    return record


def _enough(samples: Samples, part: Part) -> Sequence[Tensor]:
    found = samples.get(part.name, ())
    if len(found) < FEWEST_SAMPLES:
        raise DataError(
            f"int8 of {part.name} needs {FEWEST_SAMPLES} samples at least, to set ranges and to judge; "
            f"there are {len(found)}"
        )
    return found


def _copy_model(folder: Path, card: Card, out: Path, what: str) -> None:
    """The weights, and a card whose version tells that graphs stand for them."""
    with write_whole(out / WEIGHTS) as aside:
        shutil.copyfile(folder / WEIGHTS, aside)
    told = card.model_copy(update={"version": f"{card.version}+{what}"}).model_dump(mode="json")
    write_text(out / CARD, yaml.safe_dump(told, sort_keys=False, allow_unicode=True))


def _export_part(part: Part, out: Path, form: Format, samples: Sequence[Tensor] | None) -> PartRecord:
    program = torch.export.export(
        part.network, (part.example(),), dynamic_shapes=(part.dynamic_shapes(),), strict=False
    )
    with tempfile.TemporaryDirectory(dir=out, prefix=".part-") as aside:
        path = Path(aside) / f"{part.name}{SUFFIX[form]}"
        write_graph(program, path, form, samples[::2] if samples else ())
        change = None
        if samples:
            difference, change = _change(part, path, form, samples[1::2])
        else:
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
        change=change,
    )


def _difference(part: Part, path: Path, form: Format) -> float:
    """The largest difference on random inputs of two sizes.

    Raises:
        ModelError: it is beyond the tolerance.
    """
    graph, largest = open_graph(path, form, exact=True), 0.0
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


def _change(part: Part, path: Path, form: Format, samples: Sequence[Tensor]) -> tuple[float, Change]:
    """The largest difference of an output, and what becomes of the probabilities, as the graph will be run.

    Raises:
        ModelError: the probabilities change too much.
    """
    graph, outputs, changes = open_graph(path, form), [], []
    for sample in samples:
        with torch.inference_mode():
            wanted = part.network(sample)
        found = graph(sample)
        outputs.append(float((found - wanted).abs().max()))
        changes.append(float((part.probabilities(found) - part.probabilities(wanted)).abs().max()))
    change = Change(samples=len(changes), mean=sum(changes) / len(changes), largest=max(changes))
    if not change.mean <= MOST_CHANGE:
        raise ModelError(
            f"int8 changes the probabilities of {part.name} by {change.mean:.2g} on average, more than "
            f"{MOST_CHANGE:g}; keep --precision float, or give samples that are more like what it will see"
        )
    return max(outputs), change
