"""`medvision models`: what can be used, its card, fetch weights, export, promote."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from medvision.cli import options
from medvision.cli.console import show

if TYPE_CHECKING:
    from medvision.models.export.record import Format, PartRecord, Precision

BUNDLE: Literal["monai-bundle"] = "monai-bundle"
"""Format of a folder that MONAI runs."""

_WHERE = {"installed": "installed", "folder": "in the folder of weights", "absent": "not here"}

_MARGINS = ("sensitivity", "false_positives", "calibration", "time")


def _split_margins(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, float]:
    margins = {}
    for text in texts:
        name, _equals, value = text.partition("=")
        if name not in _MARGINS:
            raise click.BadParameter(f"{text!r}: choose from {', '.join(_MARGINS)}")
        try:
            margins[name] = float(value)
        except ValueError:
            raise click.BadParameter(f"{text!r}: give a number, such as {name}=0.05") from None
        if not 0 <= margins[name] < float("inf"):
            raise click.BadParameter(f"{text!r}: a margin is a number from 0 on")
    return margins


@click.group(
    short_help="List, show, pull, export and promote models.",
    epilog=options.example("medvision models list"),
)
@options.verbosity
def models() -> None:
    """What can be used: backbones with their ImageNet weights, and trained models."""


@models.command(
    "list",
    short_help="Backbones, and model directories.",
    epilog=options.example("medvision models list demo"),
)
@click.argument("folders", metavar="[FOLDER]...", nargs=-1, type=options.FOLDER)
@options.common
def list_models(folders: tuple[Path, ...], *, as_json: bool) -> None:
    """List backbones with where their ImageNet weights are, and the models in each FOLDER.

    A FOLDER is a model directory or holds some.
    """
    from medvision.models.inventory import known_backbones, model_directories
    from medvision.models.published import weights_folder

    backbones, found = list(known_backbones()), list(model_directories(folders))
    lines = [f"folder of weights: {weights_folder()}", ""]
    lines += [
        f"{one.name:20} {_WHERE[one.where]:26} {one.path if one.path else one.get}" for one in backbones
    ]
    lines += ["", *(f"{one.name} {one.version} ({one.task}): {one.path}" for one in found)] if found else []
    record = {
        "weights_folder": weights_folder(),
        "backbones": [asdict(one) for one in backbones],
        "models": [asdict(one) for one in found],
    }
    show(record, lines, as_json=as_json)


@models.command(
    "show", short_help="A model's card in words.", epilog=options.example("medvision models show demo/model")
)
@click.argument("model", metavar="MODEL|NAME")
@options.common
def show_model(model: str, *, as_json: bool) -> None:
    """Tell what a MODEL (a folder, runs:/…, models:/…) is, was measured to do and has learnt from.

    NAME is a backbone: its stages, its ImageNet weights, their source and licence.
    """
    from medvision.cli.model_words import card_lines, told
    from medvision.models.published import IMAGENET

    if model in IMAGENET:
        _show_backbone(model, as_json=as_json)
        return
    from medvision.models.card import load_card
    from medvision.models.inventory import AnyCard
    from medvision.tracking import resolve_model

    folder = resolve_model(model)
    card = load_card(folder, AnyCard).model_dump(mode="json")
    show({"folder": folder, **told(card)}, card_lines(card, str(folder)), as_json=as_json)


def _show_backbone(name: str, *, as_json: bool) -> None:
    from medvision.models.describe import describe_backbone

    known = describe_backbone(name)
    lines = [
        f"{name}: {known.parameters / 1e6:.1f} million parameters with the ImageNet classifier",
        f"  stages of {'/'.join(map(str, known.channels))} channels",
        f"  RGB in 0..1 less {known.mean}, divided by {known.std}",
        f"  weights: {_WHERE[known.weights.where]}: {known.weights.path or known.weights.get}",
        f"  source: {known.weights.source}",
        f"  licence: {known.weights.licence}",
    ]
    show(asdict(known), lines, as_json=as_json)


@models.command(
    "pull",
    short_help="Fetch ImageNet weights.",
    epilog=options.example("medvision models pull resnet18 squeezenet1_1"),
)
@click.argument("names", metavar="NAME|URL...", nargs=-1, required=True)
@options.common
def pull(names: tuple[str, ...], *, as_json: bool) -> None:
    """Fetch the ImageNet weights of each backbone NAME.

    They go into the folder of weights: MEDVISION_WEIGHTS, or the user's cache. An interrupted download goes
    on where it stopped, and the file's SHA-256 is checked. Without a network, put the files there by hand.
    A URL must tell its hash: https://…/file.pth#sha256=…
    """
    from medvision.models.pulling import pull_weights

    paths = {name: pull_weights(name) for name in names}
    show({"pulled": paths}, [f"{name}: {path}" for name, path in paths.items()], as_json=as_json)


@models.command(
    "export",
    short_help="Write a model as graphs for other runtimes, or as a MONAI bundle.",
    epilog=options.example("medvision models export demo/model -o exported --format openvino"),
)
@click.argument("model", metavar="MODEL")
@click.option("-o", "--out", required=True, type=options.FOLDER, metavar="OUT", help="Folder to write.")
@click.option(
    "--format",
    "form",
    required=True,
    type=click.Choice(["onnx", "openvino", "torch", BUNDLE]),
    help="onnx (float32), openvino (weights as float16), torch (torch.export, .pt2) or, of a RetinaNet, "
    "monai-bundle.",
)
@click.option(
    "--precision",
    type=click.Choice(["float", "int8"]),
    default="float",
    show_default=True,
    help="int8 of onnx and openvino: quicker, and a little different.",
)
@click.option(
    "--samples",
    type=options.EXISTING,
    metavar="SRC",
    help="Real inputs, which int8 sets its ranges by and is judged on: a STORE or CT for a detector; for a "
    "classifier a table of patches, a folder of pictures or a MedMNIST file.",
)
@options.common
def export(
    model: str,
    out: Path,
    *,
    form: Format | Literal["monai-bundle"],
    precision: Precision,
    samples: Path | None,
    as_json: bool,
) -> None:
    """Write every network of a MODEL (a folder, runs:/…, models:/…) as a graph into OUT.

    Each graph is compared with the model on random inputs of two sizes; export.json names inputs, outputs and
    the largest difference. OUT of a detector is a model directory: infer runs its first stage on the ONNX or
    OpenVINO graph. Needs pip install 'medvision[export]' for onnx and openvino.
    """
    from medvision.tracking import resolve_model

    _check_precision(form, precision, samples)
    if form == BUNDLE:
        from medvision.models.retinanet.loading import export_bundle

        bundle = export_bundle(resolve_model(model), out)
        show({"out": bundle}, [f"bundle: {bundle}"], as_json=as_json)
        return
    from medvision.models.export.job import export_model

    folder, inputs = resolve_model(model), None
    if samples:
        from medvision.training.export_samples import export_samples

        inputs = export_samples(folder, samples)
    record = export_model(folder, out, form, inputs)
    lines = [f"{out / part.file}: {_told(part)}" for part in record.parts]
    show({"out": out, **record.model_dump(mode="json")}, lines, as_json=as_json)


def _check_precision(form: str, precision: str, samples: Path | None) -> None:
    if precision == "int8" and form not in ("onnx", "openvino"):
        raise click.UsageError(f"--precision int8 goes with --format onnx or openvino, not {form}")
    if precision == "int8" and samples is None:
        raise click.UsageError("--precision int8 needs --samples, real inputs to set its ranges by")
    if precision == "float" and samples is not None:
        raise click.UsageError("--samples is for --precision int8")


def _told(part: PartRecord) -> str:
    if part.change is None:
        return f"largest difference of an output {part.largest_difference:.2g}"
    change = part.change
    return (
        f"int8 changes a probability by {change.mean:.2g} on average, by {change.largest:.2g} at most "
        f"({change.samples} samples)"
    )


@models.command(
    "promote",
    short_help="Put a challenger into use, if it is no worse.",
    epilog=options.example("medvision models promote medvision-detector --cohort frozen/store"),
)
@click.argument("name", metavar="NAME")
@click.option(
    "--cohort",
    required=True,
    type=options.EXISTING,
    metavar="STORE",
    help="Labelled scans that neither model has learnt from; the same each time.",
)
@click.option(
    "--annotations",
    type=options.EXISTING_FILE,
    metavar="A.csv",
    help="The true nodules.  [default: annotations.csv of STORE]",
)
@click.option(
    "--challenger",
    default="challenger",
    show_default=True,
    metavar="ALIAS",
    help="Alias of the version that wants to be in use.",
)
@click.option(
    "--margin",
    "margins",
    multiple=True,
    callback=_split_margins,
    metavar="NAME=VALUE",
    help="How much worse it may be: sensitivity (default 0.05), false_positives a scan (0.25), calibration "
    "(0.05), time as a fraction (0.25); can be repeated.",
)
@options.device
@click.option(
    "--bootstrap",
    type=click.IntRange(min=100),
    default=2000,
    show_default=True,
    metavar="N",
    help="Cohorts of patients to draw.",
)
@options.seed
@options.common
def promote(  # noqa: PLR0913  one argument an option
    name: str,
    cohort: Path,
    annotations: Path | None,
    challenger: str,
    margins: dict[str, float],
    device: str,
    bootstrap: int,
    seed: int,
    *,
    as_json: bool,
) -> int:
    """Compare the challenger of the registered model NAME with its champion, on the same scans.

    Where sensitivity, false positives, calibration and time are worse by no more than a margin, chance
    included (95 %, drawing patients), the challenger becomes the champion; else it is refused: exit 3.
    """
    from medvision.cli.promotion_words import promotion_lines
    from medvision.evaluation.promotion import Margins
    from medvision.tracking.promotion import promote as promote_model

    result = promote_model(
        name,
        cohort,
        annotations=annotations,
        challenger=challenger,
        margins=Margins(**margins),
        device=device,
        bootstrap=bootstrap,
        seed=seed,
    )
    show({**asdict(result), "exit_code": result.exit_code}, promotion_lines(result), as_json=as_json)
    return result.exit_code
