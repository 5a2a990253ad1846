"""One Series with what is known about its nodules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from medvision.findings import Annotation
from medvision.geometry import Affine
from medvision.volumes import Scan


@dataclass(frozen=True, slots=True, eq=False)
class VolumeGrid:
    """Where a volume lies, known without its voxels.

    Attributes:
        shape: slices, rows, columns.
        affine: (slice, row, column) index to LPS mm.
    """

    shape: tuple[int, int, int]
    affine: Affine


@dataclass(frozen=True, slots=True)
class LabelledSeries:
    """A Series that can be learnt from or evaluated on.

    Attributes:
        series_instance_uid: Series Instance UID (0020,000E).
        patient_id: Patient ID (0010,0020), or the next best identifier where it is empty. Never printed.
        annotations: its nodules; empty for a scan without any.
        loader: reads the Scan; can be pickled, so that worker processes may call it.
        excluded: findings that count neither way, where they are known.
        manufacturer: Manufacturer (0008,0070), to stratify by; empty where it is not known.
        fold: of a published cross-validation, such as LUNA16's subset; None where there is none.
        image: the file that holds the volume (NIfTI, MetaImage); None for DICOM, which is many files.
        grid_reader: reads the volume's grid without its voxels, where that is possible.
    """

    series_instance_uid: str
    patient_id: str
    annotations: tuple[Annotation, ...]
    loader: Callable[[], Scan] = field(repr=False, compare=False)
    excluded: tuple[Annotation, ...] = ()
    manufacturer: str = ""
    fold: int | None = None
    image: Path | None = field(default=None, compare=False)
    grid_reader: Callable[[], VolumeGrid] | None = field(default=None, repr=False, compare=False)

    def load(self) -> Scan:
        """Read and decode the Series.

        Raises:
            DataError: it cannot be read.
        """
        return self.loader()

    def grid(self) -> VolumeGrid | None:
        """Where the volume lies, from headers alone; None where only decoding would tell.

        Raises:
            DataError: its header cannot be read.
        """
        return self.grid_reader() if self.grid_reader is not None else None
