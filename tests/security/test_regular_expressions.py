"""Text of scans that is made to look like our own sentences takes no time that explodes."""

from __future__ import annotations

import subprocess
import sys

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
