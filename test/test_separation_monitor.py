"""The example monitor end to end: synthetic camera, real node, the monitor, over DDS."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from geometry_msgs.msg import TransformStamped
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_rig import Rig, wait
from std_msgs.msg import Float64, Header, String
from test_ros_people import THREE, hall  # noqa: F401
from tf2_msgs.msg import TFMessage

from vnect_ros.msg import Joint, Skeleton, SkeletonArray
from vnect_ros.skeleton import INDEX, JOINT_NAMES

sys.path.append(str(Path(__file__).parent / "faults"))
from scene import Scene
from stage import NOBODY, STANDING_M, Person

pytestmark = pytest.mark.ros
FILE = Path(__file__).parents[1] / "examples" / "separation_monitor.py"
spec = importlib.util.spec_from_file_location("separation_monitor", FILE)
monitor = importlib.util.module_from_spec(spec)
sys.modules["separation_monitor"] = monitor
spec.loader.exec_module(monitor)


class Watch:
    """A monitor, and what it says."""

    def __init__(self, rig: Rig, **parameters) -> None:
        given = {"max_age": 3.0, "human_speed": 0.0, "recovery": 50.0, **parameters}
        self.node = monitor.SeparationMonitor(
            context=rig.context,
            parameter_overrides=[Parameter(k, value=v) for k, v in given.items()],
        )
        rig._spin(self.node)
        self.scales, self.distances, self.reasons = [], [], []
        rig.here.create_subscription(
            Float64, "speed_scale", lambda m: self.scales.append((time.monotonic(), m.data)), 100
        )
        rig.here.create_subscription(
            Float64, "separation", lambda m: self.distances.append(m.data), 100
        )
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        rig.here.create_subscription(
            String, "speed_scale/reason", lambda m: self.reasons.append(m.data), latched
        )
        self._tf_static = rig.here.create_publisher(TFMessage, "/tf_static", latched)
        self.tf = rig.here.create_publisher(TFMessage, "/tf", 10)
        self._rig = rig

    @property
    def scale(self) -> float:
        return self.scales[-1][1] if self.scales else 0.0

    @property
    def reason(self) -> str:
        return self.reasons[-1] if self.reasons else ""

    def place(self, parent: str, child: str, xyz, static=True, stamp=None) -> None:
        t = TransformStamped(child_frame_id=child, header=Header(frame_id=parent))
        t.header.stamp = stamp or self._rig.here.get_clock().now().to_msg()
        t.transform.translation.x, t.transform.translation.y, t.transform.translation.z = xyz
        t.transform.rotation.w = 1.0
        (self._tf_static if static else self.tf).publish(TFMessage(transforms=[t]))

    def await_reason(self, text: str, timeout_s: float = 20.0) -> None:
        wait(lambda: text in self.reason, text, timeout_s, lambda: f"{self.reasons} {self.scale}")

    def close(self) -> None:
        self.node.destroy_node()


@pytest.fixture
def rig(ros_domain):
    made = Rig(ros_domain)
    made.watches = []
    yield made
    made.stop_spinning()
    for watch in made.watches:
        watch.close()
    made.close()


def test_the_robot_obeys_the_person_before_the_camera(rig, tmp_path):
    """Far, near, unseen, lost, back, stale: the whole way from images to the speed."""
    scene = Scene(rig, tmp_path)
    watch = Watch(rig, robot_frames=["tool"])
    rig.watches.append(watch)
    try:
        wait(lambda: len(watch.scales) > 3, "the monitor")
        assert watch.scale == 0.0 and "no skeletons received" in watch.reason

        # Without the robot's place nothing is released.
        scene.start(timeout_s=10.0, fit__predict_for_s=3.0)
        # The robot 3 m in front of the camera, the person 4 m behind that: two links of TF.
        far = scene.stage.cast(30, Person((0.0, 0.0, 6.0)))
        scene.play_until(lambda: "no transform" in watch.reason, "a person and no robot", far)
        assert watch.scale == 0.0
        watch.place("camera_optical_frame", "base", (0.0, 0.0, 1.0))
        watch.place("base", "tool", (0.0, 0.0, 1.0))
        scene.play_until(lambda: watch.scale == 1.0, "full speed", far)
        distance = watch.distances[-1]
        wait(lambda: watch.reason.startswith("full speed"), "the reason")
        # Pelvis 6 m scaled to a person of 1.70 m; 2 m to the tool: 3 to 5 m are left.
        assert 3.0 < distance < 5.0

        # The person comes nearer, a step of 5 cm an image.
        for step in range(60):
            near = scene.stage.cast(40 + step, Person((0.0, 0.0, 6.0 - 0.05 * step)))
            scene.play([near])
        scene.play_until(lambda: 0.0 < watch.scale < 1.0, "slow", near)
        assert watch.reason.startswith("slow")
        nearest = scene.stage.cast(120, Person((0.0, 0.0, 2.35)))
        scene.play_until(lambda: watch.scale == 0.0, "stop", nearest)
        assert watch.reason.startswith("stop: the person is measured")

        # Back, and briefly unseen.
        scene.play_until(lambda: watch.scale == 1.0, "full speed", far)
        scene.play_until(lambda: "briefly unseen" in watch.reason, "PREDICTED", NOBODY)
        wait(lambda: watch.scale <= 0.25, "slow")
        scene.play_until(lambda: "lost" in watch.reason or "nobody" in watch.reason, "LOST", NOBODY)
        wait(lambda: watch.scale == 0.0, "stop")
        scene.play([NOBODY] * 15)
        assert watch.scale == 0.0 and "nobody is seen" in watch.reason
        scene.play_until(lambda: watch.scale == 1.0, "full speed", far)

        # The camera stops: the node says LOST, and the pose grows old as well.
        assert scene.rig.set(timeout_s=0.5)[0]
        watch.await_reason("lost")
        wait(lambda: watch.scale == 0.0, "stop")
        watch.await_reason("too old")
        assert watch.scale == 0.0

        # An uncalibrated camera tells no distances.
        scene.play_until(lambda: watch.scale == 1.0, "full speed", far)
        from sensor_msgs.msg import CameraInfo

        scene.camera.inform(CameraInfo(width=320, height=240))
        begin = time.monotonic()
        while "not calibrated" not in watch.reason:
            assert time.monotonic() - begin < 20.0, watch.reasons
            scene.show(far, camera=None)
            time.sleep(0.05)
        wait(lambda: watch.scale == 0.0, "stop")
    finally:
        scene.stage.hold.set()


def array_of(rig, skeletons=(), ago_s=0.0) -> SkeletonArray:
    now = rig.here.get_clock().now()
    stamp = (now - rclpy_duration(ago_s)).to_msg()
    header = Header(stamp=stamp, frame_id="camera")
    for skeleton in skeletons:
        skeleton.header = header
    return SkeletonArray(header=header, skeletons=list(skeletons))


def rclpy_duration(seconds: float):
    from rclpy.duration import Duration

    return Duration(nanoseconds=round(seconds * 1e9))


def person(
    z=4.0, state=Skeleton.MEASURED, std=0.0, joint_state=Joint.MEASURED, body_id="human"
) -> Skeleton:
    skeleton = Skeleton(id=body_id, state=state, camera_calibrated=True)
    for name, xyz in zip(JOINT_NAMES, STANDING_M):
        joint = Joint(name=name, position_std=std, state=joint_state)
        joint.pose.position.x, joint.pose.position.y = float(xyz[0]), float(xyz[1])
        joint.pose.position.z = float(xyz[2]) + z
        skeleton.joints.append(joint)
    return skeleton


@pytest.fixture
def spoken_to(rig):
    """A monitor that hears skeletons from the test itself."""
    watch = Watch(rig, robot_frames=["camera"], max_age=1.0, stop_distance=0.5, slow_distance=1.5)
    rig.watches.append(watch)
    publisher = rig.here.create_publisher(SkeletonArray, "skeletons", 10)
    wait(lambda: publisher.get_subscription_count() > 0 and watch.scales, "the monitor")
    watch.say = lambda *skeletons, ago_s=0.0: publisher.publish(array_of(rig, skeletons, ago_s))

    def say_until(done, *skeletons, what="", ago_s=0.0):
        wait(lambda: watch.say(*skeletons, ago_s=ago_s) or time.sleep(0.05) or done(), what, 20.0,
             lambda: f"{watch.reasons} {watch.scale}")  # fmt: skip

    watch.say_until = say_until
    return watch


def test_nobody_is_clear_only_when_somebody_says_so(rig, spoken_to):
    watch = spoken_to
    watch.say_until(lambda: "nobody is seen" in watch.reason)
    assert watch.scale == 0.0
    assert rig.trigger("/separation_monitor/clear")[0]
    watch.say_until(lambda: watch.scale == 1.0, what="full speed")
    watch.say_until(lambda: watch.scale == 0.0, person(0.6), what="stop")
    watch.say_until(lambda: "lost" in watch.reason, Skeleton(id="human"), what="lost")
    # The clearance was for then, not for now.
    watch.say_until(lambda: "nobody is seen" in watch.reason)
    assert watch.scale == 0.0
    watch.node.set_parameters([Parameter("clear_after", value=0.3)])
    watch.say_until(lambda: watch.scale == 1.0, what="full speed after a while")


def test_old_and_future_skeletons_stop(spoken_to):
    watch = spoken_to
    watch.say_until(lambda: watch.scale == 1.0, person(5.0), what="full speed")
    watch.await_reason("too old")
    assert watch.scale == 0.0
    watch.say_until(lambda: watch.scale == 1.0, person(5.0), what="full speed")
    # Behind a younger one an old array is passed over.
    watch.say(person(0.6), ago_s=0.8)
    watch.say_until(lambda: watch.scale == 1.0, person(5.0))
    watch.say_until(lambda: "another clock" in watch.reason, person(5.0), ago_s=-30.0)
    wait(lambda: watch.scale == 0.0, "stop")
    # The clock that was ahead is set right again.
    watch.say_until(lambda: watch.scale == 1.0, person(5.0), what="full speed")


def test_the_nearest_of_several_people_counts_also_when_it_is_hidden(rig, spoken_to):
    watch = spoken_to
    far, near = person(9.0, body_id="faraw"), person(1.8, body_id="nearb")
    watch.say_until(
        lambda: watch.scale == 1.0, far, person(6.0, body_id="midwy"), what="full speed"
    )
    watch.say_until(lambda: 5.0 < watch.distances[-1] < 6.0, far, person(6.0, body_id="midwy"))
    watch.say_until(lambda: 0.0 < watch.scale < 1.0, far, near, what="slow")
    hidden = person(1.8, Skeleton.PREDICTED, body_id="nearb")
    watch.say_until(lambda: "briefly unseen" in watch.reason, far, hidden)
    assert watch.scale <= 0.25 and watch.distances[-1] < 2.0
    watch.say_until(lambda: "the person is lost" in watch.reason, far, Skeleton(id="nearb"))
    for _ in range(10):
        watch.say_until(lambda: "nearb is lost" in watch.reason, far)
        assert watch.scale == 0.0 and np.isnan(watch.distances[-1])
    # Another person in the image does not stand for the one who is lost.
    watch.say_until(lambda: "nearb is lost" in watch.reason, far, person(6.0, body_id="other"))
    watch.say_until(lambda: 0.0 < watch.scale < 1.0, far, near, what="slow, for it is seen again")
    watch.say_until(lambda: "the person is lost" in watch.reason, far, Skeleton(id="nearb"))
    assert rig.trigger("/separation_monitor/clear")[0]
    watch.say_until(lambda: watch.scale == 1.0, far, what="full speed, cleared")
    assert not rig.trigger("/separation_monitor/clear")[0]


def test_who_is_hidden_from_the_camera_stops_the_robot(rig, hall):  # noqa: F811
    """The real node: the nearer of two people vanishes behind the other."""
    watch = Watch(rig, robot_frames=["camera_optical_frame"], max_age=60.0, clear_after=0.0)
    rig.watches.append(watch)
    hall = hall(fit__predict_for_s=0.2)
    people = {"ann": THREE["ann"], "bob": (0.5, 0.0, 3.0)}
    near, far = sorted(hall.until(2, people), key=lambda s: s.pose.position.z)
    wait(lambda: hall.show() and watch.scale == 1.0, "full speed", 20.0, lambda: watch.reason)
    wait(lambda: 0.0 < watch.distances[-1] < near.pose.position.z, "the nearer one's distance")
    wait(lambda: hall.show({"ann": THREE["ann"]}) and near.id in watch.reason, "lost")
    assert {s.id for s in hall.show(frames=10)[-1].skeletons} == {far.id}
    assert watch.scale == 0.0


def test_it_explains_itself_and_starts_nothing():
    done = subprocess.run(
        [sys.executable, FILE, "--help"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ") and all(n in done.stdout for n in monitor.DEFAULTS)
    wrong = subprocess.run(
        [sys.executable, FILE, "--max-age", "1", "--ros-args", "-p", "rate:=10.0"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert wrong.returncode == 2 and "--max-age" in wrong.stderr


def test_an_old_transform_of_a_moving_robot_stops(rig, spoken_to):
    watch = spoken_to
    watch.node.set_parameters([Parameter("robot_frames", value=["arm"])])
    old = (rig.here.get_clock().now() - rclpy_duration(5.0)).to_msg()

    def with_arm(stamp=None):
        watch.place("camera", "arm", (0.0, 0.0, 0.0), static=False, stamp=stamp)

    wait(lambda: watch.say(person(5.0)) or with_arm(old) or "too old" in watch.reason, "too old")
    assert watch.scale == 0.0
    wait(lambda: watch.say(person(5.0)) or with_arm() or watch.scale == 1.0, "full speed")


def test_doubt_brings_a_person_nearer(spoken_to):
    """Capsules, standard deviations and joints that were not measured all take off distance."""
    at = np.zeros((1, 3))
    sure = monitor.separation_m(person(3.0), at, 2.0, 0.15)
    # The nearest points are about the toes and the trunk: no more than bone and flesh less.
    assert 2.5 < sure < 3.0
    doubtful = monitor.separation_m(person(3.0, std=0.1), at, 2.0, 0.15)
    assert sure - doubtful == pytest.approx(0.2)
    unsure = monitor.separation_m(person(3.0, joint_state=Joint.REJECTED), at, 2.0, 0.15)
    assert sure - unsure == pytest.approx(0.15)
    beside = person(3.0)
    hand = beside.joints[INDEX["left_hand"]].pose.position
    reach = monitor.separation_m(beside, np.array([[hand.x + 0.5, hand.y, hand.z]]), 2.0, 0.15)
    assert reach == pytest.approx(0.5 - monitor.RADII_M["hand"], abs=1e-6)
    torn = person(3.0)
    torn.joints[0].pose.position.x = float("nan")
    assert monitor.separation_m(torn, at, 2.0, 0.15) == -np.inf
    torn.joints.pop()
    assert monitor.separation_m(torn, at, 2.0, 0.15) == -np.inf
