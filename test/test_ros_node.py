"""The node over real DDS: images in, all outputs out, and they agree."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from functools import partial

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
import pinocchio
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Pose
from ros_rig import CAMERA, fake_bundle, wait
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from test_ros_images import encode, message
from visualization_msgs.msg import Marker, MarkerArray

from vnect_ros.camera import Camera
from vnect_ros.messages.images import ENCODINGS, ImageReader
from vnect_ros.msg import Skeleton
from vnect_ros.ros import stage_times
from vnect_ros.ros.markers import PersonMarkers
from vnect_ros.ros.naming import body_id
from vnect_ros.ros.person_messages import PersonMessages
from vnect_ros.skeleton import BONES, JOINT_NAMES

pytestmark = pytest.mark.ros
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@pytest.fixture
def fake(tmp_path):
    return {"model": fake_bundle(tmp_path), "backend": "fake", "diagnostics_period": 0.1}


def key(header):
    return header.stamp.sec, header.stamp.nanosec


def matrix(pose) -> np.ndarray:
    """[4, 4] of a Pose or a Transform."""
    shift = pose.position if isinstance(pose, Pose) else pose.translation
    turn = pose.orientation if isinstance(pose, Pose) else pose.rotation
    quaternion = np.array([turn.x, turn.y, turn.z, turn.w])
    assert abs(np.linalg.norm(quaternion) - 1.0) < 1e-6
    made = np.eye(4)
    made[:3, :3] = pinocchio.Quaternion(quaternion).matrix()
    made[:3, 3] = shift.x, shift.y, shift.z
    return made


def world(transforms) -> dict[str, np.ndarray]:
    """Every frame of one TF message in the camera's, chained as tf2 would."""
    frames = {"camera_optical_frame": np.eye(4)}
    for t in transforms:
        frames[t.child_frame_id] = frames[t.header.frame_id] @ matrix(t.transform)
    return frames


def degrees_between(a: np.ndarray, b: np.ndarray) -> float:
    return math.degrees(np.linalg.norm(pinocchio.log3(a[:3, :3].T @ b[:3, :3])))


@pytest.fixture
def one(rig, fake):
    """All messages of one image in the middle of tracking, and the node's ears."""
    heard = rig.start(**fake)
    camera = rig.camera()
    camera.await_node()
    camera.follow(50)
    wait(lambda: len(heard["bodies/human/joint_states"]) >= 20, "joint states")
    return heard, camera.sent


def test_outputs_of_one_image_agree(one):
    heard, sent = one
    stamps = {key(h) for h in sent}
    for topic in ("skeletons", "bodies/human/joint_states"):
        assert {key(m.header) for m in heard[topic]} <= stamps
    by_stamp = {key(s.header): s for s in heard.tracked()}
    tf = {key(m.transforms[0].header): m.transforms for m in heard["/tf"]}
    # once the images end the last ones are taken away, under the same stamp
    shown = [m.markers for m in heard["markers"] if m.markers[0].action == Marker.ADD]
    markers = {key(m[0].header): m for m in shown}
    states = {key(m.header): m for m in heard["bodies/human/joint_states"]}
    common = sorted(set(by_stamp) & set(tf) & set(markers) & set(states))
    assert len(common) >= 10
    assert len(tf) == len(heard["/tf"])  # no stamp twice
    urdf = heard["bodies/human/urdf"][-1].data
    model = pinocchio.buildModelFromXML(urdf)
    data = model.createData()
    for stamp in common[-3:]:
        skeleton, frames = by_stamp[stamp], world(tf[stamp])
        agree_with_joints(skeleton, frames)
        agree_with_markers(skeleton, markers[stamp])
        state = states[stamp]
        assert len(state.name) == len(state.position) == model.nq
        q = np.zeros(model.nq)
        for name, angle in zip(state.name, state.position):
            q[model.joints[model.getJointId(name)].idx_q] = angle
        pinocchio.framesForwardKinematics(model, data, q)
        links = [f for f in model.frames if f.type == pinocchio.FrameType.BODY]
        assert {f.name for f in links} == set(frames) - {"camera_optical_frame"}
        for link in links:
            expected = data.oMf[model.getFrameId(link.name, pinocchio.FrameType.BODY)].homogeneous
            actual = np.linalg.inv(frames["body_human"]) @ frames[link.name]
            assert np.abs(actual[:3, 3] - expected[:3, 3]).max() < 1e-3
            assert degrees_between(actual, expected) < 0.1


def agree_with_joints(skeleton, frames):
    assert [j.name for j in skeleton.joints] == list(JOINT_NAMES)
    assert len(skeleton.bone_lengths) == len(JOINT_NAMES)
    np.testing.assert_allclose(matrix(skeleton.pose), frames["body_human"], atol=1e-6)
    for joint in skeleton.joints:
        frame = frames[f"{joint.name}_human"]
        np.testing.assert_allclose(matrix(joint.pose), frame, atol=1e-3)
        assert degrees_between(matrix(joint.pose), frame) < 0.1
        assert 0.0 <= joint.confidence <= 1.0 and joint.position_std > 0.0
    assert skeleton.id == "human" and 0.0 < skeleton.latency < 5.0
    assert skeleton.camera_calibrated and skeleton.height == pytest.approx(1.7)


