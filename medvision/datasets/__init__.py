"""Readers of labelled data, each usable alone, and splits by patient.

    from medvision import datasets

    cohort = datasets.open_cohort(Path("store"))                         # scans with nodules, of any kind
    patches = datasets.read_patches(Path("labels.csv"), label="malignancy", positive=">=4", negative="<=2")
    training, validation = datasets.split_by_patient(patches.records, 0.2, stratify=patches.targets.tolist())

Records are small and frozen; `.load()` reads one. No reader imports torch, and each name is imported when it
is first used. What each reader expects: docs/datasets.md.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medvision.datasets import lidc
    from medvision.datasets.boxes import Axes, BoxMode
    from medvision.datasets.cohort import open_cohort
    from medvision.datasets.datalist import Datalist, DatalistItem, read_datalist
    from medvision.datasets.datalist_writing import write_datalist
    from medvision.datasets.fit_checks import check_fit
    from medvision.datasets.image_folder import ImageFolder, ImageRecord, read_image_folder
    from medvision.datasets.labelled import LabelledSeries, VolumeGrid
    from medvision.datasets.left_out import LeftOut
    from medvision.datasets.luna16 import Luna16, Luna16Candidates, read_luna16
    from medvision.datasets.medmnist import MedMNIST, MedMNISTSplit, read_medmnist
    from medvision.datasets.metaimage import MetaImage, read_metaimage
    from medvision.datasets.patches import PatchRecord, PatchSet, read_patches
    from medvision.datasets.split_record import (
        SplitRecord,
        apply_split,
        read_split,
        record_split,
        write_split,
    )
    from medvision.datasets.splits import (
        check_no_leakage,
        folds_by_patient,
        parts_by_hash,
        split_by_patient,
    )
    from medvision.datasets.tables import AnnotationTable, read_annotation_table, read_annotations

__all__ = [
    "AnnotationTable",
    "Axes",
    "BoxMode",
    "Datalist",
    "DatalistItem",
    "ImageFolder",
    "ImageRecord",
    "LabelledSeries",
    "LeftOut",
    "Luna16",
    "Luna16Candidates",
    "MedMNIST",
    "MedMNISTSplit",
    "MetaImage",
    "PatchRecord",
    "PatchSet",
    "SplitRecord",
    "VolumeGrid",
    "apply_split",
    "check_fit",
    "check_no_leakage",
    "folds_by_patient",
    "lidc",
    "open_cohort",
    "parts_by_hash",
    "read_annotation_table",
    "read_annotations",
    "read_datalist",
    "read_image_folder",
    "read_luna16",
    "read_medmnist",
    "read_metaimage",
    "read_patches",
    "read_split",
    "record_split",
    "split_by_patient",
    "write_datalist",
    "write_split",
]

_NAMES = {
    "boxes": ("Axes", "BoxMode"),
    "cohort": ("open_cohort",),
    "datalist": ("Datalist", "DatalistItem", "read_datalist"),
    "datalist_writing": ("write_datalist",),
    "fit_checks": ("check_fit",),
    "image_folder": ("ImageFolder", "ImageRecord", "read_image_folder"),
    "labelled": ("LabelledSeries", "VolumeGrid"),
    "left_out": ("LeftOut",),
    "luna16": ("Luna16", "Luna16Candidates", "read_luna16"),
    "medmnist": ("MedMNIST", "MedMNISTSplit", "read_medmnist"),
    "metaimage": ("MetaImage", "read_metaimage"),
    "patches": ("PatchRecord", "PatchSet", "read_patches"),
    "split_record": ("SplitRecord", "apply_split", "read_split", "record_split", "write_split"),
    "splits": ("check_no_leakage", "folds_by_patient", "parts_by_hash", "split_by_patient"),
    "tables": ("AnnotationTable", "read_annotation_table", "read_annotations"),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:  # noqa: ANN401  PEP 562
    if name == "lidc":
        return importlib.import_module("medvision.datasets.lidc")
    if name in _HOME:
        return getattr(importlib.import_module(f"medvision.datasets.{_HOME[name]}"), name)
    raise AttributeError(f"module 'medvision.datasets' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
