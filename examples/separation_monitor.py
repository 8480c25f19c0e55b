#!/usr/bin/env python3
"""Slows and stops a robot by its distance to the nearest part of a person.

An example to copy: one node that reads `skeletons` and TF and publishes
`speed_scale` (std_msgs/Float64 in 0..1), fifty times a second.  Its rule is
that what is not known stops the robot:

| what is known of the person           | what the robot may do                     |
|---------------------------------------|-------------------------------------------|
| MEASURED, farther than slow_distance  | full speed                                |
| MEASURED, nearer                      | less, down to 0 at stop_distance          |
| PREDICTED (briefly unseen)            | likewise, and predicted_scale at most     |
| LOST                                  | stop, until measured again or `~/clear`   |
|                                       | (or `clear_after`), though others be seen:|
|                                       | they may hide who is lost                 |
| nobody has been seen yet              | stop, until measured or `~/clear`         |
| nothing new for max_age               | stop                                      |
| no calibrated camera, no robot in TF  | stop                                      |

The distance is from spheres at robot_frames to capsules around the bones, less
`sigmas` stated standard deviations, less how far the person may have come
since the image was taken, less unsure_margin where a joint was not measured.

It is not a certified safety function: a camera may miss a person.

    ros2 run vnect_ros separation_monitor.py --ros-args -p robot_frames:="[tool0, elbow]"
"""

from __future__ import annotations

import argparse
import math
import sys
from typing import NamedTuple

import numpy as np
import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import uninstall_signal_handlers
from rclpy.time import Time
from rclpy.utilities import remove_ros_args
from std_msgs.msg import Float64, String
from std_srvs.srv import Trigger

from vnect_ros.msg import Joint, Skeleton, SkeletonArray
from vnect_ros.skeleton import BONES, JOINT_NAMES

RADII_M = {
    "head_top": 0.12, "head": 0.12, "neck": 0.14, "spine": 0.18, "pelvis": 0.18,
    "shoulder": 0.10, "elbow": 0.07, "wrist": 0.06, "hand": 0.08,
    "hip": 0.14, "knee": 0.10, "ankle": 0.08, "toe": 0.06,
}  # fmt: skip
"""How thick clothed people are around the bone that ends in a joint [m]."""
_PARENTS, _CHILDREN = (list(ends) for ends in zip(*BONES))
_RADII_M = np.array(
    [RADII_M[JOINT_NAMES[j].removeprefix("left_").removeprefix("right_")] for j in _CHILDREN]
)
DEFAULTS = {
    "robot_frames": (["base_link"], "Frames of the robot whose distance counts"),
    "robot_radius": (0.15, "Radius of the robot about each of them [m]"),
    "stop_distance": (0.5, "The robot stands still at this distance [m]"),
    "slow_distance": (1.5, "It moves at full speed from this distance on [m]"),
    "max_age": (0.3, "Poses of older images are not acted on [s]"),
    "human_speed": (1.6, "How fast a person may come nearer, as in ISO 13855 [m/s]"),
    "sigmas": (2.0, "Stated standard deviations taken off the distance"),
    "unsure_margin": (0.15, "Taken off for joints that are not MEASURED [m]"),
    "predicted_scale": (0.25, "Speed at most while the person is PREDICTED"),
    "clear_after": (
        0.0,
        "Nobody seen, or somebody lost, for so long releases the robot; 0: only ~/clear does [s]",
    ),
    "recovery": (1.0, "Rise of the speed scale a second; it falls at once [1/s]"),
    "rate": (50.0, "Messages a second [Hz]"),
}


class Verdict(NamedTuple):
    """What the robot may do, and why."""

    scale: float
    reason: str
    distance_m: float = math.nan


def seconds(stamp: object) -> float:
    """A message's stamp [s]."""
    return Time.from_msg(stamp).nanoseconds * 1e-9


def separation_m(
    skeleton: Skeleton, robot_m: np.ndarray, sigmas: float, unsure_margin: float
) -> float:
    """The least distance from points of a robot to a tracked person.

    Minus infinity, if the skeleton is not whole.

    Args:
        robot_m: [R, 3] in the skeleton's frame.
        sigmas: standard deviations of the joints that are taken off.
        unsure_margin: taken off around joints that are not MEASURED [m].
    """
    if len(skeleton.joints) != len(JOINT_NAMES):
        return -math.inf
    positions = (joint.pose.position for joint in skeleton.joints)
    joints = np.array([(p.x, p.y, p.z) for p in positions])
    doubt = np.array(
        [
            sigmas * j.position_std + unsure_margin * (j.state != Joint.MEASURED)
            for j in skeleton.joints
        ]
    )
    start, end = joints[_PARENTS], joints[_CHILDREN]
    along = end - start
    squared = np.maximum((along**2).sum(axis=1), 1e-9)
    share = (((robot_m[:, None] - start) * along).sum(axis=2) / squared).clip(0.0, 1.0)
    nearest = start + share[:, :, None] * along
    distance = np.linalg.norm(robot_m[:, None] - nearest, axis=2)
    thick = _RADII_M + np.maximum(doubt[_PARENTS], doubt[_CHILDREN])
    least = float((distance - thick).min())
    return least if math.isfinite(least) else -math.inf


