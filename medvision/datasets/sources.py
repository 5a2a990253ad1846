"""A scan in DICOM or in a STORE, with its labels, as a `LabelledSeries`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from medvision.datasets.labelled import LabelledSeries, VolumeGrid
from medvision.dicom.entries import SeriesEntry
from medvision.dicom.sidecar import read_grid
from medvision.dicom.stored import StoreEntry
from medvision.dicom.tables import ScanSource
from medvision.findings import Annotation


def label_source(
    source: ScanSource, annotations: Iterable[Annotation], excluded: Iterable[Annotation]
) -> LabelledSeries:
    """Join a scan and its labels; it is not decoded.

    Args:
        source: from a catalogue or a STORE.
        annotations: its nodules.
        excluded: findings that count neither way.
    """
    row = source.row
    return LabelledSeries(
        row.series_instance_uid,
        source.patient_id or row.series_instance_uid,
        tuple(annotations),
        source.load,
        tuple(excluded),
        manufacturer=row.manufacturer,
        image=source.store / row.volume if isinstance(source, StoreEntry) else None,
        grid_reader=_grid_reader(source),
    )


def _grid_reader(source: ScanSource) -> Callable[[], VolumeGrid] | None:
    """How to learn where a volume lies without decoding it."""
    if isinstance(source, StoreEntry):
        return partial(_stored_grid, source)
    if isinstance(source, SeriesEntry) and source.grid is not None:
        return partial(VolumeGrid, source.grid.shape, source.grid.affine)
    return None


def _stored_grid(entry: StoreEntry) -> VolumeGrid:
    affine, slices = read_grid(entry.store, entry.name)
    return VolumeGrid((len(slices), entry.row.rows or 0, entry.row.columns or 0), affine)
