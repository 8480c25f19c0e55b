"""A bag goes through `process`, and what the node would publish comes out as one."""

from __future__ import annotations

from collections import Counter, defaultdict
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("rosbags", reason="needs rosbags")
from bags import DELAY_NS, FIRST_NS, FRAME_ID, KINDS, BagMaker, bag_path
from fake_backend import coordinate_card
from rclpy.serialization import deserialize_message
from ros_rig import fake_bundle
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability

from vnect_ros.camera import Camera
from vnect_ros.cli import process
from vnect_ros.msg import SkeletonArray

pytestmark = pytest.mark.ros
CAMERA = Camera(160, 120, 150.0, 150.0, 80.0, 60.0)
COUNT = 12


def stamp_ns(i):
    return FIRST_NS + i * 33_333_333


@pytest.fixture(params=KINDS)
def original(request, tmp_path):
    path = bag_path(tmp_path, request.param)
    card = coordinate_card(160, 120)
    with BagMaker(path, request.param) as bag:
        for i in range(COUNT):
            recorded_ns = stamp_ns(i) + DELAY_NS
            bag.write("/cam/camera_info", bag.info(stamp_ns(i), CAMERA), recorded_ns)
            bag.write("/cam/image_raw", bag.image(stamp_ns(i), card), recorded_ns)
    return path


def arguments(tmp_path, video, *more):
    given = [str(video), "--out", str(tmp_path / "out"), "--bag", str(tmp_path / "poses")]
    return [
        *given,
        "--backend",
        "fake",
        "--model",
        fake_bundle(tmp_path),
        "--no-overlay",
        "--set",
        "max_people=1",
        *more,
    ]


def written(path):
    """The messages of a bag by topic, with the times they were recorded at, and its topics."""
    found = defaultdict(list)
    with AnyReader([path]) as reader:
        for connection, recorded_ns, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            found[connection.topic].append((recorded_ns, message, raw))
        return found, {c.topic: c for c in reader.connections}


def test_the_nodes_outputs_beside_the_original(tmp_path, original):
    assert process.main(arguments(tmp_path, original)) == 0
    poses = np.load(tmp_path / "out" / "poses.npz")
    found, topics = written(tmp_path / "poses")
    assert set(found) == {
        "/skeletons", "/markers", "/tf", "/bodies/human/joint_states", "/bodies/human/urdf",
    }  # fmt: skip
    assert topics["/skeletons"].msgtype == "vnect_ros/msg/SkeletonArray"

    tracked = poses["state"] != "LOST"
    assert 5 <= tracked.sum() <= COUNT
    for topic in ("/tf", "/bodies/human/joint_states"):
        assert len(found[topic]) == tracked.sum()
    assert len(found["/skeletons"]) == COUNT + 1  # and that everybody is LOST, at the end
    _, first, raw = next(sent for sent in found["/skeletons"] if sent[1].skeletons)
    ours = deserialize_message(raw, SkeletonArray)  # by ROS's own code as well
    assert ours.skeletons[0].id == first.skeletons[0].id == "human"

    states = Counter()
    for recorded_ns, message, _ in found["/skeletons"]:
        header_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        assert recorded_ns == header_ns + DELAY_NS and message.header.frame_id == FRAME_ID
        assert header_ns in {stamp_ns(i) for i in range(COUNT)}
        for skeleton in message.skeletons:
            states[skeleton.state] += 1
            row = np.abs(poses["stamps_s"] - header_ns * 1e-9).argmin()
            assert skeleton.camera_calibrated or skeleton.state == 0
            if skeleton.state != 0:
                place = skeleton.joints[14].pose.position
                expected = poses["joints_cam_m"][row, 14]
                assert (place.x, place.y, place.z) == pytest.approx(expected, abs=1e-6)
                assert 0.0 < skeleton.latency < 10.0
    assert states == {0: 1, 1: tracked.sum()}
    assert found["/skeletons"][-1][1].skeletons[0].state == 0

    frames = {t.child_frame_id for _, m, _ in found["/tf"] for t in m.transforms}
    assert "body_human" in frames and all(name.endswith("_human") for name in frames)
    assert found["/tf"][0][1].transforms[0].header.frame_id == FRAME_ID
    (profile,) = topics["/bodies/human/urdf"].ext.offered_qos_profiles
    assert profile.durability == QosDurability.TRANSIENT_LOCAL
    robot = ElementTree.fromstring(found["/bodies/human/urdf"][0][1].data)
    joints = {j.get("name") for j in robot.iter("joint") if j.get("type") != "fixed"}
    assert joints == set(found["/bodies/human/joint_states"][0][1].name)


def test_images_of_a_folder_begin_now(tmp_path):
    (tmp_path / "images").mkdir()
    for i in range(8):
        card = cv2.cvtColor(coordinate_card(160, 120), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(tmp_path / "images" / f"{i}.png"), card)
    assert process.main(arguments(tmp_path, tmp_path / "images", "--fps", "10")) == 0
    found, _ = written(tmp_path / "poses")
    times = [recorded_ns for recorded_ns, _, _ in found["/tf"]]
    assert len(times) >= 5 and set(np.diff(times)) == {100_000_000}
    assert times[0] > FIRST_NS
    last = found["/skeletons"][-1][1].skeletons[0]
    assert last.state == 0 and last.header.frame_id == "camera_optical_frame"  # LOST: it ends


def test_refusals_are_one_line(tmp_path, capsys):
    path = tmp_path / "recording"
    with BagMaker(path, "mcap") as bag:
        bag.write("/image", bag.image(FIRST_NS, coordinate_card(160, 120)), FIRST_NS)
    (tmp_path / "poses").mkdir()
    for more, named in (
        ([], "--bag: got"),
        (["--topic", "/up"], "topic: got '/up'"),
    ):
        assert process.main(arguments(tmp_path, path, *more)) == 1
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith(f"process: {named}")
