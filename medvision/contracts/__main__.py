"""For those who change a contract: `python -m medvision.contracts page|release`, in a checkout."""

from __future__ import annotations

import sys

from medvision.contracts.page import contracts_page
from medvision.contracts.places import contracts_folder
from medvision.contracts.released import write_snapshots
from medvision.errors import UsageError
from medvision.files import write_text

PAGE = "docs/contracts.md"


def main(arguments: list[str]) -> None:
    """Make the documentation page, or snapshots of the versions as they are now.

    Raises:
        UsageError: another word.
    """
    root = contracts_folder().parent
    if arguments == ["page"]:
        write_text(root / PAGE, contracts_page())
    elif arguments == ["release"]:
        write_snapshots()
    else:
        raise UsageError("python -m medvision.contracts page|release")


if __name__ == "__main__":
    main(sys.argv[1:])
