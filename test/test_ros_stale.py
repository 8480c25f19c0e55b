"""No pose is old, torn or silently wrong: stale images, odd stamps, broken input."""

from __future__ import annotations

import array
import time
from functools import partial

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
import fake_backend
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from ros_rig import CAMERA, Rig, fake_bundle, wait
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from vnect_ros.msg import Skeleton
from vnect_ros.ros import convert
from vnect_ros.ros.convert import stamp_s

pytestmark = pytest.mark.ros
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@pytest.fixture
def fake(tmp_path):
    return {"model": fake_bundle(tmp_path), "backend": "fake", "diagnostics_period": 0.1}


def follow(rig: Rig, count: int = 5):
    heard, camera = rig.heard[""], rig.camera()
    camera.await_node()
    camera.follow(count)
    time.sleep(0.1)
    return heard, camera


def settled(heard, topic="skeletons") -> list:
    """All messages once none comes for a while."""
    count = -1
    while count != len(heard[topic]):
        count = len(heard[topic])
        time.sleep(0.6)
    return heard[topic]


def test_without_images_the_person_is_lost_once(rig, fake):
    rig.start(timeout_s=0.3, **fake)
    heard, _ = follow(rig)
    wait(lambda: heard.skeletons()[-1].state == Skeleton.LOST, "LOST", 3.0)
    heard.await_diagnostics(ERROR, "no usable image on /image for 0.3 s")
    skeletons = [s for array in settled(heard) for s in array.skeletons]
    assert [s.state for s in skeletons].count(Skeleton.LOST) == 1
    last = heard.tracked()[-1]
    assert skeletons[-1].header == last.header and not skeletons[-1].joints
    assert all(m.action == m.DELETE for m in heard["markers"][-1].markers)
    stamps = [stamp_s(m.transforms[0].header.stamp) for m in heard["/tf"]]
    assert max(stamps) == stamp_s(last.header.stamp) and len(set(stamps)) == len(stamps)
    heard.clear()
    follow(rig)
    heard.await_diagnostics(OK, "MEASURED")


def test_who_is_still_there_after_a_gap_goes_on_and_is_lost_once_more_when_gone(rig, fake):
    rig.start(timeout_s=0.3, **fake)
    heard, camera = follow(rig)
    wait(lambda: heard.skeletons()[-1].state == Skeleton.LOST, "LOST", 3.0)
    pipeline = rig.nodes[""]._processor._pipeline
    (before,) = (person.id for person in pipeline.people)
    shown = len(heard.tracked())
    camera.follow(shown + 5)
    assert [person.id for person in pipeline.people] == [before]
    skeletons = [s for array in settled(heard) for s in array.skeletons]
    states = [s.state for s in skeletons]
    assert states.count(Skeleton.LOST) == 2 and states[-1] == Skeleton.LOST
    for lost in np.flatnonzero(np.array(states) == Skeleton.LOST):
        assert states[lost - 1] != Skeleton.LOST
        assert skeletons[lost].header.stamp == skeletons[lost - 1].header.stamp


def test_unusable_images_make_a_pose_stale_too(rig, fake):
    rig.start(timeout_s=0.3, **fake)
    heard, camera = follow(rig)
    for _ in range(25):
        broken = convert.image_message(np.zeros((8, 8, 3), np.uint8), camera.header())
        broken.encoding = "magic"
        camera.images.publish(broken)
        time.sleep(0.03)
    assert heard.skeletons()[-1].state == Skeleton.LOST
    heard.await_diagnostics(ERROR, "encoding: got 'magic'")


def test_a_person_who_leaves_is_lost_once_and_the_rest_is_empty(rig, fake):
    rig.start(fit__predict_for_s=0.2, **fake)
    heard, camera = follow(rig)
    nobody = fake_backend.standing(rig.nodes[""]._backend.model)
    unseen = fake_backend.Seen(nobody.pixels_px, nobody.root_relative_m, np.zeros(21))
    rig.nodes[""]._backend._look = lambda image: unseen
    camera.play(45)
    arrays = settled(heard)
    states = [[s.state for s in array.skeletons] for array in arrays]
    assert states.count([Skeleton.LOST]) == 1
    assert [Skeleton.PREDICTED] in states
    gone = states.index([Skeleton.LOST])
    assert all(state == [] for state in states[gone + 1 :]) and len(states) > gone + 5
    assert stamp_s(heard["/tf"][-1].transforms[0].header.stamp) < stamp_s(arrays[gone].header.stamp)


BLACK = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
WRONG = {
    "image encoding: got 'magic'": {"encoding": "magic"},
    "image step: got 7": {"step": 7},
    "image size: got '320x0'": {"height": 0},
    "image data: got '1000 bytes'": {"data": array.array("B", bytes(1000))},
    "image frame_id: got ''": {"header": Header(stamp=Time(sec=1))},
    "image stamp: got 0.0": {"header": Header(frame_id="camera")},
}
"""What diagnostics must say of an image, and what is wrong with it."""


