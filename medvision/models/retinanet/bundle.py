"""Reading a MONAI bundle of the nodule RetinaNet: its settings and weights, never its code.

A bundle's `inference.json` holds Python expressions, which MONAI evaluates. Here they are only parsed: the
literal arguments of the calls in them are taken, and what is not there keeps the published bundle's value.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from medvision.config.base import describe_problems
from medvision.config.retinanet import BoxConfig, GridConfig, RetinaNetConfig
from medvision.errors import ModelError
from medvision.files import file_sha256, read_json
from medvision.models.card import TrainingRecord
from medvision.models.leakage import UNKNOWN_KEY
from medvision.models.retinanet.card import RetinaNetCard
from medvision.models.retinanet.checkpoint import MODEL_FILE, bundle_weights, read_state
from medvision.models.retinanet.initial import fill
from medvision.models.retinanet.network import RetinaNet

METADATA = Path("configs", "metadata.json")
INFERENCE = Path("configs", "inference.json")

WEIGHTS_SUFFIXES = (".pt", ".pth", ".ts")

DEFAULT_THRESHOLD = 0.5
"""Bundles name no operating point."""


def is_bundle(path: Path) -> bool:
    """Whether a path looks like a bundle's folder or its weights."""
    return (path / METADATA).is_file() or (path / MODEL_FILE).is_file() or path.suffix in WEIGHTS_SUFFIXES


