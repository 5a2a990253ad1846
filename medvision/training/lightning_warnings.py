"""Warnings of Lightning that say nothing to our users."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_EXPECTED = (
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning 2.6 beside torch 2.13
    r"Checkpoint directory .* exists and is not empty",  # an interrupted training goes on there
    r"Found \d+ module\(s\) in eval mode",  # frozen layers are meant to be
)


@contextmanager
def without_expected_warnings() -> Iterator[None]:
    """Run a Trainer without the warnings that are known and mean nothing."""
    with warnings.catch_warnings():
        for message in _EXPECTED:
            warnings.filterwarnings("ignore", message=message)
        yield
