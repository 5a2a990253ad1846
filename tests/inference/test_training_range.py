"""A scan unlike those that the model has learnt from is said to be one."""

from __future__ import annotations

import highdicom as hd
import numpy as np
import pytest

from medvision.inference.training_range import training_range_check
from medvision.models.card import SeenRecord, TrainingRecord
from medvision.volumes import Scan

TRAINING = TrainingRecord(
    salt="",
    patient_hashes=(),
    series_hashes=(),
    patients=3,
    nodules=5,
    spacing_mm=((1.0, 2.5), (0.6, 0.9), (0.6, 0.9)),
    manufacturers=("SIEMENS", "GE MEDICAL SYSTEMS"),
    kernels=("B30f", "STANDARD"),
    config_sha256="",
)


def scan(spacing=(2.5, 0.7, 0.7), **attributes) -> Scan:
    affine = np.diag([*spacing, 1.0])[[2, 1, 0, 3]]
    return Scan(
        name="1.2",
        series_instance_uid="1.2",
        study_instance_uid="1",
        patient_id="",
        volume=hd.Volume(np.zeros((4, 4, 4), np.int16), affine, coordinate_system="PATIENT"),
        slices=(),
        attributes=attributes,
    )


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (scan((5.0, 0.7, 0.7)), "slices 5.00 mm apart (learnt from 1.00 to 2.50 mm)"),
        (scan((0.5, 0.7, 0.7)), "slices 0.50 mm apart"),
        (scan((2.5, 1.2, 1.2)), "pixels of 1.20 mm (learnt from up to 0.90 mm)"),
        (scan(ConvolutionKernel="B80f"), "kernel B80f"),
        (scan(Manufacturer="Philips"), "manufacturer Philips"),
    ],
)
def test_what_lies_beyond_is_named(what, words):
    check = training_range_check(what, TRAINING)
    assert check.verdict == "warn"
    assert words in check.message
    assert check.message.count(";") == 0  # and nothing else


@pytest.mark.parametrize(
    "what",
    [
        scan(Manufacturer=" siemens ", ConvolutionKernel="B30F"),
        scan((2.6, 0.4, 0.4)),  # within the tolerance; finer pixels are resampled
        scan(Manufacturer=""),  # absent says nothing
    ],
)
def test_what_lies_within_passes(what):
    check = training_range_check(what, TRAINING)
    assert (check.verdict, check.message) == ("ok", "")


def test_a_model_that_does_not_say_is_not_asked():
    silent = TRAINING.model_copy(update={"spacing_mm": (), "kernels": (), "manufacturers": ()})
    assert training_range_check(scan((9, 9, 9), ConvolutionKernel="X"), silent).verdict == "ok"
    seen = SeenRecord(salt="", patient_hashes=(), series_hashes=())
    assert training_range_check(scan(), seen) is None
