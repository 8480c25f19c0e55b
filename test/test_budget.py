"""How many windows fit into a step, and who is looked at where not all of them do."""

from __future__ import annotations

import numpy as np
import pytest
from test_everybody import CAMERA, RATE_HZ, Crowd, pipeline_of, who

from vnect_ros.budget import FEWEST, SAVED, SHARE, Budget
from vnect_ros.pipeline import LONGEST_WAIT_S, Pipeline
from vnect_ros.records import Frame, State

PERIOD_S = 1.0 / RATE_HZ
STEP_S, WINDOW_S = 0.004, 0.014
"""A machine on which three people and the search take two periods."""


@pytest.fixture
def crowd(tmp_path):
    return Crowd(tmp_path)


def spent(budget, steps, wanted, window_s, step_s=0.0, period_s=PERIOD_S):
    """The windows of each step where `wanted` are wanted, images being passed over meanwhile."""
    counts, stamp_s, now_s = [], 0.0, 0.0
    for _ in range(steps):
        fit = budget.windows(stamp_s)
        count = wanted if fit is None else min(wanted, fit)
        duration_s = step_s + count * window_s
        budget.spend(count, duration_s)
        counts.append(count)
        now_s = max(now_s, stamp_s) + duration_s
        stamp_s = max(stamp_s + period_s, int(now_s / period_s + 1e-6) * period_s)
    return counts


def test_nothing_is_limited_while_steps_are_quick_enough():
    assert spent(Budget(), 100, 4, 0.7 * SHARE * PERIOD_S / 4) == [4] * 100


def test_a_window_now_and_then_fits_into_what_short_steps_left():
    budget = Budget()
    window_s = 0.8 * SHARE * PERIOD_S
    for i in range(90):
        fit = budget.windows(i * PERIOD_S)
        wanted = 2 if i % 10 == 9 else 1
        assert fit is None or fit >= wanted
        budget.spend(wanted, wanted * window_s)


@pytest.mark.parametrize("period_s", [1.0 / 60.0, PERIOD_S, 0.1])
def test_steps_come_down_to_a_share_of_the_cameras_period(period_s):
    budget = Budget()
    counts = spent(budget, 200, 6, 0.4 * period_s, 0.1 * period_s, period_s)
    assert counts[: FEWEST - 1] == [6] * (FEWEST - 1)
    durations = np.array(counts[100:]) * 0.4 + 0.1
    assert 0.5 * SHARE <= durations.mean() <= SHARE + SAVED / len(durations)
    assert durations.max() <= SAVED


def test_one_window_is_looked_at_however_slow_it_is():
    counts = spent(Budget(), 80, 4, 3.0 * PERIOD_S)
    assert counts[40:] == [1] * 40


def test_it_takes_a_new_rate_and_a_freed_machine_over():
    budget = Budget()
    assert np.mean(spent(budget, 60, 4, WINDOW_S, STEP_S)[30:]) < 2.0
    assert spent(budget, 60, 4, WINDOW_S, STEP_S, 4.0 * PERIOD_S)[40:] == [4] * 20
    assert spent(budget, 60, 4, WINDOW_S / 5.0, STEP_S / 5.0)[40:] == [4] * 20


def test_a_clock_set_back_or_a_pause_is_no_period():
    budget = Budget()
    spent(budget, 40, 4, WINDOW_S, STEP_S)
    for stamp_s in (-100.0, 50.0):
        assert budget.windows(stamp_s) <= SAVED * PERIOD_S / WINDOW_S


class Slow:
    """Time as the network and the rest of a step take it."""

    def __init__(self, crowd, times=1.0):
        self.crowd, self.now_s = crowd, 0.0
        self.asked = []
        infer = crowd.infer

        def slow(images, gravities=None):
            self.now_s += (STEP_S + len(images) * WINDOW_S) * times
            self.asked.append(len(images))
            return infer(images, gravities)

        crowd.infer = slow

    def pipeline(self, budget):
        made = pipeline_of(self.crowd)
        return Pipeline(made.config, self.crowd, lambda: self.now_s, budget)


def play(slow, pipeline, crowd, seconds, move=None, begin_s=0.0):
    """Newest image wins: the poses of each image that was looked at, by its stamp."""
    answered = {}
    i, last = round(begin_s * RATE_HZ), round((begin_s + seconds) * RATE_HZ)
    while i < last:
        stamp_s = i / RATE_HZ
        if move is not None:
            move(stamp_s)
        slow.now_s = max(slow.now_s, stamp_s)
        answered[stamp_s] = pipeline.step(Frame(crowd.image(), CAMERA, stamp_s))
        i = max(i + 1, int(slow.now_s * RATE_HZ + 1e-6))
    return answered


THREE = {"ann": (-2.0, 0.0, 5.0), "bob": (0.0, 0.0, 4.0), "cyd": (2.0, 0.0, 5.5)}


