"""What a runner is called on the command line and in a deployment."""

from __future__ import annotations

from medvision.errors import UsageError

LOCAL = "local"
DASK = "dask"
_SCHEMES = ("dask://", "tcp://", "tls://")


def check_runner(name: str) -> str:
    """A runner that can be asked for: `local`, `dask` or a scheduler's address.

    Raises:
        UsageError: it is none.
    """
    if name in (LOCAL, DASK) or any(name.startswith(s) and len(name) > len(s) for s in _SCHEMES):
        return name
    raise UsageError(f"{name!r}: choose local, dask, or a scheduler's address such as dask://host:8786")


def scheduler_address(name: str) -> str:
    """Where the scheduler is, as Dask writes it; empty where a cluster of this machine is meant."""
    return "" if name == DASK else name.replace("dask://", "tcp://", 1)
