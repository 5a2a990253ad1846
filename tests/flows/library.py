"""What flows call, without the work."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from medvision.reporting.worklist import write_worklist

NO_PROBLEMS = "path,reason,detail\n"


@dataclass
class Library:
    """Stands in for the library: each job writes what it was given, and its name is noted."""

    calls: list[str] = field(default_factory=list)

    def simulate(self, out: Path, *, patients: int, seed: int, **_: object) -> None:
        self.calls.append("simulate")
        (out / "dicom").mkdir(parents=True)
        (out / "dicom" / "ct.dcm").write_text(f"{patients} {seed}")
        for name in ("annotations.csv", "seriesuids.csv", "truth.json"):
            (out / name).write_text(f"{name} {patients} {seed}")

    def ingest(self, sources: list[Path], store: Path, **_: object) -> Any:
        from medvision.dicom.store import IngestResult

        self.calls.append("ingest")
        store.mkdir(exist_ok=True)
        (store / "series.csv").write_text((sources[0] / "ct.dcm").read_text())
        (store / "problems.csv").write_text(NO_PROBLEMS)
        return IngestResult(store, 1, 0, 0, 0, 0, 0)

    def train(self, config: Any, **_: object) -> Any:
        from medvision.training.result import TrainResult

        self.calls.append("train")
        (cohort,) = config.data.cohort
        config.output.mkdir(exist_ok=True)
        (config.output / "model.yaml").write_text(f"{(cohort / 'series.csv').read_text()} {config.seed}")
        return TrainResult(config.output, "run", "1", {"loss": 0.5})

    def infer(self, _: list[Path], out: Path, *, model: Path, **__: object) -> Any:
        self.calls.append("infer")
        out.mkdir(exist_ok=True)
        (out / "predictions.csv").write_text((model / "model.yaml").read_text())
        (out / "run.json").write_text("{}")
        (out / "problems.csv").write_text(NO_PROBLEMS)
        write_worklist([], out)
        counts = {"processed": 1, "failed": 0}
        return SimpleNamespace(exit_code=0, counts=counts, worklist=out / "worklist.html")

    def evaluate(self, *paths: Path, **_: object) -> Any:
        self.calls.append("evaluate")
        out = paths[-1]
        out.mkdir(exist_ok=True)
        (out / "froc.json").write_text("{}")
        (out / "froc.png").write_bytes(b"a curve")
        froc = {"cpm": 0.5, "cpm_lower": 0.25, "cpm_upper": 0.75, "n_nodules": 3, "n_scans": 2}
        return SimpleNamespace(to_dict=lambda: froc)
