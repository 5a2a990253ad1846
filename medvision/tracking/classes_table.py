"""A classifier behind MLflow's `predict`: paths of patches or pictures in, a table of probabilities out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.pyfunc import PythonModel

from medvision.errors import MedvisionError

EXAMPLE = ("/data/patch-1.npy", "/data/patch-2.nii.gz")
"""Files as the training took them: patches, pictures or volumes."""


class ClassesModel(PythonModel):  # type: ignore[misc]  # mlflow is not typed
    """Judges the file at each path."""

    def load_context(self, context: Any) -> None:  # noqa: ANN401  a PythonModelContext
        """Load the weights once."""
        from medvision.inference.classifiers import open_classifier

        self._classifier = open_classifier(Path(context.artifacts["model"]))

    def predict(
        self,
        context: Any,  # noqa: ANN401, ARG002  MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> pd.DataFrame:
        """Judge files.

        Args:
            context: MLflow's.
            model_input: (n, 1) paths; MLflow makes this table of one path or a list of them.
            params: none are known.

        Returns:
            A row a path: `path`, `problem` where it could not be used, and the probabilities: `probability`
            of the positive class of patches, `probability <class>` of each class of pictures.
        """
        rows = [self._row(path) for path in model_input.iloc[:, 0]]
        table = pd.DataFrame(rows, columns=["path", "problem", *self._classifier.columns], dtype=object)
        return table.where(table.notna(), None)  # because a served NaN is no JSON

    def _row(self, path: str) -> dict[str, Any]:
        try:
            return {"path": path, **self._classifier.judge(Path(path))}
        except MedvisionError as error:
            return {"path": path, "problem": str(error)}
