"""What may come beside the images stops: a depth camera, a detector."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import qos_profile_sensor_data
from ros_rig import CAMERA, wait
from scene import GOOD, RATE_HZ, positions
from sensor_msgs.msg import Image
from stage import NORMALISED_M, Person
from test_depth import rendered
from test_ros_depth import FRAME, header, message

from vnect_ros.msg import Skeleton
from vnect_ros.skeleton import PELVIS

pytestmark = pytest.mark.ros
LARGER = 1.2
"""The person is this much larger, and farther away, than looks alone can tell."""


def test_a_depth_camera_stops(scene, fault_table):
    """Size and distance that it measured hold on."""
    true_m = LARGER * (NORMALISED_M - NORMALISED_M[PELVIS] + Person().position_m)
    image_m = rendered(true_m, LARGER * 1.75, CAMERA)
    scene.start(depth_image="depth", timeout_s=10.0)
    publisher = scene.rig.here.create_publisher(Image, "depth", qos_profile_sensor_data)
    wait(lambda: publisher.get_subscription_count() > 0, "a subscription to depth images")

    def until(done, what: str, with_depth: bool) -> None:
        deadline = time.monotonic() + 20.0
        while not done():
            assert time.monotonic() < deadline, f"{what}: {scene.heard.last_diagnostics()}"
            stamp_s = time.time()
            if with_depth:
                publisher.publish(message(image_m, header(stamp_s)))
            scene.show(GOOD, stamp_s)
            time.sleep(1.0 / RATE_HZ)

    def is_right() -> bool:
        last = scene.measured()[-1] if scene.measured() else None
        return (
            last is not None
            and last.scale == Skeleton.SCALE_MEASURED
            and abs(positions(last)[PELVIS, 2] - true_m[PELVIS, 2]) < 0.15
        )

    until(is_right, "the true distance", with_depth=True)
    scene.heard.clear()
    named = "depth is not used"
    until(lambda: named in scene.heard.last_diagnostics(), named, with_depth=False)
    assert scene.level() == DiagnosticStatus.WARN
    scene.forget()
    until(lambda: len(scene.measured()) >= 30, "skeletons", with_depth=False)
    assert is_right() and not scene.lost()
    until(lambda: scene.level() == DiagnosticStatus.OK, "depth again", with_depth=True)
    fault_table.add(
        "A depth camera stops, or its images are of another size, frame or encoding",
        "WARN “depth image …; depth is not used”; height and distance hold on",
        "1 frame",
    )


def test_a_detector_stops(scene, fault_table):
    """It found nobody, so that nobody was followed; now the node looks for itself."""
    vision_msgs = pytest.importorskip("vision_msgs.msg", reason="needs vision_msgs")
    scene.start(detections="found", timeout_s=10.0)
    publisher = scene.rig.here.create_publisher(vision_msgs.Detection2DArray, "found", 10)
    wait(lambda: publisher.get_subscription_count() > 0, "a subscription to detections")

    def detect_nobody() -> bool:
        """Publish an empty message; whether diagnostics have heard of one."""
        publisher.publish(vision_msgs.Detection2DArray(header=header(time.time(), FRAME)))
        arrays = scene.heard["/diagnostics"]
        heard = {v.value for array in arrays[-1:] for v in array.status[0].values}
        return "0 of 0 detections on /found" in heard

    scene.play_until(detect_nobody, "the boxes to be used")
    scene.settle()
    # Whom the node found before the first message is still followed: begin anew.
    assert scene.rig.trigger("/vnect/reset")[0]
    scene.forget()
    for _ in range(30):
        detect_nobody()
        scene.play([GOOD])
    assert not scene.tracked(), "boxes take the place of the search"
    begin = time.monotonic()
    scene.play_until(lambda: bool(scene.measured()), "the node's own search")
    found_s = time.monotonic() - begin
    scene.heard.await_diagnostics(DiagnosticStatus.WARN, "the node searches for people itself")
    fault_table.add(
        "A detector (`detections`) stops, or its boxes are none of the image's",
        "WARN “detections …; the node searches for people itself”; who is followed stays so",
        found_s,
    )
