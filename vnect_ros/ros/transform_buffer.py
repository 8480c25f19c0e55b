"""Transforms of the last seconds: in tf2's buffer where tf2_ros is installed, else in our own."""

from __future__ import annotations

import bisect
from typing import Any, Final

import numpy as np
from geometry_msgs.msg import Transform, TransformStamped
from rclpy.time import Time
from scipy.spatial.transform import Rotation, Slerp

LATE_NS: Final = 1_000_000_000
"""Frames whose newest transform is older than the image by more are not waited for."""
KEPT_NS: Final = 10_000_000_000
"""As long as tf2 keeps transforms."""


class NoTransform(Exception):
    """Two frames are not connected at that time."""

    def __init__(self, reason: str, behind_ns: int = 0) -> None:
        """Say why, and how much older than the time asked for the newest transform is [ns]."""
        super().__init__(reason)
        self.may_come = 0 < behind_ns < LATE_NS


def make() -> ChainBuffer | Tf2Buffer:
    """The buffer to use here."""
    try:
        import tf2_ros
    except ImportError:
        return ChainBuffer()
    return Tf2Buffer(tf2_ros)


class Tf2Buffer:
    """tf2's; see `ChainBuffer`."""

    def __init__(self, tf2_ros: Any) -> None:
        self._errors, self._buffer = tf2_ros.TransformException, tf2_ros.Buffer()

    def put(self, transform: TransformStamped, is_static: bool) -> None:
        """See `ChainBuffer`."""
        put = self._buffer.set_transform_static if is_static else self._buffer.set_transform
        put(transform, "vnect")

    def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        """See `ChainBuffer`."""
        try:
            found = self._buffer.lookup_transform_core(target, source, Time(nanoseconds=stamp_ns))
        except self._errors as error:
            raise NoTransform(str(error), stamp_ns - self._newest_ns(target, source)) from error
        return matrix(found.transform)

    def clear(self) -> None:
        """See `ChainBuffer`."""
        self._buffer.clear()

    def _newest_ns(self, target: str, source: str) -> int:
        try:
            return int(self._buffer.get_latest_common_time(target, source).nanoseconds)
        except self._errors:
            return 0


class ChainBuffer:
    """Follows frames up to a common one, and interpolates between stamps."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._static: dict[str, np.ndarray] = {}
        self._moving: dict[str, list[tuple[int, np.ndarray]]] = {}

    def put(self, transform: TransformStamped, is_static: bool) -> None:
        """Remember a transform."""
        child, parent = (
            name.lstrip("/") for name in (transform.child_frame_id, transform.header.frame_id)
        )
        self._parents[child] = parent
        if is_static:
            self._static[child] = matrix(transform.transform)
            return
        history = self._moving.setdefault(child, [])
        entry = (Time.from_msg(transform.header.stamp).nanoseconds, matrix(transform.transform))
        at = bisect.bisect_left(history, entry[0], key=_stamp)
        history[at : at + (at < len(history) and history[at][0] == entry[0])] = [entry]
        del history[: bisect.bisect_left(history, history[-1][0] - KEPT_NS, key=_stamp)]

    def lookup(self, target: str, source: str, stamp_ns: int) -> np.ndarray:
        """[4, 4] float64: the target frame from the source frame at a time.

        Raises:
            NoTransform: they are not connected then.
        """
        to_source, to_target = self._chain(source), self._chain(target)
        common = next((frame for frame in to_source if frame in to_target), None)
        if common is None:
            raise NoTransform("no chain of transforms connects them")
        target_up = self._product(to_target[: to_target.index(common)], stamp_ns)
        source_up = self._product(to_source[: to_source.index(common)], stamp_ns)
        return np.linalg.inv(target_up) @ source_up

    def clear(self) -> None:
        """Forget transforms that are not static."""
        self._moving.clear()

    def _chain(self, frame: str) -> list[str]:
        """A frame, its parent, and so on."""
        chain = [frame]
        while (parent := self._parents.get(chain[-1])) is not None and parent not in chain:
            chain.append(parent)
        return chain

    def _product(self, frames: list[str], stamp_ns: int) -> np.ndarray:
        """[4, 4] the last frame's parent from the first frame."""
        product = np.eye(4)
        for frame in frames:
            product = self._in_parent(frame, stamp_ns) @ product
        return product

    def _in_parent(self, frame: str, stamp_ns: int) -> np.ndarray:
        if frame in self._static:
            return self._static[frame]
        history = self._moving.get(frame, [])
        if not history:
            raise NoTransform(f"nothing is known of {frame!r} at this time")
        after = bisect.bisect_left(history, stamp_ns, key=_stamp)
        if after == len(history):
            behind_ns = stamp_ns - history[-1][0]
            raise NoTransform(f"that of {frame!r} is {behind_ns * 1e-9:.3f} s old", behind_ns)
        if history[after][0] == stamp_ns:
            return history[after][1]
        if after == 0:
            ahead_s = (history[0][0] - stamp_ns) * 1e-9
            raise NoTransform(f"those of {frame!r} begin {ahead_s:.3f} s later")
        return _between(history[after - 1], history[after], stamp_ns)


def matrix(transform: Transform) -> np.ndarray:
    """[4, 4] float64 of a geometry_msgs/Transform."""
    turn, shift = transform.rotation, transform.translation
    made = np.eye(4)
    made[:3, :3] = Rotation.from_quat((turn.x, turn.y, turn.z, turn.w)).as_matrix()
    made[:3, 3] = shift.x, shift.y, shift.z
    return made


def _stamp(entry: tuple[int, np.ndarray]) -> int:
    return entry[0]


def _between(
    before: tuple[int, np.ndarray], after: tuple[int, np.ndarray], stamp_ns: int
) -> np.ndarray:
    share = (stamp_ns - before[0]) / (after[0] - before[0])
    made = before[1] + share * (after[1] - before[1])
    turns = Rotation.from_matrix([before[1][:3, :3], after[1][:3, :3]])
    made[:3, :3] = Slerp([0.0, 1.0], turns)(share).as_matrix()
    return made
