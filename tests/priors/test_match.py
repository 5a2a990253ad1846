"""One-to-one, at the least cost, whatever the order."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvision.priors.match import FORBIDDEN, Seen, _cost, match

places = st.tuples(*[st.floats(-15, 15)] * 3)
findings = st.lists(st.builds(Seen, places, st.floats(3, 30), st.floats(-700, 200)), max_size=4)


@given(findings, findings)
def test_as_trying_every_pairing_does(current, earlier):
    pairs = match(current, earlier)
    assert len(set(pairs.values())) == len(pairs)
    got = sum(_cost(current[i], earlier[j]) if i in pairs else FORBIDDEN for i, j in pairs.items())
    got += FORBIDDEN * (min(len(current), len(earlier)) - len(pairs))
    few, many = sorted((current, earlier), key=len)
    best = min(
        sum(_cost(one, other) for one, other in zip(few, chosen, strict=True))
        for chosen in permutations(many, len(few))
    )
    assert got == pytest.approx(best)


@given(st.permutations(range(5)), st.integers(0, 100))
def test_a_little_motion_changes_no_partner(order, seed):
    rng = np.random.default_rng(seed)
    before = [Seen((30.0 * k, 10.0 * k, -20.0 * k), 6.0 + k, 0.0) for k in range(5)]
    after = [
        Seen(tuple((np.array(before[k].center_lps_mm) + rng.uniform(-4, 4, 3)).tolist()), 6.0 + k, 10.0)
        for k in order
    ]
    assert match(after, before) == dict(enumerate(order))


def test_the_likelier_one_of_two_neighbours():
    now = [Seen((0.0, 0, 0), 12.0, 20.0)]
    then = [Seen((3.0, 0, 0), 4.0, -600.0), Seen((-4.0, 0, 0), 11.0, 10.0)]
    assert match(now, then) == {0: 1}


def test_nothing_beyond_reach():
    far, large = Seen((11.0, 0, 0), 6.0), Seen((11.0, 0, 0), 30.0)
    assert match([Seen((0.0, 0, 0), 6.0)], [far]) == {}
    assert match([Seen((0.0, 0, 0), 30.0)], [large]) == {0: 0}
    assert match([], [far]) == match([far], []) == {}
