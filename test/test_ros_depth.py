"""Depth images beside the images: matched by their stamps, read, used, or refused by name."""

from __future__ import annotations

import array
import threading
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import qos_profile_sensor_data
from ros_rig import CAMERA, fake_bundle, wait
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from test_depth import rendered
from test_ros_people import CALIBRATED, NORMALISED_M, hall  # noqa: F401

from vnect_ros.errors import ImageError
from vnect_ros.messages.depth import depth_m
from vnect_ros.msg import Skeleton
from vnect_ros.ros import depth_input
from vnect_ros.ros.depth_input import DepthInput
from vnect_ros.skeleton import PELVIS

FRAME = "camera_optical_frame"
PLACE = {"ann": (0.0, 0.0, 2.4)}
FLAT = np.full((CAMERA.height, CAMERA.width), 2.0)
LARGER = 1.2
"""Times as large, and as far away, as the fake network's person: seen alike without depth."""


def header(stamp_s: float, frame_id: str = FRAME) -> Header:
    made = Header(frame_id=frame_id)
    made.stamp.sec, made.stamp.nanosec = divmod(round(stamp_s * 1e9), 10**9)
    return made


def message(
    image_m: np.ndarray, at: Header, encoding="16UC1", big=False, padding=0, **fields
) -> Image:
    """A depth image [h, w] in metres as its driver publishes it."""
    kind, unit_m = {"16UC1": ("u2", 1e-3), "32FC1": ("f4", 1.0)}[encoding]
    scaled = image_m / unit_m
    values = (scaled.round() if kind == "u2" else scaled).astype((">" if big else "<") + kind)
    rows = np.pad(values.view(np.uint8), ((0, 0), (0, padding)), constant_values=77)
    given = {
        "height": len(image_m), "width": image_m.shape[1], "encoding": encoding,
        "is_bigendian": big, "step": rows.shape[1], "data": array.array("B", rows.tobytes()),
    }  # fmt: skip
    return Image(header=at, **{**given, **fields})


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_both_encodings_are_metres(encoding, big, padding):
    image = np.random.default_rng(0).integers(0, 9000, (7, 5)) / 1000.0
    read = depth_m(message(image, header(1.0), encoding, big, padding))
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, image, atol=1e-6)
    if encoding == "32FC1":
        image[2, 3], image[1, 1] = np.nan, np.inf
        np.testing.assert_array_equal(
            np.isfinite(depth_m(message(image, header(1.0), encoding))), np.isfinite(image)
        )


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"encoding": "mono8"}, "depth image encoding: got 'mono8', accepted: 16UC1 in mm"),
        ({"step": 9}, "depth image step: got 9, accepted: at least 10 bytes"),
        ({"height": 6}, "depth image data: got '70 bytes', accepted: 60"),
        ({"width": 0}, "depth image size: got '0x7'"),
    ],
)
def test_what_is_no_depth_image_is_refused_by_name(fields, named):
    made = message(np.ones((7, 5)), header(1.0))
    for field, value in fields.items():
        setattr(made, field, value)
    with pytest.raises(ImageError) as refusal:
        depth_m(made)
    assert named in str(refusal.value)


def flat(z_m: float, stamp_s: float, frame_id: str = FRAME) -> Image:
    return message(np.full((4, 6), z_m), header(stamp_s, frame_id), "32FC1")


@pytest.fixture
def waits(monkeypatch):
    """What happens, one after the other, while a depth image is waited for."""
    events: list = []

    class Waited(threading.Condition):
        def wait(self, timeout=None):
            assert events, "waited for nothing"
            events.pop(0)()

    monkeypatch.setattr(depth_input, "Condition", Waited)
    return events


def reads(depth: DepthInput, stamp_s: float) -> float | None:
    """The distance that an image of that time gets [m]."""
    read = depth.depth_m(header(stamp_s), 6, 4)
    return None if read is None else float(read[0, 0])


def test_the_nearest_within_half_a_period_is_taken(waits):
    depth = DepthInput("/depth")
    assert reads(depth, 1.0) is None and depth.fault.startswith("no depth image on /depth")
    for i in range(5):
        depth.put(flat(1.0 + i, 10.0 + i / 20.0))
    assert reads(depth, 10.1) == 3.0
    assert reads(depth, 10.123) == 3.0 and reads(depth, 10.127) == 4.0
    assert depth.fault == "" and depth.used == "32FC1 of /depth, +23 ms from the image"
    assert reads(depth, 9.9) is None
    assert "depth image stamp: got '+0.100 s from the image'" in depth.fault
    assert reads(depth, 10.21) == 5.0


