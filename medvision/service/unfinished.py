"""Studies of which an association has brought something and not yet ended well, so that a restart knows them.

One empty file a study: it is made with the first object and goes with the association's release. What is left
after a cut line or a killed process means that the sender owes the rest.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from medvision.files import make_folder


class Unfinished:
    """A folder of markers; safe for several threads."""

    def __init__(self, folder: Path) -> None:
        """Open or make the folder, with what the last process left in it."""
        self._folder = make_folder(folder)
        self._studies = {path.name for path in folder.iterdir()}

    def __contains__(self, study: str) -> bool:
        return study in self._studies

    def mark(self, study: str) -> None:
        """Something of a study has come. Without room for a marker the study is kept all the same."""
        if study not in self._studies:
            with suppress(OSError):
                (self._folder / study).touch()
            self._studies.add(study)

    def clear(self, studies: Collection[str]) -> None:
        """Nobody owes anything of these studies."""
        for study in studies:
            self._studies.discard(study)
            with suppress(OSError):
                (self._folder / study).unlink()
