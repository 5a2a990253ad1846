"""Ingest starts quickly: nothing heavy is imported before it is needed."""

from __future__ import annotations

import subprocess
import sys


def test_ingest_does_not_import_what_it_does_not_need():
    code = "import sys, medvision.dicom.store; print(*sys.modules)"
    modules = set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )
    assert not modules & {"torch", "monai", "highdicom", "pydicom", "nibabel", "pandas", "scipy", "pydantic"}
