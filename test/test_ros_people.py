"""Several people through the real node: every output of each, and nothing left of who is gone.

Images are answered one by one, with stamps that follow the camera's rate however long an
answer takes, so that a frame more or less is no matter of the machine's speed.
"""

from __future__ import annotations

import gc
import re
import time
from collections import Counter
from typing import ClassVar

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
import pinocchio
from fake_backend import FakeBackend, coordinate_card
from rclpy.lifecycle.publisher import LifecyclePublisher
from rclpy.publisher import Publisher
from ros_rig import fake_bundle, wait
from test_everybody import NORMALISED_M, Crowd
from test_ros_node import degrees_between, key, matrix, world

from vnect_ros import inference
from vnect_ros.camera import Camera
from vnect_ros.msg import Skeleton
from vnect_ros.person import Person
from vnect_ros.records import Pose
from vnect_ros.ros import node, publishers
from vnect_ros.ros.person_publisher import PersonPublisher

pytestmark = pytest.mark.ros
WIDTH, HEIGHT, RATE_HZ = 480, 270, 30.0
CAMERA = Camera.from_field_of_view(WIDTH, HEIGHT, 60.0)
CALIBRATED = Camera(WIDTH, HEIGHT, CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy)
CARD = coordinate_card(WIDTH, HEIGHT)
THREE = {"ann": (-2.0, 0.0, 5.0), "bob": (0.0, 0.0, 4.0), "cyd": (2.0, 0.0, 5.5)}


class SmallCrowd(Crowd):
    """The crowd before a smaller camera."""

    places: ClassVar[dict] = {}
    slow_s: ClassVar[float] = 0.0
    """What each window takes besides [s]."""

    def __init__(self, model) -> None:
        FakeBackend.__init__(self, model)
        self.places, self.windows = SmallCrowd.places, 0

    def infer(self, images, gravities=None):
        time.sleep(self.slow_s * len(images))
        return super().infer(images, gravities)

    def joints_px(self, name) -> np.ndarray:
        return CAMERA.project(NORMALISED_M + self.places[name])


class Hall:
    """The node before people who come and go."""

    def __init__(self, rig, folder, **parameters) -> None:
        self.rig = rig
        self.places = SmallCrowd.places
        given = {
            "model": fake_bundle(folder), "backend": "crowd", "diagnostics_period": 0.1,
            "timeout_s": 30.0, "max_people": 6, "crop__search_scales": 4,
        }  # fmt: skip
        self.heard = rig.start(**{**given, **parameters})
        rig.camera().await_node()
        self._stamp_s, self._answers = time.time(), 0

    def show(self, places: dict | None = None, frames: int = 1) -> list:
        """The messages that answer so many images of people at these places."""
        if places is not None:
            self.places.clear()
            self.places.update(places)
        self._answers += frames
        return [self._answer() for _ in range(frames)]

    def _answer(self):
        self._stamp_s += 1.0 / RATE_HZ
        begin, asked = time.monotonic(), -1.0
        while True:
            for array in reversed(self.heard["skeletons"]):
                if abs(array.header.stamp.sec + array.header.stamp.nanosec * 1e-9
                       - self._stamp_s) < 1e-6:  # fmt: skip
                    return array
            now = time.monotonic()
            assert now - begin < 20.0, self.heard.last_diagnostics()
            if now - asked > 0.5:  # sensor data may be lost
                self.rig.camera().inform(CALIBRATED)
                self.rig.camera().show(CARD, self._stamp_s)
                asked = now
            time.sleep(0.001)

    def until(self, count: int, places: dict | None = None) -> list:
        """Images until so many people are measured for ten images; the last message's skeletons."""
        self.show(places)
        for _ in range(300):
            arrays = self.show(frames=10)
            if all(len(measured(a)) == len(a.skeletons) == count for a in arrays):
                return arrays[-1].skeletons
        raise AssertionError(f"waited for {count} people: {self.heard.last_diagnostics()}")

    def value(self, key: str) -> str:
        """Of the first new diagnostics that count the last image."""
        self.heard._messages["/diagnostics"].clear()

        def values() -> dict[str, str]:
            messages = self.heard["/diagnostics"]
            return {v.key: v.value for v in messages[-1].status[0].values} if messages else {}

        wait(lambda: values().get("images published") == str(self._answers), "diagnostics")
        return values()[key]

    def each(self, key: str) -> dict[str, float]:
        """The same of a value that has a number for each person."""
        parts = (part.split(": ") for part in self.value(key).split(", "))
        return {body_id: float(number) for body_id, number in parts}

    def topics(self) -> list[str]:
        """The topics of bodies that somebody publishes."""
        names = [n for n, _ in self.rig.here.get_topic_names_and_types() if "/bodies/" in n]
        return [n for n in names if self.rig.here.count_publishers(n)]


