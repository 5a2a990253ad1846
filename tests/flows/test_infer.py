"""The flow gives the command's files; a case is a task; what is finished stays; failures are seen."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prefect")
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun

import flows.cases
from flows.cases import short_name
from flows.endings import NOTHING_USABLE, SOME_FAILED, WITH_FAILURES
from flows.infer import infer
from flows.parameters import InferSettings
from medvision.dicom.entries import RejectedSeriesError
from medvision.errors import DataError
from medvision.files import write_text
from medvision.inference import working
from medvision.inference.case import CANDIDATES, COLUMNS, REPORT, CaseSettings
from medvision.inference.cohort import infer as bare_infer
from medvision.models.directory import save_model
from medvision.reporting.build import read_report
from medvision.reporting.report import Report
from medvision.volumes import Scan
from tests.dicom.builders import edit
from tests.flows.servers import wait_until
from tests.inference.test_cohort import files, write_body
from tests.models.cards import tiny_card, tiny_detector

SERIES = ("1.2.3.1", "1.2.3.2")
SETTINGS = InferSettings(formats=("json",), threshold=0.0)

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_model(folder, tiny_card(), tiny_detector())
    return folder


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for uid in SERIES:
        write_body(tmp_path / "scans" / uid, uid, spacing_mm=8.0)
    return tmp_path / "scans"


@pytest.fixture
def run(scans: Path, model: Path, tmp_path: Path) -> Callable[..., Any]:
    """Run the flow; returns its final state."""

    def run(settings: InferSettings = SETTINGS, **options: Any) -> Any:
        return infer(
            [scans],
            str(options.pop("model", model)),
            tmp_path / "out",
            1,
            settings,
            return_state=True,
            **options,
        )

    return run


class Quick:
    """In place of `process_case`: raises what is planned for a series, else writes a report at once."""

    def __init__(self, report: Report) -> None:
        self.plan: dict[str, list[Exception]] = {}
        self.tried: list[str] = []
        self._report = report

    def __call__(self, scan: Scan, folder: Path, _: object, settings: CaseSettings, *__: object) -> Any:
        self.tried.append(scan.name)
        if self.plan.get(scan.name):
            raise self.plan[scan.name].pop(0)
        lineage = self._report.lineage.model_copy(
            update={"input_sha256": scan.input_sha256, "config_sha256": settings.config_sha256}
        )
        series = self._report.series.model_copy(
            update={"name": scan.name, "series_instance_uid": scan.series_instance_uid}
        )
        report = self._report.model_copy(update={"lineage": lineage, "series": series})
        folder.mkdir(exist_ok=True)
        write_text(folder / CANDIDATES, ",".join(COLUMNS) + "\n")
        write_text(folder / REPORT, report.model_dump_json())
        return report, {}


@pytest.fixture(scope="module")
def report(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("one")
    write_body(folder / "scan", SERIES[0], spacing_mm=8.0)
    bare_infer([folder / "scan"], folder / "out", model=model, formats=("json",), threshold=1.0)
    return read_report(folder / "out" / SERIES[0] / REPORT)


@pytest.fixture
def quick(report: Report, monkeypatch: pytest.MonkeyPatch) -> Quick:
    """No case takes time, and no retry waits."""
    quick = Quick(report)
    monkeypatch.setattr(working, "process_case", quick)
    monkeypatch.setattr(flows.cases, "infer_case", flows.cases.infer_case.with_options(retry_delay_seconds=0))
    return quick


def tasks_of(state: Any) -> list[TaskRun]:
    """The task runs of a finished flow run, once the server knows how all of them ended."""
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
    with get_client(sync_client=True) as client:

        def ended() -> tuple[list[TaskRun]] | None:
            runs = client.read_task_runs(flow_run_filter=wanted)
            return (runs,) if all(run.state is not None and run.state.is_final() for run in runs) else None

        (runs,) = wait_until(ended)
    return runs


def test_the_same_files_as_the_bare_command(
    run: Callable[..., Any], scans: Path, model: Path, tmp_path: Path
) -> None:
    shutil.rmtree(scans / SERIES[1])
    state = run(InferSettings(threshold=0.0))
    result = bare_infer([scans], tmp_path / "bare", model=model, workers=1, threshold=0.0)

    assert state.is_completed()
    assert state.result()["counts"] == result.counts
    assert files(tmp_path / "out") == files(tmp_path / "bare")


def test_only_what_depends_on_a_change_is_done_again(
    run: Callable[..., Any], scans: Path, tmp_path: Path, quick: Quick
) -> None:
    def done_by(**options: Any) -> list[str]:
        quick.tried.clear()
        state = run(**options)
        assert state.is_completed()
        assert {task.name for task in tasks_of(state)} == {f"infer {name}" for name in quick.tried}
        return sorted(quick.tried)

    settings = SETTINGS
    assert done_by(settings=settings) == [*SERIES]
    assert done_by(settings=settings) == [], "nothing has changed"

    edit(min((scans / SERIES[0]).iterdir()), lambda ds: setattr(ds, "KVP", "100"))
    assert done_by(settings=settings) == [SERIES[0]], "one file is another"

    settings = settings.model_copy(update={"threshold": 0.25})
    assert done_by(settings=settings) == [*SERIES], "a setting"

    save_model(tmp_path / "other", tiny_card().model_copy(update={"version": "2"}), tiny_detector())
    assert done_by(settings=settings, model=tmp_path / "other") == [*SERIES], "the model"

    shutil.rmtree(tmp_path / "out" / SERIES[1])
    assert done_by(settings=settings, model=tmp_path / "other") == [SERIES[1]], "its report is lost"


@pytest.mark.parametrize(
    ("policy", "ending"), [("fail", (SOME_FAILED, "FAILED")), ("complete", (WITH_FAILURES, "COMPLETED"))]
)
def test_a_failed_case_is_a_failed_task_with_its_reason_and_the_others_go_on(
    run: Callable[..., Any], quick: Quick, tmp_path: Path, policy: str, ending: tuple[str, str]
) -> None:
    quick.plan = {SERIES[0]: [DataError("out of luck")]}

    state = run(when_some_fail=policy)

    assert (state.name, state.type.value) == ending
    assert state.message == f"1 series failed, see {tmp_path / 'out' / 'worklist.html'}"
    assert quick.tried == [*SERIES], "another attempt would not have helped"
    states = {task.name: task.state for task in tasks_of(state)}
    assert states[f"infer {SERIES[0]}"].is_failed()
    assert "out of luck" in states[f"infer {SERIES[0]}"].message
    assert states[f"infer {SERIES[1]}"].is_completed()


def test_what_may_pass_is_waited_for_and_a_rejection_is_no_failure(
    run: Callable[..., Any], quick: Quick
) -> None:
    trouble = OSError("the share is gone")
    no_chest = RejectedSeriesError("no chest in it")
    quick.plan = {SERIES[0]: [trouble, trouble], SERIES[1]: [no_chest]}

    state = run()

    assert state.is_completed()
    assert quick.tried == [SERIES[0]] * 3 + [SERIES[1]]
    assert state.result()["counts"] == {
        **dict.fromkeys(("reused", "failed", "skipped"), 0),
        "processed": 1,
        "rejected": 1,
        "findings": state.result()["counts"]["findings"],
    }
    states = {task.name: task.state for task in tasks_of(state)}
    assert states[f"infer {SERIES[1]}"].name == "Rejected"
    assert states[f"infer {SERIES[1]}"].message == "no chest in it"


def test_no_usable_series_fails_the_run(run: Callable[..., Any], quick: Quick) -> None:
    quick.plan = {name: [RejectedSeriesError("no chest in it")] for name in SERIES}
    state = run()
    assert (state.name, state.type.value) == (NOTHING_USABLE, "FAILED")


def test_wrong_parameters_never_start_a_run(run: Callable[..., Any]) -> None:
    for settings, words in (
        ({"formats": ["pdf"]}, "'json', 'csv', 'html'"),
        ({"treshold": 0.5}, "treshold"),
        ({"threshold": 0.5, "fp_per_scan": 1.0}, "exclude each other"),
    ):
        state = run(settings=settings)
        assert state.is_failed()
        assert words in str(state.result(raise_on_failure=False))


def test_names_are_short_in_lists() -> None:
    assert short_name("1.2.3") == "1.2.3"
    assert short_name("1.3.6.1.4.1.14519.5.2.1.6279_2") == "1.3.6.1....6279_2"
