"""Patients in the names of files, as a regular expression of the user's own describes them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Collection

from medvision.errors import ConfigError

PATIENCE_SECONDS = 60.0
"""For all names together; a sound pattern takes a microsecond a name."""

_SEARCH = """
import json, re, sys
pattern, names = json.load(sys.stdin)
found = map(re.compile(pattern).search, names)
json.dump({name: (match[1] or "") if match else "" for name, match in zip(names, found)}, sys.stdout)
"""


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
    try:
        searched = subprocess.run(  # noqa: S603  our own words; pattern and names are only read
            [sys.executable, "-I", "-c", _SEARCH],
            input=json.dumps([pattern, list(names)]),
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(
            f"patient pattern {pattern!r} takes more than {PATIENCE_SECONDS:g} s on {len(names)} names; "
            "write it without repetition inside repetition, such as '(P\\d+)_'"
        ) from None
    found: dict[str, str] = json.loads(searched.stdout)
    return found


def _check(pattern: str) -> None:
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"patient pattern {pattern!r} is no regular expression: {error}") from error
    if not compiled.groups:
        raise ConfigError(f"patient pattern {pattern!r} has no group; write such as '(P\\d+)_'")