def agree_with_markers(skeleton, markers):
    assert len({(m.ns, m.id) for m in markers}) == len(markers)
    bones, joints, caption = markers
    positions = [j.pose.position for j in skeleton.joints]
    assert joints.points == positions
    assert bones.points == [positions[j] for bone in BONES for j in bone]
    assert "MEASURED" in caption.text
    for marker in markers:
        assert marker.header == skeleton.header and marker.action == marker.ADD
        points = np.array([(p.x, p.y, p.z) for p in marker.points])
        assert np.isfinite(points).all()
        assert marker.lifetime.sec + marker.lifetime.nanosec > 0


def test_frames_follow_rep_155(one):
    transforms = one[0]["/tf"][-1].transforms
    root = transforms[0]
    assert (root.header.frame_id, root.child_frame_id) == ("camera_optical_frame", "body_human")
    known = {"body_human"}
    for t in transforms[1:]:
        assert t.header.frame_id in known and t.child_frame_id not in known
        assert re.fullmatch(r"[a-z_]+_human", t.child_frame_id)
        known.add(t.child_frame_id)
    assert {f"{name}_human" for name in JOINT_NAMES} <= known
    body = matrix(root.transform)
    # The person stands: z of the body is up, which is -y of the camera.
    assert body[1, 2] < -0.9


def followed(camera, heard, send) -> bool:
    """Whether an image that send() publishes gives skeletons; best effort may lose a few."""
    sent = set()

    def seen():
        return bool(sent & {key(m.header) for m in heard["skeletons"]})

    for _ in range(100):
        camera.inform()
        sent.add(key(send()))
        deadline = time.monotonic() + 0.1
        while time.monotonic() < deadline:
            if seen():
                return True
            time.sleep(0.005)
    return False


def test_every_encoding_is_followed(rig, fake):
    heard = rig.start(**fake)
    camera = rig.camera()
    camera.await_node()
    picture = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)

    def send(encoding):
        sent = message(encode(picture, encoding), CAMERA.width, encoding, padding=6)
        sent.header = camera.header()
        camera.images.publish(sent)
        return sent.header

    for encoding in ENCODINGS:
        assert followed(camera, heard, partial(send, encoding)), heard.last_diagnostics()
    assert heard.await_diagnostics(OK, "MEASURED")


def test_compressed_images_are_followed(rig, fake):
    heard = rig.start(image_transport="compressed", **fake)
    camera = rig.camera()
    camera.await_node()
    _, coded = cv2.imencode(".jpg", np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8))

    def send():
        sent = CompressedImage(header=camera.header(), format="jpeg", data=coded.tobytes())
        camera.images.publish(sent)
        return sent.header

    assert followed(camera, heard, send), heard.last_diagnostics()
    while not heard.tracked():
        assert followed(camera, heard, send), heard.last_diagnostics()
    assert heard.tracked()[0].header.frame_id == "camera_optical_frame"


@pytest.mark.parametrize("info", ["K zero", "none"])
def test_an_uncalibrated_camera_is_followed_with_a_warning(rig, fake, info):
    heard = rig.start(camera_info_timeout_s=0.3, fallback_fov=50.0, **fake)
    camera = rig.camera()
    camera.await_node()
    if info == "K zero":
        camera.inform(CameraInfo(width=CAMERA.width, height=CAMERA.height))
    assert not camera.follow(5, camera=None)[-1].camera_calibrated
    said = "K is zero" if info == "K zero" else "no CameraInfo"
    status = heard.await_diagnostics(WARN, said)
    assert "guess" in status.message and "50" in status.message


def test_a_change_of_resolution_begins_anew(rig, fake):
    heard = rig.start(**fake)
    camera = rig.camera()
    camera.await_node()
    camera.follow(5)
    heard.clear()
    small = CAMERA.scaled(160, 120)
    tracked = camera.follow(5, np.zeros((120, 160, 3), np.uint8), small)
    pixels = np.array([j.pixel for j in tracked[-1].joints])
    assert pixels[:, 0].max() < 160 and pixels[:, 1].max() < 140
    heard.await_diagnostics(OK, "MEASURED")


def test_two_nodes_in_two_namespaces(rig, fake):
    names = ["/left", "/right"]
    heard = {name: rig.start(name, **fake) for name in names}
    for name in names:
        heard[name].listen_to_body(body_id("auto", name))
        rig.camera(name).await_node()
    assert rig.camera("/left").follow() and not heard["/right"]["skeletons"]
    assert rig.camera("/right").follow()
    ids = {name: heard[name].tracked()[0].id for name in names}
    assert len(set(ids.values())) == 2
    children = {t.child_frame_id for m in heard["/left"]["/tf"] for t in m.transforms}
    assert {f"body_{i}" for i in ids.values()} <= children
    for name in names:
        assert heard[name][f"bodies/{ids[name]}/joint_states"]


