"""Rendered clips of several people: their ways, who comes and goes, and the truth."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("anny", reason="the synthetic people need anny (requirements/train.txt)")
pytest.importorskip("moderngl", reason="rendering needs moderngl (requirements/train.txt)")

from vnect_ros.cli import render
from vnect_ros.datasets.clips import PeopleClip, load_clips
from vnect_ros.errors import BackendError
from vnect_ros.skeleton import INDEX
from vnect_ros.synthetic import people_clips
from vnect_ros.synthetic.acts import standing_source
from vnect_ros.synthetic.bodies import body_model
from vnect_ros.synthetic.poses import leg
from vnect_ros.synthetic.render import Renderer

PLANS = {**people_clips.PLANS, "bundled": people_clips.BUNDLED}
WIDTH = 640
SHOULDERS_M = 0.55


def seen_x(plan):
    """[P, T] column of the picture in which each person's middle is [px]."""
    ways = [people_clips.path_of(knots) for knots in (*plan.adults, *plan.children)]
    views = people_clips.views(plan)
    return np.array(
        [[v.project(np.array([*at, 0.9]))[0][0] for v, at in zip(views, way)] for way in ways]
    )


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
def test_nobody_walks_through_somebody_or_runs(plan):
    ways = [people_clips.path_of(knots) for knots in (*plan.adults, *plan.children)]
    assert 2 <= len(ways) <= 6
    for one, other in itertools.combinations(ways, 2):
        assert np.linalg.norm(one - other, axis=1).min() > SHOULDERS_M
    for way in ways:
        speed = np.linalg.norm(np.gradient(way, axis=0), axis=1) * people_clips.RATE_HZ
        assert speed.max() < 1.8


@pytest.mark.parametrize("name", ["cross", "family", "crowd", "bundled"])
def test_people_pass_before_each_other_within_the_picture(name):
    columns = seen_x(PLANS[name])
    assert ((columns > 20) & (columns < WIDTH - 20)).all()
    order = [np.sign(a - b) for a, b in itertools.combinations(columns, 2)]
    crossings = sum(int((np.diff(signs) != 0).sum()) for signs in order)
    assert crossings >= 1


def test_people_enter_and_leave():
    inside = (seen_x(PLANS["enter"]) > 0) & (seen_x(PLANS["enter"]) < WIDTH)
    first, back, stays, late = inside
    assert not first[0] and first[120] and not first[-1]
    assert back[0] and not back[110] and back[-1]
    assert stays.all() and not late[0] and late[-1]


def strolling(count):
    """[count, 21, 3] legs that swing: enough of a walk to be put on a path."""
    frames = np.tile(standing_source(), (count, 1, 1))
    for i, joints in enumerate(frames):
        for side, sign in (("right", 1.0), ("left", -1.0)):
            leg(joints, side, 0.35 * sign * np.sin(2 * np.pi * i / 33), 0.035, 0.12, 0.2)
    return frames


def test_a_clip_is_filmed_with_everybodys_truth_and_the_floor(tmp_path, monkeypatch):
    try:
        Renderer(body_model(), 16, 16).release()
    except BackendError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(people_clips, "STAMPS_S", np.arange(6) / people_clips.RATE_HZ)
    millimetres = [1e3, -1e3, 1e3]
    motion = {
        people_clips.HELD_OUT_WALK: strolling(60) * millimetres,
        people_clips.SIGNALS: np.tile(standing_source(), (320, 1, 1)) * millimetres,
    }
    np.savez(tmp_path / "motion.npz", **motion)
    command = ["clips", "--people", "--only", "family", "--motion", str(tmp_path / "motion.npz")]
    assert render.main([*command, "--out", str(tmp_path / "out")]) == 0
    (clip,) = load_clips(tmp_path / "out")
    assert isinstance(clip, PeopleClip) and clip.joints_camera_m.shape == (6, 3, 21, 3)
    assert clip.heights_m[2] < people_clips.CHILD_M <= clip.heights_m[:2].min()
    assert len(list(clip.video)) == 6 == len(clip.floors)
    first, last = clip.floors[0], clip.floors[-1]
    assert first.offset_m == pytest.approx(-1.0) and np.any(
        first.transform_ground_from_camera != last.transform_ground_from_camera
    )
    for floor, people in zip(clip.floors, clip.joints_camera_m):
        for who, joints in enumerate(people):
            world = floor.ground_from_camera(joints)
            assert -0.02 < world[INDEX["left_toe"], 2] < 0.25
            assert abs(world[INDEX["head_top"], 2] - clip.heights_m[who]) < 0.12
    way = people_clips.path_of(PLANS["family"].children[0])
    pelvis = clip.floors[3].ground_from_camera(clip.joints_camera_m[3, 2])[INDEX["pelvis"]]
    np.testing.assert_allclose(pelvis[:2], way[3], atol=0.05)
    assert not clip.occluded[:, :, INDEX["neck"]].all()
