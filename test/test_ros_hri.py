"""Bodies as ROS4HRI has them: libhri's topics, of everybody tracked and of nobody else."""

from __future__ import annotations

import sys

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_rig import fake_bundle, wait
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from test_ros_people import CALIBRATED, CAMERA, CARD, THREE, hall  # noqa: F401

from vnect_ros.messages.images import ImageReader
from vnect_ros.ros import hri, publishers
from vnect_ros.skeleton import INDEX

pytestmark = pytest.mark.ros
SIZE = np.array([CAMERA.width, CAMERA.height])


def listen(heard, body_id: str) -> None:
    msg = pytest.importorskip("hri_msgs.msg", reason="needs hri_msgs")
    kinds = {"roi": msg.NormalizedRegionOfInterest2D, "skeleton2d": msg.Skeleton2D}
    for name, kind in {**kinds, "cropped": Image, "joint_states": JointState}.items():
        heard.listen(kind, f"{hri.ROOT}/{body_id}/{name}")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    heard.listen(String, f"{hri.ROOT}/{body_id}/urdf", latched)
    heard.listen_to_body(body_id)


def ids(heard) -> set[str]:
    """Of whom libhri knows by the last list."""
    lists = heard[f"{hri.ROOT}/tracked"]
    return set(lists[-1].ids) if lists else set()


def test_each_body_has_the_topics_of_libhri(hall, monkeypatch):  # noqa: F811
    msg = pytest.importorskip("hri_msgs.msg", reason="needs hri_msgs")
    monkeypatch.setattr(publishers, "KEPT_S", 0.5)
    hall = hall(publish_hri=True, fit__predict_for_s=0.2)
    heard = hall.heard
    heard.listen(msg.IdsList, f"{hri.ROOT}/tracked")
    bodies = {s.id: s for s in hall.until(2, {n: THREE[n] for n in ("ann", "bob")})}
    wait(lambda: ids(heard) == set(bodies), "the list of bodies")
    for body_id in bodies:
        listen(heard, body_id)

    def of(body_id, name):
        return heard[f"{hri.ROOT}/{body_id}/{name}"]

    names = ("roi", "skeleton2d", "cropped", "joint_states", "urdf")
    wait(lambda: hall.show() and all(of(b, n) for b in bodies for n in names), "all topics")
    array = hall.show(frames=3)[-1]
    for skeleton in array.skeletons:
        check_body(lambda name, b=skeleton.id: of(b, name), skeleton, msg, heard)
    left, right = sorted(bodies, key=lambda b: bodies[b].pose.position.x)
    assert of(left, "roi")[-1].xmax < of(right, "roi")[-1].xmin + 0.05

    # Whoever goes is in no list any more, and then has no topics.
    hall.show({"bob": THREE["bob"]}, frames=15)
    wait(lambda: ids(heard) == {right}, "one body")
    wait(lambda: "<visual>" not in of(left, "urdf")[-1].data, "a body without visuals")
    there = hall.rig.here.count_publishers
    wait(lambda: not any(there(f"{hri.ROOT}/{left}/{n}") for n in names), "no topics")
    assert hall.rig.change("deactivate")
    wait(lambda: not ids(heard), "nobody")


def check_body(of, skeleton, msg, heard) -> None:
    """One image's messages agree with the skeleton and with each other."""

    def at_once(name):  # skeletons go out first
        def found():
            return [m for m in of(name) if m.header.stamp == skeleton.header.stamp]

        wait(lambda: bool(found()), name)
        (message,) = found()
        return message

    keypoints = at_once("skeleton2d")
    assert len(keypoints.skeleton) == 18
    pixels = np.array([j.pixel for j in skeleton.joints], float)
    for name in ("right_shoulder", "left_wrist", "right_hip", "left_ankle", "neck"):
        point = keypoints.skeleton[getattr(msg.Skeleton2D, name.upper())]
        at = np.array([point.x, point.y]) * SIZE - 0.5
        np.testing.assert_allclose(at, pixels[INDEX[name]], atol=0.01)
        assert point.c == pytest.approx(skeleton.joints[INDEX[name]].confidence)
    unknown = [keypoints.skeleton[c] for c in (msg.Skeleton2D.NOSE, msg.Skeleton2D.LEFT_EAR)]
    assert all((p.x, p.y, p.c) == (0.0, 0.0, 0.0) for p in unknown)
    roi = at_once("roi")
    assert 0.0 <= roi.xmin < roi.xmax <= 1.0 and 0.0 <= roi.ymin < roi.ymax <= 1.0
    assert 0.0 < roi.c <= 1.0
    low, high = (np.array(v) * SIZE for v in ((roi.xmin, roi.ymin), (roi.xmax, roi.ymax)))
    inside = ((pixels >= 0.0) & (pixels <= SIZE - 1)).all(axis=1)
    assert ((pixels[inside] > low - 0.5) & (pixels[inside] < high - 0.5)).all()
    cropped = at_once("cropped")
    (left, top), (right, bottom) = low.round().astype(int), high.round().astype(int)
    np.testing.assert_array_equal(ImageReader().read(cropped), CARD[top:bottom, left:right])
    own = f"bodies/{skeleton.id}"
    angles = at_once("joint_states")
    wait(lambda: angles in heard[f"{own}/joint_states"], "the same under the node's own name")
    wait(lambda: bool(heard[f"{own}/urdf"]), "the URDF")
    assert of("urdf")[-1] == heard[f"{own}/urdf"][-1]


def test_the_region_of_a_body_at_the_edge_and_outside():
    joints = np.tile([[-40.0, 100.0]], (21, 1))
    assert hri.region_px(joints, CALIBRATED) is None, "left of the image"
    joints[0] = 100.0, 200.0
    assert hri.region_px(joints, CALIBRATED) == (0, 86, 115, 215)
    joints[1] = np.nan
    assert hri.region_px(joints, CALIBRATED) == (0, 86, 115, 215), "one is behind the camera"
    assert hri.region_px(np.full((21, 2), np.nan), CALIBRATED) is None


def test_without_hri_msgs_it_is_refused_by_name(rig, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "hri_msgs", None)
    monkeypatch.setitem(sys.modules, "hri_msgs.msg", None)
    heard = rig.start(
        camera=False, model=fake_bundle(tmp_path), backend="fake", publish_hri=True,
        diagnostics_period=0.1,
    )  # fmt: skip
    status = heard.await_diagnostics(DiagnosticStatus.ERROR, "publish_hri: got True")
    assert "hri_msgs" in status.message
    assert rig.set(publish_hri=False) == (True, "")
    assert rig.change("configure")
