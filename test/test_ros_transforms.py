"""Frames of TF: the buffers against SE(3), and target_frame and ground_frame through the node."""

from __future__ import annotations

import time
from importlib.util import find_spec

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
import pinocchio
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import serialize_message
from rclpy.time import Time
from ros_rig import fake_bundle, wait
from std_msgs.msg import Header
from test_ros_node import key, matrix
from test_ros_person_messages import poses  # noqa: F401
from tf2_msgs.msg import TFMessage

from vnect_ros.errors import ImageError
from vnect_ros.pipeline import Pipeline
from vnect_ros.ros import transform_buffer
from vnect_ros.ros.person_messages import PersonMessages
from vnect_ros.ros.transform_buffer import NoTransform
from vnect_ros.ros.transforms import is_of_body

pytestmark = pytest.mark.ros
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
SECOND = 1_000_000_000
LATCHED = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def placed(parent: str, child: str, at: pinocchio.SE3, stamp=0) -> TransformStamped:
    """A message; the stamp in nanoseconds, or as a message."""
    made = TransformStamped(header=Header(frame_id=parent), child_frame_id=child)
    made.header.stamp = Time(nanoseconds=stamp).to_msg() if isinstance(stamp, int) else stamp
    turn = pinocchio.Quaternion(at.rotation)
    to, turned = made.transform.translation, made.transform.rotation
    to.x, to.y, to.z = at.translation.tolist()
    turned.x, turned.y, turned.z, turned.w = turn.coeffs().tolist()
    return made


def somewhere(seed: int) -> pinocchio.SE3:
    random = np.random.default_rng(seed)
    return pinocchio.exp6(random.normal(size=6))


@pytest.fixture(
    params=[
        "own",
        pytest.param(
            "tf2", marks=pytest.mark.skipif(not find_spec("tf2_ros"), reason="needs tf2_ros")
        ),
    ]
)
def buffer(request):
    return transform_buffer.ChainBuffer() if request.param == "own" else transform_buffer.make()


