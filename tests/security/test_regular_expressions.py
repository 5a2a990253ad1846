"""Text of scans that is made to look like our own sentences takes no time that explodes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from medvision.datasets import patient_names
from medvision.datasets.patient_names import patients_in
from medvision.errors import ConfigError

ATTACK = """
from medvision.reporting.languages.catalogue import PLACEHOLDER, SENTENCES, language
spoken = language("de")
for sentence in SENTENCES:
    first, *parts = PLACEHOLDER.split(sentence.replace("%%", "%"))
    words = parts[1::2][:-1]
    for length in (300, 900, 40_000):
        middle = "".join(each * (length // len(words) // max(len(each), 1)) for each in words)
        spoken.said(f"{first}x{middle}\\0")
print("done")
"""


def test_sentences_are_recognised_in_time_that_does_not_explode():
    """The same patterns with backtracking take hours for the first of these texts with three values."""
    done = subprocess.run(
        [sys.executable, "-c", ATTACK], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "done\n"


@pytest.mark.parametrize("pattern", [r"((a+)+)$", r"((a|a)*)b", r"(a*a*a*a*a*a*a*a*)b"])
def test_a_pattern_that_tries_for_ever_is_ended(pattern: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient_names, "PATIENCE_SECONDS", 0.5)
    name = "a" * 250 + ".png"
    with pytest.raises(ConfigError) as caught:
        patients_in([name, "P1_1.png"], pattern)
    assert str(caught.value).startswith(
        f"patient pattern {pattern!r} takes more than 0.5 s on 2 names; write"
    )


def test_patients_are_found_aside_as_they_are_here() -> None:
    names = ["P1_1.png", "P22_1.png", "x.png", "P\udcff_1.png"]
    assert patients_in(names, r"P(\d*)") == {names[0]: "1", names[1]: "22", names[2]: "", names[3]: ""}
