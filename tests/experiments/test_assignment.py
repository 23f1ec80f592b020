from __future__ import annotations

from collections import Counter

import pytest

from visualsearch.errors import UsageError
from visualsearch.experiments import Arm, Design, free_segment, position

UNITS = [f"person-{i}" for i in range(20_000)]


def test_arms_hold_their_shares_and_a_unit_keeps_its_arm() -> None:
    design = Design("colours", (Arm("control", 1), Arm("warm", 2), Arm("cold", 1)))
    found = Counter(design.assign(u) for u in UNITS)
    assert abs(found["warm"] / len(UNITS) - 0.5) < 0.015
    assert abs(found["control"] / len(UNITS) - 0.25) < 0.015
    assert [design.assign(u) for u in UNITS[:100]] == [design.assign(u) for u in UNITS[:100]]


def test_a_growing_ramp_adds_units_and_moves_none() -> None:
    small, large = Design("x", ramp=0.1), Design("x").ramped(0.5)
    inside = [u for u in UNITS if small.assign(u)]
    assert abs(len(inside) / len(UNITS) - 0.1) < 0.01
    assert all(large.assign(u) == small.assign(u) for u in inside)


def test_two_experiments_do_not_correlate() -> None:
    one, other = Design("one"), Design("other")
    both = Counter((one.assign(u), other.assign(u)) for u in UNITS)
    assert all(abs(count / len(UNITS) - 0.25) < 0.015 for count in both.values())
    assert len(both) == 4


def test_experiments_of_one_group_share_no_unit() -> None:
    first = Design("first", group="feed", segment=free_segment([], "feed", 0.4))
    second = Design("second", group="feed", segment=free_segment([first], "feed", 0.6))
    assert second.segment == (0.4, 1.0)
    arms = [(first.assign(u), second.assign(u)) for u in UNITS]
    assert not any(a and b for a, b in arms)
    assert all(a or b for a, b in arms)
    with pytest.raises(UsageError, match="no room for 10%"):
        free_segment([first, second], "feed", 0.1)
    assert free_segment([first, second], "search", 1.0) == (0.0, 1.0)


def test_the_held_back_are_in_no_experiment() -> None:
    designs = [Design("a", holdback=0.05), Design("b", holdback=0.05)]
    out = [{u for u in UNITS if d.assign(u) is None} for d in designs]
    assert out[0] == out[1]
    assert abs(len(out[0]) / len(UNITS) - 0.05) < 0.006


def test_positions_are_uniform_and_names_do_not_run_together() -> None:
    places = [position("s", u) for u in UNITS]
    assert 0 <= min(places) < 0.001
    assert 0.999 < max(places) < 1
    assert position("ab", "c") != position("a", "bc")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"arms": (Arm("only"),)}, "at least two arms"),
        ({"arms": (Arm("a"), Arm("a"))}, "a name of its own"),
        ({"arms": (Arm("a"), Arm("b", 0))}, "weight 0"),
        ({"ramp": 1.5}, "ramp is 1.5"),
        ({"segment": (0.5, 0.5)}, "is empty"),
    ],
)
def test_a_wrong_design_says_what_is_wrong(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        Design("x", **changes)  # type: ignore[arg-type]
