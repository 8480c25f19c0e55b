"""Bags of ROS 2 (MCAP, SQLite) and ROS 1 as videos, through rosbags; no ROS is needed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from vnect_ros.camera import Camera
from vnect_ros.clock import Arrival, ClockGuard
from vnect_ros.errors import ImageError, describe
from vnect_ros.messages.cameras import camera_from_message, is_rectified
from vnect_ros.messages.images import ImageReader
from vnect_ros.recordings.frame import FALLBACK_FPS, MAX_FPS, VideoFrame

_ROS2 = (".mcap", ".db3")
_IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_INFO = "sensor_msgs/msg/CameraInfo"
_SPARE_FOV_DEG = 54.0
"""Of the guess that `camera_from_message` makes, which is not used here."""
_log = logging.getLogger(__name__)


def is_bag(path: Path) -> bool:
    """Whether that is a bag, or a folder of one's files."""
    if path.is_dir():
        return any(p.name == "metadata.yaml" or p.suffix in _ROS2 for p in path.iterdir())
    return path.suffix in (".bag", *_ROS2)


class Bag:
    """The images of one topic with their stamps and CameraInfo; may be gone over many times."""

    def __init__(self, path: Path, topic: str = "", rectified: str = "auto") -> None:
        """Open it and choose the topic.

        Args:
            topic: of the images; "" takes the only one there is.
            rectified: whether the images are, so that P of CameraInfo holds: "true",
                "false", or "auto", by the topic's name.

        Raises:
            ImageError: it cannot be read, rosbags is missing, or the topic is not
                there or not the only one.
        """
        self.path, self.lost = path, 0
        with _opened(path) as reader:
            images = {c.topic: 0 for c in reader.connections if _has_images(c)}
            for connection in reader.connections:
                if connection.topic in images:
                    images[connection.topic] += connection.msgcount
            self.topic = _chosen(path, {t: n for t, n in images.items() if n}, topic)
            """The topic that the images are of."""
            self.count = images[self.topic]
            duration_s = reader.duration * 1e-9
        rate = (self.count - 1) / duration_s if duration_s > 0.0 else 0.0
        self.fps = rate if 0.0 < rate <= MAX_FPS else FALLBACK_FPS
        """Mean rate [Hz]."""
        base = self.topic.removesuffix("/compressed")
        self._info_topic = base.rpartition("/")[0] + "/camera_info"
        self._rectified = is_rectified(self.topic, rectified)
        self._remark = ""

    def __iter__(self) -> Iterator[VideoFrame]:
        """The images, in the order in which they were recorded.

        What is damaged, or not newer than the one before, is passed over, counted
        in `lost` and logged.

        Raises:
            ImageError: the bag is damaged, or no image can be read.
        """
        pixels, clock = ImageReader(), ClockGuard()
        info: Any = None
        first_ns: int | None = None
        fault, used, self.lost = "", 0, 0
        for message, recorded_ns in self._messages():
            if hasattr(message, "distortion_model"):
                info = message
                continue
            stamp = message.header.stamp
            stamp_ns = stamp.sec * 10**9 + stamp.nanosec or recorded_ns
            first_ns = stamp_ns if first_ns is None else first_ns
            stamp_s = (stamp_ns - first_ns) * 1e-9
            try:
                if clock.judge(stamp_s) in (Arrival.REPEATED, Arrival.LATE):
                    got = f"{stamp_ns * 1e-9:.6f} behind {clock.last_s + first_ns * 1e-9:.6f}"
                    raise ImageError(describe("image stamp", got, "images that are newer"))
                image = pixels.read(message)
            except ImageError as error:
                fault, self.lost = str(error), self.lost + 1
                continue
            clock.accept(stamp_s)
            used += 1
            camera = self._camera(info, image.shape[1], image.shape[0])
            frame_id = message.header.frame_id
            yield VideoFrame(image, stamp_s, camera, frame_id, stamp_ns, recorded_ns)
        if not used:
            accepted = f"images that can be read ({fault})"
            raise ImageError(describe("bag", f"{self.path}: {self.topic}", accepted))
        if self.lost:
            _log.warning("%s: %d images are left out, the last: %s", self.path, self.lost, fault)

    def _camera(self, info: Any, width: int, height: int) -> Camera | None:
        """As CameraInfo states it; what is amiss with it is logged once."""
        camera, remark = camera_from_message(info, width, height, _SPARE_FOV_DEG, self._rectified)
        if remark and remark != self._remark:
            _log.warning("%s: %s", self._info_topic, remark.partition(": the camera is taken")[0])
            self._remark = remark
        return camera if camera.calibrated else None

    def _messages(self) -> Iterator[tuple[Any, int]]:
        """Images and CameraInfos with the time of recording [ns]; a CameraInfo comes first.

        It may have been recorded behind images that it holds for.
        """
        with _opened(self.path) as reader:
            infos = [
                c for c in reader.connections if (c.topic, c.msgtype) == (self._info_topic, _INFO)
            ]
            images = [c for c in reader.connections if c.topic == self.topic and _has_images(c)]
            for chosen, count in ((infos, 1), (infos + images, None)):
                for connection, recorded_ns, raw in islice(
                    reader.messages(connections=chosen) if chosen else (), count
                ):
                    yield reader.deserialize(raw, connection.msgtype), recorded_ns


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A reader of the bag, open.

    Raises:
        ImageError: rosbags is missing, or the bag or a message of it cannot be read.
    """
    try:
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise ImageError(f"bags are read with rosbags: pip install rosbags ({error})") from error
    try:
        with AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE)) as reader:
            yield reader
    except ImageError:
        raise
    except Exception as error:  # those of rosbags, of its storages and decompressors
        raise ImageError(describe("bag", str(path), f"a whole bag ({error})")) from error


def _has_images(connection: Any) -> bool:
    """Whether a topic has images that a person can be seen in, as far as its name tells."""
    return connection.msgtype in _IMAGES and not connection.topic.endswith("/compressedDepth")


def _chosen(path: Path, images: dict[str, int], topic: str) -> str:
    """The topic that is meant, of those with images."""
    single = {t for t in images if t.removesuffix("/compressed") not in images.keys() - {t}}
    found = ", ".join(sorted(images)) or "no images"
    if topic:
        named = "/" + topic.strip("/")
        for candidate in (named, f"{named}/compressed"):
            if candidate in images:
                return candidate
        raise ImageError(describe("topic", topic, f"one of {path}: {found}"))
    if len(single) != 1:
        accepted = "a bag with one topic of images, or a topic by name"
        raise ImageError(describe("bag", f"{path} with {found}", accepted))
    return single.pop()
