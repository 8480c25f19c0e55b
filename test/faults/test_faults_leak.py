"""No leak: the node's memory and its objects after hundreds of images of every kind."""

from __future__ import annotations

import ctypes
import gc
import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from scene import GOOD
from sensor_msgs.msg import Image
from stage import NOBODY, Person, failing

from vnect_ros.cli._soak import resident_mib
from vnect_ros.errors import ModelError
from vnect_ros.ros import convert
from vnect_ros.ros.frame_processor import Received

pytestmark = pytest.mark.ros
ROUND = 60
"""Images of a round: tracked, wrong, nobody."""


def collected() -> tuple[float, int]:
    """Memory of the process [MiB] and its Python objects, rubbish taken out."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return resident_mib(), len(gc.get_objects())


def test_hundreds_of_images_leave_nothing_behind(scene, fault_table):
    scene.start(timeout_s=60.0)
    scene.rig.here.create_subscription(Image, "debug/image", lambda _: None, 1)
    scene.track()
    scene.settle()
    node = scene.node
    walk = [scene.stage.cast(1 + i, Person((0.02 * i, 0.0, 4.0), 0.05 * i)) for i in range(30)]
    stamp_s = scene.sent[-1] + 10.0

    def play_round() -> None:
        """Straight into the node: no image is lost on the way, and none waits."""
        nonlocal stamp_s
        for i in range(ROUND):
            number = (walk * 2)[i] if i < 45 else NOBODY if i < 55 else GOOD
            image = convert.image_message(scene.stage.image(number), scene.camera.header(stamp_s))
            if i % 10 == 3:
                image.encoding = "magic"
            scene.stage.fail = failing(ModelError("torn maps")) if i % 10 == 7 else lambda: None
            node._handle(Received(image, time.monotonic(), 0.0))
            stamp_s += 1 / 30
        scene.stage.fail = lambda: None
        stamp_s += 2.0  # longer than a track may be unseen
        scene.heard.clear()
        scene.arrivals.clear()

    def left() -> tuple[float, int]:
        """What is held once all that is under way has come and is forgotten by the listener."""
        count = -1
        while count != len(scene.arrivals):
            count = len(scene.arrivals)
            time.sleep(0.3)
        scene.heard.clear()
        scene.arrivals.clear()
        return collected()

    for _ in range(3):
        play_round()
    before_mib, objects_before = left()
    rounds = 6
    for _ in range(rounds):
        play_round()
    after_mib, objects_after = left()
    frames = rounds * ROUND
    assert after_mib < 1.05 * before_mib, f"{before_mib:.1f} to {after_mib:.1f} MiB"
    assert objects_after - objects_before < frames / 2, "an object is kept every other image"
    assert node._diagnostics._published > frames
    fault_table.add(
        "Hundreds of images, good, broken and empty ones",
        f"memory {before_mib:.0f} to {after_mib:.0f} MiB over {frames} images",
        "–",
    )
