"""A local store that was copied while in use, and put back: runs, registered models and files are there."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from mlflow import MlflowClient

from medvision.config.tracking import TrackingConfig
from medvision.tracking import start_run


def backup(source: Path, copy: Path) -> None:
    """What `sqlite3 SOURCE ".backup COPY"` does."""
    with closing(sqlite3.connect(source)) as used, closing(sqlite3.connect(copy)) as kept:
        used.backup(kept)


def test_what_was_there_at_the_backup_comes_back(tmp_path: Path) -> None:
    folder, kept = tmp_path / "store", tmp_path / "kept"
    folder.mkdir()
    kept.mkdir()
    database = folder / "mlflow.db"
    config = TrackingConfig(uri=f"sqlite:///{database}")
    note = tmp_path / "note"
    note.mkdir()
    (note / "words.txt").write_text("kept")
    with start_run(config, name="first", params={"a": 1}, tags={}) as first:
        first.log_folder(note, "note")
        first.log_metrics({"metric/x": 1.0})
    with start_run(config, name="second", params={}, tags={}) as second:
        backup(database, kept / "mlflow.db")
        shutil.copytree(folder / "mlflow-artifacts", kept / "mlflow-artifacts")
        second.log_metrics({"metric/x": 2.0})

    shutil.rmtree(folder)
    shutil.copytree(kept, folder)

    # By another name: until its process ends, MLflow keeps its connection to the file that is gone.
    config = TrackingConfig(uri=f"sqlite:///{folder / '..' / 'store' / 'mlflow.db'}")
    client = MlflowClient(config.uri)
    run = client.get_run(first.run_id)
    assert (run.data.params, run.data.metrics["metric/x"]) == ({"a": "1"}, 1.0)
    assert Path(client.download_artifacts(first.run_id, "note/words.txt")).read_text() == "kept"
    assert client.get_run(second.run_id).info.status == "RUNNING"
    with start_run(config, name="third", params={}, tags={}) as third:
        third.log_metrics({"metric/x": 3.0})
    assert client.get_run(third.run_id).info.status == "FINISHED"