def test_a_buffer_follows_frames_up_and_down(buffer):
    """map > base > (torso > camera, arm): still ones, moving ones, and between two stamps."""
    base, torso, camera = somewhere(1), somewhere(2), somewhere(3)
    arm = [somewhere(4), somewhere(5)]
    buffer.put(placed("base", "torso", torso), True)
    buffer.put(placed("torso", "camera", camera), True)
    for i in (2, 1, 3):  # as they come
        buffer.put(placed("map", "base", base, i * SECOND), False)
    buffer.put(placed("base", "arm", arm[0], 1 * SECOND), False)
    buffer.put(placed("base", "arm", arm[1], 2 * SECOND), False)
    expected = (base * torso * camera).homogeneous
    np.testing.assert_allclose(buffer.lookup("map", "camera", 2 * SECOND), expected, atol=1e-12)
    np.testing.assert_allclose(
        buffer.lookup("camera", "map", 3 * SECOND), np.linalg.inv(expected), atol=1e-12
    )
    # Nothing moves between camera and torso, whatever is known of the frames above.
    np.testing.assert_allclose(
        buffer.lookup("torso", "camera", 9 * SECOND), camera.homogeneous, atol=1e-12
    )
    at = buffer.lookup("camera", "arm", 1 * SECOND)
    np.testing.assert_allclose(at, ((torso * camera).inverse() * arm[0]).homogeneous, atol=1e-12)
    between = buffer.lookup("base", "arm", 1 * SECOND + SECOND // 4)
    shift = arm[0].translation + 0.25 * (arm[1].translation - arm[0].translation)
    turn = pinocchio.log3(arm[0].rotation.T @ arm[1].rotation)
    np.testing.assert_allclose(between[:3, 3], shift, atol=1e-12)
    np.testing.assert_allclose(
        between[:3, :3], arm[0].rotation @ pinocchio.exp3(0.25 * turn), atol=1e-12
    )


@pytest.mark.parametrize(
    ("target", "source", "stamp_ns", "may_come"),
    [
        ("map", "nowhere", 2 * SECOND, False),
        ("nowhere", "camera", 2 * SECOND, False),
        ("map", "island", 2 * SECOND, False),
        ("map", "camera", 2 * SECOND - 1, False),  # before all
        ("map", "camera", 2 * SECOND + 1, True),
        ("map", "camera", 9 * SECOND, False),  # whoever moved it is gone
    ],
)
def test_a_buffer_invents_nothing(buffer, target, source, stamp_ns, may_come):
    buffer.put(placed("map", "camera", somewhere(1), 2 * SECOND), False)
    buffer.put(placed("sea", "island", somewhere(2)), True)
    with pytest.raises(NoTransform) as refused:
        buffer.lookup(target, source, stamp_ns)
    assert refused.value.may_come is may_come


def test_a_buffer_forgets_what_is_old_and_on_request_all_that_moves(buffer):
    buffer.put(placed("map", "base", somewhere(1)), True)
    for second in range(30):
        buffer.put(placed("base", "camera", somewhere(2), (100 + second) * SECOND), False)
    with pytest.raises(NoTransform):
        buffer.lookup("map", "camera", 110 * SECOND)
    buffer.lookup("map", "camera", 120 * SECOND)
    buffer.clear()
    with pytest.raises(NoTransform):
        buffer.lookup("map", "camera", 120 * SECOND)
    buffer.put(placed("base", "camera", somewhere(2), 5 * SECOND), False)
    buffer.lookup("map", "camera", 5 * SECOND)


@pytest.mark.parametrize("body_id", ["human", "a1b2c"])
def test_only_messages_of_bodies_are_left_unread(body_id, poses):  # noqa: F811
    header = Header(frame_id="camera_optical_frame")
    body = PersonMessages(body_id).transforms(poses[-1], header)
    assert is_of_body(bytes(serialize_message(TFMessage(transforms=body))))
    still = pinocchio.SE3.Identity()
    robots = [("map", "body_frame"), ("body_frame", "camera"), ("body_human", "camera")]
    for parent, child in robots:
        message = TFMessage(transforms=[placed(parent, child, still), placed(child, "x", still)])
        assert not is_of_body(bytes(serialize_message(message)))
    assert not is_of_body(bytes(serialize_message(TFMessage())))


class Robot:
    """A camera on a moving robot: map > base, by TF, > camera, by static TF."""

    def __init__(self, rig) -> None:
        self.rig = rig
        self._tf = rig.here.create_publisher(TFMessage, "/tf", 100)
        self._static = rig.here.create_publisher(TFMessage, "/tf_static", LATCHED)
        # Optical axes: x right, y down, z forward on a base of x forward, z up; 20 degrees down.
        forward = np.array([(0.0, 0.0, 1.0), (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)])
        down = pinocchio.exp3(np.array([np.radians(-20.0), 0.0, 0.0]))
        self.mount = pinocchio.SE3(forward @ down, np.array([0.1, 0.0, 1.2]))

    def mounted(self, height_m=1.2) -> None:
        self.mount.translation = np.array([0.1, 0.0, height_m])
        self._static.publish(
            TFMessage(transforms=[placed("base", "camera_optical_frame", self.mount)])
        )

    def drives(self, stamp, x_m: float) -> pinocchio.SE3:
        """The base is there; the camera's place in the map."""
        base = pinocchio.SE3(pinocchio.exp3(np.array([0.0, 0.0, 0.5])), np.array([x_m, 2.0, 0.0]))
        self._tf.publish(TFMessage(transforms=[placed("map", "base", base, stamp)]))
        return base * self.mount

    def show(self, x_m=0.0, late_s=0.0) -> tuple[Header, pinocchio.SE3]:
        """An image, and by TF, so much later, where it was taken."""
        self.rig.camera().inform()
        header = self.rig.camera().show()
        time.sleep(late_s)
        return header, self.drives(header.stamp, x_m)


@pytest.fixture
def floors(monkeypatch):
    """The floor of each frame that the pipeline got."""
    got = []
    step = Pipeline.step
    monkeypatch.setattr(Pipeline, "step", lambda s, f: (got.append(f.floor), step(s, f))[1])
    return got


@pytest.fixture
def start(rig, tmp_path):
    def begin(**parameters):
        given = {"model": fake_bundle(tmp_path), "backend": "fake", "diagnostics_period": 0.1}
        heard = rig.start(timeout_s=5.0, **given, **parameters)
        rig.camera().await_node()
        return heard, Robot(rig)

    return begin


def test_skeletons_in_a_target_frame_while_the_camera_moves(start):
    heard, robot = start(target_frame="map")
    robot.mounted()
    places = {}

    def follow():
        header, place = robot.show(0.01 * len(places), late_s=0.01)
        places[key(header)] = place.homogeneous
        time.sleep(0.03)
        return len(both()) > 20

    def both():
        """Skeletons and transforms of one stamp: each is sent once somebody is known to listen."""
        tf = {key(m.transforms[0].header): m.transforms[0] for m in list(heard["/tf"])
              if m.transforms[0].child_frame_id == "body_human"}  # fmt: skip
        return [(s, tf[key(s.header)]) for s in heard.tracked() if key(s.header) in tf]

    wait(follow, "skeletons and transforms", after=heard.last_diagnostics)
    for skeleton, in_camera in both():
        assert skeleton.header.frame_id == "map"
        assert in_camera.header.frame_id == "camera_optical_frame"
        expected = places[key(skeleton.header)] @ matrix(in_camera.transform)
        np.testing.assert_allclose(matrix(skeleton.pose), expected, atol=1e-5)


def test_images_without_the_target_frame_are_refused_by_name(start):
    heard, robot = start(target_frame="map")
    robot.mounted()
    refusal = "target_frame: no transform from 'camera_optical_frame' to 'map'"
    robot.rig.camera().play_until(lambda: refusal in heard.last_diagnostics(), "a refusal")
    assert not heard.tracked()


def value(heard, key: str) -> str:
    return next(v.value for v in heard["/diagnostics"][-1].status[0].values if v.key == key)


def test_the_floor_is_where_the_ground_frame_has_it(start, floors):
    heard, robot = start(ground_frame="map")
    camera = robot.rig.camera()
    camera.follow(6)
    # Without TF the person is followed all the same, and diagnostics remark it.
    assert floors and set(floors) == {None}
    heard.await_diagnostics(WARN, "ground_frame: no transform from 'camera_optical_frame' to 'map'")
    robot.mounted()
    wait(lambda: robot.show(late_s=0.02) and floors[-1] is not None, "the floor")
    place = robot.drives(camera.header().stamp, 0.0)
    floor = floors[-1]
    np.testing.assert_allclose(floor.normal, place.rotation.T @ (0.0, 0.0, 1.0), atol=1e-9)
    assert floor.normal[1] < -0.9 and floor.normal[2] == pytest.approx(-np.sin(np.radians(20.0)))
    on_floor = place.inverse() * np.array([3.0, -1.0, 0.0])
    assert floor.normal @ on_floor == pytest.approx(floor.offset_m)
    np.testing.assert_allclose(floor.transform_ground_from_camera, place.homogeneous, atol=1e-9)
    wait(lambda: robot.show(late_s=0.02) and heard.last_diagnostics().endswith("MEASURED"),
         "no remark", after=heard.last_diagnostics)  # fmt: skip
    assert value(heard, "floor") == "camera 1.20 m above z = 0 of 'map', looking 20 degrees down"
    # A camera below the floor: wrong frames.
    robot.mounted(-0.3)
    wait(lambda: robot.show(late_s=0.02) and floors[-1] is None, "the floor to be refused")
    heard.await_diagnostics(WARN, "the camera is 0.30 m below z = 0 of 'map'")


def test_a_robot_that_is_gone_is_not_waited_for(start, floors, monkeypatch):
    """And the floor is not taken from where it was."""
    heard, robot = start(ground_frame="map")
    robot.mounted()
    wait(lambda: robot.show(late_s=0.02) and floors and floors[-1] is not None, "the floor")
    time.sleep(transform_buffer.LATE_NS * 1e-9 + 0.1)
    waited = []
    monkeypatch.setattr(robot.rig.nodes[""]._transforms._changed, "wait", waited.append)
    robot.rig.camera().play_until(lambda: floors[-1] is None, "images without a floor")
    heard.await_diagnostics(WARN, "s old; the floor is not used")
    assert not waited


def test_after_the_clock_was_set_back_old_transforms_hold_no_more(start, floors):
    _, robot = start(ground_frame="map")
    robot.mounted()
    wait(lambda: robot.show(late_s=0.02) and floors and floors[-1] is not None, "the floor")
    camera, transforms = robot.rig.camera(), robot.rig.nodes[""]._transforms
    last = camera.header()
    robot.drives(last.stamp, 0.0)
    wait(lambda: found(transforms, last), "TF")
    before = camera.header(time.time() - 60.0)
    robot.drives(before.stamp, 7.0)
    wait(lambda: found(transforms, before), "TF of before")
    assert not found(transforms, last)
    assert transforms.lookup("map", before)[0, 3] > 6.0


def found(transforms, header) -> bool:
    try:
        return transforms.lookup("map", header) is not None
    except ImageError:
        return False
