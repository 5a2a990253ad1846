"""The command line as users know it: a change here is a breaking change."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from medvision.cli.main import COMMANDS, medvision, run

SHARED = {"--json", "-v", "--verbose", "-q", "--quiet", "-h", "--help"}
OPTIONS = {
    "simulate": {"-o", "--out", "--patients", "--seed", "--size", "--dirt", "--workers"},
    "ingest": {
        "-o",
        "--out",
        "--workers",
        "--min-slices",
        "--resume",
        "--no-resume",
        "--index",
        "--deidentify",
        "--deidentify-config",
        "--key",
        "--dicom-copies",
    },
    "train": {"--set", "--resume"},
    "infer": {
        "-o",
        "--out",
        "--model",
        "--formats",
        "--device",
        "--fp-per-scan",
        "--threshold",
        "--series",
        "--all-series",
        "--patient-data",
        "--sign",
        "--priors",
        "--runner",
        "--uncertainty",
        "--language",
        "--index",
        "--resume",
        "--no-resume",
        "--workers",
    },
    "verify": {"--source", "--model", "--device", "--key"},
    "evaluate": {
        "-o",
        "--out",
        "--annotations",
        "--excluded",
        "--seriesuids",
        "--bootstrap",
        "--seed",
        "--model",
        "--fp-per-scan",
        "--strata",
        "--compare",
    },
    "calibrate": {
        "-o",
        "--out",
        "--model",
        "--predictions",
        "--annotations",
        "--excluded",
        "--seriesuids",
        "--patients",
        "--method",
        "--fp-per-scan",
        "--threshold",
        "--seed",
    },
    "check": {"--contract"},
    "drift": {"-o", "--out", "--limit", "--p-value", "--pixels", "--no-pixels", "--seed"},
    "models list": set(),
    "models show": set(),
    "models pull": set(),
    "models export": {"-o", "--out", "--format", "--precision", "--samples"},
    "models promote": {
        "--cohort",
        "--annotations",
        "--challenger",
        "--margin",
        "--device",
        "--bootstrap",
        "--seed",
    },
    "listen": {
        "-o",
        "--out",
        "--model",
        "--config",
        "--set",
        "--ae-title",
        "--host",
        "--port",
        "--allow",
        "--formats",
        "--device",
        "--monitor-port",
    },
    "query": {
        "--level",
        "--patient-id",
        "--accession",
        "--study",
        "--series",
        "--date",
        "--modality",
        "--description",
        "--limit",
        "-o",
        "--out",
        "--retrieve",
        "--show-patient",
        "--via",
        "--ae-title",
        "--listen",
        "--tls",
        "--tls-ca",
        "--tls-cert",
        "--tls-key",
        "--token-file",
    },
    "doctor": set(),
}
HEAVY = (
    "numpy",
    "torch",
    "monai",
    "lightning",
    "prefect",
    "mlflow",
    "pandas",
    "highdicom",
    "pydicom",
    "pynetdicom",
    "requests",
    "scipy",
)


def _command(name: str) -> click.Command:
    command: click.Command = medvision
    for word in name.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    return command


def test_the_commands_are_these() -> None:
    commands = {name: _command(name) for name in COMMANDS}
    single = {name for name, command in commands.items() if not isinstance(command, click.Group)}
    grouped = {
        f"{name} {inner}"
        for name, command in commands.items()
        if isinstance(command, click.Group)
        for inner in command.commands
    }
    assert single | grouped == set(OPTIONS)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_command_has_exactly_these_options(name: str) -> None:
    context = click.Context(
        _command(name), info_name=name, parent=click.Context(medvision, **medvision.context_settings)
    )
    options = [p for p in _command(name).get_params(context) if isinstance(p, click.Option)]
    found = {text for option in options for text in (*option.opts, *option.secondary_opts)}

    assert found == OPTIONS[name] | SHARED


@pytest.mark.parametrize("name", OPTIONS)
def test_help_shows_an_example_that_the_command_accepts(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*name.split(), "--help"]) == 0

    text = capsys.readouterr().out
    pasted = text.split("Example:\n")[1].replace("\\\n", " ").split()
    assert " ".join(pasted).startswith(f"medvision {name}")
    known = OPTIONS[name] | SHARED
    assert {word for word in pasted if word.startswith("-")} <= known


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], *([*name.split(), "--help"] for name in OPTIONS)]
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys; from medvision.cli.main import run; status = run(sys.argv[1:]);"
        "print('IMPORTED', *sorted({name.partition('.')[0] for name in sys.modules}));sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )

    assert done.stderr == ""
    imported = done.stdout.rpartition("IMPORTED")[2].split()
    assert "click" in imported
    assert not set(HEAVY) & set(imported)
