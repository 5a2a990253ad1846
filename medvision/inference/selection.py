"""Which of the Series that were found are analysed, and what is said of the others."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medvision.dicom.choice import choose_series
from medvision.dicom.remote_store import RemoteEntry
from medvision.dicom.stored import StoreEntry
from medvision.dicom.tables import ScanSource, SeriesRow
from medvision.errors import UsageError
from medvision.remote.places import Place

NOT_ASKED_FOR = "not analysed: not among the series asked for"


@dataclass(frozen=True, slots=True)
class Selection:
    """What becomes of each Series.

    Attributes:
        chosen: to analyse.
        skipped: usable, but not to analyse.
        rejected: no usable chest CT.
        remarks: by name, why one was skipped, or was preferred to others.
    """

    chosen: tuple[ScanSource, ...]
    skipped: tuple[ScanSource, ...]
    rejected: tuple[ScanSource, ...]
    remarks: Mapping[str, str]


def select(
    found: Sequence[ScanSource],
    *,
    wanted: Collection[str] = (),
    every: bool = False,
    trained_kernels: Collection[str] = (),
) -> Selection:
    """Choose what to analyse.

    Args:
        found: every Series seen.
        wanted: Series Instance UIDs (all usable stacks of each) or names of stacks; where there are none, the
            best Series of each study is chosen.
        every: all usable Series.
        trained_kernels: Convolution Kernels that the model was trained with.

    Raises:
        UsageError: a wanted Series is not there.
    """
    usable = [source for source in found if source.status != "rejected"]
    if wanted:
        names, remarks = _wanted(found, wanted), dict.fromkeys((s.name for s in usable), NOT_ASKED_FOR)
    elif every:
        names, remarks = {source.name for source in usable}, {}
    else:
        choice = choose_series([source.row for source in usable], trained_kernels)
        names, remarks = set(choice.chosen), dict(choice.remarks)
    if wanted:
        remarks = {name: remark for name, remark in remarks.items() if name not in names}
    return Selection(
        chosen=tuple(source for source in usable if source.name in names),
        skipped=tuple(source for source in usable if source.name not in names),
        rejected=tuple(source for source in found if source.status == "rejected"),
        remarks=remarks,
    )


def _wanted(found: Sequence[ScanSource], wanted: Collection[str]) -> set[str]:
    """Names of the stacks asked for."""
    by_request = {
        each: {s.name for s in found if each in (s.name, s.row.series_instance_uid)} for each in wanted
    }
    for each, names in by_request.items():
        if not names:
            raise UsageError(
                f"no series {each} among the {len(found)} found; series.csv of an ingest lists them"
            )
    return set().union(*by_request.values())


def describe(source: ScanSource, out: Place, remark: str = "") -> SeriesRow:
    """Its row of OUT/series.csv: with the remark, and the way to a STORE's volume from there."""
    row = source.row
    reasons = "; ".join(filter(None, (row.reasons, remark)))
    return replace(row, reasons=reasons, volume=_volume(source, out) if row.volume else "")


def _volume(source: ScanSource, out: Place) -> str:
    """A relative path where both lie on this machine, else an absolute one or an address."""
    if isinstance(source, RemoteEntry):
        return str(source.store / source.row.volume)
    if not isinstance(source, StoreEntry):
        return ""
    volume = source.store / source.row.volume
    return os.path.relpath(volume, out) if isinstance(out, Path) else str(volume.resolve())
