"""`python -m flows.demo`: the whole road on simulated patients, without a server, a download or a GPU."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.environment import use_embedded_server
from medvision.cli import options
from medvision.cli.console import show
from medvision.cli.main import run
from medvision.errors import OutputError

if TYPE_CHECKING:
    from flows.demo_flow import DemoResult

RECIPE = Path(__file__).resolve().parent.parent / "configs" / "detect_lite.yaml"
HOME = ".prefect"
QUICK = ("proposals.steps=30", "proposals.validate_every=15", "second_look.epochs=1")

_NUMBER = click.IntRange(min=2)


@click.command()
@click.option(
    "--folder", type=options.FOLDER, default=Path("demo"), show_default=True, help="Where everything goes."
)
@click.option(
    "--patients", type=_NUMBER, default=24, show_default=True, help="Simulated patients to learn from."
)
@click.option(
    "--unseen",
    type=click.IntRange(min=3),  # the first two have no nodule, and without any there is no sensitivity
    default=12,
    show_default=True,
    help="Others, to be measured on.",
)
@click.option(
    "--quick", is_flag=True, help="Train for seconds: shows that the road is open, not how good the model is."
)
@click.option(
    "--set", "overrides", multiple=True, metavar="A.B=VALUE", help="Change the recipe; can be repeated."
)
@options.workers
@options.common
def demo(
    folder: Path,
    patients: int,
    unseen: int,
    overrides: tuple[str, ...],
    workers: int | None,
    *,
    quick: bool,
    as_json: bool,
) -> int:
    """Simulate a cohort, ingest it, train a detector, and report on patients that it has not seen."""
    _refuse_strange_folder(folder)
    use_embedded_server(folder / HOME)
    from flows.demo_flow import demo as demo_flow

    result = demo_flow(
        folder,
        RECIPE,
        patients=patients,
        unseen=unseen,
        workers=options.count_workers(workers),
        overrides=[*(QUICK if quick else ()), *overrides],
    )
    record = {"training": result.training, "inference": result.inference, "froc": result.froc}
    show(record, _describe(folder, result), as_json=as_json)
    return int(result.inference["exit_code"])


def _refuse_strange_folder(folder: Path) -> None:
    """The demo empties what it finds, so it takes only what an earlier demo made."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / HOME).is_dir():
        raise OutputError(f"{folder} holds files that no earlier demo made; choose another --folder")


def _describe(folder: Path, result: DemoResult) -> Iterator[str]:
    froc, programs = result.froc, Path(os.path.relpath(Path(sys.executable).parent))
    yield ""
    yield (
        f"CPM {froc['cpm']:.3f} (95 % interval {froc['cpm_lower']:.3f} to {froc['cpm_upper']:.3f}) "
        f"on {froc['n_nodules']} nodules in {froc['n_scans']} simulated scans that the model had not seen"
    )
    yield f"worklist     {result.inference['worklist']}"
    yield f"model        {result.training['model']}"
    yield f"MLflow UI    {programs / 'mlflow'} ui --backend-store-uri sqlite:///{folder / 'mlflow.db'}"
    yield f"a real scan  {programs / 'medvision'} infer FOLDER -o out --model {result.training['model']}"


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], demo, "python -m flows.demo"))