def test_the_debug_image_is_made_for_who_looks(rig, fake):
    heard = rig.start(debug_rate=1000.0, **fake)
    camera = rig.camera()
    camera.await_node()
    camera.follow(3)
    assert rig.here.count_publishers("/debug/image") == 1
    heard.listen(Image, "debug/image", 1)
    wait(lambda: rig.here.count_subscribers("/debug/image") == 1, "the subscription")
    camera.play_until(lambda: heard["debug/image"], "a debug image")
    shown = ImageReader().read(heard["debug/image"][-1])
    assert shown.shape == (CAMERA.height, CAMERA.width, 3) and shown.max() > 100


def test_what_nobody_subscribes_to_is_not_made(rig, fake, monkeypatch):
    made = Counter()

    def counting(whole, name):
        return lambda *args: made.update([name]) or whole(*args)

    for kind, name in (
        (PersonMarkers, "fill"),
        (PersonMessages, "transforms"),
        (PersonMessages, "joint_state"),
    ):
        monkeypatch.setattr(kind, name, counting(getattr(kind, name), name))
    heard = rig.start(**fake)
    camera = rig.camera()
    camera.await_node()
    camera.follow()
    topics = ("/markers", "/tf", "/bodies/human/joint_states")
    wait(lambda: bool(camera.follow(1)) and len(made) == 3, "all of them to be made")
    for subscription in list(rig.here.subscriptions):
        if subscription.topic_name in topics:
            rig.in_turn(rig.here.destroy_subscription, subscription)
    node = rig.nodes[""]
    wait(lambda: not any(node.count_subscribers(t) for t in topics), "the node to see them gone")
    camera.follow(len(heard.tracked()) + 2)  # an image may have been under way
    made.clear()
    camera.follow(len(heard.tracked()) + 5)
    assert not made
    heard.listen(MarkerArray, "markers")
    before = len(heard["markers"])
    camera.play_until(lambda: len(heard["markers"]) > before, "markers again")
    assert made["fill"] and not made["transforms"] and not made["joint_state"]


def test_a_new_person_gets_a_new_id_on_request(rig, fake):
    heard = rig.start(body_id="", **fake)
    camera = rig.camera()
    camera.await_node()
    first = camera.follow(3)[0].id
    assert rig.trigger("/vnect/reset")[0]
    heard.clear()
    second = camera.follow(3)[0].id
    assert re.fullmatch("[a-z0-9]{5}", first) and first != second
    heard.listen_to_body(second)
    wait(lambda: bool(heard[f"bodies/{second}/urdf"]), "the URDF, latched")
    assert f"body_{second}" in heard[f"bodies/{second}/urdf"][0].data
    wait(lambda: rig.here.count_publishers(f"/bodies/{first}/urdf") == 0, "the old topic to go")


def test_skeletons_go_out_before_what_is_made_of_them(one):
    heard, _ = one
    publishers = heard._rig.nodes[""]._processor._publishers
    (person,) = publishers._people.values()
    order = []
    shared = (publishers._skeletons, publishers._tf, publishers._markers)
    for publisher in (*shared, *person._states):
        publish = publisher.publish
        publisher.publish = partial(
            lambda publish, topic, sent: order.append(topic) or publish(sent),
            publish, publisher.topic_name,
        )  # fmt: skip
    heard._rig.camera().play(15)
    # An image may have been on its way out when the publishers were replaced.
    wait(lambda: order.count("/markers") > 1, "markers")
    first = order.index("/skeletons")
    expected = ["/skeletons", "/tf", "/bodies/human/joint_states", "/markers"]
    assert order[first : first + 4] == expected


def test_diagnostics_tell_rate_latency_and_parts(rig, fake):
    heard = rig.start(**fake)
    rig.camera().await_node()
    rig.camera().follow(10)
    status = heard.await_diagnostics(OK, "MEASURED")
    values = {v.key: v.value for v in status.values}
    assert status.name == "vnect: tracking"
    assert values["backend"] == "fake" and values["model"] == "fake (fp32)"
    assert values["camera"] == "calibrated" and values["lifecycle"] == "active"
    assert 5.0 < float(values["processed rate [Hz]"]) <= 60.0
    assert float(values["latency p50, image stamp to publishing [ms]"]) > 0.0
    assert float(values["network [ms]"]) > 0.0 and float(values["fit [ms]"]) > 0.0
    assert values["last error"] == ""
    assert tuple(stage_times.read(values)) == stage_times.STAGES


def test_the_camera_may_change_its_calibration(rig, fake):
    heard = rig.start(**fake)
    camera = rig.camera()
    camera.await_node()
    near = camera.follow(5)[-1].pose.position.z
    heard.clear()
    nearer = Camera(320, 240, 600.0, 600.0, 159.5, 119.5)
    far = camera.follow(20, camera=nearer)[-1].pose.position.z
    assert far == pytest.approx(2.0 * near, rel=0.15)


def test_a_default_skeleton_is_lost():
    assert Skeleton().state == Skeleton.LOST
