"""Reading configurations: what is understood, and what every mistake is told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from medvision.config.base import Settings, config_sha256, load_config
from medvision.errors import ConfigError


class Training(Settings):
    steps: int = Field(default=100, ge=1)
    rate: float = 1e-3


class Recipe(Settings):
    task: Literal["detect", "classify"]
    name: str = "x"
    training: Training = Training()
    stages: tuple[Training, ...] = ()
    extra: Training | None = None


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("task: detect\ntraining:\n  steps: 7\n")
    return path


def problems(path: Path, *overrides: str) -> list[str]:
    """The lines of the error, without the file's path."""
    with pytest.raises(ConfigError) as caught:
        load_config(path, Recipe, overrides)
    return str(caught.value).replace(f"{path}", "FILE").splitlines()


def test_values_of_the_file_and_defaults(config: Path) -> None:
    recipe = load_config(config, Recipe)

    assert recipe == Recipe(task="detect", training=Training(steps=7))


def test_overrides_win_and_make_sections(config: Path) -> None:
    recipe = load_config(
        config, Recipe, ["training.rate=1e-4", "training.steps=9", "extra.steps=3", "name=a=b"]
    )

    assert recipe.training == Training(steps=9, rate=1e-4)
    assert recipe.extra == Training(steps=3)
    assert recipe.name == "a=b"


def test_an_override_is_yaml(config: Path) -> None:
    assert load_config(config, Recipe, ["stages=[{steps: 1}, {steps: 2}]"]).stages[1].steps == 2
    assert load_config(config, Recipe, ["extra=null"]).extra is None


def test_a_section_left_empty_in_the_file_can_be_overridden(config: Path) -> None:
    config.write_text("task: detect\ntraining:\n")
    assert load_config(config, Recipe, ["training.steps=4"]).training.steps == 4


def test_every_problem_is_told_at_once(config: Path) -> None:
    config.write_text("tsk: detect\ntraining: {steps: 0, rat: 1}\n")

    assert problems(config) == [
        "FILE: task: required, but not given",
        "FILE: training.steps: 0 should be greater than or equal to 1",
        "FILE: training.rat: unknown key; did you mean 'rate'?",
        "FILE: tsk: unknown key; did you mean 'task'?",
    ]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["task=segment"], "FILE: task: 'segment' should be 'detect' or 'classify'"),
        (["extra.stepz=1"], "FILE: extra.stepz: unknown key; did you mean 'steps'?"),
        (["training.qqq=1"], "FILE: training.qqq: unknown key; known keys: rate, steps"),
        (["stages=[{step: 1}]"], "FILE: stages.0.step: unknown key; did you mean 'steps'?"),
        (["training=3"], "FILE: training: 3 should be a valid dictionary or instance of Training"),
        (["name"], "--set name: write KEY=VALUE, such as training.steps=200"),
        (["=3"], "--set =3: write KEY=VALUE, such as training.steps=200"),
        (["task.a=3"], "--set task.a=3: task holds 'detect', which has no keys"),
        (
            ["name=>=1"],
            "--set name=>=1: the value is not valid YAML; a value such as >=4 needs quotes of its own:"
            """ --set 'data.positive=">=4"'""",
        ),
    ],
)
def test_a_mistake_is_one_clear_line(config: Path, overrides: list[str], line: str) -> None:
    assert problems(config, *overrides) == [line]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("task: [1", "FILE: line 1, column 9: expected ',' or ']', but got '<stream end>'"),
        ("task: a\ntask: b\n", "FILE: line 2, column 1: key 'task' is written twice"),
        ("- 1\n", "FILE: holds a list; write `key: value` lines"),
        ("a: \0", "FILE: not valid YAML"),
    ],
)
def test_a_file_that_is_no_configuration(config: Path, text: str, line: str) -> None:
    config.write_text(text)
    (found,) = problems(config)
    assert found.startswith(line)


def test_an_empty_file_misses_what_is_required(config: Path) -> None:
    config.write_text("")
    assert problems(config) == ["FILE: task: required, but not given"]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert problems(tmp_path) == ["cannot read configuration FILE: Is a directory"]
    assert problems(tmp_path / "no.yaml") == ["cannot read configuration FILE: No such file or directory"]
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")
    assert problems(tmp_path / "latin.yaml") == ["cannot read configuration FILE: it is not UTF-8 text"]


def test_yaml_cannot_run_code(config: Path, tmp_path: Path) -> None:
    config.write_text(f"task: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n")
    problems(config)
    assert not (tmp_path / "made").exists()


@given(st.integers(1, 10**6), st.floats(1e-9, 1, allow_nan=False))
def test_the_hash_depends_on_values_and_not_on_how_they_are_written(steps: int, rate: float) -> None:
    one = Recipe(task="detect", training=Training(steps=steps, rate=rate))
    other = Recipe.model_validate(
        {"training": {"rate": repr(rate), "steps": steps}, "task": "detect", "name": "x"}
    )
    changed = Recipe(task="detect", training=Training(steps=steps + 1, rate=rate))

    assert config_sha256(one) == config_sha256(other)
    assert config_sha256(one) != config_sha256(changed)
