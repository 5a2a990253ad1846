"""What is installed is pinned, hashed, licensed and listed; nothing is fetched at run time."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
HASHED = re.compile(r"(?P<name>[a-z0-9-]+)==(?P<version>\S+) --hash=sha256:[0-9a-f]{64}")


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def hashed() -> dict[str, str]:
    lines = (ROOT / "constraints-hashes.txt").read_text(encoding="utf-8").splitlines()
    matches = [HASHED.fullmatch(line) for line in lines if not line.startswith("#")]
    assert all(matches)
    return {match["name"]: match["version"] for match in matches if match}


@pytest.fixture(scope="module")
def bill(tmp_path_factory) -> dict:
    path = tmp_path_factory.mktemp("sbom") / "sbom.json"
    subprocess.run([sys.executable, ROOT / ".ci" / "supply_chain.py", "sbom", path], check=True, timeout=60)
    return json.loads(path.read_text(encoding="utf-8"))


def test_hashes_are_of_the_pinned_versions(hashed):
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    pinned = {plain(name): pin for name, _, pin in (line.partition("==") for line in lines)}
    assert {name: pinned.get(name) for name in hashed if name != "setuptools"} == {
        name: pin for name, pin in hashed.items() if name != "setuptools"
    }
    assert len(hashed) > 150


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11) or sys.platform != "linux", reason="hashes are of CPython 3.11 on Linux"
)
def test_everything_that_all_installs_has_a_hash_but_torch(hashed):
    spec = importlib.util.spec_from_file_location("supply_chain", ROOT / ".ci" / "supply_chain.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    installed = module.closure(("all",)).keys()
    assert {"distributed", "obstore", "prefect", "mlflow"} <= installed
    assert hashed.keys() == installed - module.UNHASHED


def test_the_bill_lists_what_is_installed_and_who_needs_it(bill):
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    listed = {part["name"]: part["version"] for part in bill["components"]}
    assert {"torch", "pydicom", "mlflow", "prefect", "monai", "distributed", "obstore"} <= listed.keys()
    assert all(version(name) == listed[name] for name in ("torch", "pydicom", "monai"))
    references = {part["bom-ref"] for part in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    assert all({one["ref"], *one["dependsOn"]} <= references for one in bill["dependencies"])
    assert sum("hashes" in part for part in bill["components"]) > 100
    assert all(part["licenses"][0]["license"]["name"] for part in bill["components"])


def test_every_package_has_its_line_among_the_licences(bill):
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    assert not [part["name"] for part in bill["components"] if f"\n| {part['name']} |" not in page]
    assert "non-commercial" in page


def test_what_runs_needs_no_gpl(bill):
    strict = re.compile(r"\b(A?GPL|General Public License)", re.IGNORECASE)
    tolerated = {"LGPL", "Lesser", "GCC-exception", "runtime"}
    found = {
        part["name"]: part["licenses"][0]["license"]["name"]
        for part in bill["components"]
        if strict.search(part["licenses"][0]["license"]["name"])
        and not any(word in part["licenses"][0]["license"]["name"] for word in tolerated)
    }
    assert found == {}
