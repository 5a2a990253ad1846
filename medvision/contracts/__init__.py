"""Agreements on data, enforced where data crosses a border.

Tables follow the Open Data Contract Standard (`data_contracts/*.odcs.yaml`), documents JSON Schema
(`data_contracts/*.schema.json`). Both are shipped in the wheel as `medvision/data_contracts`.
"""

from medvision.contracts.checking import CheckResult, check
from medvision.contracts.documents import check_document, load_schema
from medvision.contracts.odcs import Column, Contract, load_contract
from medvision.contracts.places import contract_names, schema_names
from medvision.contracts.tables import check_table, read_table
from medvision.contracts.violations import Violation

__all__ = [
    "CheckResult",
    "Column",
    "Contract",
    "Violation",
    "check",
    "check_document",
    "check_table",
    "contract_names",
    "load_contract",
    "load_schema",
    "read_table",
    "schema_names",
]
