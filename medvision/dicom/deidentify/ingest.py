"""Ingest into a STORE that names nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from medvision.config.deidentification import DeidentificationConfig
from medvision.dicom.catalogue import MIN_SLICES
from medvision.dicom.deidentify.key import DeidentificationKey
from medvision.dicom.deidentify.record import begin_audit
from medvision.dicom.deidentify.store import StoreDeidentifier
from medvision.dicom.store import IngestResult, ingest
from medvision.errors import NothingToDoError


def ingest_deidentified(  # noqa: PLR0913  as ingest
    sources: Sequence[Path],
    store: Path,
    *,
    key: DeidentificationKey,
    config: DeidentificationConfig | None = None,
    workers: int = 1,
    min_slices: int = MIN_SLICES,
    resume: bool = True,
    index: Path | None = None,
    written: Callable[[], None] = lambda: None,
) -> IngestResult:
    """Turn everything under the sources into a STORE, de-identified before anything is written.

    Args:
        sources: files, folders, archives.
        store: folder to write; new, or made earlier under the same key with the same options.
        key: the secret that pseudonyms follow from (`load_key`).
        config: the profile's options; None for none of them.
        workers: cores to use.
        min_slices: stacks with fewer are rejected.
        resume: keep volumes whose input has not changed.
        index: the header index, which holds identifiers, outside of the store; None for none.
        written: called whenever a volume may have been completed.

    Raises:
        NothingToDoError: the sources hold no DICOM image.
        OutputError: the store cannot be written or must not be mixed with this run's output.
        UsageError: the index would lie in the store.
    """
    deidentifier = StoreDeidentifier(key, config or DeidentificationConfig())
    begin_audit(store, deidentifier.describe())
    try:
        return ingest(
            sources,
            store,
            workers=workers,
            min_slices=min_slices,
            resume=resume,
            deidentify=deidentifier,
            index=index,
            written=written,
        )
    except NothingToDoError:
        message = "no DICOM image in the sources; without --deidentify ingest says what it found instead"
        raise NothingToDoError(message) from None  # the original names folders and files
