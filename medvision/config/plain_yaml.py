"""YAML from strangers: plain values only, no tags that make objects; bounded in size, depth and aliases.

YAML 1.1 as PyYAML reads it. What `yaml.SafeLoader` leaves open: a few lines of aliases that stand for
billions of values, brackets without end, and numbers or dates that it recognises and cannot convert.
"""

from __future__ import annotations

from typing import Any, NoReturn

import yaml

MOST_CHARACTERS = 32 << 20
MOST_VALUES = 2_000_000
"""Values, each alias counted as all that it stands for."""
MOST_DEPTH = 64
LONGEST_NUMBER = 400
_NOT_CONVERTED = (ValueError, TypeError, OverflowError, LookupError, AttributeError)


class PlainLoader(yaml.SafeLoader):
    """SafeLoader that stays within the bounds."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._values = 0
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """As the base does, while depth and values are counted."""
        event, before = self.peek_event(), self._values  # type: ignore[no-untyped-call]
        self._depth += 1
        if self._depth > MOST_DEPTH:
            _refuse(f"nested more than {MOST_DEPTH} deep", event)
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self._sizes:
                _refuse(f"{event.anchor!r} stands for itself", event)
            self._values += self._sizes[id(node)]
        else:
            self._values += 1
            self._sizes[id(node)] = self._values - before
        if self._values > MOST_VALUES:
            _refuse(f"stands for more than {MOST_VALUES:,} values", event)
        return node


def _construct_number(loader: PlainLoader, node: yaml.ScalarNode) -> Any:  # noqa: ANN401  int or float
    if len(node.value) > LONGEST_NUMBER:
        _refuse(f"a number of {len(node.value)} characters", node)
    made = loader.construct_yaml_int if node.tag.endswith(":int") else loader.construct_yaml_float
    return made(node)


def _refuse(problem: str, place: Any) -> NoReturn:  # noqa: ANN401  an event or a node
    raise yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


for _kind in ("int", "float"):
    PlainLoader.add_constructor(f"tag:yaml.org,2002:{_kind}", _construct_number)


def parse_plain_yaml(text: str, loader: type[PlainLoader] = PlainLoader) -> Any:  # noqa: ANN401
    """Parse one document.

    Args:
        text: of it.
        loader: to check more.

    Raises:
        yaml.YAMLError: it is no YAML, holds more than plain values, or is beyond the bounds.
    """
    if len(text) > MOST_CHARACTERS:
        raise yaml.YAMLError(f"{len(text):,} characters, more than {MOST_CHARACTERS:,}")
    try:
        return yaml.load(text, loader)  # noqa: S506  a SafeLoader
    except _NOT_CONVERTED as error:
        raise yaml.YAMLError(f"holds a value that cannot be read: {error}") from error
