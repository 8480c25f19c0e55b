"""One node lives through every fault of a camera; after each the next good image is used.

All tests of this module share one node: each begins with what the last one left.
"""

from __future__ import annotations

import array
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from ros_rig import CAMERA, wait
from scene import GOOD, RATE_HZ, positions, seconds
from sensor_msgs.msg import CameraInfo
from stage import NOBODY, Person
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from vnect_ros.camera import Camera
from vnect_ros.msg import Skeleton
from vnect_ros.ros import convert

pytestmark = pytest.mark.ros
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
TIMEOUT_S = 5.0
"""Long: a machine that is busy with other things is not the fault under test."""


@pytest.fixture(scope="module")
def node(lasting_scene):
    lasting_scene.start(timeout_s=TIMEOUT_S, fit__predict_for_s=1.0)
    return lasting_scene


@pytest.fixture
def scene(node):
    """The node, tracking, with nothing heard yet; good intrinsics have been sent."""
    node.stage.shots.clear()
    node.track()
    node.forget()
    return node


def keep_publishing(scene, publish: Callable[[], None], done: Callable[[], object], what: str):
    """Best effort loses messages: the same fault until it is answered."""

    def answered():
        publish()
        time.sleep(1.0 / RATE_HZ)
        return done()

    wait(answered, what, 20.0, scene.heard.last_diagnostics)


def said(scene, level, text):
    return bool(scene.heard.said(level, text))


def stamps_by_topic(scene):
    return {
        "skeletons": [seconds(m.header.stamp) for m in scene.heard["skeletons"]],
        "joint states": [seconds(m.header.stamp) for m in scene.heard["bodies/human/joint_states"]],
        "tf": [seconds(t.header.stamp) for m in scene.heard["/tf"] for t in m.transforms],
        "markers": [
            seconds(k.header.stamp)
            for m in scene.heard["markers"] for k in m.markers if k.action == Marker.ADD
        ],
    }  # fmt: skip


def test_a_camera_that_stops(scene, fault_table):
    assert scene.rig.set(timeout_s=0.4)[0]
    scene.track()
    lost = scene.await_lost()
    assert lost.joints == [] and lost.id == "human"
    scene.heard.await_diagnostics(ERROR, "no usable image on /image for 0.4 s")
    before = {topic: len(stamps) for topic, stamps in stamps_by_topic(scene).items()}
    states = scene.states()
    time.sleep(0.9)  # whatever would be said again is heard by then
    after = stamps_by_topic(scene)
    assert {topic: len(stamps) for topic, stamps in after.items()} == before
    assert scene.states() == states and states[-2:].count(Skeleton.LOST) == 1
    assert all(m.action == Marker.DELETE for m in scene.heard["markers"][-1].markers)
    # Each stamp is an image's, and LOST repeats the last pose's: nothing newer is known.
    assert seconds(lost.header.stamp) == seconds(scene.tracked()[-1].header.stamp)
    for topic, stamps in after.items():
        assert all(any(abs(s - t) < 1e-6 for t in scene.sent) for s in set(stamps)), topic
        assert stamps == sorted(stamps), topic
    recovery = scene.recovery_s()
    assert scene.rig.set(timeout_s=TIMEOUT_S)[0]
    fault_table.add(
        "The camera stops, or only sends what cannot be used",
        "after `timeout_s` LOST once, with the last pose's stamp; markers deleted, `/tf` and joint"
        " states silent; ERROR",
        recovery,
    )


def test_a_person_who_leaves(scene, fault_table):
    scene.play_until(lambda: bool(scene.lost()), "LOST", NOBODY)
    states = scene.states()
    assert Skeleton.PREDICTED in states, states
    unseen = states[states.index(Skeleton.PREDICTED) :]
    assert set(unseen[:-1]) == {Skeleton.PREDICTED} and unseen[-1] == Skeleton.LOST
    predicted = [s for s in scene.tracked() if s.state == Skeleton.PREDICTED]
    stamps = [seconds(s.header.stamp) for s in predicted]
    assert stamps[-1] - stamps[0] <= 1.0
    assert all(j.state == j.PREDICTED for j in predicted[-1].joints)
    for rising in (
        [sum(j.position_std for j in s.joints) for s in predicted],
        [-sum(j.confidence for j in s.joints) for s in predicted],
    ):
        assert all(b > a for a, b in pairwise(rising))
    tf_count = len(scene.heard["/tf"])
    scene.play([NOBODY] * 10)
    assert len(scene.lost()) == 1 and len(scene.heard["/tf"]) == tf_count
    assert scene.arrivals[-1][1].skeletons == []  # alive, and nobody there
    fault_table.add(
        "The person leaves, or is hidden (black images)",
        "PREDICTED for `fit.predict_for_s`: confidence falls, `position_std` rises; then LOST once,"
        " then an empty array an image",
        scene.recovery_s(),
    )


