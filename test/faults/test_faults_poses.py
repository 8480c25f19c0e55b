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
    "A pose behind the camera": (behind, "the pelvis in front of the camera"),
    "A pose with a number that is none": (infinite, "finite numbers"),
    "A measured pose without a residual": (
        lambda pose: replace(pose, residual_px=float("nan")), "finite numbers"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", IMPOSSIBLE)
def test_an_impossible_pose_ends_the_track(scene, fault_table, fault):
    spoil, named = IMPOSSIBLE[fault]
    scene.start(timeout_s=10.0)
    scene.track()
    scene.forget()
    pipeline = scene.node._processor._pipeline
    step, spoilt = pipeline.step, []

    def spoilt_once(frame):
        poses = step(frame)
        if spoilt or not poses or poses[0].state is not State.MEASURED:
            return poses
        spoilt.append(poses[0].id)
        return [spoil(poses[0])]

    pipeline.step = spoilt_once
    scene.play_until(lambda: bool(scene.lost()), "LOST")
    pipeline.step = step
    scene.heard.await_diagnostics(DiagnosticStatus.ERROR, named)
    assert spoilt[0] not in [person.id for person in pipeline.people]
    recovery = scene.recovery_s()
    for skeleton in scene.tracked():
        assert np.isfinite(positions(skeleton)).all() and skeleton.pose.position.z > 0.0
        assert np.isfinite(skeleton.residual) or skeleton.state != skeleton.MEASURED
    assert len(scene.lost()) == 1
    fault_table.add(
        fault, f"not published: LOST, ERROR “… {named} …”; tracking begins anew", recovery
    )
