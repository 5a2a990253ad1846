"""YAML from strangers, in configurations, model cards and documents: plain values or one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from medvision.config.base import Settings, load_config
from medvision.contracts.items import read_document
from medvision.errors import ConfigError, ContractError, MedvisionError, ModelError
from medvision.models.card import CARD, ModelCard, load_card

TEN = ",".join(["x"] * 10)
LAUGHS = f"a0: &a0 [{TEN}]\n" + "".join(
    f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 9)
)
HOSTILE = {
    "a tag that calls": "name: !!python/object/apply:os.mkdir [ran]\n",
    "a tag that makes an object": "name: !!python/object/new:os.environ {}\n",
    "a tag that names a module": "name: !!python/module:os ''\n",
    "a tag of one's own": "name: !run {command: id}\n",
    "billions of values": f"{LAUGHS}name: *a8\n",
    "an alias in itself": "name: &a [*a]\n",
    "brackets without end": "name: " + "[" * 100_000,
    "braces without end": "name: " + "{a: " * 3000,
    "indents without end": "".join(f"{' ' * depth}a:\n" for depth in range(300)),
    "a number too long": f"name: {'9' * 5000}\n",
    "a number in base sixty": f"name: 1{':59' * 200_000}\n",
    "a fraction in base sixty": f"name: 1{':59' * 2000}.5\n",
    "no date": "name: 2001-99-99\n",
    "a list as a key": "? [a, b]\n: c\n",
    "a mapping as a key": "? {a: b}\n: c\n",
    "a control character": "name: \x00\n",
}


class Job(Settings):
    name: str


def config(path: Path) -> object:
    return load_config(path, Job)


def card(path: Path) -> object:
    return load_card(path.parent, ModelCard)


@pytest.mark.parametrize(
    ("read", "error"), [(config, ConfigError), (card, ModelError), (read_document, ContractError)]
)
@pytest.mark.parametrize("what", HOSTILE)
def test_refused_in_one_clear_line(what, read, error, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / CARD
    path.write_text(HOSTILE[what], encoding="utf-8")
    with pytest.raises(error) as caught:
        read(path)
    assert isinstance(caught.value, MedvisionError)
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_plain_values_and_modest_aliases_are_read(tmp_path):
    path = tmp_path / "document.yaml"
    path.write_text("a: &a [1, 2.5, true, null, 2026-01-02, 0x1F, 1:30]\nb: *a\nc: {<<: {d: e}}\n")
    found = read_document(path)
    assert found["b"] == found["a"] == [1, 2.5, True, None, found["a"][4], 31, 90]
    assert found["c"] == {"d": "e"}
