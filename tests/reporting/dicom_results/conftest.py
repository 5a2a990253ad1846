"""One case for all tests that only look at it."""

from __future__ import annotations

import pytest

from tests.reporting.dicom_results.cases import Case, make_case


@pytest.fixture(scope="session")
def two_findings(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("two_findings"))
