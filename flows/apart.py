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

    A training wants a main thread, which Ctrl-C and signals reach, and should give all its memory back.
    """
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=set_verbosity, initargs=(0,)) as pool:
        return pool.submit(partial(function, *args, **kwargs)).result()
