from __future__ import annotations

import copy

import jsonschema
import pytest

from medvision.contracts import check_document, load_schema, schema_names
from medvision.errors import ContractError

FROC = {
    "fp_per_scan": [0.125, 0.25, 0.5, 1, 2, 4, 8],
    "sensitivity": [0.5] * 7,
    "cpm": 0.5,
    "true_positives": 1,
    "false_positives": 3,
    "false_negatives": 1,
    "n_nodules": 2,
    "n_scans": 2,
    "n_candidates": 4,
    "ignored_excluded": 0,
    "ignored_double": 0,
}
TRUTH = {
    "schema_version": "1.0.0",
    "patients": [
        {
            "patient_id": "P1",
            "series_instance_uid": "1.2.3",
            "nodules": [
                {
                    "center_lps_mm": [1.0, 2.0, 3.0],
                    "diameter_mm": 6.0,
                    "volume_mm3": 113.0,
                    "density": "solid",
                    "malignant": False,
                }
            ],
        }
    ],
}


def test_all_schemas_are_schemas():
    for name in schema_names():
        schema = load_schema(name)
        jsonschema.validators.validator_for(schema).check_schema(schema)


def test_good_documents_pass():
    check_document(FROC, "froc")
    check_document(TRUTH, "truth")


def test_the_place_and_value_are_named():
    bad = copy.deepcopy(TRUTH)
    bad["patients"][0]["nodules"][0]["density"] = "soft"
    with pytest.raises(
        ContractError, match=r"truth.json: patients\[0\].nodules\[0\].density: 'soft' is not one of"
    ):
        check_document(bad, "truth", "truth.json")


@pytest.mark.parametrize("key", sorted(FROC))
def test_every_key_of_froc_is_needed(key):
    with pytest.raises(ContractError, match=f"top level: '{key}' is a required property"):
        check_document({name: value for name, value in FROC.items() if name != key}, "froc")


def test_no_document_at_all():
    with pytest.raises(ContractError, match="top level"):
        check_document([], "froc")


def test_unknown_schema():
    with pytest.raises(ContractError, match=r"no contract named 'frok'; there are: .*froc"):
        check_document({}, "frok")
