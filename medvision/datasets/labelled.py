"""One Series with what is known about its nodules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from medvision.findings import Annotation
from medvision.volumes import Scan


@dataclass(frozen=True, slots=True)
class LabelledSeries:
    """A Series that can be learnt from or evaluated on.

    Attributes:
        series_instance_uid: Series Instance UID (0020,000E).
        patient_id: Patient ID (0010,0020), or the next best identifier where it is empty. Never printed.
        annotations: its nodules; empty for a scan without any.
        loader: reads the Scan; can be pickled, so that worker processes may call it.
        excluded: findings that count neither way, where they are known.
    """

    series_instance_uid: str
    patient_id: str
    annotations: tuple[Annotation, ...]
    loader: Callable[[], Scan] = field(repr=False, compare=False)
    excluded: tuple[Annotation, ...] = ()

    def load(self) -> Scan:
        """Read and decode the Series.

        Raises:
            DataError: it cannot be read.
        """
        return self.loader()
