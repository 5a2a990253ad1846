"""A STORE that is written: in its folder, or here first and published behind an address.

A volume is published as soon as it is written, its sidecar last, and no longer takes room here; the tables
follow at the end, `series.csv` last. A run that is broken off leaves whole volumes, which the next one keeps.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from medvision.dicom.deidentify.record import AUDIT_JSON
from medvision.dicom.index import INDEX
from medvision.dicom.sidecar import VOLUMES, paths_of
from medvision.dicom.stored import SERIES_CSV
from medvision.errors import NetworkError
from medvision.files import make_folder
from medvision.remote.places import Place, RemoteFolder


@contextmanager
def staged_store(store: Place) -> Iterator[tuple[Path, Callable[[], None]]]:
    """Give the folder to write a STORE in, and what is to be called when volumes may be complete.

    Args:
        store: a folder, or an address; what an earlier run has published there is kept.

    Raises:
        NetworkError: the address does not answer.
        OutputError: it cannot be written.
    """
    if isinstance(store, Path):
        yield store, lambda: None
        return
    with tempfile.TemporaryDirectory(prefix="medvision-") as name:
        staged = _Staged(Path(name), store)
        staged.recall()
        yield staged.folder, staged.publish_volumes
        staged.publish_volumes()
        staged.publish_tables()


class _Staged:
    """A volume that is published is an empty file here."""

    def __init__(self, folder: Path, remote: RemoteFolder) -> None:
        self.folder = folder
        self._remote = remote

    def recall(self) -> None:
        """Sidecars of what is published, whole; and how the STORE was de-identified."""
        make_folder(self.folder / VOLUMES)
        try:
            there = {file.url.rpartition("/")[2] for file in (self._remote / VOLUMES).files()}
            for name in (name.removesuffix(".json") for name in there if name.endswith(".json")):
                volume, sidecar = paths_of(self.folder, name)
                if volume.name in there:
                    self._remote.fetch(f"{VOLUMES}/{sidecar.name}", sidecar)
                    volume.touch()
            if self._remote.has(AUDIT_JSON):
                self._remote.fetch(AUDIT_JSON, self.folder / AUDIT_JSON)
        except FileNotFoundError:
            return
        except OSError as error:
            raise NetworkError(f"{self._remote} cannot be read: {error.strerror}") from error

    def publish_volumes(self) -> None:
        """Publish each volume that is complete: its sidecar is there."""
        for path in sorted((self.folder / VOLUMES).glob("*.json")):
            volume, sidecar = paths_of(self.folder, path.stem)
            if not volume.is_file() or volume.stat().st_size == 0:
                continue
            self._remote.remove(f"{VOLUMES}/{sidecar.name}")
            self._remote.put(volume, f"{VOLUMES}/{volume.name}")
            self._remote.put(sidecar, f"{VOLUMES}/{sidecar.name}")
            volume.write_bytes(b"")

    def publish_tables(self) -> None:
        """Publish all other files, the table of series last."""
        files = [path for path in sorted(self.folder.rglob("*")) if path.is_file() and self._is_other(path)]
        for path in sorted(files, key=lambda path: path.name == SERIES_CSV):
            self._remote.put(path, path.relative_to(self.folder).as_posix())

    def _is_other(self, path: Path) -> bool:
        is_volume = path.parent == self.folder / VOLUMES and path.name.endswith((".json", ".nii.gz"))
        return not (is_volume or path.name.startswith((".", INDEX)))