BROKEN = {
    "An unknown encoding": ("image encoding: got '32FC1'", {"encoding": "32FC1"}),
    "A step shorter than a row": ("image step: got 7", {"step": 7}),
    "An image of no size": ("image size: got '320x0'", {"height": 0}),
    "Truncated data": ("image data: got '1000 bytes'", {"data": array.array("B", bytes(1000))}),
    "Another size than the data's": ("image data: got '230400 bytes'", {"height": 480}),
    "No frame_id": ("image frame_id: got ''", {"header": Header(stamp=Time(sec=1))}),
    "No stamp": ("image stamp: got 0.0", {"header": Header(frame_id="camera")}),
}
"""Fault: what diagnostics say, what is wrong with the image."""


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_image(scene, fault_table, fault):
    named, changes = BROKEN[fault]

    def publish():
        image = convert.image_message(scene.stage.image(GOOD), scene.camera.header())
        for key, value in changes.items():
            setattr(image, key, value)
        scene.camera.images.publish(image)

    keep_publishing(scene, publish, lambda: said(scene, ERROR, named), named)
    assert not scene.tracked()
    fault_table.add(fault, f"ERROR “{named} …”", scene.recovery_s())


@pytest.mark.parametrize("which", ["again", "late"])
def test_repeated_and_reordered_stamps(scene, fault_table, which):
    scene.track(2)
    last_s = seconds(scene.heard["skeletons"][-1].header.stamp)
    scene.forget()
    named, stamp_s = {
        "again": ("each stamp once", last_s),
        "late": ("images in the order they were taken", last_s - 0.1),
    }[which]
    keep_publishing(
        scene,
        lambda: scene.show(stamp_s=stamp_s, camera=None),
        lambda: said(scene, ERROR, named),
        named,
    )
    assert not scene.heard["skeletons"] and not scene.heard["/tf"]
    recovery = scene.recovery_s()
    fault = {"again": "A stamp comes twice", "late": "An image comes behind a younger one"}[which]
    fault_table.add(fault, f"ERROR “… {named}”; not published", recovery)


