"""What a run says of where it came from: code, data, machine, and a few words for a person."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import medvision

_LONGEST_DIGEST = 36  # these two are limits of MLflow
_LONGEST_DESCRIPTION = 5000
_TOLD = ("cpm", "auc", "accuracy", "sensitivity", "ece", "brier")
"""Figures that belong into a description: those whose name ends so."""
_SOURCES = ("cohort", "manifest", "folder", "npz", "label")
"""Keys of a configuration's `data` that say what is learnt from."""


@dataclass(frozen=True, slots=True)
class DataIdentity:
    """Which data, without saying whose.

    Attributes:
        name: such as "cohort".
        part: `training`, `validation` or `cross-validation`; MLflow calls it the context.
        digest: the same for the same data, see `data_digest`.
        source: where it lies.
        counts: such as patients, series and nodules.
    """

    name: str
    part: str
    digest: str
    source: str
    counts: Mapping[str, int] = field(default_factory=dict)

    def to_mlflow(self) -> Any:  # noqa: ANN401  a DatasetInput; mlflow may be absent
        """As an input of a run."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=self.name,
            digest=self.digest,
            source_type="local",
            source=json.dumps({"uri": self.source}),
            profile=json.dumps(dict(self.counts)),
        )
        return DatasetInput(dataset, [InputTag("mlflow.data.context", self.part)])


def data_digest(rows: Iterable[Iterable[object]]) -> str:
    """Hash of rows in whatever order, such as Series Instance UIDs with their nodules.

    It covers all rows together, so it tells two data sets apart and reveals no single row.
    """
    lines = sorted(json.dumps(list(row), default=str) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:_LONGEST_DIGEST]


def source_tags() -> dict[str, str]:
    """Command, version and, in a checkout, the commit."""
    from mlflow.utils.git_utils import get_git_commit

    tags = {"mlflow.source.name": "medvision train", "medvision.version": medvision.__version__}
    commit = get_git_commit(str(Path(medvision.__file__).parent))
    return tags | ({"mlflow.source.git.commit": commit} if commit else {})


@contextmanager
def system_metrics(run_id: str, uri: str, *, resume: bool) -> Iterator[None]:
    """Record processor, memory, disk and network every ten seconds, where psutil is installed.

    `MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING=false` switches it off, as everywhere in MLflow.
    """
    if os.environ.get("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "").lower() == "false":
        yield
        return
    try:
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
    except ImportError:  # psutil
        yield
        return

    class PatientMonitor(SystemMetricsMonitor):  # type: ignore[misc]  # mlflow has no types
        """Goes on where MLflow's own ends for good: when the server has been away once."""

        def monitor(self) -> None:
            while not self._shutdown_event.is_set():
                super().monitor()
                self._shutdown_event.wait(self.sampling_interval)

    monitor = PatientMonitor(run_id, resume_logging=resume, tracking_uri=uri)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


def describe(params: Mapping[str, Any], figures: Mapping[str, float], changed: Mapping[str, Any]) -> str:
    """What a person reads first, in Markdown: how well it went, what was learnt from, what was set.

    The pages of runs show the first lines only, and the table of a model's versions shows it as plain text.

    Args:
        params: all settings, nested.
        figures: what the training ended with.
        changed: the settings that are not the default, by dotted name.
    """
    told = [f"{name} {value:.4f}" for name, value in figures.items() if name.rpartition("/")[2] in _TOLD]
    data = params.get("data", {})
    sources = [f"{key} `{value}`" for key, value in data.items() if key in _SOURCES and value]
    known = {f"data.{key}" for key in _SOURCES}
    settings = [f"{name} `{value}`" for name, value in changed.items() if name not in known]
    head = str(params.get("task", "training")) + (f": {', '.join(told)}" if told else "")
    lists = {"learnt from": sources, "set": settings}
    more = [f"{what}: {', '.join(said)}" for what, said in lists.items() if said]
    return "\n\n".join([head, *more])[:_LONGEST_DESCRIPTION]
