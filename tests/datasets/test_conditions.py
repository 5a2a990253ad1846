from __future__ import annotations

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.datasets.conditions import parse_condition
from medvision.errors import ConfigError

COMPARISONS = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq,
    "!=": operator.ne,
}  # fmt: skip
numbers = st.one_of(st.integers(-9, 9), st.floats(-9, 9).map(lambda value: round(value, 2)))


@given(st.sampled_from(sorted(COMPARISONS)), numbers, numbers, st.sampled_from(["", " "]))
def test_a_comparison_is_that_of_the_numbers(sign, label, limit, space):
    condition = parse_condition(f"{space}{sign}{space}{limit}{space}")
    assert condition.holds(str(label)) == COMPARISONS[sign](label, limit)


@pytest.mark.parametrize(
    ("text", "label", "holds"),
    [
        ("malignant", "Malignant", True),
        ("malignant", "benign", False),
        ("4,5", "5.0", True),
        ("4,5", "3", False),
        ("=1", "1", True),
        ("!=a,b", "c", True),
        ("!=a,b", "B", False),
        (1, "1", True),
    ],
)
def test_values(text, label, holds):
    assert parse_condition(text).holds(label) is holds


@pytest.mark.parametrize("text", ["", ">=", ">=x", "<nan", "=>4", "a<b", ",", "!="])
def test_what_is_no_condition(text):
    with pytest.raises(ConfigError, match="is none; write such as"):
        parse_condition(text)


def test_a_word_cannot_be_larger():
    with pytest.raises(ValueError, match="could not convert"):
        parse_condition(">=4").holds("large")
