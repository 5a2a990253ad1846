"""The contracts say what the code writes, and are contracts by the standard's own schema."""

from __future__ import annotations

import json
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import get_args

import jsonschema
import pytest
import yaml
from open_data_contract_standard.model import OpenDataContractStandard

from medvision.contracts import contract_names, load_contract
from medvision.dicom.problems import Problem, Reason
from medvision.dicom.tables import SeriesRow, Status
from medvision.findings import Density
from medvision.reporting.tables import FINDING_COLUMNS, SEVERAL
from medvision.reporting.worklist import WorklistRow

ROOT = Path(__file__).resolve().parents[2]


def names(contract):
    return [column.name for column in load_contract(contract).columns]


def allowed(contract, column):
    return next(c.allowed for c in load_contract(contract).columns if c.name == column)


@pytest.mark.parametrize(
    ("contract", "row"), [("series", SeriesRow), ("problems", Problem), ("worklist", WorklistRow)]
)
def test_columns_are_the_fields_of_the_row(contract, row):
    assert names(contract) == [field.name for field in fields(row)]


def test_values_are_those_of_the_types():
    assert allowed("series", "status") == get_args(Status)
    assert allowed("problems", "reason") == get_args(Reason)
    assert allowed("findings", "density") == get_args(Density)


def test_findings_have_the_reports_columns():
    header = names("findings")
    assert header[0] == "series_instance_uid"
    plain = [column for column in FINDING_COLUMNS if column not in SEVERAL]
    assert [name for name in header if name in plain] == plain
    assert len(header) == 1 + len(plain) + sum(map(len, SEVERAL.values()))


@pytest.mark.parametrize("name", contract_names())
def test_the_standards_own_schema_accepts_each_contract(name):
    standard = json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text())
    contract = yaml.safe_load((ROOT / "data_contracts" / f"{name}.odcs.yaml").read_text())
    jsonschema.validators.validator_for(standard)(standard).validate(contract)


@pytest.mark.parametrize("name", contract_names())
def test_the_standards_own_model_reads_what_we_read(name):
    contract = OpenDataContractStandard.from_file(str(ROOT / "data_contracts" / f"{name}.odcs.yaml"))
    table, ours = contract.schema_[0], load_contract(name)
    assert (contract.name, contract.version, contract.team.name) == (
        name,
        ours.version,
        "medvision maintainers",
    )
    assert contract.servers[0].path.startswith("${MEDVISION_DATA:-data_contracts/examples}/")
    assert contract.slaProperties[0].property == "freshness"
    for theirs, column in zip(table.properties, ours.columns, strict=True):
        assert (theirs.name, theirs.logicalType) == (column.name, column.logical_type)
        assert bool(theirs.required or theirs.primaryKey) == column.required
        assert [str(entry.value) for entry in theirs.enum or ()] == list(column.allowed)
    assert [rule.id for rule in table.quality or ()] == [rule.name for rule in ours.rules]
