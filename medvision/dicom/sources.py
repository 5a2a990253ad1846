"""Every file under the sources a user named: files, folder trees, archives; links followed, loops not."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medvision.dicom.archives import Workspace, is_archive, unpack
from medvision.dicom.problems import Problem, Reason


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to look at.

    Attributes:
        path: where its bytes lie.
        shown: what the user is told; for an archive's member, the archive and the name inside.
        size: bytes.
        workspace: keeps an unpacked file alive as long as anything refers to it; not sent to workers.
    """

    path: Path
    shown: str
    size: int
    workspace: Workspace | None = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> tuple[type[SourceFile], tuple[Path, str, int]]:
        return SourceFile, (self.path, self.shown, self.size)


def gather(sources: Sequence[Path]) -> tuple[list[SourceFile], list[Problem]]:
    """List every regular file, each once, whatever links and overlapping sources lead to it."""
    files: list[SourceFile] = []
    problems: list[Problem] = []
    workspace: Workspace | None = None
    for item in _walk(sources):
        if isinstance(item, Problem):
            problems.append(item)
        elif is_archive(item.shown):
            workspace = workspace or Workspace()
            members, bad = unpack(item.path, item.shown, workspace)
            files += [
                SourceFile(m.path, printable(m.shown), m.path.stat().st_size, workspace) for m in members
            ]
            problems += bad
        else:
            files.append(item)
    return files, problems


def printable(path: Path | str) -> str:
    """A path as text that every file and terminal can take, whatever bytes the name holds."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


def _walk(sources: Sequence[Path]) -> Iterator[SourceFile | Problem]:
    """Depth first, in name order; a folder or file that was seen already is passed over."""
    seen: set[tuple[int, int]] = set()
    waiting = [Path(source) for source in reversed(sources)]
    while waiting:
        path = waiting.pop()
        try:
            info = path.stat()
            if (info.st_dev, info.st_ino) in seen:
                continue
            seen.add((info.st_dev, info.st_ino))
            if stat.S_ISDIR(info.st_mode):
                waiting += sorted(path.iterdir(), reverse=True)
                continue
        except OSError as error:
            reason: Reason = "not_found" if isinstance(error, FileNotFoundError) else "unreadable"
            yield Problem(printable(path), reason, error.strerror or type(error).__name__)
            continue
        if stat.S_ISREG(info.st_mode):
            yield SourceFile(path, printable(path), info.st_size)
        else:
            yield Problem(printable(path), "not_a_file", "a device, pipe or socket")
