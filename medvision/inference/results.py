"""OUT, in a folder or behind an address.

Behind an address, a case is written here and published: its files appear there whole, `report.json` last, so
that a case with a report is complete. Of a case that is published, only what the tables need stays here.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medvision.dicom.archives import Workspace
from medvision.errors import NetworkError, OutputError
from medvision.files import make_folder, remove
from medvision.inference.case import CANDIDATES, REPORT
from medvision.remote.places import Place, RemoteFolder
from medvision.reporting.thumbnails import THUMBNAIL

KEPT = (REPORT, CANDIDATES, THUMBNAIL)
"""What the tables of a run are made of, a case."""
_PROBE = ".medvision-write-test"


@dataclass(frozen=True, slots=True)
class Results:
    """Where results go; sent to another machine, it has a folder of its own there.

    Attributes:
        folder: to write into, on this machine.
        remote: where that is published; None where the folder is OUT itself.
        workspace: keeps a temporary folder as long as anything refers to it.
    """

    folder: Path
    remote: RemoteFolder | None = None
    workspace: Workspace | None = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_open, (self.remote,)) if self.remote else (Results, (self.folder.resolve(),))

    @property
    def place(self) -> Place:
        """OUT as the user named it."""
        return self.remote or self.folder

    def recall(self, name: str) -> None:
        """Bring here what is published of a case, where it is complete.

        Raises:
            NetworkError: the address does not answer.
        """
        if self.remote is None or (self.folder / name / REPORT).is_file():
            return
        folder = make_folder(self.folder / name)
        for file in KEPT:
            try:
                self.remote.fetch(f"{name}/{file}", folder / file)
            except FileNotFoundError:
                if file == REPORT:
                    return
            except OSError as error:
                raise NetworkError(f"{self.remote}/{name} cannot be read: {error.strerror}") from error

    def publish(self, name: str) -> None:
        """Publish a case that is written, its report last.

        Raises:
            OutputError: it cannot be written there.
        """
        if self.remote is None:
            return
        folder = self.folder / name
        files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
        for file in sorted(files, key=lambda file: file.name == REPORT):
            self.remote.put(file, f"{name}/{file.name}")
            if file.name not in KEPT:
                file.unlink()

    def forget(self, name: str) -> None:
        """A published case is of no more use here."""
        if self.remote is not None:
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def withdraw(self, name: str, file: str) -> None:
        """Remove a file of a case, where it is there.

        Raises:
            OutputError: it cannot be removed.
        """
        remove(self.folder / name / file)
        if self.remote is not None:
            self.remote.remove(f"{name}/{file}")

    def publish_file(self, name: str) -> None:
        """Publish one file, such as a table.

        Raises:
            OutputError: it cannot be written there.
        """
        if self.remote is not None:
            self.remote.put(self.folder / name, name)


def open_results(out: Place) -> Results:
    """Make OUT where it is not there, and prove that it can be written.

    Raises:
        OutputError: it cannot.
    """
    if isinstance(out, Path):
        return Results(make_folder(out))
    results = _open(out)
    probe = results.folder / _PROBE
    probe.touch()
    try:
        out.put(probe, _PROBE)
        out.remove(_PROBE)
    except OutputError as error:
        raise OutputError(f"{error}; choose another place, or look at its permissions") from error
    probe.unlink()
    return results


def _open(remote: RemoteFolder) -> Results:
    workspace = Workspace()
    return Results(workspace.folder, remote, workspace)
