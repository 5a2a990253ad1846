"""Where the contracts lie: inside an installed package, or beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

from medvision.errors import ContractError

CONTRACT_SUFFIX = ".odcs.yaml"
SCHEMA_SUFFIX = ".schema.json"


def contracts_folder() -> Path:
    """Folder of the contracts: `medvision/data_contracts` of the wheel, else the checkout's `data_contracts`.

    Raises:
        ContractError: neither is there, so the installation is broken.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "data_contracts", package.parent / "data_contracts"):
        if folder.is_dir():
            return folder
    raise ContractError(f"no data_contracts folder in or beside {package}; install medvision again")


def contract_names() -> tuple[str, ...]:
    """Names of the table contracts, sorted."""
    return _names(CONTRACT_SUFFIX)


def schema_names() -> tuple[str, ...]:
    """Names of the document schemas, sorted."""
    return _names(SCHEMA_SUFFIX)


def read_contract_file(name: str, suffix: str) -> str:
    """Text of one contract file.

    Raises:
        ContractError: there is no contract of this name.
    """
    path = contracts_folder() / f"{name}{suffix}"
    if not path.is_file():
        raise ContractError(f"no contract named {name!r}; there are: {', '.join(_names(suffix))}")
    return path.read_text(encoding="utf-8")


def _names(suffix: str) -> tuple[str, ...]:
    return tuple(sorted(path.name.removesuffix(suffix) for path in contracts_folder().glob(f"*{suffix}")))
