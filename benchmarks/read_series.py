"""One CT series from DICOM to a NIfTI file, start-up included, on one core where one can choose.

Reads the folder in MEDVISION_BENCH_DICOM, or a simulated patient.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.timing import Row, best_of, command, print_table

PROGRAMS = Path(sys.executable).parent

SIMPLE_ITK = """
import sys, SimpleITK as sitk
sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(sys.argv[1])
sitk.WriteImage(sitk.ReadImage(names), sys.argv[2] + "/out.nii.gz", useCompression=True, compressionLevel=1)
"""

MONAI = """
import sys
from monai.transforms import LoadImage, SaveImage
image = LoadImage(reader="PydicomReader", image_only=True)(sys.argv[1])
SaveImage(sys.argv[2], output_dtype="int16", print_log=False, separate_folder=False)(image)
"""


def main() -> None:
    print_table(_rows())


def _rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        series = _series(Path(scratch))
        files = sum(path.is_file() for path in series.iterdir())
        for what, arguments in _tools(series):
            out = Path(scratch) / "out"

            def convert(arguments: list[str] = arguments, out: Path = out) -> None:
                shutil.rmtree(out, ignore_errors=True)
                out.mkdir()
                command([word.replace("OUT", str(out)) for word in arguments])()

            yield Row(what, best_of(convert), f"{files} files")


def _tools(series: Path) -> Iterator[tuple[str, list[str]]]:
    python, source = sys.executable, str(series)
    yield "medvision ingest", [str(PROGRAMS / "medvision"), "ingest", source, "-o", "OUT", "--workers", "1"]
    if (PROGRAMS / "dcm2niix").exists():
        yield "dcm2niix -z y -1", [str(PROGRAMS / "dcm2niix"), "-z", "y", "-1", "-o", "OUT", source]
    yield "SimpleITK (GDCM)", [python, "-c", SIMPLE_ITK, source, "OUT"]
    yield "MONAI PydicomReader", [python, "-W", "ignore", "-c", MONAI, source, "OUT"]


def _series(scratch: Path) -> Path:
    """The largest folder of DICOM files."""
    given = os.environ.get("MEDVISION_BENCH_DICOM")
    root = Path(given) if given else scratch / "cohort" / "dicom"
    if not given:
        from medvision import simulate_cohort

        simulate_cohort(scratch / "cohort", patients=1, seed=0)
    folders = {path.parent for path in root.rglob("*") if path.is_file()}
    return max(folders, key=lambda folder: sum(path.is_file() for path in folder.iterdir()))


if __name__ == "__main__":
    main()
