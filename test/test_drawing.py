"""Pictures: joints are where they should be, and nobody is drawn where nobody is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from fake_backend import STANDING_M

from vnect_ros import drawing
from vnect_ros.records import Calibration, Crop, Pose, State


@pytest.fixture
def pose():
    return Pose(
        stamp_s=1.0,
        id="abcde",
        state=State.MEASURED,
        joints_px=STANDING_M[:, :2] * 100.0 + (160.0, 110.0),
        joints_raw_m=STANDING_M,
        joints_camera_m=STANDING_M + (0.0, 0.0, 3.0),
        orientations_xyzw=np.tile([0.0, 0.0, 0.0, 1.0], (21, 1)),
        velocities_mps=np.zeros((21, 3)),
        confidence=np.ones(21),
        std_m=np.zeros(21),
        joint_states=np.zeros(21, np.uint8),
        transform_camera_from_body=np.eye(4),
        q=np.zeros(0),
        q_names=(),
        height_m=1.7,
        calibration=Calibration.DONE,
        bone_lengths_m=np.zeros(21),
        residual_px=2.0,
        crop=Crop(10.0, 20.0, 200.0, 224),
    )


def lost(pose):
    nan = {
        name: np.full_like(getattr(pose, name), np.nan)
        for name in ("joints_px", "joints_camera_m", "joints_raw_m")
    }
    return dataclasses.replace(pose, state=State.LOST, **nan)


def test_the_overlay_colours_every_seen_joint_and_leaves_its_input_alone(pose):
    image = np.full((240, 320, 3), 128, np.uint8)
    drawn = drawing.overlay(image, pose)
    assert (image == 128).all() and drawn.shape == image.shape and drawn.dtype == np.uint8
    for joint, (x, y) in enumerate(np.rint(pose.joints_px).astype(int)):
        spot = drawn[y, x].astype(int)
        assert np.abs(spot - 128).max() > 20, joint
    right, left = pose.joints_px[[3, 6]].astype(int)  # elbows: warm and cold colours
    assert drawn[right[1], right[0], 0] > drawn[right[1], right[0], 2]
    assert drawn[left[1], left[0], 0] < drawn[left[1], left[0], 2]


def test_unseen_joints_are_left_out(pose):
    image = np.full((240, 320, 3), 128, np.uint8)
    confidence = np.ones(21)
    confidence[[19, 20]] = 0.0
    drawn = drawing.overlay(image, dataclasses.replace(pose, confidence=confidence))
    x, y = np.rint(pose.joints_px[19]).astype(int)
    assert (drawn[y + 3 : y + 9, x - 3 : x + 3] == 128).all()


def test_lost_and_points_far_outside_do_no_harm(pose):
    image = np.zeros((120, 160, 3), np.uint8)
    assert drawing.side_by_side(image, [(lost(pose), None)]).shape == (120, 320, 3)
    far = dataclasses.replace(pose, joints_px=pose.joints_px * 1e7)
    assert drawing.overlay(image, far).shape == image.shape
    half = pose.joints_px.copy()
    half[:5] = np.nan
    drawing.side_by_side(image, [(dataclasses.replace(pose, joints_px=half), half)])


def test_the_view_in_space_shows_the_person_upright(pose):
    view = drawing.view_3d([pose], (200, 240))
    colourful = np.ptp(view.astype(int), axis=2) > 60
    rows = np.nonzero(colourful.any(axis=1))[0]
    assert np.ptp(rows) > 110  # 1.6 m of the 2.6 m the picture is high
    empty = drawing.view_3d([lost(pose)], (200, 240))
    assert not (np.ptp(empty.astype(int), axis=2) > 60).any()


def test_frames_have_even_edges(pose):
    frame = drawing.side_by_side(np.zeros((121, 163, 3), np.uint8), [(pose, None)])
    assert frame.shape[0] % 2 == 0 and frame.shape[1] % 2 == 0


def placed(pose, x_px, x_m):
    """The same person elsewhere."""
    return dataclasses.replace(
        pose,
        crop=None,
        joints_px=pose.joints_px + (x_px, 0.0),
        joints_camera_m=pose.joints_camera_m + (x_m, 0.0, 0.0),
    )


def clusters(row):
    """Runs of true values that are more than 20 apart."""
    return 1 + (np.diff(np.flatnonzero(row)) > 20).sum() if row.any() else 0


def test_everybody_is_drawn_and_labelled_where_they_are(pose):
    three = [placed(pose, x_px, x_m) for x_px, x_m in ((-60, -1.5), (180, 0.0), (420, 1.5))]
    image = np.full((240, 640, 3), 128, np.uint8)
    drawn = drawing.everybody(image, [(p, None) for p in [*three, lost(pose)]])
    assert (image == 128).all()
    for person in three:
        for joint, (x, y) in enumerate(np.rint(person.joints_px).astype(int)):
            assert np.abs(drawn[y, x].astype(int) - 128).max() > 20, joint
    alone = drawing.everybody(image, [(three[0], None)])
    assert (alone == drawing.overlay(image, three[0])).all()
    label = np.array(drawing.STATE_COLOURS[State.MEASURED])
    heads_px = [p.joints_px[:, 1].min() - 12 for p in three]
    rows = slice(int(min(heads_px)) - 4, int(max(heads_px)) + 6)
    written = (np.abs(drawn[rows].astype(int) - label).max(axis=2) < 20).any(axis=0)
    for person in three:
        left = int(person.joints_px[:, 0].min())
        assert written[left : left + 40].any()
    assert (drawn[:14, :14] == 128).all(), "no label in the corner, where nobody is"


def test_the_view_in_space_shows_everybody_in_the_picture(pose):
    three = [placed(pose, 0, x_m) for x_m in (-1.5, 0.0, 1.5)]
    view = drawing.view_3d(three, (300, 300))
    colourful = np.ptp(view.astype(int), axis=2) > 60
    assert clusters(colourful.any(axis=0)) == 3
    assert not colourful[:, [0, -1]].any() and not colourful[[0, -1]].any()
    one = drawing.view_3d([three[1], lost(pose)], (300, 300))
    assert (one == drawing.view_3d([three[1]], (300, 300))).all()
