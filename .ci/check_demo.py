"""Checks what a demo wrote against the promise to users, without any code of medvision's."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema

ROOT = Path(__file__).resolve().parent.parent
MEDVISION = Path(sys.executable).parent / "medvision"

TABLES = {
    "predictions.csv": ["seriesuid", "coordX", "coordY", "coordZ", "probability"],
    "series.csv": [
        "series_instance_uid",
        "study_instance_uid",
        "modality",
        "n_files",
        "n_slices",
        "rows",
        "columns",
        "spacing_x_mm",
        "spacing_y_mm",
        "spacing_z_mm",
        "status",
        "reasons",
        "volume",
    ],
    "problems.csv": ["path", "reason", "detail"],
    "worklist.csv": [],
}
FROC = {
    "fp_per_scan",
    "sensitivity",
    "cpm",
    "true_positives",
    "false_positives",
    "false_negatives",
    "n_nodules",
    "n_scans",
    "n_candidates",
    "ignored_excluded",
    "ignored_double",
    "sensitivity_mean",
    "sensitivity_lower",
    "sensitivity_upper",
    "cpm_mean",
    "cpm_lower",
    "cpm_upper",
}
FINDING = {
    "finding_id",
    "center_lps_mm",
    "probability",
    "long_axis_mm",
    "short_axis_mm",
    "mean_diameter_mm",
    "volume_mm3",
    "density",
    "malignancy_probability",
    "sop_instance_uid",
}
REPORT = {"schema_version", "series", "quality", "model", "operating_point", "findings", "lineage"}


def problems(demo: Path) -> Iterator[str]:
    """Everything that is not as promised."""
    yield from check_layout(demo)
    yield from check_tables(demo / "out")
    yield from check_froc(demo / "evaluation" / "froc.json")
    cases = sorted(path.parent for path in (demo / "out").glob("*/report.json"))
    if not cases:
        yield "no report at all"
    for case in cases:
        yield from check_case(case)
    yield from check_worklist(demo / "out")
    yield from check_exit_codes(demo)


def check_layout(demo: Path) -> Iterator[str]:
    promised = (
        "cohort/dicom",
        "cohort/annotations.csv",
        "cohort/seriesuids.csv",
        "cohort/truth.json",
        "model/model.yaml",
        "model/weights.safetensors",
        "mlflow.db",
        "out/worklist.html",
        "out/run.json",
        *(f"out/{name}" for name in TABLES),
    )
    yield from (f"{name} is missing" for name in promised if not (demo / name).exists())
    yield from (f"{path} was left half written" for path in demo.rglob("*.part"))


def check_tables(out: Path) -> Iterator[str]:
    for name, columns in TABLES.items():
        with (out / name).open(newline="", encoding="utf-8") as stream:
            header = next(csv.reader(stream), [])
        as_promised = header == columns if name == "predictions.csv" else set(columns) <= set(header)
        if not header or not as_promised:
            yield f"{name}: columns {header}, promised {columns}"


def check_froc(path: Path) -> Iterator[str]:
    document = json.loads(path.read_text(encoding="utf-8"))
    if missing := FROC - document.keys():
        yield f"{path.name} lacks {sorted(missing)}"
    if not 0 <= document["cpm"] <= 1:
        yield f"{path.name}: CPM {document['cpm']}"


def check_case(case: Path) -> Iterator[str]:
    report = json.loads((case / "report.json").read_text(encoding="utf-8"))
    schema = json.loads((ROOT / "data_contracts" / "report.schema.json").read_text(encoding="utf-8"))
    for error in jsonschema.Draft202012Validator(schema).iter_errors(report):
        yield f"{case.name}/report.json: {error.json_path}: {error.message}"
    if missing := REPORT - report.keys():
        yield f"{case.name}/report.json lacks {sorted(missing)}"
    for finding in report["findings"]:
        if missing := FINDING - finding.keys():
            yield f"{case.name}/report.json: a finding lacks {sorted(missing)}"
    if report["series"]["series_instance_uid"] != case.name.partition("_")[0]:
        yield f"{case.name}: the folder is not named after its series"
    yield from (
        f"{case.name}/{name} is missing"
        for name in ("report.html", "findings.csv")
        if not (case / name).exists()
    )
    yield from check_self_contained(case / "report.html")


def check_self_contained(page: Path) -> Iterator[str]:
    links = re.findall(r'(?:src|href)="([^"#]*)"', page.read_text(encoding="utf-8"))
    yield from (f"{page}: loads {link}" for link in links if link.startswith(("http:", "https:", "//")))


def check_worklist(out: Path) -> Iterator[str]:
    links = re.findall(r'href="([^"#]+)"', (out / "worklist.html").read_text(encoding="utf-8"))
    if not any(link.endswith("report.html") for link in links):
        yield "worklist.html links to no report"
    yield from (f"worklist.html: {link} leads nowhere" for link in links if not (out / link).exists())


def check_exit_codes(demo: Path) -> Iterator[str]:
    """The promises that a script relies on: exit codes, and JSON on the last line."""
    empty, model = demo / ".empty", str(demo / "model")
    empty.mkdir(exist_ok=True)
    (empty / "letter.txt").write_text("no DICOM here")
    again = [str(demo / "unseen" / "dicom"), "-o", str(demo / "out"), "--model", model, "--json"]
    commands = {
        0: ["infer", *again],
        2: ["infer", str(empty), "-o", str(empty / "out"), "--model", str(demo / "nowhere")],
        4: ["infer", str(empty), "-o", str(empty / "out"), "--model", model],
    }
    for promised, command in commands.items():
        done = subprocess.run([MEDVISION, *command], capture_output=True, text=True, check=False)
        if done.returncode != promised:
            yield f"{' '.join(command)}: exit code {done.returncode}, promised {promised}: {done.stderr}"
        if promised == 0 and not isinstance(json.loads(done.stdout.splitlines()[-1]), dict):
            yield "the last line of --json is no object"
        if promised and len(done.stderr.strip().splitlines()) != 1:
            yield f"exit code {promised} is not told in one line: {done.stderr!r}"


def main() -> int:
    """Print what is wrong with the demo folder given."""
    found = list(problems(Path(sys.argv[1])))
    print("\n".join(found) or "the demo wrote what is promised")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
