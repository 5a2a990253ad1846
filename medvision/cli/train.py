"""`medvision train`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from medvision.cli import options
from medvision.cli.console import show


@click.command(
    short_help="Fine-tune a model, write a model directory.",
    epilog=options.example("medvision train configs/detect_lite.yaml --set data.cohort=cohort"),
)
@click.argument("config", metavar="CONFIG.yaml", type=options.EXISTING_FILE)
@click.option(
    "--set", "overrides", multiple=True, metavar="A.B=VALUE", help="Change one value; can be repeated."
)
@click.option("--resume", is_flag=True, help="Go on after an interruption.")
@options.common
def train(config: Path, overrides: tuple[str, ...], *, resume: bool, as_json: bool) -> None:
    """Fine-tune a model, track the run in MLflow, write a model directory."""
    from medvision.config.jobs import load_job

    settings = load_job(config, overrides)

    from medvision.training.jobs import run_in_ranks  # slow: only once the settings are right

    result = run_in_ranks(settings, resume=resume)
    if result is None:  # one of torchrun's processes that only helped
        return
    lines = [
        f"model: {result.model}",
        f"MLflow run: {result.run_id or 'not recorded'}",
        f"registered version: {result.model_version or 'not registered'}",
    ]
    show(asdict(result), lines, as_json=as_json)
