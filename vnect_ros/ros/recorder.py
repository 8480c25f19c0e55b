"""Records what the node publishes: DIR/received.npz, written when interrupted.

One row a skeletons message, in the order of receipt; NaN where nobody is
tracked.  Times are of the system clock, as the stamps are.
"""

from __future__ import annotations

import argparse
import struct
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import JointState
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from vnect_ros.msg import Skeleton, SkeletonArray
from vnect_ros.ros import stage_times
from vnect_ros.ros.convert import stamp_s
from vnect_ros.ros.ending import end_ros, ignore_interrupts
from vnect_ros.skeleton import NUM_JOINTS

STATES = {Skeleton.LOST: "LOST", Skeleton.MEASURED: "MEASURED", Skeleton.PREDICTED: "PREDICTED"}


class Recorder(Node):
    """Subscribes to all outputs and remembers them."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("vnect_recorder", **node_options)
        self.rows: dict[str, list[Any]] = defaultdict(list)
        self.counts = {"joint_state_count": 0, "tf_count": 0, "marker_count": 0}
        self.tf_stamps_s: list[float] = []
        self._bodies: set[str] = set()
        self.create_subscription(SkeletonArray, "skeletons", self._on_skeletons, 100)
        # Unread: what is only counted must not delay the skeletons.
        self.create_subscription(TFMessage, "/tf", self._on_tf, 100, raw=True)
        self.create_subscription(MarkerArray, "markers", self._on_markers, 100, raw=True)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._stages: dict[str, tuple[float, float]] = {}

    def _on_skeletons(self, message: SkeletonArray) -> None:
        received_s = time.time()
        for skeleton in message.skeletons or [Skeleton()]:
            self._add(stamp_s(message.header.stamp), received_s, skeleton)

    def _add(self, image_s: float, received_s: float, skeleton: Skeleton) -> None:
        """A row for somebody, or for an image in which nobody is."""
        joints = skeleton.joints
        row = {
            "stamps_s": image_s,
            "received_s": received_s,
            "id": skeleton.id,
            "state": STATES[skeleton.state],
            "joints_px": [j.pixel for j in joints],
            "joints_m": [_xyz(j.pose.position) for j in joints],
            "confidence": [j.confidence for j in joints],
            "std_m": [j.position_std for j in joints],
            "joint_states": [j.state for j in joints],
            "latency_s": skeleton.latency,
            "residual_px": skeleton.residual if joints else np.nan,
            "height_m": skeleton.height,
            "height_std_m": skeleton.height_std,
        }
        shapes = {"joints_px": (NUM_JOINTS, 2), "joints_m": (NUM_JOINTS, 3)}
        for key in ("joints_px", "joints_m", "confidence", "std_m", "joint_states"):
            if not joints:
                row[key] = np.full(shapes.get(key, (NUM_JOINTS,)), np.nan)
        for key, value in row.items():
            self.rows[key].append(value)
        if skeleton.id and skeleton.id not in self._bodies:
            self._bodies.add(skeleton.id)
            topic = f"bodies/{skeleton.id}/joint_states"
            self.create_subscription(JointState, topic, self._on_joint_state, 100, raw=True)

    def _on_tf(self, serialized: bytes) -> None:
        self.counts["tf_count"] += 1
        order = "<" if serialized[1] else ">"  # CDR: a header of 4 bytes, the array's length
        count, seconds, nanoseconds = struct.unpack_from(f"{order}IiI", serialized + bytes(8), 4)
        if count:
            self.tf_stamps_s.append(seconds + nanoseconds * 1e-9)

    def _on_markers(self, _: bytes) -> None:
        self.counts["marker_count"] += 1

    def _on_joint_state(self, _: bytes) -> None:
        self.counts["joint_state_count"] += 1

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        name = f"{self.get_namespace()}/vnect: tracking".lstrip("/")
        for status in message.status:
            if status.name == name:
                values = {value.key: value.value for value in status.values}
                self._stages = stage_times.read(values) or self._stages

    def save(self, folder: Path) -> None:
        """Write received.npz into the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        columns: dict[str, Any] = {key: np.array(values) for key, values in self.rows.items()}
        columns["tf_stamps_s"] = np.array(self.tf_stamps_s)
        columns["stages"] = np.array(list(self._stages), dtype=str)
        columns["stages_ms"] = np.array(list(self._stages.values())).reshape(-1, 2)
        np.savez(folder / "received.npz", **{**columns, **self.counts})


def _xyz(position: object) -> tuple[float, float, float]:
    return position.x, position.y, position.z  # type: ignore[attr-defined]


def main(args: list[str] | None = None) -> int:
    """Listen until interrupted, then write."""
    arguments = sys.argv[1:] if args is None else args
    parser = argparse.ArgumentParser(prog="recorder", description=__doc__)
    parser.add_argument("--out", required=True, metavar="DIR", help="where received.npz goes")
    parsed = parser.parse_args(remove_ros_args(["recorder", *arguments])[1:])
    rclpy.init(args=["recorder", *arguments])
    recorder = Recorder()
    executor = SingleThreadedExecutor()
    executor.add_node(recorder)
    try:
        print("listening", flush=True)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        ignore_interrupts()
        recorder.save(Path(parsed.out))
        end_ros()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