def read_bundle(path: Path) -> tuple[RetinaNet, RetinaNetCard]:
    """Read a bundle.

    Args:
        path: its folder, or its `model.pt` alone.

    Raises:
        ModelError: no bundle, one that cannot be understood, or weights of another architecture.
    """
    folder = path if path.is_dir() else None
    settings = _read_object(path / INFERENCE) if folder and (path / INFERENCE).is_file() else {}
    metadata = _read_object(path / METADATA) if folder and (path / METADATA).is_file() else {}
    weights = path / MODEL_FILE if folder else path
    state = bundle_weights(path) if folder else read_state(path)
    card = RetinaNetCard(
        name=str(metadata.get("name") or (path.resolve().name if folder else path.stem)),
        version=str(metadata.get("version", "unknown")),
        task="detect_retinanet",
        network=_network(settings, path),
        grid=_checked(GridConfig, _grid(settings), path),
        boxes=_checked(BoxConfig, _boxes(settings), path),
        operating_points=(),
        default_threshold=DEFAULT_THRESHOLD,
        training=_unknown_training(),
        metrics={},
        licence=f"that of the bundle{', ' + str(metadata['copyright']) if 'copyright' in metadata else ''}",
        weights_sha256=file_sha256(weights),
    )
    network = RetinaNet(card.network)
    fill(network, state, weights)
    return network.eval(), card


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ModelError: it cannot be read or is none.
    """
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not JSON that can be read; download the bundle again") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path} holds a {type(values).__name__}, not an object; download the bundle again")
    return values


def _network(settings: Mapping[str, Any], path: Path) -> RetinaNetConfig:
    found: dict[str, Any] = {}
    anchors = settings.get("anchor_generator", {})
    for theirs, ours in (
        ("feature_map_scales", "feature_map_scales"),
        ("base_anchor_shapes", "anchor_shapes_vox"),
    ):
        if isinstance(anchors, dict) and theirs in anchors:
            found[ours] = anchors[theirs]
    backbone = call_arguments(settings.get("backbone"))
    for theirs, ours in (("conv1_t_stride", "stem_stride"), ("layers", "blocks")):
        if theirs in backbone:
            found[ours] = backbone[theirs]
    if isinstance(planes := backbone.get("block_inplanes"), list | tuple) and planes:
        found["width"] = planes[0]
    if "out_channels" in (extractor := call_arguments(settings.get("feature_extractor"))):
        found["pyramid_channels"] = extractor["out_channels"]
    if layers := _returned_layers(settings.get("feature_extractor"), extractor):
        found["returned_layers"] = layers
    config: RetinaNetConfig = _checked(RetinaNetConfig, found, path)
    _check_counts(settings, config, path)
    return config


def _check_counts(settings: Mapping[str, Any], config: RetinaNetConfig, path: Path) -> None:
    definition = settings.get("network_def", {})
    anchors = definition.get("num_anchors") if isinstance(definition, dict) else None
    if isinstance(anchors, int) and anchors != config.anchors:
        raise ModelError(
            f"{path / INFERENCE}: num_anchors is {anchors}, but there are {config.anchors} base_anchor_shapes"
        )
    classes = settings.get("num_classes", definition.get("num_classes", 1))
    if isinstance(classes, int) and classes != 1:
        raise ModelError(f"{path / INFERENCE}: num_classes is {classes}; only one kind of finding is known")


def _returned_layers(expression: object, named: Mapping[str, Any]) -> Any:  # noqa: ANN401  of somebody's file
    """The fourth argument of `resnet_fpn_feature_extractor`, by name or place."""
    if "returned_layers" in named:
        return named["returned_layers"]
    values = [_literal(argument) for call in _calls(expression) for argument in call.args]
    return next((value for value in values if isinstance(value, list)), None)


def _grid(settings: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for step in _transforms(settings):
        if step.get("_target_") == "Spacingd" and "pixdim" in step:
            found["spacing_mm"] = step["pixdim"]
        if step.get("_target_") == "ScaleIntensityRanged" and {"a_min", "a_max"} <= step.keys():
            found["window_hu"] = (step["a_min"], step["a_max"])
    return found


def _transforms(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    steps = settings.get("preprocessing", {})
    steps = steps.get("transforms", []) if isinstance(steps, dict) else []
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


_BOX_KEYS = {
    "score_thresh": "score_threshold",
    "topk_candidates_per_level": "per_level",
    "nms_thresh": "nms_overlap",
    "detections_per_img": "per_scan",
    "overlap": "overlap",
}


def _boxes(settings: Mapping[str, Any]) -> dict[str, Any]:
    operations = settings.get("detector_ops", [])
    found = {
        _BOX_KEYS[key]: value
        for expression in (operations if isinstance(operations, list) else [])
        for key, value in call_arguments(expression).items()
        if key in _BOX_KEYS
    }
    if isinstance(window := settings.get("infer_patch_size"), list):
        found["window_vox"] = window
    return found


_NO_EXPRESSION = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)
"""What Python's own parser raises on text that is none (https://docs.python.org/3/library/ast.html)."""


def call_arguments(expression: object) -> dict[str, Any]:
    """Literal arguments by name of all calls in one of MONAI's `$` expressions; nothing is run."""
    named = {
        keyword.arg: _literal(keyword.value)
        for call in _calls(expression)
        for keyword in call.keywords
        if keyword.arg is not None
    }
    return {name: value for name, value in named.items() if value is not None}


def _calls(expression: object) -> Iterator[ast.Call]:
    if not isinstance(expression, str) or not expression.startswith("$"):
        return
    try:
        tree = ast.parse(expression[1:].replace("@", ""), mode="eval")
    except _NO_EXPRESSION:
        return
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _literal(node: ast.expr) -> Any:  # noqa: ANN401  any literal
    try:
        return ast.literal_eval(node)
    except _NO_EXPRESSION:
        return None


def _checked(model: Any, values: Mapping[str, Any], path: Path) -> Any:  # noqa: ANN401  one of three
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ModelError(describe_problems(error, model, str(path / INFERENCE))) from error


def _unknown_training() -> TrainingRecord:
    return TrainingRecord(
        salt="",
        key_id=UNKNOWN_KEY,
        patient_hashes=(),
        series_hashes=(),
        patients=0,
        nodules=0,
        spacing_mm=(),
        manufacturers=(),
        kernels=(),
        config_sha256="",
    )
