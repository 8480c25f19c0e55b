"""Tiny bags of every kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from vnect_ros.camera import Camera

FRAME_ID = "cam_optical"
FIRST_NS = 1_700_000_000 * 10**9
"""Header stamp of the first image [ns]."""
DELAY_NS = 20_000_000
"""From a header's stamp to when the bag received it [ns]."""
KINDS = ("mcap", "sqlite3", "ros1")


class BagMaker:
    """Writes messages at their times; a context manager."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path, self._ros1 = path, kind == "ros1"
        self.types = get_typestore(Stores.ROS1_NOETIC if self._ros1 else Stores.ROS2_HUMBLE)
        if self._ros1:
            self._writer: Any = Writer1(path)
        else:
            plugin = StoragePlugin.MCAP if kind == "mcap" else StoragePlugin.SQLITE3
            self._writer = Writer(path, version=9, storage_plugin=plugin)
        self._topics: dict[str, Any] = {}

    def __enter__(self) -> BagMaker:
        self._writer.open()
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, topic: str, message: Any, recorded_ns: int) -> None:
        kind = message.__msgtype__
        if topic not in self._topics:
            self._topics[topic] = self._writer.add_connection(topic, kind, typestore=self.types)
        pack = self.types.serialize_ros1 if self._ros1 else self.types.serialize_cdr
        self._writer.write(self._topics[topic], recorded_ns, pack(message, kind))

    def header(self, stamp_ns: int, frame_id: str = FRAME_ID) -> Any:
        types = self.types.types
        stamp = types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
        number = (0,) if self._ros1 else ()
        return types["std_msgs/msg/Header"](*number, stamp=stamp, frame_id=frame_id)

    def image(self, stamp_ns: int, image: np.ndarray, encoding: str = "rgb8") -> Any:
        height, width = image.shape[:2]
        return self.types.types["sensor_msgs/msg/Image"](
            header=self.header(stamp_ns), height=height, width=width, encoding=encoding,
            is_bigendian=0, step=image.nbytes // height, data=image.reshape(-1).view(np.uint8),
        )  # fmt: skip

    def compressed(self, stamp_ns: int, image: np.ndarray) -> Any:
        data = cv2.imencode(".png", image[:, :, ::-1])[1]
        return self.types.types["sensor_msgs/msg/CompressedImage"](
            header=self.header(stamp_ns), format="rgb8; png compressed bgr8", data=data.reshape(-1)
        )

    def info(self, stamp_ns: int, camera: Camera, p: np.ndarray | None = None) -> Any:
        types = self.types.types
        large = str.upper if self._ros1 else str
        d = camera.distortion or (0.0,) * 5
        projection = np.hstack([camera.matrix, np.zeros((3, 1))]).ravel() if p is None else p
        arrays = {"d": d, "k": camera.matrix.ravel(), "r": np.eye(3).ravel(), "p": projection}
        return types["sensor_msgs/msg/CameraInfo"](
            header=self.header(stamp_ns), width=camera.width, height=camera.height,
            distortion_model=camera.model, binning_x=0, binning_y=0,
            roi=types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
            **{large(key): np.array(values, np.float64) for key, values in arrays.items()},
        )  # fmt: skip


def bag_path(folder: Path, kind: str) -> Path:
    return folder / ("recording.bag" if kind == "ros1" else "recording")
