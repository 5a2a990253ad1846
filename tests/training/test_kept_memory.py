"""Memory that a training step frees stays with the process, and goes back in the end."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest
import torch

from medvision.training import kept_memory
from medvision.training.kept_memory import kept_memory as kept

PIXELS = 16 << 20
"""Of float32: a block of 64 MiB, more than glibc ever keeps by itself."""


STEPS = f"""
import resource, torch
from medvision.training.kept_memory import kept_memory

def faults_of_a_step():
    for _ in range(8):
        torch.ones({PIXELS})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones({PIXELS})
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(faults_of_a_step())
with kept_memory():
    print(faults_of_a_step())
print(faults_of_a_step())
"""
"""Pages that the system clears for four blocks, after some for which room is found."""


needs_glibc = pytest.mark.skipif(kept_memory._glibc() is None, reason="only glibc can be told so")


@needs_glibc
def test_pages_are_cleared_once_and_not_each_time():
    """In a process of its own: what others have freed before would be room enough."""
    told = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True).stdout
    before, meanwhile, after = map(int, told.split())
    assert meanwhile < before / 10
    assert after > before / 2


@needs_glibc
def test_what_was_kept_goes_back_in_the_end():
    program = (
        "import torch\n"
        "from medvision.training.kept_memory import kept_memory\n"
        "held = lambda: int(open('/proc/self/statm').read().split()[1])\n"
        "with kept_memory():\n"
        f"    torch.ones({PIXELS})\n"
        "    meanwhile = held()\n"
        "print(meanwhile - held())\n"
    )
    freed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(freed.stdout) * resource.getpagesize() > PIXELS


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept_memory.ctypes, "CDLL", lambda _: object())
    with kept():
        assert torch.ones(2).sum() == 2


@needs_glibc
def test_an_error_inside_is_not_lost():
    with pytest.raises(ValueError, match="inside"), kept():
        raise ValueError("inside")