def test_the_depth_image_of_the_same_exposure_is_waited_for_and_no_other(waits):
    depth = DepthInput("/depth")
    for i in range(5):
        depth.put(flat(1.0 + i, 10.0 + i / 30.0))
    waits.append(lambda: depth.put(flat(6.0, 10.0 + 5 / 30.0)))
    assert reads(depth, 10.0 + 5 / 30.0) == 6.0 and not waits
    # Not one that is still to be taken, nor one of a driver that has stopped.
    assert reads(depth, 10.0 + 5.4 / 30.0) == 6.0
    assert reads(depth, 10.0 + 9.0 / 30.0) is None
    # Nor, after the clock was set back, one of before.
    assert reads(depth, 5.0) is None


def test_a_depth_image_that_is_not_registered_is_refused_by_name(waits):
    depth = DepthInput("/depth")
    depth.put(flat(1.0, 10.0, "camera_depth_optical_frame"))
    assert reads(depth, 10.0) is None
    assert depth.fault == (
        "depth image frame_id: got 'camera_depth_optical_frame', accepted: "
        "'camera_optical_frame', the image's, to which it is to be registered; depth is not used"
    )
    depth.put(message(np.ones((4, 3)), header(20.0)))
    assert reads(depth, 20.0) is None
    assert "depth image size: got '3x4', accepted: 6x4" in depth.fault


@pytest.fixture
def depth_hall(hall):  # noqa: F811
    """A node before one person, each image preceded by what `make` gives for its header."""

    def begin(make):
        started = hall(depth_image="depth", max_people=1)
        camera = started.rig.camera()
        publisher = started.rig.here.create_publisher(Image, "depth", qos_profile_sensor_data)
        wait(lambda: publisher.get_subscription_count() > 0, "a subscription to depth images")
        show = camera.show

        def both(image, stamp_s):
            made = make(header(stamp_s))
            if made is not None:
                publisher.publish(made)
            return show(image, stamp_s)

        camera.show = both
        return started

    return begin


@pytest.mark.ros
@pytest.mark.parametrize("encoding", ["16UC1", "32FC1"])
def test_depth_gives_scale_and_distance(depth_hall, encoding):
    true_m = LARGER * (NORMALISED_M + PLACE["ann"])
    height_m = LARGER * 1.75
    image = rendered(true_m, height_m, CALIBRATED)
    scene = depth_hall(lambda at: message(image, at, encoding))
    scene.until(1, PLACE)

    def is_measured() -> bool:  # sensor data may be lost
        (skeleton,) = scene.show(frames=10)[-1].skeletons
        return (
            skeleton.scale == Skeleton.SCALE_MEASURED
            and skeleton.height_std > 0.0
            and skeleton.pose.position.z == pytest.approx(true_m[PELVIS, 2], rel=0.03)
            and scene.value("depth") == f"{encoding} of /depth, +0 ms from the image"
        )

    wait(is_measured, "the true distance", 40.0, scene.heard.last_diagnostics)


@pytest.mark.ros
@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda at: None, "no depth image on /depth"),
        (lambda at: message(np.ones((10, 10)), at), "depth image size: got '10x10'"),
        (lambda at: flat(2.0, at.stamp.sec - 0.5), "depth image stamp: got '-"),
        (
            lambda at: message(FLAT, Header(stamp=at.stamp, frame_id="other")),
            "depth image frame_id: got 'other'",
        ),
        (lambda at: message(FLAT, at, step=2), "depth image step: got 2"),
    ],
    ids=["none", "size", "stale", "frame", "torn"],
)
def test_a_useless_depth_image_is_named_and_the_image_used_without(rig, tmp_path, make, named):
    heard = rig.start(
        model=fake_bundle(tmp_path), backend="fake", depth_image="depth", diagnostics_period=0.1
    )
    publisher = rig.here.create_publisher(Image, "depth", qos_profile_sensor_data)
    wait(lambda: publisher.get_subscription_count() > 0, "a subscription to depth images")
    rig.camera().await_node()

    def reported():
        stamp_s = time.time()
        depth = make(header(stamp_s))
        if depth is not None:
            publisher.publish(depth)
        rig.camera().inform()
        rig.camera().show(stamp_s=stamp_s)
        time.sleep(1.0 / 30.0)
        return named in heard.last_diagnostics() and len(heard.tracked()) > 5

    wait(reported, named, after=heard.last_diagnostics)
    status = heard.await_diagnostics(DiagnosticStatus.WARN, named)
    assert "depth is not used" in status.message
    assert {s.scale for s in heard.tracked()} == {Skeleton.SCALE_ASSUMED}
