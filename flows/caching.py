"""When a task may be skipped: the same settings, the same content of its input, the same code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from pydantic import BaseModel

import medvision
from medvision.config.base import config_sha256
from medvision.files import file_sha256

if TYPE_CHECKING:
    from prefect import Task

P = ParamSpec("P")
R = TypeVar("R")

IRRELEVANT = frozenset({"workers"})
"""Parameters that change how long a task takes and not what it makes."""

CacheKey = Callable[[Any, dict[str, Any]], str]


def reuse(task: Task[P, R], *inputs: str, product: Path) -> Task[P, R]:
    """Let a task be skipped when it has run before on the same content and its product is still there.

    Args:
        task: the task.
        inputs: names of the parameters whose files' content counts.
        product: the last file that the task writes.
    """
    return task.with_options(
        cache_key_fn=by_content(*inputs),
        persist_result=True,
        result_serializer="json",
        refresh_cache=not product.exists(),
    )


def by_content(*inputs: str) -> CacheKey:
    """A cache key: the content of the named parameters' files, the value of the others, and the code."""

    def key(context: Any, parameters: dict[str, Any]) -> str:  # noqa: ANN401  a TaskRunContext
        parts = [context.task.task_key, code_sha256()]
        for name in sorted(parameters.keys() - IRRELEVANT):
            parts.append(f"{name}={_describe(parameters[name])}")
            if name in inputs:
                parts.append(content_sha256(parameters[name]))
        return _sha256("\n".join(parts).encode())

    return key


def content_sha256(paths: Path | Iterable[Path]) -> str:
    """Hash of files and folders: names inside a folder and content; hidden files left out."""
    chosen = [paths] if isinstance(paths, Path) else paths
    lines = [f"{name} {file_sha256(file)}" for path in chosen for name, file in _files(path)]
    return _sha256("\n".join(lines).encode())


@cache
def code_sha256() -> str:
    """Hash of the installed package: other code may make other results."""
    package = Path(medvision.__file__).parent
    sources = [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return _sha256("\n".join(file_sha256(path) for path in sorted(sources)).encode())


def _files(path: Path) -> list[tuple[str, Path]]:
    """Name relative to `path`, and path, of the file or of every file in the folder, in a fixed order."""
    if path.is_file():
        return [(path.name, path)]
    found = sorted((file.relative_to(path), file) for file in path.rglob("*") if file.is_file())
    return [(str(name), file) for name, file in found if not any(p.startswith(".") for p in name.parts)]


def _describe(value: object) -> str:
    return config_sha256(value) if isinstance(value, BaseModel) else repr(value)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
