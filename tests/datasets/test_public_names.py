"""The names that users import from `medvision.datasets`, and what importing them costs."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from medvision import datasets

READERS = {
    "open_cohort",
    "read_annotation_table",
    "read_annotations",
    "read_datalist",
    "read_image_folder",
    "read_luna16",
    "read_medmnist",
    "read_metaimage",
    "read_patches",
    "read_split",
}
PUBLIC = READERS | {
    "AnnotationTable", "Axes", "BoxMode", "Datalist", "DatalistItem", "ImageFolder", "ImageRecord",
    "LabelledSeries", "LeftOut", "Luna16", "Luna16Candidates", "MedMNIST", "MedMNISTSplit", "MetaImage",
    "PatchRecord", "PatchSet", "SplitRecord", "VolumeGrid", "apply_split", "check_fit", "check_no_leakage",
    "folds_by_patient", "lidc", "parts_by_hash", "record_split", "split_by_patient", "write_datalist",
    "write_split",
}  # fmt: skip


def test_the_public_names_are_these_and_no_others():
    assert set(datasets.__all__) == PUBLIC
    assert set(dir(datasets)) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_name_is_there_and_described(name):
    thing = getattr(datasets, name)
    assert (
        not inspect.isfunction(thing)
        or "Args:" in thing.__doc__
        or len(inspect.signature(thing).parameters) < 3
    )
    assert name in ("Axes", "BoxMode") or inspect.getdoc(thing)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'read_everything'"):
        datasets.read_everything  # noqa: B018


def imported_after(code):
    code += "; import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_importing_the_package_imports_nothing_heavy():
    assert not imported_after("import medvision.datasets") & {"numpy", "torch", "monai", "pydicom", "yaml"}


def test_no_reader_imports_torch():
    code = f"from medvision import datasets; [getattr(datasets, name) for name in {sorted(PUBLIC)}]"
    assert not imported_after(code) & {
        "torch",
        "monai",
        "lightning",
        "mlflow",
        "prefect",
        "SimpleITK",
        "sklearn",
    }
