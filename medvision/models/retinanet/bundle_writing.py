"""Writing a RetinaNet as a MONAI bundle: what `python -m monai.bundle run` and `ConfigParser` understand."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from medvision.config.retinanet import BoxConfig, GridConfig, RetinaNetConfig
from medvision.files import make_folder, write_text, write_whole
from medvision.models.retinanet.bundle import INFERENCE, METADATA
from medvision.models.retinanet.card import RetinaNetCard
from medvision.models.retinanet.checkpoint import MODEL_FILE
from medvision.models.retinanet.network import RetinaNet
from medvision.models.retinanet.resnet import EXPANSION

SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20220324.json"
)
NETWORKS = "monai.apps.detection.networks"


def write_bundle(folder: Path, network: RetinaNet, card: RetinaNetCard) -> Path:
    """Write a bundle's folder: `configs/metadata.json`, `configs/inference.json`, `models/model.pt`.

    Args:
        folder: to write; what it holds beside these files stays.
        network: not folded.
        card: of it.

    Returns:
        The folder.

    Raises:
        OutputError: it cannot be written.
    """
    for part in (METADATA, INFERENCE, MODEL_FILE):
        make_folder((folder / part).parent)
    with write_whole(folder / MODEL_FILE) as aside:
        torch.save({key: value.detach().cpu() for key, value in network.state_dict().items()}, aside)
    _write(folder / INFERENCE, inference_settings(card.network, card.grid, card.boxes))
    _write(folder / METADATA, _metadata(card))
    return folder


def _write(path: Path, values: dict[str, Any]) -> None:
    write_text(path, json.dumps(values, indent=4) + "\n")


def inference_settings(network: RetinaNetConfig, grid: GridConfig, boxes: BoxConfig) -> dict[str, Any]:
    """`inference.json`, with the names that the published bundle's scripts look for.

    `detector_ops` must be evaluated before `detector` is used; `evaluator` asks for it.
    """
    return {
        "imports": ["$import glob", "$import os", "$import torch"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/data'",
        "output_dir": "$@bundle_root + '/eval'",
        "data": "$[{'image': path} for path in sorted(glob.glob(@dataset_dir + '/*.nii.gz'))]",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "amp": "$torch.cuda.is_available()",
        "spatial_dims": 3,
        "num_classes": 1,
        "size_divisible": list(network.size_divisible),
        "infer_patch_size": list(boxes.window_vox),
        **_layers(network),
        "detector": {
            "_target_": f"{NETWORKS}.retinanet_detector.RetinaNetDetector",
            "network": "@network",
            "anchor_generator": "@anchor_generator",
            "debug": False,
        },
        "detector_ops": _operations(boxes),
        "preprocessing": _preprocessing(grid),
        "dataset": {
            "_target_": "monai.data.Dataset",
            "data": "@data",
            "transform": "@preprocessing",
        },
        "load_weights": (
            "$@network.load_state_dict(torch.load(@bundle_root + '/models/model.pt', "
            "map_location=@device, weights_only=True))"
        ),
        "initialize": ["$@load_weights", "$@detector_ops", "$@detector.eval()"],
        "predict": (
            "$[{**@detector([item['image'].to(@device)], "
            "use_inferer=item['image'].numel() >= " + str(_voxels(boxes)) + ")[0], "
            "'affine': item['image'].affine} for item in @dataset]"
        ),
        "run": [
            "$torch.set_grad_enabled(False)",
            "$os.makedirs(@output_dir, exist_ok=True)",
            "$torch.save(@predict, @output_dir + '/boxes.pt')",
        ],
    }


def _voxels(boxes: BoxConfig) -> int:
    x, y, z = boxes.window_vox
    return x * y * z


def _layers(network: RetinaNetConfig) -> dict[str, Any]:
    planes = [network.width * 2**layer for layer in range(4)]
    returned = list(network.returned_layers)
    channels = [plane * EXPANSION for plane in planes]
    if (
        planes[0] == RetinaNetConfig().width
        and network.pyramid_channels == RetinaNetConfig().pyramid_channels
    ):
        extractor = (
            f"${NETWORKS}.retinanet_network.resnet_fpn_feature_extractor(@backbone,3,False,{returned},None)"
        )
    else:
        names = {f"layer{layer}": str(number) for number, layer in enumerate(returned)}
        extractor = (
            "$monai.networks.blocks.backbone_fpn_utils.BackboneWithFPN(@backbone,"
            f"return_layers={names},in_channels_list={[channels[layer - 1] for layer in returned]},"
            f"out_channels={network.pyramid_channels},spatial_dims=3)"
        )
    return {
        "anchor_generator": {
            "_target_": "monai.apps.detection.utils.anchor_utils.AnchorGeneratorWithAnchorShape",
            "feature_map_scales": list(network.feature_map_scales),
            "base_anchor_shapes": [list(shape) for shape in network.anchor_shapes_vox],
        },
        "backbone": (
            "$monai.networks.nets.resnet.ResNet(block='bottleneck',"
            f"layers={list(network.blocks)},block_inplanes={planes},spatial_dims=3,n_input_channels=1,"
            f"conv1_t_stride={list(network.stem_stride)},conv1_t_size=[7,7,7])"
        ),
        "feature_extractor": extractor,
        "network_def": {
            "_target_": f"{NETWORKS}.retinanet_network.RetinaNet",
            "spatial_dims": "@spatial_dims",
            "num_classes": "@num_classes",
            "num_anchors": network.anchors,
            "feature_extractor": "@feature_extractor",
            "size_divisible": "@size_divisible",
        },
        "network": "$@network_def.to(@device)",
    }


def _operations(boxes: BoxConfig) -> list[str]:
    return [
        "$@detector.set_target_keys(box_key='box', label_key='label')",
        "$@detector.set_box_selector_parameters("
        f"score_thresh={boxes.score_threshold},topk_candidates_per_level={boxes.per_level},"
        f"nms_thresh={boxes.nms_overlap},detections_per_img={boxes.per_scan})",
        "$@detector.set_sliding_window_inferer(roi_size=@infer_patch_size,"
        f"overlap={boxes.overlap},sw_batch_size=1,mode='constant',device='cpu')",
    ]


def _preprocessing(grid: GridConfig) -> dict[str, Any]:
    low, high = grid.window_hu
    return {
        "_target_": "monai.transforms.Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS", "labels": None},
            {"_target_": "Spacingd", "keys": "image", "pixdim": list(grid.spacing_mm)},
            {
                "_target_": "ScaleIntensityRanged",
                "keys": "image",
                "a_min": low,
                "a_max": high,
                "b_min": 0.0,
                "b_max": 1.0,
                "clip": True,
            },
            {"_target_": "EnsureTyped", "keys": "image"},
        ],
    }


def _metadata(card: RetinaNetCard) -> dict[str, Any]:
    x, y, z = card.grid.spacing_mm
    return {
        "schema": SCHEMA,
        "name": card.name,
        "version": card.version,
        "changelog": {card.version: "written by medvision"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch"),
        "numpy_version": version("numpy"),
        "required_packages_version": {"nibabel": version("nibabel"), "torchvision": ""},
        "task": "CT lung nodule detection",
        "description": "3D RetinaNet for lung nodules",
        "authors": "written by medvision",
        "copyright": card.licence,
        "intended_use": "Research only, not for diagnosis",
        "image_classes": f"1 channel data, CT at {x} x {y} x {z} mm",
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "modality": "CT",
                    "num_channels": 1,
                    "spatial_shape": [f"{step}*n" for step in card.network.size_divisible],
                    "dtype": "float32",
                    "value_range": [0, 1],
                    "is_patch_data": True,
                    "channel_def": {"0": "image"},
                }
            },
            "outputs": {
                "pred": {
                    "type": "object",
                    "format": "dict",
                    "dtype": "float32",
                    "num_channels": 1,
                    "spatial_shape": ["n", "n", "n"],
                    "value_range": [-10000, 10000],
                }
            },
        },
    }