def measured(array) -> list:
    return [s for s in array.skeletons if s.state == Skeleton.MEASURED]


@pytest.fixture
def hall(rig, tmp_path, monkeypatch):
    """Makes a hall; unless `limited`, everybody is looked at however slow this machine is."""
    inference.BACKENDS["crowd"] = ("test_ros_people", "SmallCrowd")
    SmallCrowd.places, SmallCrowd.slow_s = {}, 0.0

    def made(limited: bool = False, **parameters) -> Hall:
        if not limited:
            monkeypatch.setattr(node, "Budget", lambda: None)
        return Hall(rig, tmp_path, **parameters)

    yield made
    del inference.BACKENDS["crowd"]


def test_a_slow_node_looks_at_people_by_turns_and_publishes_all_of_them(hall):
    hall = hall(limited=True)
    hall.show(THREE, frames=30)
    SmallCrowd.slow_s = 0.03
    hall.show(frames=90)
    arrays = hall.show(frames=20)
    (ids,) = {tuple(sorted(s.id for s in array.skeletons)) for array in arrays}
    assert len(ids) == 3
    assert np.mean([len(measured(array)) for array in arrays]) < 2.5
    assert {s.id for array in arrays for s in measured(array)} == set(ids), "everybody in turn"
    assert float(hall.value("people not looked at, over all images")) > 20


def test_everybody_has_outputs_of_their_own_and_they_agree(hall):
    hall = hall()
    ids = {s.id for s in hall.until(3, THREE)}
    assert len(ids) == 3 and all(re.fullmatch("[a-z][a-z0-9]{4}", i) for i in ids)
    for body_id in ids:
        hall.heard.listen_to_body(body_id)
    array = hall.show(frames=10)[-1]
    stamp = key(array.header)
    for body_id in ids:
        topic = f"bodies/{body_id}/joint_states"
        wait(lambda: any(key(m.header) == stamp for m in hall.heard[topic]), topic)  # noqa: B023
    wait(lambda: any(key(m.markers[0].header) == stamp for m in hall.heard["markers"]), "markers")
    wait(lambda: any(key(m.transforms[0].header) == stamp for m in hall.heard["/tf"]), "/tf")
    (tf,) = (m for m in hall.heard["/tf"] if key(m.transforms[0].header) == stamp)
    (shown,) = (m for m in hall.heard["markers"] if key(m.markers[0].header) == stamp)
    children = [t.child_frame_id for t in tf.transforms]
    assert len(children) == len(set(children))
    assert len({(m.ns, m.id) for m in shown.markers}) == len(shown.markers) == 9
    frames = world(tf.transforms)
    assert {s.id for s in array.skeletons} == ids
    for skeleton in array.skeletons:
        np.testing.assert_allclose(matrix(skeleton.pose), frames[f"body_{skeleton.id}"], atol=1e-6)
        for joint in skeleton.joints:
            frame = frames[f"{joint.name}_{skeleton.id}"]
            np.testing.assert_allclose(matrix(joint.pose), frame, atol=1e-3)
            assert degrees_between(matrix(joint.pose), frame) < 0.1
        (balls,) = (m for m in shown.markers if m.ns == f"body_{skeleton.id}" and m.id == 1)
        assert balls.points == [j.pose.position for j in skeleton.joints]
        urdf = hall.heard[f"bodies/{skeleton.id}/urdf"][-1].data
        names = hall.heard[f"bodies/{skeleton.id}/joint_states"][-1].name
        assert set(pinocchio.buildModelFromXML(urdf).names) >= set(names)
    left_to_right = sorted(array.skeletons, key=lambda s: s.pose.position.x)
    far, near, farther = (s.pose.position.z for s in left_to_right)
    assert near < far < farther, "each has the place of one person"


def test_who_goes_is_lost_once_and_the_others_stay(hall, monkeypatch):
    monkeypatch.setattr(publishers, "KEPT_S", 0.5)
    hall = hall(fit__predict_for_s=0.2)
    skeletons = hall.until(3, THREE)
    (gone,) = (s.id for s in skeletons if s.pose.position.x > 1.0)
    hall.heard.listen_to_body(gone)
    wait(lambda: bool(hall.heard[f"bodies/{gone}/urdf"]), "the URDF, latched")
    assert "<visual>" in hall.heard[f"bodies/{gone}/urdf"][-1].data
    arrays = hall.show({n: THREE[n] for n in ("ann", "bob")}, frames=30)
    lost = [s for a in arrays for s in a.skeletons if s.state == Skeleton.LOST]
    assert [(s.id, len(s.joints)) for s in lost] == [(gone, 0)]
    after = arrays[-1].skeletons
    assert {s.id for s in after} == {s.id for s in skeletons} - {gone}
    assert {s.state for s in after} == {Skeleton.MEASURED}
    wait(lambda: "<visual>" not in hall.heard[f"bodies/{gone}/urdf"][-1].data, "no visuals")
    removals = Counter(
        m.ns for a in hall.heard["markers"] for m in a.markers if m.action == m.DELETE
    )
    assert removals == {f"body_{gone}": 3}
    last = hall.heard["/tf"][-1].transforms
    assert not any(gone in t.child_frame_id for t in last)
    wait(lambda: not any(gone in topic for topic in hall.topics()), "the topics to go")
    assert len(hall.topics()) == 4


