"""The node's outputs into a bag: the same publishers, without a node."""

from __future__ import annotations

import array
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
from rclpy.clock import ClockType
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from std_msgs.msg import Header

from vnect_ros import share
from vnect_ros.camera import Camera
from vnect_ros.config import NodeConfig
from vnect_ros.errors import VnectError, describe
from vnect_ros.recordings.frame import VideoFrame
from vnect_ros.records import Pose
from vnect_ros.ros import naming
from vnect_ros.ros.publishers import Publishers

_VERSION: Final = 8
"""Of the bag's metadata: read by every distribution from Humble on."""


class BagRecorder:
    """Writes an SQLite bag of skeletons, TF, markers, joint states and URDF.

    A context manager.  To the publishers it is the node: it makes their topics
    and states the time.
    """

    def __init__(self, path: Path, config: NodeConfig) -> None:
        """Begin the bag.

        Raises:
            VnectError: rosbags is missing, or the path is taken or cannot be written.
        """
        try:
            from rosbags.rosbag2 import StoragePlugin, Writer, WriterError
        except ImportError as error:
            raise VnectError(f"bags need rosbags: pip install rosbags ({error})") from error
        self._config = config
        self._types = _typestore()
        self._recorded_ns = self._now_ns = 0
        self._begun_ns = time.time_ns()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = Writer(path, version=_VERSION, storage_plugin=StoragePlugin.SQLITE3)
            self._writer.open()
        except (OSError, WriterError) as error:
            raise VnectError(describe("--bag", str(path), f"a new folder ({error})")) from error
        self._publishers = Publishers(self, naming.body_id(config.body_id, "/"), None)

    def __enter__(self) -> BagRecorder:
        return self

    def __exit__(self, *_: object) -> None:
        self._publishers.lose()
        self._writer.close()

    def write(self, poses: list[Pose], camera: Camera, frame: VideoFrame, took_s: float) -> None:
        """Add one image's poses, under its stamp and at the time it was recorded.

        A recording without stamps is taken to begin now.

        Args:
            took_s: how long the poses took, which is their latency [s].
        """
        stamp_ns = frame.stamp_ns or self._begun_ns + round(frame.stamp_s * 1e9)
        self._recorded_ns = frame.recorded_ns or stamp_ns
        self._now_ns = stamp_ns + round(took_s * 1e9)
        stamp = Time(nanoseconds=stamp_ns).to_msg()
        header = Header(stamp=stamp, frame_id=frame.frame_id or naming.CAMERA_FRAME)
        self._publishers.publish(poses, camera, header, self._config)

    def create_lifecycle_publisher(
        self, kind: type, topic: str, qos: QoSProfile | int
    ) -> _BagPublisher:
        """As a node's."""
        return _BagPublisher(self, kind, topic, qos)

    def destroy_lifecycle_publisher(self, publisher: _BagPublisher) -> None:
        """As a node's: what is written stays."""

    def get_clock(self) -> BagRecorder:
        """As a node's."""
        return self

    def now(self) -> Time:
        """When the image's poses were ready."""
        return Time(nanoseconds=self._now_ns, clock_type=ClockType.ROS_TIME)

    def add_topic(self, kind: type, topic: str, qos: QoSProfile | int) -> Any:
        """The bag's handle of a topic."""
        name = f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
        return self._writer.add_connection(
            f"/{topic.lstrip('/')}", name, typestore=self._types, offered_qos_profiles=[_qos(qos)]
        )

    def add_message(self, handle: Any, message: Any) -> None:
        """Write a message to a topic at the image's time."""
        raw = self._types.serialize_cdr(_plain(message), handle.msgtype)
        self._writer.write(handle, self._recorded_ns, raw)


class _BagPublisher:
    """What `Publishers` need of a lifecycle publisher; the topic begins with its first message."""

    def __init__(
        self, recorder: BagRecorder, kind: type, topic: str, qos: QoSProfile | int
    ) -> None:
        self._recorder, self._topic, self._handle = recorder, (kind, topic, qos), None

    def on_activate(self, _: object) -> None:
        """Active from the start."""

    def get_subscription_count(self) -> int:
        """Everything is wanted."""
        return 1

    def publish(self, message: Any) -> None:
        if self._handle is None:
            self._handle = self._recorder.add_topic(*self._topic)
        self._recorder.add_message(self._handle, message)


def _plain(value: Any) -> Any:
    """A message as rosbags serializes it.

    rclpy's own serialization leaves bytes behind the end, which readers other than
    ROS's refuse.
    """
    if hasattr(value, "get_fields_and_field_types"):
        fields = value.get_fields_and_field_types()
        return SimpleNamespace(**{name: _plain(getattr(value, name)) for name in fields})
    if isinstance(value, array.array):
        return np.asarray(value)
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _typestore() -> Any:
    """Definitions of all messages: the common ones, and ours from their .msg files."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_HUMBLE)
    folder = share.find("msg")
    if folder is None:
        raise VnectError(describe("share/vnect_ros/msg", None, "the package's .msg files"))
    for file in sorted(folder.glob("*.msg")):
        text = file.read_text(encoding="utf-8")
        store.register(get_types_from_msg(text, f"vnect_ros/msg/{file.stem}"))
    return store


def _qos(qos: QoSProfile | int) -> Any:
    from rosbags import interfaces as rosbags

    depth = qos if isinstance(qos, int) else qos.depth
    latched = not isinstance(qos, int) and qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
    durability = rosbags.QosDurability
    for_ever = rosbags.QosTime(9223372036, 854775807)
    return rosbags.Qos(
        rosbags.QosHistory.KEEP_LAST,
        depth,
        rosbags.QosReliability.RELIABLE,
        durability.TRANSIENT_LOCAL if latched else durability.VOLATILE,
        for_ever,
        for_ever,
        rosbags.QosLiveliness.AUTOMATIC,
        for_ever,
        False,
    )
