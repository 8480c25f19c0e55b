"""Where the intrinsics come from: a latched CameraInfo, and P for rectified images."""

from __future__ import annotations

import array
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_rig import CAMERA, wait
from scene import GOOD, RATE_HZ, positions
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from vnect_ros.camera import Camera
from vnect_ros.ros import convert

pytestmark = pytest.mark.ros
OK = DiagnosticStatus.OK


def raw_info() -> CameraInfo:
    """A driver's, beside image_proc: K and D are of the raw image, P is CAMERA's."""
    info = convert.camera_info(CAMERA, Header())
    info.k = Camera(320, 240, 345.0, 345.0, 159.5, 119.5).matrix.ravel()
    info.d = [-0.36, 0.13, 0.0, 0.0, -0.02]
    return info


def stands_where_they_stand(scene) -> bool:
    """The person of the stage stands 4 m away (its pelvis; a few cm for the fit's own body)."""
    return abs(positions(scene.measured()[-1])[14, 2] - 4.0) < 0.25


def test_a_camera_info_that_was_sent_once(scene, fault_table):
    """Latched before the node came, as by a driver that publishes it when it is calibrated."""
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = scene.rig.here.create_publisher(CameraInfo, "camera_info", latched)
    publisher.publish(convert.camera_info(CAMERA, Header()))
    scene.start(timeout_s=10.0, camera_info_timeout_s=20.0)
    scene.play_until(lambda: len(scene.measured()) >= 8, "skeletons", camera=None)
    assert all(s.camera_calibrated for s in scene.measured())
    assert stands_where_they_stand(scene)
    assert scene.value("camera") == "calibrated"
    # Another camera's, published as images are: it is heard as well.
    scene.forget()
    far = Camera(320, 240, 450.0, 450.0, 159.5, 119.5)

    def farther():
        scene.camera.inform(far)
        scene.play([GOOD], camera=None)
        return bool(scene.measured()) and positions(scene.measured()[-1])[14, 2] > 5.0

    wait(farther, "the other camera's intrinsics", 20.0, scene.heard.last_diagnostics)
    fault_table.add(
        "CameraInfo is sent once, latched, before the node comes",
        "received; so are those of volatile publishers",
        "–",
    )


@pytest.mark.parametrize("how", ["by the topic's name", "by parameter"])
def test_rectified_images(scene, fault_table, how):
    """image_proc's images beside the driver's CameraInfo: P holds, and no distortion."""
    if how == "by parameter":
        scene.start(timeout_s=10.0, rectified="true")
    else:
        scene.start(timeout_s=10.0, topic="image_rect_color")
    track(scene)
    assert stands_where_they_stand(scene)
    scene.heard.await_diagnostics(OK, "MEASURED")
    assert scene.value("camera") == "calibrated, rectified images: P is used"
    assert scene.rig.set(rectified="false")[0]  # live: K and D are taken, wrongly here
    scene.forget()
    track(scene)
    assert not stands_where_they_stand(scene)
    assert scene.rig.set(rectified=True)[0]  # as YAML and `ros2 param set` read it
    assert scene.rig.get("rectified") == "true"
    fault_table.add(
        f"Rectified images with the driver's CameraInfo ({how})",
        "P is used, no distortion; diagnostics: “calibrated, rectified images: P is used”",
        "–",
    )


def track(scene) -> None:
    def tracked():
        scene.camera.inform(raw_info())
        scene.play([GOOD], camera=None)
        return len(scene.measured()) >= 8

    wait(tracked, "skeletons", 20.0, scene.heard.last_diagnostics)


def test_sensors_of_10_bits(scene, fault_table):
    """White is 1023 in their 16-bit images, which looks black to whoever divides by 256."""
    scene.start(timeout_s=10.0)
    image = scene.stage.image(GOOD).astype("<u2") << 2
    data = array.array("B", image.tobytes())

    def tracked():
        scene.camera.inform()
        header = scene.camera.header()
        scene.camera.images.publish(
            Image(header=header, width=320, height=240, encoding="rgb16", step=1920, data=data)
        )
        time.sleep(1.0 / RATE_HZ)
        return len(scene.measured()) >= 8

    wait(tracked, "skeletons", 20.0, scene.heard.last_diagnostics)
    assert np.median([s.residual for s in scene.measured()]) < 5.0
    fault_table.add(
        "10 or 12 bits in 16-bit images (mono16, rgb16, bayer16, PNG)",
        "scaled by the bits that are in use; followed",
        "–",
    )