def test_one_person_has_the_configured_name_and_several_their_own(hall):
    hall = hall(max_people=1, body_id="robot")
    assert [s.id for s in hall.until(1, {"ann": THREE["ann"]})] == ["robot"]
    assert hall.rig.set(max_people=2) == (True, "")
    two = hall.until(2, {n: THREE[n] for n in ("ann", "bob")})
    assert "robot" not in {s.id for s in two}
    ends = [s for s in hall.heard.skeletons() if s.id == "robot" and s.state == Skeleton.LOST]
    assert len(ends) == 1
    (first,) = (s.id for s in two if s.pose.position.x < -1.0)
    hall.heard.clear()
    assert hall.rig.set(max_people=1) == (True, "")
    (one,) = hall.until(1)
    assert one.id == "robot" and one.pose.position.x < -1.0, "who came first stays"
    ends = [s.id for s in hall.heard.skeletons() if s.state == Skeleton.LOST]
    assert sorted(ends) == sorted(s.id for s in two) and first in ends


def test_diagnostics_tell_who_is_tracked_how_often_and_how_near(hall):
    hall = hall(people_per_frame=1, crop__search_rate=30.0)
    hall.show(THREE)
    for _ in range(300):
        arrays = hall.show(frames=10)
        if all(len(a.skeletons) == 3 for a in arrays):
            break
    ids = {s.id for s in arrays[-1].skeletons}
    assert hall.value("tracking").count("PREDICTED") == 2
    assert hall.value("people") == "3"
    skipped = int(hall.value("people not looked at, over all images"))
    hall.show(frames=5)
    assert int(hall.value("people not looked at, over all images")) == skipped + 10
    rates = dict(
        part.split(": ") for part in hall.value("measured rate of each person [Hz]").split(", ")
    )
    assert set(rates) == ids and all(float(r) > 0.0 for r in rates.values())
    ages = hall.value("observation age of each person [s]").split(", ")
    assert sorted(round(float(a.split(": ")[1]) * RATE_HZ) for a in ages)[0] == 0
    nearest = min(
        np.linalg.norm((j.pose.position.x, j.pose.position.y, j.pose.position.z))
        for s in hall.heard["skeletons"][-1].skeletons for j in s.joints
    )  # fmt: skip
    assert float(hall.value("nearest joint [m]")) == pytest.approx(nearest, abs=0.006)


def test_nothing_is_left_of_people_who_come_and_go(hall, monkeypatch):
    """After twice as many people no more objects, topics or transforms."""
    monkeypatch.setattr(publishers, "KEPT_S", 0.2)
    hall = hall(fit__predict_for_s=0.1, remember_for_s=0.0)

    def churn(count) -> tuple[Counter, set[str]]:
        ids = set()
        for i in range(count):
            ids |= {s.id for s in hall.until(1, {"one": (-1.5 + 3.0 * (i % 2), 0.0, 4.0 + i % 3)})}
            hall.show({}, frames=8)
        wait(lambda: not hall.topics(), "the topics to go")
        hall.show(frames=2)
        gc.collect()
        kinds = (PersonPublisher, Publisher, Person, Pose)
        return Counter(type(o) for o in gc.get_objects() if isinstance(o, kinds)), ids

    first, few = churn(6)
    hall.heard.clear()
    second, many = churn(12)
    assert len(few | many) == 18, "everybody had a new id"
    assert second[PersonPublisher] == 0 and first[LifecyclePublisher] > 0
    for kind in first | second:
        assert second[kind] <= first[kind], kind
    hall.heard.clear()
    hall.until(1, {"one": (0.0, 0.0, 4.0)})
    wait(lambda: bool(hall.heard["/tf"]), "/tf")
    bodies = [
        t.child_frame_id for t in hall.heard["/tf"][-1].transforms
        if t.child_frame_id.startswith("body_")
    ]  # fmt: skip
    assert len(bodies) == 1 and len(hall.topics()) == 2
