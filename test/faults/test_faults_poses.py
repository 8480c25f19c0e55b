"""Poses that cannot be, whatever made them: never published, and the track ends."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from diagnostic_msgs.msg import DiagnosticStatus
from scene import positions

from vnect_ros.records import Pose, State

pytestmark = pytest.mark.ros


def behind(pose: Pose) -> Pose:
    """Mirrored through the camera's centre, which has the same pixels."""
    body = pose.transform_camera_from_body.copy()
    body[:3, 3] *= -1.0
    return replace(pose, transform_camera_from_body=body, joints_camera_m=-pose.joints_camera_m)


def infinite(pose: Pose) -> Pose:
    speeds = pose.velocities_mps.copy()
    speeds[3, 1] = np.inf
    return replace(pose, velocities_mps=speeds)


IMPOSSIBLE = {
    "A pose behind the camera": (behind, "LOST", ""),
    "A pose with a number that is none": (infinite, "LOST", "accepted: finite numbers"),
    "A measured pose without a residual": (
        lambda pose: replace(pose, residual_px=float("nan")), "PREDICTED, then LOST", ""
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", IMPOSSIBLE)
def test_an_impossible_pose_ends_the_track(scene, fault_table, fault):
    spoil, seen, named = IMPOSSIBLE[fault]
    scene.start(timeout_s=10.0, fit__predict_for_s=0.2)
    scene.track()
    scene.forget()
    (person,) = scene.node._processor._pipeline.people
    fit = person._fitter.update

    def spoilt(*observed):
        pose = fit(*observed)
        return pose if pose.state is State.LOST else spoil(pose)

    person._fitter.update = spoilt
    scene.play_until(lambda: bool(scene.lost()), "LOST")
    if named:
        scene.heard.await_diagnostics(DiagnosticStatus.ERROR, named)
    assert person not in scene.node._processor._pipeline.people
    recovery = scene.recovery_s()
    for skeleton in scene.tracked():
        assert np.isfinite(positions(skeleton)).all() and skeleton.pose.position.z > 0.0
        assert np.isfinite(skeleton.residual) or skeleton.state != skeleton.MEASURED
    assert len(scene.lost()) == 1
    seen += f", ERROR “… {named} …”" if named else ""
    fault_table.add(fault, f"not published: {seen}; the person is found anew", recovery)
