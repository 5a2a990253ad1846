"""Long submissions: read piece by piece, judged as if read whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.errors import ContractError
from medvision.evaluation import submission
from medvision.evaluation.matching import Lesions, match
from medvision.evaluation.submission import no_lesions, read_submission, series_of

HEADER = "seriesuid,coordX,coordY,coordZ,probability"
rows = st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2), st.integers(0, 5)), min_size=1, max_size=60)


@given(rows, st.integers(1, 4))
def test_letting_go_of_what_the_rules_do_not_look_at_changes_nothing(tmp_path_factory, table, most):
    path = tmp_path_factory.mktemp("table") / "predictions.csv"
    lines = [f"{scan},{x},0,0,{score}" for scan, x, score in table]
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    index = {str(scan): scan for scan in range(4)}
    nodules = Lesions(np.arange(3), np.zeros((3, 3)), np.full(3, 3.0))
    found = []
    for limit in (2, 10**9):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(submission, "MOST_ROWS", limit)
            patch.setattr("medvision.contracts.csv_chunks.ROWS_PER_CHUNK", 7)
            marks = read_submission(path, index, max_marks=most).marks
        found.append(match(marks, nodules, no_lesions(), 4, max_marks=most))
    one, other = found
    assert (one.n_candidates, one.ignored_double) == (other.n_candidates, other.ignored_double)
    for name in ("nodule_probability", "false_scan", "false_probability"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_what_is_held_stays_small(tmp_path, monkeypatch):
    monkeypatch.setattr(submission, "MOST_ROWS", 1000)
    random = np.random.default_rng(0)
    path = tmp_path / "predictions.csv"
    scores = random.random(30_000)
    path.write_text(HEADER + "\n" + "".join(f"{n % 3},0,0,0,{s:.6f}\n" for n, s in enumerate(scores)))
    marks = read_submission(path, {"0": 0, "1": 1, "2": 2}).marks
    assert len(marks.scan) < 6000
    kept = np.sort(marks.probability[marks.scan == 1])[::-1][:101]
    np.testing.assert_allclose(kept, np.sort(np.round(scores[1::3], 6))[::-1][:101])


def test_a_diameter_makes_boxes_and_must_then_be_there(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_text(f"{HEADER},diameter_mm\n1,0,0,0,0.5,7.5\n")
    assert read_submission(path, {"1": 0}).diameter_mm.tolist() == [7.5]
    path.write_text(f"{HEADER},diameter_mm\n1,0,0,0,0.5,\n")
    with pytest.raises(ContractError, match="line 2: column 'diameter_mm' is '' and must not be empty"):
        read_submission(path, {"1": 0})
    path.write_text(f"{HEADER}\n")
    assert read_submission(path, {"1": 0}).diameter_mm is None


def test_a_bad_row_deep_in_the_table_is_named_by_its_line(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_text(HEADER + "\n" + "1,0,0,0,0.5\n" * 12_000 + "1,0,0,0,nan\n")
    with pytest.raises(ContractError, match="line 12002: column 'probability' is 'nan'"):
        read_submission(path, {"1": 0})


def test_series_of_a_table_in_its_order(tmp_path):
    path = tmp_path / "predictions.csv"
    path.write_text(HEADER + "\nb,0,0,0,1\na,0,0,0,1\nb,0,0,0,1\n")
    assert series_of(path, "predictions") == ("b", "a")
