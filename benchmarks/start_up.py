"""Start-up: how long a user waits for --help."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.timing import Row, best_of, command, print_table

PROGRAMS = Path(sys.executable).parent


def main() -> None:
    print_table(_rows())


def _rows() -> Iterator[Row]:
    for name, arguments in (
        ("medvision", ["--help"]),
        ("medvision", ["infer", "--help"]),
        ("mlflow", ["--help"]),
        ("prefect", ["--help"]),
    ):
        if (PROGRAMS / name).exists():
            yield Row(f"{name} {' '.join(arguments)}", best_of(command([str(PROGRAMS / name), *arguments])))
    yield Row("python -c 'import medvision'", best_of(command([sys.executable, "-c", "import medvision"])))
    yield Row("python -c pass", best_of(command([sys.executable, "-c", "pass"])))


if __name__ == "__main__":
    main()
