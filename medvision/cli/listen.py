"""`medvision listen`."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from medvision.cli import options
from medvision.cli.console import show

if TYPE_CHECKING:
    from medvision.config.network import ListenConfig
    from medvision.service.analyst import AnalysisSettings


@click.command(
    short_help="Receive studies from a PACS, send results back.",
    epilog=options.example("medvision listen -o inbox --model demo/model --allow CT_SCANNER"),
)
@click.option(
    "-o",
    "--out",
    type=options.FOLDER,
    required=True,
    metavar="OUT",
    help="Folder for images, results and state.",
)
@click.option(
    "--model",
    metavar="MODEL",
    help="A model directory, runs:/RUN/PATH or models:/NAME@ALIAS.  [default: only receive]",
)
@click.option(
    "--config",
    "file",
    type=options.EXISTING_FILE,
    metavar="FILE",
    help="Who may send, how much is kept, where results go: such as configs/listen.yaml.",
)
@click.option("--set", "overrides", multiple=True, metavar="A.B=VALUE", help="Override a key of the file.")
@click.option("--ae-title", metavar="AET", help="This side's AE title.  [default: MEDVISION]")
@click.option("--host", metavar="ADDRESS", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="[default: 11112]")
@click.option(
    "--allow",
    multiple=True,
    metavar="AET",
    help="AE title that may send; several.  [default: every one]",
)
@click.option(
    "--monitor-port",
    type=click.IntRange(0, 65535),
    metavar="N",
    help="Answer /health and /metrics (Prometheus) there, by HTTP on 127.0.0.1.  [default: nowhere]",
)
@options.formats("json,csv,html,seg,sr", "; DICOM ones are sent back")
@options.device
@options.common
def listen(
    out: Path,
    model: str | None,
    file: Path | None,
    overrides: tuple[str, ...],
    formats: tuple[str, ...],
    device: str,
    *,
    as_json: bool,
    **given: Any,  # noqa: ANN401  ae_title, host, port …: as in ListenConfig
) -> int:
    """Receive studies by C-STORE; look at each that is complete, send the results where the file says.

    Makes OUT/inbox (images), OUT/results (a folder as of infer for each study) and OUT/state. Ctrl-C or
    SIGTERM ends it; the same command goes on where it stopped.
    """
    with _until_told() as stop:  # before anything is imported: there an interrupt may be swallowed
        config = _config(
            file, overrides, {name: value for name, value in given.items() if value not in {None, ()}}
        )
        analysis = _analysis(model, formats, device) if model else None

        from medvision.service.listening import listen as serve

        result = serve(config, out, analysis, stop)
    counts = {name: getattr(result, name) for name in ("stored", "doubled", "refused", "analysed", "failed")}
    show(
        {"exit_code": 0, "counts": counts, "out": out},
        [", ".join(f"{number} {name}" for name, number in counts.items()), f"results: {out / 'results'}"],
        as_json=as_json,
    )
    return 0


def _config(file: Path | None, overrides: tuple[str, ...], given: dict[str, Any]) -> ListenConfig:
    """The file, then --set, then the options."""
    from pydantic import ValidationError

    from medvision.config.base import describe_problems, load_config
    from medvision.config.network import ListenConfig
    from medvision.errors import ConfigError

    if file is None and overrides:
        raise click.UsageError("--set needs --config beside it")
    config = load_config(file, ListenConfig, overrides) if file else ListenConfig()
    try:
        return ListenConfig.model_validate(config.model_dump() | given)
    except ValidationError as error:
        raise ConfigError(describe_problems(error, ListenConfig, "options")) from error


def _analysis(model: str, formats: tuple[str, ...], device: str) -> AnalysisSettings:
    from medvision.service.analyst import AnalysisSettings
    from medvision.tracking import resolve_model

    return AnalysisSettings(resolve_model(model), device, {"formats": formats})


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; a second Ctrl-C ends at once."""
    stop = threading.Event()

    def tell(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, tell) for number in numbers}
    try:
        yield stop
    finally:
        for number in numbers:
            signal.signal(number, before[number])
