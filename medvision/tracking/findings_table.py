"""A detector behind MLflow's `predict`: paths of scans in, a table of findings out."""

from __future__ import annotations

import csv
import logging
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from mlflow.pyfunc import PythonModel

from medvision.contracts import load_contract
from medvision.errors import MedvisionError

if TYPE_CHECKING:
    from medvision.inference.detectors import Detector

logger = logging.getLogger(__name__)

EXAMPLE = ("/data/patient-1", "/data/patient-2.zip")
"""Folders, files or archives as `medvision infer` takes them."""
_FIRST = ("path", "problem")


class FindingsModel(PythonModel):  # type: ignore[misc]  # mlflow is not typed
    """Finds nodules in the scans at each path."""

    def load_context(self, context: Any) -> None:  # noqa: ANN401  a PythonModelContext
        """Load the weights once."""
        from medvision.inference.detectors import open_detector

        self._detector = open_detector(Path(context.artifacts["model"]))

    def predict(
        self,
        context: Any,  # noqa: ANN401, ARG002  MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Find nodules.

        Args:
            context: MLflow's.
            model_input: (n, 1) paths; MLflow makes this table of one path or a list of them.
            params: `fp_per_scan`, the false positives a scan that are accepted.

        Returns:
            A row a finding: `path`, then the columns of `findings.csv`. What could not be used
            of a path has a row that says why in `problem`; the others go on.
        """
        fp_per_scan = (params or {}).get("fp_per_scan")
        rows = [row for path in model_input.iloc[:, 0] for row in _rows(path, self._detector, fp_per_scan)]
        return _table(rows)


@cache
def findings_columns() -> dict[str, bool]:
    """Columns of the table, and whether they hold numbers."""
    found = {column.name: column.is_numeric for column in load_contract("findings").columns}
    return dict.fromkeys(_FIRST, False) | found


def _table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Numbers as numbers; None where there is nothing, because a served NaN is no JSON."""
    columns = findings_columns()
    table = pd.DataFrame(rows, columns=list(columns), dtype=object)
    for name, number in columns.items():
        cells = pd.to_numeric(table[name]) if number else table[name]
        table[name] = cells if cells.notna().all() else cells.astype(object).where(cells.notna(), None)
    return table


def _rows(path: str, detector: Detector, fp_per_scan: float | None) -> Iterable[dict[str, Any]]:
    """Findings of all scans at one path, and what could not be used."""
    from medvision.inference.cohort import infer

    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        try:
            infer([Path(path)], out, model=detector, formats=("csv",), fp_per_scan=fp_per_scan)
        except MedvisionError as error:
            return [{"path": path, "problem": str(error)}]
        problems = [
            {"path": path, "problem": ": ".join(filter(None, (row["reason"], row["detail"])))}
            for row in _read(out / "problems.csv")
        ]
        findings = [row for table in sorted(out.glob("*/findings.csv")) for row in _read(table)]
        return [*({"path": path, **_present(row)} for row in findings), *problems]


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _present(row: Mapping[str, str]) -> dict[str, str]:
    """Cells that hold something, so that the others become null."""
    return {key: value for key, value in row.items() if value}
