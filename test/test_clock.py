"""The clock guard: which images are new, repeated, late, or of a clock that was set back."""

from __future__ import annotations

import pytest

from vnect_ros.clock import LATE_S, Arrival, ClockGuard


@pytest.mark.parametrize(
    ("stamp_s", "arrival"),
    [
        (10.0 + 1e-3, Arrival.NEW),
        (1e9, Arrival.NEW),
        (10.0, Arrival.REPEATED),
        (10.0 - 4e-7, Arrival.REPEATED),
        (10.0 + 4e-7, Arrival.REPEATED),
        (10.0 - 1e-3, Arrival.LATE),
        (10.0 - LATE_S + 1e-3, Arrival.LATE),
        (10.0 - LATE_S - 1e-3, Arrival.SET_BACK),
        (0.0, Arrival.SET_BACK),
    ],
)
def test_every_stamp_is_judged_against_the_last_accepted_one(stamp_s, arrival):
    guard = ClockGuard()
    assert guard.judge(stamp_s) is Arrival.NEW
    guard.accept(10.0)
    assert guard.judge(stamp_s) is arrival
    assert guard.last_s == 10.0, "judging changes nothing"


def test_how_late_is_late_can_be_said():
    guard = ClockGuard()
    guard.accept(10.0)
    assert guard.judge(9.0, late_s=2.0) is Arrival.LATE
    assert guard.judge(9.99, late_s=0.0) is Arrival.SET_BACK


def test_after_a_reset_any_stamp_is_new():
    guard = ClockGuard()
    guard.accept(10.0)
    guard.reset()
    assert guard.judge(1.0) is Arrival.NEW
