"""JSON from strangers: refused in one line where it is nested or written to do harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from medvision import files
from medvision.contracts.items import read_document
from medvision.datasets.datalist import read_datalist
from medvision.datasets.split_record import read_split
from medvision.errors import MedvisionError
from medvision.files import read_json
from medvision.models.retinanet.bundle import call_arguments, read_bundle
from medvision.reporting.build import read_report

HOSTILE = {
    "brackets without end": "[" * 200_000,
    "objects without end": '{"a":' * 100_000,
    "a number too long": "9" * 5000,
    "half a document": '{"a": [1, 2',
    "no text": "\x00",
}


def bundle(path: Path) -> object:
    folder = path.parent / "bundle"
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "models" / "model.pt").write_bytes(b"")
    path.rename(folder / "configs" / "inference.json")
    return read_bundle(folder)


READERS = {
    "document": read_document,
    "report": read_report,
    "datalist": read_datalist,
    "split": read_split,
    "bundle": bundle,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("what", HOSTILE)
def test_refused_in_one_clear_line(what, reader, tmp_path):
    path = tmp_path / "document.json"
    path.write_text(HOSTILE[what], encoding="utf-8")
    with pytest.raises(MedvisionError) as caught:
        READERS[reader](path)
    assert len(str(caught.value)) < 600
    assert "\n" not in str(caught.value)


def test_too_large_a_document_is_not_read_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_JSON_BYTES", 8)
    path = tmp_path / "document.json"
    path.write_text("[1, 2, 3]")
    with pytest.raises(ValueError, match="9 bytes are too many"):
        read_json(path)


@pytest.mark.parametrize(
    "expression", ["$" + "(" * 3000, "$f(a=" + "-" * 5000 + "1)", "$f(a=\x00)", "$f(a={[]: 1})", "$f(**{"]
)
def test_expressions_of_bundles_are_parsed_and_never_run(expression):
    assert call_arguments(expression) == {}