NAN = CameraInfo(width=320, height=240, k=np.full(9, np.nan))
SPOILT = {
    "Zero intrinsics": ("K is zero", CameraInfo(width=320, height=240)),
    "NaN in the intrinsics": ("uncalibrated", NAN),
    "Intrinsics of another shape of image": (
        "CameraInfo is of 320x320, the image 320x240",
        CameraInfo(width=320, height=320, k=CAMERA.matrix.ravel()),
    ),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_spoilt_intrinsics(scene, fault_table, fault):
    named, info = SPOILT[fault]

    def guessed():
        return any(not s.camera_calibrated for s in scene.tracked())

    keep_publishing(
        scene,
        lambda: (scene.camera.inform(info), scene.show(camera=None)),
        lambda: said(scene, WARN, named) and guessed(),
        named,
    )
    scene.forget()
    recovery = scene.recovery_s()
    wait(lambda: scene.play([GOOD]) and said(scene, OK, "MEASURED"), "all well again")
    assert scene.tracked()[-1].camera_calibrated
    fault_table.add(
        fault,
        f"WARN “… {named} …”; `camera_calibrated` false, tracking begins anew with `fallback_fov`",
        recovery,
    )


def test_intrinsics_of_another_resolution(scene, fault_table):
    wanted = positions(scene.node_pose()).copy()
    double = Camera(640, 480, 600.0, 600.0, 319.5, 239.5)
    keep_publishing(
        scene,
        lambda: (scene.camera.inform(double), scene.show(camera=None)),
        lambda: said(scene, WARN, "intrinsics are scaled") and scene.tracked(),
        "a word about it",
    )
    assert scene.tracked()[-1].camera_calibrated
    assert np.abs(positions(scene.tracked()[-1]) - wanted).max() < 0.1
    fault_table.add(
        "Intrinsics of another resolution",
        "WARN “… intrinsics are scaled”; tracking goes on",
        scene.recovery_s(),
    )


def test_a_change_of_resolution(scene, fault_table):
    small = Camera(240, 180, 225.0, 225.0, 119.5, 89.5)
    before = positions(scene.node_pose())
    scene.stage.camera = small
    try:
        recovery = scene.recovery_s(camera=small)
        scene.play_until(lambda: len(scene.measured()) > 15, "poses", camera=small)
        # A quarter fewer pixels; the person stands where they stood.
        assert np.abs(positions(scene.measured()[-1]) - before).max() < 0.25
    finally:
        scene.stage.camera = CAMERA
    fault_table.add("The resolution changes", "tracking begins anew", recovery)
    scene.track()


def test_noise(scene, fault_table):
    """The network sees joints anywhere, as in an image of noise: nobody is made of them."""
    random = np.random.default_rng(3)
    noise = scene.stage.cast(9)
    scene.stage.shots[noise] = (Noise(random),)
    scene.play_until(lambda: bool(scene.lost()), "LOST", noise)
    for skeleton in scene.tracked():
        assert np.isfinite(positions(skeleton)).all()
    scene.play([noise] * 15)
    assert scene.arrivals[-1][1].skeletons == []
    fault_table.add(
        "Images of noise",
        "outliers are REJECTED, the person PREDICTED, then LOST; no person is made of them",
        scene.recovery_s(),
    )


class Noise(Person):
    """A network that sees 21 joints at random."""

    def __init__(self, random) -> None:
        super().__init__()
        object.__setattr__(self, "_random", random)

    def seen(self, camera, crop):
        view = Person().seen(camera, crop)
        if view is None:
            return None
        view.pixels_px[:] = self._random.uniform(0.0, crop.input_size - 1.0, (21, 2))
        view.root_relative_m[:] = self._random.normal(0.0, 0.4, (21, 3))
        return view


def test_several_people(scene, fault_table):
    """Somebody else comes and stands beside: the one who was followed stays followed."""
    before = positions(scene.node_pose())
    both = scene.stage.cast(17, Person(), Person((1.1, 0.0, 3.8)))
    scene.play_until(lambda: len(scene.measured()) > 20, "skeletons", both)
    skeletons = scene.measured()
    assert all(len(array.skeletons) == 1 for _, array in scene.arrivals)
    assert np.abs(positions(skeletons[-1]) - before).max() < 0.15
    fault_table.add(
        "A second person comes into the image",
        "the person who was followed stays so; the other is not published",
        "–",
    )


def test_a_person_half_out_of_the_image(scene, fault_table):
    """The legs leave the image below: they are placed by the body, and said to be."""
    steps = [scene.stage.cast(20 + i, Person((0.0, 0.05 * i, 3.0))) for i in range(25)]
    scene.play_until(lambda: len(scene.measured()) > 8, "skeletons", steps[0])
    scene.play(steps)
    scene.forget()
    scene.play_until(lambda: len(scene.measured()) > 20, "skeletons", steps[-1])
    last = scene.measured()[-1]
    ankle = next(j for j in last.joints if j.name == "left_ankle")
    head = next(j for j in last.joints if j.name == "head")
    assert head.state == head.MEASURED
    assert ankle.state == ankle.PREDICTED and ankle.confidence < 0.2
    assert ankle.position_std > 2 * head.position_std
    assert np.isfinite(positions(last)).all()
    fault_table.add(
        "The person is half out of the image",
        "MEASURED; joints outside PREDICTED, their confidence falls to 0 and `position_std` rises",
        "–",
    )


def test_images_at_1_hz(scene, fault_table):
    """LOST between two images with a shorter timeout; with a longer one it is followed."""
    scene.play([GOOD] * 4, rate_hz=1.0)
    assert set(scene.states()) == {Skeleton.MEASURED}
    assert len({seconds(s.header.stamp) for s in scene.measured()}) == len(scene.measured()) >= 3
    fault_table.add(
        "Images at 1 Hz",
        "followed; LOST between two images if `timeout_s` is below their period",
        "–",
    )


def test_images_at_120_hz(scene, fault_table):
    """More than one core may bear: the newest are used, in order, none twice."""
    scene.play([GOOD] * 90, rate_hz=120.0)
    wait(lambda: len(scene.measured()) >= 5, "skeletons")
    stamps = [seconds(m.header.stamp) for m in scene.heard["skeletons"]]
    assert stamps == sorted(set(stamps))
    last = scene.measured()[-1]
    speeds = [np.linalg.norm((j.velocity.x, j.velocity.y, j.velocity.z)) for j in last.joints]
    assert max(speeds) < 0.5
    fault_table.add(
        "Images at 120 Hz", "the newest is used, older ones are counted as superseded", "–"
    )
