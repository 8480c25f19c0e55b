"""A camera that compresses: pictures that are torn, damaged, or none at all."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from diagnostic_msgs.msg import DiagnosticStatus
from ros_rig import wait
from scene import GOOD, RATE_HZ
from sensor_msgs.msg import CompressedImage
from stage import jpeg

pytestmark = pytest.mark.ros


def test_every_broken_picture_is_named_and_the_next_good_one_followed(scene, fault_table):
    scene.start(timeout_s=30.0, image_transport="compressed")
    scene.track()
    whole = jpeg(scene.stage.image(GOOD))
    broken = {
        "cut off": whole[: len(whole) // 2],
        "damaged": whole[:20] + whole[-20:],
        "accepted: a JPEG or PNG image": b"GIF89a" + bytes(100),
        "0 bytes of format": b"",
    }
    for named, data in broken.items():
        scene.settle()
        scene.forget()

        def told(named=named, data=data):
            header = scene.camera.header()
            scene.camera.images.publish(CompressedImage(header=header, format="jpeg", data=data))
            time.sleep(1.0 / RATE_HZ)
            statuses = [s for m in scene.heard["/diagnostics"] for s in m.status]
            return any(s.level == DiagnosticStatus.ERROR and named in s.message for s in statuses)

        wait(told, named, 20.0, scene.heard.last_diagnostics)
        assert not scene.tracked()
        recovery = scene.recovery_s()
    fault_table.add(
        "A broken JPEG (torn, damaged, empty, another format)",
        "ERROR “compressed image: got … bytes …, cut off (damaged, …)”",
        recovery,
    )


def test_a_jpeg_with_bytes_behind_its_end(scene, fault_table):
    """Drivers hand over whole pages or buffers; the picture in them is used."""
    scene.start(timeout_s=30.0, image_transport="compressed")
    scene.track()
    scene.forget()
    whole = jpeg(scene.stage.image(GOOD))
    for tail in (bytes(4096), whole[::-1]):
        already = len(scene.measured())

        def followed(data=whole + tail, already=already):
            header = scene.camera.header()
            scene.camera.images.publish(CompressedImage(header=header, format="jpeg", data=data))
            time.sleep(1.0 / RATE_HZ)
            return len(scene.measured()) >= already + 3

        wait(followed, "skeletons", 20.0, scene.heard.last_diagnostics)
    assert not scene.lost()
    fault_table.add("A JPEG with bytes behind its end", "decoded", "–")
