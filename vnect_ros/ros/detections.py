"""People that a detector found, in place of the pipeline's own search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from std_msgs.msg import Header

from vnect_ros.errors import ConfigError, ImageError, describe
from vnect_ros.ros import convert

if TYPE_CHECKING:
    from vision_msgs.msg import Detection2D, Detection2DArray

MAX_AGE_S: Final = 1.0
"""Older detections are not used: the detector has stopped [s]."""


def message_type() -> type[Detection2DArray]:
    """vision_msgs/Detection2DArray.

    Raises:
        ConfigError: vision_msgs is not installed.
    """
    try:
        from vision_msgs.msg import Detection2DArray
    except ImportError as error:
        accepted = f"none without the package vision_msgs ({error})"
        raise ConfigError(describe("detections", "a topic", accepted)) from error
    return Detection2DArray


class DetectionInput:
    """Gives an image the boxes of the newest detections.

    `put` runs in the executor's thread, everything else in the worker's.
    """

    def __init__(self, topic: str) -> None:
        """Know no detections yet.

        Args:
            topic: that they come from, for what is reported.
        """
        self.topic = topic
        self.used = ""
        """Which boxes the last image had, in words; "" if it had none."""
        self.fault = ""
        """Why the search's own windows are used; "" if boxes are."""
        self._newest: Detection2DArray | None = None

    def put(self, message: Detection2DArray) -> None:
        """Take the detections of an image."""
        self._newest = message

    def boxes_px(
        self, header: Header, width: int, height: int, labels: Sequence[str]
    ) -> np.ndarray | None:
        """[N, 4] left, top, right, bottom [px]; None where the detector does not work.

        Args:
            header: the image's.
            width, height: of the image [px].
            labels: class_id of detections that are people; none: all are.
        """
        self.used, newest = "", self._newest
        try:
            if newest is None:
                raise ImageError(f"no detections on {self.topic}")
            self._check(newest, header)
            boxes = self._read(newest, width, height, labels)
        except ImageError as error:
            self.fault = f"{error}; the node searches for people itself"
            return None
        self.fault = ""
        return boxes

    def _read(
        self, message: Detection2DArray, width: int, height: int, labels: Sequence[str]
    ) -> np.ndarray:
        """The boxes of people; one that is no box of this image is left out.

        Raises:
            ImageError: none of them is one.
        """
        boxes, faults, others = [], [], set()
        for detection in message.detections:
            label = _label(detection)
            if labels and label not in labels:
                others.add(label or "none")
                continue
            try:
                boxes.append(_box(detection, width, height))
            except ImageError as error:
                faults.append(error)
        if faults and not boxes:
            raise faults[0]
        notes = [f"left out: {faults[0]}"] if faults else []
        notes += [f"other labels: {', '.join(sorted(others))}"] if others else []
        counted = f"{len(boxes)} of {len(message.detections)} detections on {self.topic}"
        self.used = "; ".join([counted, *notes])
        return np.array(boxes).reshape(-1, 4)

    def _check(self, message: Detection2DArray, header: Header) -> None:
        """Refuse detections of other images.

        Raises:
            ImageError: they are of another camera or time.
        """
        frame, accepted = message.header.frame_id, f"{header.frame_id!r}, the image's"
        if frame != header.frame_id:
            raise ImageError(describe("detections' frame_id", frame, accepted))
        apart_s = convert.stamp_s(message.header.stamp) - convert.stamp_s(header.stamp)
        if abs(apart_s) > MAX_AGE_S:
            got = f"{apart_s:+.3f} s from the image"
            raise ImageError(describe("detections' stamp", got, f"within {MAX_AGE_S:g} s"))


def _label(detection: Detection2D) -> str:
    """The class of the likeliest hypothesis; "" where there is none."""
    hypotheses = [result.hypothesis for result in detection.results]
    return max(hypotheses, key=lambda h: h.score).class_id if hypotheses else ""


def _box(detection: Detection2D, width: int, height: int) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the upright box about a turned one [px].

    Raises:
        ImageError: the box is none, or not of an image of that size.
    """
    box = detection.bbox
    x, y, turn = box.center.position.x, box.center.position.y, box.center.theta
    turn = turn if math.isfinite(turn) else math.nan  # which fails every comparison below
    across, along = abs(math.cos(turn)), abs(math.sin(turn))
    half_x = (box.size_x * across + box.size_y * along) / 2.0
    half_y = (box.size_x * along + box.size_y * across) / 2.0
    inside = -half_x < x < width + half_x and -half_y < y < height + half_y
    sized = 0.0 < box.size_x <= 2.0 * width and 0.0 < box.size_y <= 2.0 * height
    if not (inside and sized):
        got = f"{box.size_x:g}x{box.size_y:g} about ({x:g}, {y:g})"
        raise ImageError(describe("detected box", got, f"one in the image of {width}x{height}"))
    return x - half_x, y - half_y, x + half_x, y + half_y