def walking(crowd):
    def move(t):
        sway = 0.5 * np.sin(1.5 * t)
        crowd.places = {name: (x + sway, y, z) for name, (x, y, z) in THREE.items()}

    return move


def test_three_people_are_followed_at_the_cameras_rate_on_a_slow_machine(crowd):
    slow, move = Slow(crowd), walking(crowd)
    pipeline = slow.pipeline(Budget())
    ids = who(crowd, list(play(slow, pipeline, crowd, 6.0, move).values())[-1])
    assert set(ids) == set(THREE)
    slow.asked.clear()
    answered = play(slow, pipeline, crowd, 4.0, move, begin_s=6.0)
    assert len(answered) >= 0.95 * 4.0 * RATE_HZ, "hardly an image is passed over"
    most_s = max(SHARE * PERIOD_S, STEP_S + WINDOW_S)  # a window is looked at in any case
    assert np.mean(slow.asked) * WINDOW_S + STEP_S <= most_s + 1e-3
    for poses in answered.values():
        assert {p.id for p in poses} == set(ids.values())
        assert max(p.observation_age_s for p in poses) < 0.25
        assert not any(p.state is State.LOST for p in poses)
    measured = [sum(p.state is State.MEASURED for p in poses) for poses in answered.values()]
    assert np.mean(measured) > 0.7, "the search takes no more than its turn"


def test_nobody_waits_for_long_where_not_even_one_window_fits(crowd):
    slow, move = Slow(crowd, times=2.5), walking(crowd)
    pipeline = slow.pipeline(Budget())
    ids = who(crowd, list(play(slow, pipeline, crowd, 8.0, move).values())[-1])
    assert set(ids) == set(THREE)
    slow.asked.clear()
    answered = play(slow, pipeline, crowd, 3.0, move, begin_s=8.0)
    longest_s = 2.5 * (STEP_S + max(slow.asked) * WINDOW_S)
    assert 1.0 < np.mean(slow.asked) < 3.0
    for poses in answered.values():
        assert {p.id for p in poses} == set(ids.values())
        assert max(p.observation_age_s for p in poses) <= LONGEST_WAIT_S + longest_s + PERIOD_S


def test_without_a_budget_such_a_machine_passes_images_over(crowd):
    slow, move = Slow(crowd), walking(crowd)
    pipeline = slow.pipeline(None)
    play(slow, pipeline, crowd, 4.0, move)
    assert len(play(slow, pipeline, crowd, 2.0, move, begin_s=4.0)) < 0.7 * 2.0 * RATE_HZ


def test_somebody_new_is_found_while_there_is_time_for_one_window_alone(crowd):
    slow, walk = Slow(crowd), walking(crowd)

    def move(t):
        walk(t)
        if t > 6.0:
            crowd.places["new"] = (-3.2, 0.0, 6.0)

    pipeline = slow.pipeline(Budget())
    before = who(crowd, list(play(slow, pipeline, crowd, 6.0, move).values())[-1])
    assert set(before) == set(THREE)
    after = play(slow, pipeline, crowd, 4.0, move, begin_s=6.0)
    found_s = next(s for s, poses in after.items() if "new" in who(crowd, poses))
    assert found_s - 6.0 < 3.0
    assert who(crowd, list(after.values())[-1]).items() > before.items()


def test_a_find_is_confirmed_in_the_next_image_whoever_else_waits(crowd):
    slow, walk = Slow(crowd), walking(crowd)
    pipeline = slow.pipeline(Budget())
    waiting, confirmed = [], 0

    def move(t):
        nonlocal waiting, confirmed
        assert not any(p.pose is None and p in pipeline.people for p in waiting)
        confirmed += sum(p.pose is not None for p in waiting)
        walk(t)
        waiting = [p for p in pipeline.people if p.pose is None]

    for i in range(60):  # an image at a time: `move` sees the people of the last one
        play(slow, pipeline, crowd, 1.0 / RATE_HZ, move, begin_s=i / RATE_HZ)
    assert confirmed >= 3


def test_a_quick_machine_looks_at_everything_as_without_a_budget(crowd):
    def run(budget):
        pipeline = pipeline_of(crowd)
        pipeline = Pipeline(pipeline.config, crowd, lambda: 0.0, budget)
        begin = crowd.windows
        move, shown = walking(crowd), []
        for i in range(120):
            move(i / RATE_HZ)
            shown.append(pipeline.step(Frame(crowd.image(), CAMERA, i / RATE_HZ)))
        return crowd.windows - begin, np.array([p.joints_px for poses in shown for p in poses])

    (windows, joints_px), (limited, same_px) = run(None), run(Budget())
    assert windows == limited
    np.testing.assert_array_equal(joints_px, same_px)
