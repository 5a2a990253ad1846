"""The whole road on simulated patients, from DICOM to reports, as one flow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import flow

from flows import tasks
from flows.caching import reuse
from medvision.config.base import load_config
from medvision.config.detection import DetectionConfig

LEARN_SEED, UNSEEN_SEED = 1, 2
BOOTSTRAP = 1000


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo made.

    Attributes:
        training: model directory, MLflow run, registered version, metrics.
        inference: exit code, counts, worklist.
        froc: what `froc.json` says of the unseen patients.
    """

    training: dict[str, Any]
    inference: dict[str, Any]
    froc: dict[str, Any]


@flow(name="medvision demo", flow_run_name="demo in {folder}", validate_parameters=False)
def demo(
    folder: Path, recipe: Path, patients: int, unseen: int, workers: int, overrides: list[str]
) -> DemoResult:
    """Simulate, ingest, train, find nodules in unseen patients, evaluate.

    Args:
        folder: everything is written here.
        recipe: configuration of the training.
        patients: simulated patients to learn from.
        unseen: other simulated patients, to find nodules in and to be measured on.
        workers: processes to use.
        overrides: changes of the recipe, `key=value`.
    """
    cohort, others, store = folder / "cohort", folder / "unseen", folder / "store"
    for out, number, seed in ((cohort, patients, LEARN_SEED), (others, unseen, UNSEEN_SEED)):
        simulate = reuse(tasks.simulate_patients, product=out / "truth.json")
        simulate(out, number, seed, "small", workers)

    ingest = reuse(tasks.ingest_scans, "sources", product=store / "series.csv")
    ingest([cohort / "dicom"], store, workers)
    tasks.label_store(cohort, store)

    config = _settings(folder, recipe, overrides)
    train = reuse(tasks.train_detector, "cohorts", product=config.output / "model.yaml")
    training = train(config, [store], resume=True)

    out = folder / "out"
    find = reuse(tasks.find_nodules, "sources", "model", product=out / "run.json")
    inference = find([others / "dicom"], config.output, out, workers, resume=True)

    evaluation = folder / "evaluation"
    evaluate = reuse(tasks.evaluate_predictions, "predictions", "cohort", product=evaluation / "froc.json")
    froc = evaluate(out / "predictions.csv", others, evaluation, BOOTSTRAP)
    return DemoResult(training, inference, froc)


def _settings(folder: Path, recipe: Path, overrides: list[str]) -> DetectionConfig:
    ours = (
        f"output={folder / 'model'}",
        f"data.cohort=[{folder / 'store'}]",
        f"tracking.uri=sqlite:///{folder / 'mlflow.db'}",
    )
    return load_config(recipe, DetectionConfig, [*ours, *overrides])