def test_every_broken_image_is_named_and_the_next_good_one_followed(rig, fake):
    rig.start(**fake)
    heard, camera = follow(rig)

    def told(named, changes):
        sent = convert.image_message(BLACK, camera.header())
        for key, value in changes.items():
            setattr(sent, key, value)
        camera.images.publish(sent)
        return _said(heard, named)

    for named, changes in WRONG.items():
        heard.clear()
        wait(partial(told, named, changes), named, 10.0, heard.last_diagnostics)
        heard.clear()
        follow(rig, 2)
    heard.clear()
    camera.play_until(lambda: _said(heard, "MEASURED", OK), "all well")


def _said(heard, text, level=ERROR) -> bool:
    time.sleep(0.1)
    return bool(heard.said(level, text))


@pytest.mark.parametrize("spoilt", ["zero", "NaN", "other aspect"])
def test_spoilt_intrinsics_degrade_and_recover(rig, fake, spoilt):
    rig.start(**fake)
    heard, camera = follow(rig)
    k = {"zero": np.zeros(9), "NaN": np.full(9, np.nan)}.get(spoilt, CAMERA.matrix.ravel())
    info = CameraInfo(width=320, height=320 if spoilt == "other aspect" else 240, k=k)
    camera.inform(info)
    heard.clear()
    assert not camera.follow(3, camera=None)[-1].camera_calibrated
    heard.await_diagnostics(WARN, "guess")
    heard.clear()
    follow(rig)
    heard.await_diagnostics(OK, "MEASURED")
    assert heard.tracked()[-1].camera_calibrated


def test_repeated_and_reordered_stamps_are_told_and_not_published(rig, fake):
    rig.start(timeout_s=30.0, **fake)
    heard, camera = follow(rig)
    settled(heard)
    now_s = stamp_s(heard["skeletons"][-1].header.stamp)
    heard.clear()
    wait(lambda: camera.show(stamp_s=now_s) and _said(heard, "each stamp once"), "again")
    wait(lambda: camera.show(stamp_s=now_s - 0.1) and _said(heard, "in the order"), "late")
    assert not heard["skeletons"] and not heard["/tf"]
    follow(rig, 2)


def test_a_clock_that_jumps_back_begins_anew(rig, fake):
    rig.start(fit__calibration_frames=3, **fake)
    heard, camera = follow(rig, 8)
    assert heard.tracked()[-1].calibration == Skeleton.CALIBRATION_DONE
    heard.clear()
    start_s = time.time() - 100.0
    for i in range(20):
        camera.show(stamp_s=start_s + i / 30)
        time.sleep(1 / 30)
    tracked = heard.await_tracked(3)
    assert tracked[0].calibration != Skeleton.CALIBRATION_DONE
    stamps = [stamp_s(s.header.stamp) for s in heard.tracked()]
    assert stamps == sorted(stamps) and stamps[-1] < start_s + 1.0
    velocities = [abs(j.velocity.z) for s in tracked for j in s.joints]
    assert max(velocities) < 12.0


def test_simulated_time(rig, fake):
    """Ages are of simulated time while that goes on, however slowly."""
    rig.start(use_sim_time=True, timeout_s=1.5, **fake)
    heard, camera = rig.heard[""], rig.camera()
    clock = rig.here.create_publisher(Clock, "/clock", 10)
    camera.await_node()

    def tick(now_s):
        clock.publish(Clock(clock=camera.header(now_s).stamp))

    for i in range(60):  # twice as slow as real time
        now_s = 50.0 + i / 60
        tick(now_s)
        camera.inform()
        camera.show(stamp_s=now_s)
        time.sleep(1 / 30)
    tracked = heard.await_tracked(10)
    assert 50.0 <= stamp_s(tracked[-1].header.stamp) < 51.0
    assert abs(tracked[-1].latency) < 0.5
    for i in range(50):  # a hundred times as slow: 2.5 s without an image
        tick(now_s + 0.0005 * i)
        time.sleep(0.05)
    assert all(s.state != Skeleton.LOST for s in heard.skeletons())
    wait(lambda: tick(54.0) or heard.skeletons()[-1].state == Skeleton.LOST, "LOST")


def test_the_newest_image_wins_over_a_slow_network(rig, fake):
    rig.start(**{**fake, "timeout_s": 5.0})
    heard, camera = follow(rig)
    backend = rig.nodes[""]._backend
    look = backend._look
    slow_s = 0.15
    backend._look = lambda image: time.sleep(slow_s) or look(image)
    heard.clear()
    camera.play(60)
    arrays = settled(heard)
    assert 5 <= len(arrays) <= 16
    latencies = [s.latency for a in arrays for s in a.skeletons]
    # One inference in progress, one of its own, one frame period and some.
    assert max(latencies[1:]) < 2 * slow_s + 1 / 30 + 0.1
    stamps = [stamp_s(a.header.stamp) for a in arrays]
    assert stamps == sorted(stamps)
