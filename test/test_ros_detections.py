"""A detector's boxes: followed in place of the search, or refused by name."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("vision_msgs.msg", reason="needs vision_msgs")
from diagnostic_msgs.msg import DiagnosticStatus
from ros_rig import fake_bundle, wait
from std_msgs.msg import Header
from test_ros_depth import FRAME, header
from test_ros_people import CAMERA, NORMALISED_M, THREE, hall  # noqa: F401
from vision_msgs.msg import (
    BoundingBox2D,
    Detection2D,
    Detection2DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
)  # fmt: skip

from vnect_ros.ros.detections import DetectionInput

SIZE = (480, 270)


def detection(box, label="person", turn=0.0) -> Detection2D:
    """Of a box given as left, top, right, bottom; another label is less likely."""
    left, top, right, bottom = (float(v) for v in box)
    bbox = BoundingBox2D(size_x=right - left, size_y=bottom - top)
    bbox.center.position.x, bbox.center.position.y = (left + right) / 2.0, (top + bottom) / 2.0
    bbox.center.theta = turn
    likely = [("kite", 0.1), (label, 0.8), ("tree", 0.3)]
    results = [
        ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id=name, score=score))
        for name, score in likely
    ]
    return Detection2D(results=results, bbox=bbox)


def array(*detections: Detection2D, at: Header | None = None) -> Detection2DArray:
    return Detection2DArray(header=at or header(10.0), detections=detections)


def boxes(message: Detection2DArray | None, labels=("person",), stamp_s=10.0):
    """What an image of that time gets, what is reported of it, and the fault."""
    detected = DetectionInput("/found")
    if message is not None:
        detected.put(message)
    return detected.boxes_px(header(stamp_s), *SIZE, labels), detected.used, detected.fault


def test_the_boxes_of_people_are_read():
    chair, person = detection((10, 20, 60, 80), "chair"), detection((100, 40, 140, 200))
    found, used, fault = boxes(array(chair, person))
    np.testing.assert_allclose(found, [[100, 40, 140, 200]])
    assert (used, fault) == ("1 of 2 detections on /found; other labels: chair", "")
    assert len(boxes(array(chair, person), ("person", "chair"))[0]) == 2
    assert len(boxes(array(chair, person), ())[0]) == 2
    assert boxes(array(chair))[0].shape == boxes(array())[0].shape == (0, 4)
    unlabelled = Detection2D(bbox=person.bbox)
    assert len(boxes(array(unlabelled))[0]) == 0 and len(boxes(array(unlabelled), ())[0]) == 1
    turned = detection((100, 40, 140, 200), turn=np.pi / 2.0)
    np.testing.assert_allclose(boxes(array(turned))[0], [[40, 100, 200, 140]])
    assert len(boxes(array(person), stamp_s=10.9)[0]) == 1, "a detector may be slow"


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (None, "no detections on /found"),
        (array(detection((1, 1, 9, 9)), at=header(8.0)), "stamp: got '-2.000 s from the image'"),
        (array(at=header(10.0, "other")), "frame_id: got 'other', accepted: 'camera_optical"),
        (array(detection((900, 400, 990, 600))), "detected box: got '90x200 about (945, 500)'"),
        (array(detection((9, 1, 9, 9))), "detected box: got '0x8"),
        (array(detection((1, 1, np.nan, 9))), "detected box: got 'nanx8"),
        (array(detection((1, 1, 9, 9), turn=np.inf)), "detected box"),
    ],
)
def test_boxes_that_are_none_of_this_image_are_refused_by_name(message, named):
    found, used, fault = boxes(message)
    assert found is None and used == ""
    assert named in fault and fault.endswith("; the node searches for people itself")


def test_one_bad_box_leaves_the_others():
    found, used, fault = boxes(array(detection((1, 1, 9, 9)), detection((9, 9, 9, 9))))
    assert len(found) == 1 and not fault
    assert used.startswith("1 of 2 detections on /found; left out: detected box: got '0x0")


@pytest.fixture
def detected(hall):  # noqa: F811
    """A node before the three, and a function that publishes detections of some of them."""

    def begin(**parameters):
        started = hall(detections="found", **parameters)
        publisher = started.rig.here.create_publisher(Detection2DArray, "found", 10)
        wait(lambda: publisher.get_subscription_count() > 0, "a subscription to detections")

        def detect(labels: dict[str, str], frame=FRAME) -> None:
            made = []
            for name, label in labels.items():
                pixels = CAMERA.project(NORMALISED_M + THREE[name])
                made.append(detection([*pixels.min(axis=0), *pixels.max(axis=0)], label))
            at = header(max(started._stamp_s, time.time()), frame)
            publisher.publish(array(*made, at=at))

        return started, detect

    return begin


def xs(array) -> list[float]:
    """Where each skeleton is, from left to right."""
    return sorted(s.pose.position.x for s in array.skeletons)


@pytest.mark.ros
def test_boxes_take_the_place_of_the_search(detected):
    scene, detect = detected()

    def until(count: int, labels: dict[str, str]):
        def followed():
            detect(labels)
            arrays = scene.show(THREE, frames=5)
            return all(len(a.skeletons) == count for a in arrays) and arrays[-1]

        wait(followed, f"{count} people", after=scene.heard.last_diagnostics)
        return followed()

    until(0, {})
    wait(lambda: detect({}) or scene.value("detections") == "0 of 0 detections on /found", "none")
    backend = scene.rig.nodes[""]._backend
    before = backend.windows
    for _ in range(5):
        detect({})
        assert not any(a.skeletons for a in scene.show(frames=5))
    assert backend.windows == before, "without boxes nothing is searched"
    two = xs(until(2, {"ann": "person", "bob": "chair", "cyd": "person"}))
    assert two[0] < -1.0 and two[1] > 1.0
    assert "other labels: chair" in scene.value("detections")
    assert scene.rig.set(detection_labels="person, chair") == (True, "")
    assert abs(xs(until(3, {"ann": "person", "bob": "chair", "cyd": "person"}))[1]) < 0.5
    assert len(xs(until(3, {}))) == 3, "whom the detector misses is still followed"


@pytest.mark.ros
def test_without_usable_detections_the_node_searches_itself(detected):
    scene, detect = detected()
    scene.until(3, THREE)
    assert scene.value("detections").startswith("no detections on /found")

    def named():
        detect({}, frame="other")
        scene.show(frames=3)
        return scene.value("detections").startswith("detections' frame_id: got 'other'")

    wait(named, "a refusal", after=scene.heard.last_diagnostics)
    scene.until(3)


@pytest.mark.ros
def test_what_cannot_be_subscribed_to_is_refused_by_name(rig, tmp_path, monkeypatch):
    given = {"model": fake_bundle(tmp_path), "backend": "fake", "diagnostics_period": 0.1}
    heard = rig.start(depth_image="no topic", camera=False, **given)
    heard.await_diagnostics(DiagnosticStatus.ERROR, "depth_image: got 'no topic', accepted: a topi")
    assert rig.set(depth_image="") == (True, "")
    monkeypatch.setitem(sys.modules, "vision_msgs.msg", None)
    assert rig.set(detections="found") == (True, "")
    assert not rig.change("configure")
    heard.await_diagnostics(DiagnosticStatus.ERROR, "without the package vision_msgs")
    monkeypatch.undo()
    assert rig.change("configure") and rig.change("activate")
