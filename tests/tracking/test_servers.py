"""Runs and models as a team keeps them: PostgreSQL for the records, S3 for the files, both on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("mlflow")
pytest.importorskip("psycopg")
from mlflow import MlflowClient

from medvision.config.tracking import TrackingConfig
from medvision.errors import OutputError
from medvision.tracking import resolve_model, start_run
from tests.orthanc import free_port

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # moto's and MLflow's own
BUCKET = "runs"


def _binary(name: str) -> Path | None:
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return versions[-1] if versions else None


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A database of its own, in a temporary folder."""
    initdb, server = _binary("initdb"), _binary("postgres")
    if initdb is None or server is None:
        pytest.skip("PostgreSQL's initdb is not installed")
    user = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    folder = Path("/tmp") / f"medvision-postgres-{os.getpid()}"  # noqa: S108  its user must reach it
    folder.mkdir(mode=0o777)
    if user:
        os.chown(folder, 65534, -1)
    data, port = folder / "data", free_port()
    made = [*user, initdb, "-D", data, "-U", "medvision", "-A", "trust", "--no-sync"]
    subprocess.run(made, check=True, capture_output=True, cwd=folder)
    options = ["-p", str(port), "-k", folder, "-h", "127.0.0.1", "-F"]
    running = subprocess.Popen(
        [*user, server, "-D", data, *options],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, running)
        yield f"postgresql+psycopg://medvision@127.0.0.1:{port}/postgres"
    finally:
        running.send_signal(signal.SIGINT)  # SIGTERM would wait for MLflow's open connections
        running.wait(timeout=30)
        shutil.rmtree(folder)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    import psycopg

    end = time.monotonic() + 60
    while time.monotonic() < end and server.poll() is None:
        try:
            psycopg.connect(host="127.0.0.1", port=port, user="medvision", dbname="postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"PostgreSQL does not answer (exit code {server.poll()})")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """An S3 of moto's."""
    server_module = pytest.importorskip("moto.server")
    import boto3

    server = server_module.ThreadedMotoServer("127.0.0.1", free_port(), verbose=False)
    server.start()
    with pytest.MonkeyPatch.context() as environment:
        address = "http://{}:{}".format(*server.get_host_and_port())
        environment.setenv("MLFLOW_S3_ENDPOINT_URL", address)
        environment.setenv("AWS_ACCESS_KEY_ID", "any")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "any")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3", endpoint_url=address).create_bucket(Bucket=BUCKET)
        yield f"s3://{BUCKET}"
    server.stop()


@pytest.fixture(scope="module")
def team(postgres: str, bucket: str) -> TrackingConfig:
    return TrackingConfig(uri=postgres, experiment="lungs", artifact_location=f"{bucket}/lungs")


def test_a_model_is_kept_on_s3_and_found_by_its_alias(team: TrackingConfig, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.yaml").write_text("name: tiny\n")
    with start_run(team, name="team", params={"seed": 1}) as run:
        run.log_metrics({"loss": 0.5}, step=1)
        run.log_folder(tmp_path / "model", "model")
        assert run.register("model", "nodules") == "1"

    recorded = MlflowClient(team.uri, team.uri).get_run(run.run_id)
    assert recorded.info.status == "FINISHED"
    assert recorded.info.artifact_uri.startswith("s3://runs/lungs/")
    found = resolve_model("models:/nodules@challenger", team.uri)
    assert (found / "model.yaml").read_text() == "name: tiny\n"


def test_a_bucket_that_is_not_there_is_one_line(team: TrackingConfig) -> None:
    lost = team.model_copy(update={"experiment": "lost", "artifact_location": "s3://nowhere/x"})
    with pytest.raises(OutputError, match="cannot record the run at postgresql") as caught:  # noqa: SIM117
        with start_run(lost, name="lost", params={"seed": 1}):
            pass
    assert "\n" not in str(caught.value)
