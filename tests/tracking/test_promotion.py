"""The gate from end to end: registered models, a STORE, aliases."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("mlflow")
from mlflow import MlflowClient

from medvision.cli.main import run
from medvision.errors import ModelError
from medvision.evaluation.promotion import Margins
from medvision.findings import Candidate
from medvision.models.card import TrainingRecord
from medvision.models.detector_card import load_detector_card
from medvision.models.leakage import hash_all
from medvision.tracking import promotion
from medvision.tracking.promotion import promote
from medvision.volumes import Scan
from tests.tracking.conftest import Registered
from tests.training.test_detection import NODULES

ANY_TIME = Margins(time=1000.0)


@dataclass(frozen=True)
class Gate:
    """One registered model and what is told of its versions."""

    registered: Registered
    store: Path
    name: str

    def __call__(self, margins: Margins = ANY_TIME, **options: Any) -> Any:
        return promote(
            self.name,
            self.store,
            uri=self.registered.settings.uri,
            margins=margins,
            device="cpu",
            bootstrap=100,
            **options,
        )

    @property
    def aliases(self) -> dict[str, str]:
        model = self.client.get_registered_model(self.name)
        return {alias: str(version) for alias, version in model.aliases.items()}

    @property
    def client(self) -> MlflowClient:
        uri = self.registered.settings.uri
        return MlflowClient(tracking_uri=uri, registry_uri=uri)

    def tags(self, version: str) -> dict[str, str]:
        found: dict[str, str] = self.client.get_model_version(self.name, version).tags
        return found


class _Proposer:
    """Stands in for the networks, which take seconds a scan: one hit, one false mark of probability 0.5."""

    device = "cpu"

    def __init__(self, model: Path, _: str) -> None:
        self.card = load_detector_card(model)

    def predict(self, _: Scan) -> SimpleNamespace:
        places = (NODULES[0], (500.0, 0.0, 0.0))
        return SimpleNamespace(candidates=tuple(Candidate(place, 0.5, 0.5, 10.0) for place in places))


@pytest.fixture
def gate(
    registered: Registered,
    labelled_store: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Gate:
    monkeypatch.setattr(promotion, "open_detector", _Proposer)
    return Gate(registered, labelled_store, request.node.name)


def test_the_first_is_champion_and_an_equal_one_takes_its_place(gate: Gate) -> None:
    gate.registered.add(gate.name)
    first = gate()
    assert (first.promoted, first.champion, first.checks) == (True, None, ())
    assert gate.aliases == {"champion": "1"}

    gate.registered.add(gate.name)
    assert gate.aliases == {"champion": "1", "challenger": "2"}
    second = gate()

    assert second.promoted
    assert second.exit_code == 0
    assert [check.worse_by for check in second.checks[:3]] == [0.0, 0.0, 0.0]
    assert (second.scans, second.patients, second.nodules) == (3, 3, 6)
    assert gate.aliases == {"champion": "2", "former_champion": "1"}
    tags = gate.tags("2")
    assert (tags["gate.verdict"], tags["gate.against"]) == ("passed", "1")
    assert tags["gate.cohort"] == first.cohort == second.cohort


def test_more_false_marks_are_refused_with_figures(gate: Gate) -> None:
    gate.registered.add(gate.name, threshold=1.0)
    gate()
    gate.registered.add(gate.name, threshold=0.0)
    result = gate()

    assert not result.promoted
    assert result.exit_code == 3
    (false_marks,) = [check for check in result.checks if check.verdict == "worse"]
    assert false_marks.name == "false_positives"
    assert false_marks.champion == 0
    assert false_marks.challenger == 1
    assert result.checks[0].challenger == 0.5
    assert gate.aliases == {"champion": "1", "challenger": "2"}
    assert gate.tags("2")["gate.verdict"] == "refused"
    assert "worse" in gate.tags("2")["gate.false_positives"]
    assert gate(Margins(false_positives=1000, time=1000)).promoted


def test_one_that_knows_the_cohort_is_refused_unseen(gate: Gate) -> None:
    gate.registered.add(gate.name)
    gate()
    known = _learnt_from("1.2.3.2")
    gate.registered.add(gate.name, training=known)
    result = gate()

    assert (result.seen, result.checks, result.exit_code) == (1, (), 3)
    assert gate.aliases["champion"] == "1"


def _learnt_from(uid: str) -> TrainingRecord:
    from tests.models.cards import tiny_card

    salt = "00"
    return tiny_card().training.model_copy(update={"salt": salt, "series_hashes": hash_all(salt, [uid])})


@pytest.mark.parametrize(
    ("alias", "words"), [("challenger", "has no alias challenger"), ("champion", "is the champion already")]
)
def test_what_cannot_be_promoted_is_said(gate: Gate, alias: str, words: str) -> None:
    gate.registered.add(gate.name)
    gate()
    with pytest.raises(ModelError, match=words):
        gate(challenger=alias)


def test_no_such_model_or_store(gate: Gate, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no registered model") as caught:
        gate()
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="no MLflow store"):
        promote("x", gate.store, uri=f"sqlite:///{tmp_path}/none.db")


def test_the_command_says_it_in_words_and_as_json(gate: Gate, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", gate.registered.settings.uri)
    gate.registered.add(gate.name, threshold=1.0)
    command = ["models", "promote", gate.name, "--cohort", str(gate.store), "--bootstrap", "100"]
    command += ["--annotations", str(gate.store / "annotations.csv"), "--margin", "time=1000"]
    assert run(command) == 0
    assert "is the first champion" in capsys.readouterr().out
    gate.registered.add(gate.name, threshold=0.0)
    assert run([*command, "--json"]) == 3
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["checks"][1]["verdict"] == "worse"
    assert run(command) == 3
    assert "refused" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("margin", ["speed=1", "time=fast", "time=-1", "time=nan"])
def test_a_margin_that_is_none(margin: str, tmp_path: Path) -> None:
    assert run(["models", "promote", "x", "--cohort", str(tmp_path), "--margin", margin]) == 2
