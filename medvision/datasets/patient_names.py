"""Patients in the names of files, as a regular expression of the user's own describes them."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Collection, Sequence

from medvision.errors import ConfigError

PATIENCE_SECONDS = 60.0
"""For all names together; a sound pattern takes a microsecond a name."""


def patients_in(names: Collection[str], pattern: str) -> dict[str, str]:
    r"""What the pattern's first group holds of each name; empty where the name does not fit.

    A pattern with nested repetition can try for ever, and nothing in the same process can stop it: so another
    one searches, and is ended when it takes too long.

    Args:
        names: of files, without their folders.
        pattern: such as `(P\d+)_`.

    Raises:
        ConfigError: the pattern is none, has no group, or takes too long.
    """
    _check(pattern)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        searching = pool.apply_async(_search, (list(names), pattern))
        try:
            return searching.get(PATIENCE_SECONDS)
        except multiprocessing.TimeoutError:
            raise ConfigError(
                f"patient pattern {pattern!r} takes more than {PATIENCE_SECONDS:g} s on {len(names)} names; "
                "write it without repetition inside repetition, such as '(P\\d+)_'"
            ) from None


def _check(pattern: str) -> None:
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"patient pattern {pattern!r} is no regular expression: {error}") from error
    if not compiled.groups:
        raise ConfigError(f"patient pattern {pattern!r} has no group; write such as '(P\\d+)_'")


def _search(names: Sequence[str], pattern: str) -> dict[str, str]:
    found = map(re.compile(pattern).search, names)
    return {name: (match[1] or "") if match else "" for name, match in zip(names, found, strict=True)}
