"""Work in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

from medvision.cli.console import set_verbosity

P = ParamSpec("P")
R = TypeVar("R")


def run_apart(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a function in a new process and return its result, or raise its error.

    Prefect has threads of its own, and a process forked beside them, as those of a DataLoader are, may
    hang or end with an error. In the new process there are none.
    """
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=set_verbosity, initargs=(0,)) as pool:
        return pool.submit(partial(function, *args, **kwargs)).result()
