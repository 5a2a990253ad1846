"""Commands in a process of their own that reaches no other machine, with homes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPT = """
import json, sys
asked = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "urllib.Request"):
        local = event == "socket.getaddrinfo" and arguments[0] is None
        if local or "'127.0.0.1'" in repr(arguments):
            return
        asked.append([event, repr(arguments)])
        raise OSError("there is no network")
sys.addaudithook(watch)
import importlib, pkgutil
import medvision
from medvision.cli.main import COMMANDS, run
for name in COMMANDS:
    importlib.import_module(f"medvision.cli.{name}")
for command in json.loads(sys.argv[1]):
    print("exit code", run(command), flush=True)
print("asked", json.dumps(asked))
"""
HOMES = {"XDG_CACHE_HOME": "cache", "XDG_CONFIG_HOME": "config", "TMPDIR": "tmp"}
"""Environment variable, and the folder that it names."""


@dataclass(frozen=True)
class Gone:
    """What is there after the commands have gone through."""

    folder: Path
    stdout: str
    stderr: str

    @property
    def exit_codes(self) -> list[int]:
        """One a command."""
        return [int(line.split()[-1]) for line in self.stdout.splitlines() if line.startswith("exit code ")]

    @property
    def asked_nobody(self) -> bool:
        """Whether no other machine was asked for anything."""
        return self.stdout.splitlines()[-1] == "asked []"


def homes_of(folder: Path) -> dict[str, str]:
    """An environment in which caches, keys and temporary files lie in a folder."""
    (folder / "tmp").mkdir(exist_ok=True)
    return {**os.environ, **{name: str(folder / place) for name, place in HOMES.items()}}


def start_offline(
    folder: Path, commands: Sequence[Sequence[str]], **environment: str
) -> subprocess.Popen[str]:
    """Begin to run command lines, one after another."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)],
        env=homes_of(folder) | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )


def run_offline(folder: Path, commands: Sequence[Sequence[str]], **environment: str) -> Gone:
    """Run command lines one after another."""
    with start_offline(folder, commands, **environment) as process:
        stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return Gone(folder, stdout, stderr)
