"""`python -m benchmarks [NAME]... [--quick]`: runs all benchmarks, or those named; a table each."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from pathlib import Path

HELPERS = {"__init__", "__main__", "nodule_masks", "nodule_scans", "nodules", "series", "timing", "watching"}
NAMES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in HELPERS)


def main(chosen: list[str]) -> int:
    if unknown := set(chosen) - set(NAMES):
        print(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    print(f"Python {platform.python_version()}, {len(os.sched_getaffinity(0))} cores, {_processor()}")
    for name in chosen or NAMES:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"\n### {name}\n{module.__doc__}", flush=True)
        module.main()
    return 0


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine()
    )


if __name__ == "__main__":
    sys.exit(main([name for name in sys.argv[1:] if name != "--quick"]))  # the benchmarks look for it