class SeparationMonitor(Node):
    """See the module."""

    def __init__(self, **node_options) -> None:
        super().__init__("separation_monitor", **node_options)
        for name, (default, text) in DEFAULTS.items():
            self.declare_parameter(name, default, ParameterDescriptor(description=text))
        self._get = lambda name: self.get_parameter(name).value
        self._array: SkeletonArray | None = None
        self._nobody_since_s: float | None = None
        self._cleared = False
        self._lost_at_s: dict[str, float] = {}
        self._scale, self._reason = 0.0, ""
        self._frames = frames_of(self)
        self._to_robot = self.create_publisher(Float64, "speed_scale", 1)
        self._to_distance = self.create_publisher(Float64, "separation", 1)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._to_reason = self.create_publisher(String, "speed_scale/reason", latched)
        self.create_subscription(SkeletonArray, "skeletons", self._on_skeletons, 10)
        self.create_service(Trigger, "~/clear", self._on_clear)
        self._period_s = 1.0 / self._get("rate")
        # Neither a jump of the clock nor a paused simulation stops this one.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(self._period_s, self._publish, clock=steady)

    def _now_s(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9

    def _on_skeletons(self, array: SkeletonArray) -> None:
        stamp_s = seconds(array.header.stamp)
        last_s = -math.inf if self._array is None else seconds(self._array.header.stamp)
        if stamp_s < last_s <= self._now_s():
            return  # behind a younger one; were that of the future, the clock was set back
        self._array = array
        for person in array.skeletons:
            if person.state == Skeleton.LOST:
                self._lost_at_s[person.id] = stamp_s
            elif person.state == Skeleton.MEASURED:
                self._lost_at_s.pop(person.id, None)
        if array.skeletons:
            self._nobody_since_s, self._cleared = None, False
        elif self._nobody_since_s is None or stamp_s < self._nobody_since_s:
            self._nobody_since_s = stamp_s

    def _on_clear(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Somebody has looked: nobody is near the robot but who is seen."""
        self._cleared = self._nobody_since_s is not None
        response.success = self._cleared or bool(self._lost_at_s)
        self._lost_at_s.clear()
        if not response.success:
            response.message = "the camera must work, and see nobody, or somebody must be lost"
        return response

    def _publish(self) -> None:
        verdict = self._judge()
        rise = self._get("recovery") * self._period_s
        self._scale = min(verdict.scale, self._scale + rise)
        self._to_robot.publish(Float64(data=self._scale))
        self._to_distance.publish(Float64(data=verdict.distance_m))
        if verdict.reason != self._reason:
            self._reason = verdict.reason
            self._to_reason.publish(String(data=verdict.reason))
            self.get_logger().info(verdict.reason)

    def _judge(self) -> Verdict:
        """What the robot may do by all that is known now."""
        if self._array is None:
            return Verdict(0.0, "stop: no skeletons received")
        age_s = self._now_s() - seconds(self._array.header.stamp)
        if abs(age_s) > self._get("max_age"):
            return Verdict(0.0, "stop: the last skeletons are too old, or of another clock")
        if not self._array.skeletons:
            return self._nobody()
        verdicts = [self._judge_person(person, age_s) for person in self._array.skeletons]
        worst = min(verdicts, key=lambda verdict: verdict.scale)
        if worst.scale > 0.0 and (lost := self._lost()):
            return Verdict(0.0, f"stop: {lost} is lost, perhaps hidden by others")
        nearest_m = np.min([verdict.distance_m for verdict in verdicts])  # NaN if one is
        return worst._replace(distance_m=float(nearest_m))

    def _lost(self) -> str:
        """Somebody who is lost and not cleared, though others are seen; "" for nobody."""
        now_s, clear_after = seconds(self._array.header.stamp), self._get("clear_after")
        since = now_s - (clear_after or math.inf)
        self._lost_at_s = {who: at_s for who, at_s in self._lost_at_s.items() if at_s > since}
        return next(iter(self._lost_at_s), "")

    def _nobody(self) -> Verdict:
        clear_after = self._get("clear_after")
        since_s = seconds(self._array.header.stamp) - self._nobody_since_s
        if self._cleared or (clear_after > 0.0 and since_s >= clear_after):
            return Verdict(1.0, "full speed: nobody is there")
        return Verdict(0.0, "stop: nobody is seen, which does not mean that nobody is there")

    def _judge_person(self, person: Skeleton, age_s: float) -> Verdict:
        if person.state == Skeleton.LOST:
            return Verdict(0.0, "stop: the person is lost")
        if not person.camera_calibrated:
            return Verdict(0.0, "stop: the camera is not calibrated, distances are a guess")
        robot_m = []
        for frame in self._get("robot_frames"):
            found = self._frames.position_m(person.header.frame_id, frame)
            if found is None:
                return Verdict(0.0, f"stop: no transform from {person.header.frame_id} to {frame}")
            place, stamp_s = found
            if stamp_s is not None and abs(self._now_s() - stamp_s) > self._get("max_age"):
                return Verdict(0.0, f"stop: the transform to {frame} is too old")
            robot_m.append(place)
        distance = separation_m(
            person, np.array(robot_m), self._get("sigmas"), self._get("unsure_margin")
        )
        distance -= self._get("robot_radius") + self._get("human_speed") * max(age_s, 0.0)
        stop, slow = self._get("stop_distance"), self._get("slow_distance")
        scale = min(max((distance - stop) / (slow - stop), 0.0), 1.0)
        words = {0.0: "stop", 1.0: "full speed"}.get(scale, "slow")
        if person.state == Skeleton.PREDICTED:
            scale = min(scale, self._get("predicted_scale"))
            return Verdict(scale, "slow at most: the person is briefly unseen", distance)
        return Verdict(scale, f"{words}: the person is measured", distance)


# --- where the robot is ---------------------------------------------------------------------


class Tf2Frames:
    """TF by tf2_ros."""

    def __init__(self, node: Node) -> None:
        from tf2_ros import Buffer, TransformListener

        self._buffer = Buffer()
        self._listener = TransformListener(self._buffer, node)

    def position_m(self, target: str, frame: str) -> tuple[np.ndarray, float | None] | None:
        """Where a frame's origin is in the target frame, and when that was (None: always)."""
        from tf2_ros import TransformException

        try:
            found = self._buffer.lookup_transform(target, frame, Time())
        except TransformException:
            return None
        shift, stamp_s = found.transform.translation, seconds(found.header.stamp)
        return np.array([shift.x, shift.y, shift.z]), stamp_s or None


class LatestFrames:
    """The newest of each transform on /tf and /tf_static: enough where there is no tf2_ros."""

    def __init__(self, node: Node) -> None:
        from tf2_msgs.msg import TFMessage

        self._parents: dict[str, tuple[str, np.ndarray, float | None]] = {}
        latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        node.create_subscription(TFMessage, "/tf", lambda m: self._take(m, False), 100)
        node.create_subscription(TFMessage, "/tf_static", lambda m: self._take(m, True), latched)

    def _take(self, message: object, static: bool) -> None:
        for t in message.transforms:
            shift, turn = t.transform.translation, t.transform.rotation
            matrix = np.eye(4)
            matrix[:3, :3] = rotation(turn.x, turn.y, turn.z, turn.w)
            matrix[:3, 3] = shift.x, shift.y, shift.z
            stamp_s = None if static else seconds(t.header.stamp)
            self._parents[t.child_frame_id] = t.header.frame_id, matrix, stamp_s

    def _to_root(self, frame: str) -> tuple[str, np.ndarray, float | None]:
        matrix, oldest = np.eye(4), None
        for _ in range(len(self._parents)):
            if frame not in self._parents:
                break
            frame, step, stamp_s = self._parents[frame]
            matrix = step @ matrix
            if stamp_s is not None:
                oldest = stamp_s if oldest is None else min(oldest, stamp_s)
        return frame, matrix, oldest

    def position_m(self, target: str, frame: str) -> tuple[np.ndarray, float | None] | None:
        """As `Tf2Frames.position_m`; the time is that of the oldest transform on the way."""
        root, root_from_frame, stamp_s = self._to_root(frame)
        other, root_from_target, target_stamp_s = self._to_root(target)
        if root != other:
            return None
        place = np.linalg.inv(root_from_target) @ root_from_frame[:, 3]
        stamps = [s for s in (stamp_s, target_stamp_s) if s is not None]
        return place[:3], min(stamps) if stamps else None


def frames_of(node: Node) -> Tf2Frames | LatestFrames:
    """TF by tf2_ros where that is installed."""
    try:
        return Tf2Frames(node)
    except ImportError:
        return LatestFrames(node)


def rotation(x: float, y: float, z: float, w: float) -> np.ndarray:
    """[3, 3] of a unit quaternion."""
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def main() -> None:
    """Run the monitor until it is interrupted."""
    lines = [f"  {name} ({default}): {text}" for name, (default, text) in DEFAULTS.items()]
    argparse.ArgumentParser(
        description=__doc__,
        epilog="parameters (defaults):\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(remove_ros_args(sys.argv)[1:])
    rclpy.init()
    try:
        rclpy.spin(SeparationMonitor())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        uninstall_signal_handlers()  # or an interrupt's own shutdown may come in between
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
