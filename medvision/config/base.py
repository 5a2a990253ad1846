"""Reading a YAML configuration: every key known, every problem told at once, nothing heavy started."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from medvision.config.plain_yaml import PlainLoader, parse_plain_yaml
from medvision.errors import ConfigError


class Settings(BaseModel):
    """Base of every configuration section: immutable, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


T = TypeVar("T", bound=BaseModel)


def load_config(path: Path, model: type[T], overrides: Sequence[str] = ()) -> T:
    """Read a YAML file, apply `a.b=value` overrides and validate.

    Args:
        path: the YAML file.
        model: pydantic model that describes every key.
        overrides: such as `training.steps=200`; the value is read as YAML.

    Raises:
        ConfigError: with one line a problem: file, key, value, what is allowed.
    """
    values = _read_yaml(path)
    for override in overrides:
        _apply(values, override)
    return _validate(values, model, path)


def load_task(path: Path, tasks: Mapping[str, type[T]], overrides: Sequence[str] = ()) -> T:
    """As `load_config`, with the model that belongs to the file's `task`.

    Raises:
        ConfigError: `task` is absent or unknown, or as for `load_config`.
    """
    values = _read_yaml(path)
    for override in overrides:
        _apply(values, override)
    model = tasks.get(str(values.get("task")))
    if model is None:
        what = f"{_shorten(values['task'])} is unknown" if "task" in values else "required, but not given"
        raise ConfigError(f"{path}: task: {what}; choose from {', '.join(tasks)}")
    return _validate(values, model, path)


def config_sha256(config: BaseModel) -> str:
    """Hash of all values, defaults included, independent of how and in which order they were written."""
    canonical = json.dumps(config.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _validate(values: dict[str, Any], model: type[T], path: Path) -> T:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(describe_problems(error, model, str(path))) from error


def describe_problems(error: ValidationError, model: type[BaseModel], source: str) -> str:
    """One line a problem: source, key, value, what is allowed, the nearest known key."""
    return "\n".join(f"{source}: {_describe(problem, model)}" for problem in error.errors(include_url=False))


def _describe(problem: Any, model: type[BaseModel]) -> str:  # noqa: ANN401  pydantic_core.ErrorDetails
    location: tuple[str | int, ...] = problem["loc"]
    key = ".".join(str(part) for part in location) or "the file"
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key{_suggest(location, model)}"
    if problem["type"] == "missing":
        return f"{key}: required, but not given"
    message = problem["msg"].removeprefix("Input ").removeprefix("Value error, ")
    return f"{key}: {_shorten(problem['input'])} {message}"


def _shorten(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}…"


def _suggest(location: tuple[str | int, ...], model: type[BaseModel]) -> str:
    known = _known_keys(location[:-1], model)
    near = difflib.get_close_matches(str(location[-1]), known, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    return f"; known keys: {', '.join(sorted(known))}" if known else ""


def _known_keys(location: tuple[str | int, ...], model: type[BaseModel]) -> list[str]:
    """Names of the fields at a location; empty where it cannot be followed."""
    models = [model]
    for part in location:
        found = [_models_in(m.model_fields[part].annotation) for m in models if part in m.model_fields]
        # A list index or the tag of a union names no field: stay where we are.
        models = [inner for group in found for inner in group] or models
    return sorted({name for m in models for name in m.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:  # noqa: ANN401  any type expression
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_in(argument)]


class _UniqueKeyLoader(PlainLoader):
    """PlainLoader that refuses a key written twice, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key is no word", problem_mark=key_node.start_mark)
            if key_node.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key_node.value!r} is written twice", problem_mark=key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = parse_plain_yaml(path.read_text(encoding="utf-8"), _UniqueKeyLoader)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(f"cannot read configuration {path}: {reason}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}{_where(error)}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds a {type(values).__name__}; write `key: value` lines")
    return values


def _where(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None:
        return f": not valid YAML: {' '.join(str(error).split())}"
    return f": line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _apply(values: dict[str, Any], override: str) -> None:
    """Set one `a.b=value` in nested mappings, making sections that are not there."""
    key, equals, text = override.partition("=")
    *sections, last = key.strip().split(".")
    if not equals or not all((*sections, last)):
        raise ConfigError(f"--set {override}: write KEY=VALUE, such as training.steps=200")
    for section in sections:
        inner = values.setdefault(section, {})
        if inner is None:
            inner = values[section] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override}: {section} holds {_shorten(inner)}, which has no keys")
        values = inner
    try:
        values[last] = parse_plain_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"--set {override}: the value is not valid YAML; a value such as >=4 needs quotes of its own:"
            """ --set 'data.positive=">=4"'"""
        ) from error
