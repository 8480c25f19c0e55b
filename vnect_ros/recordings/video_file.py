"""A video file through PyAV (FFmpeg): at the container's times, upright, with square pixels."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from vnect_ros.errors import ImageError, describe
from vnect_ros.recordings.frame import FALLBACK_FPS, VideoFrame

_RATES_HZ = (1.0, 240.0)
"""Rates that are taken as stated: a WebM without one is reported at its clock's 1000 Hz."""
_PROBED = 30
"""Packets whose time stamps give the rate where none is stated."""
_FAILURES = 200
"""Failures in a row after which no more of a file is read."""
_ASPECTS = (0.2, 5.0)
"""Pixel aspects that are corrected; others are taken for a broken header."""
_log = logging.getLogger(__name__)


class VideoFile:
    """Frames of a file in the order of presentation; it may be gone over many times."""

    def __init__(self, file: Path) -> None:
        """Open it and decode its first frame.

        Raises:
            ImageError: it cannot be read or decoded, or PyAV is missing.
        """
        self.file = file
        self.lost = 0
        """Frames that the last whole pass could not decode."""
        with _open(file) as container:
            stream = _video_stream(container, file)
            self.fps = _rate(file, stream)
            """Nominal rate [Hz]; the frames' stamps need not follow it."""
            self._duration_s = _seconds(stream.duration, stream)
            stated_s = self._duration_s or (container.duration or 0) / 1e6
            self.count = round(stated_s * self.fps) or int(stream.frames)
            """Frames, as nearly as the file states them; 0 where it does not."""
            aspect = float(stream.sample_aspect_ratio or 1.0)
            self._aspect = aspect if _ASPECTS[0] <= aspect <= _ASPECTS[1] else 1.0
            codec = stream.codec_context.name
            first = next(self._frames([]), None)
            if first is not None:
                self._mirrored, self._turns = _orientation(first, stream)
        if first is None:
            accepted = "at least one frame that FFmpeg decodes"
            raise ImageError(describe("video", f"{file} (codec {codec})", accepted))
        self._size = self._square(first)

    def __iter__(self) -> Iterator[VideoFrame]:
        """The frames; their stamps always rise.

        What cannot be decoded is passed over, counted in `lost` and logged.
        """
        begin: float | None = None
        stamp_s = end_s = 0.0
        failed_s: list[float] = []
        torn = 0
        for frame in self._frames(failed_s):
            shown_s = _seconds(frame.pts, frame)
            if begin is None:
                begin = shown_s or 0.0
            elif shown_s is None or shown_s - begin <= stamp_s:
                stamp_s += 1.0 / self.fps
            else:
                stamp_s = shown_s - begin
            torn += frame.is_corrupt
            lasts_s = _seconds(getattr(frame, "duration", None), frame) or 1.0 / self.fps
            end_s = max(end_s, begin + stamp_s + lasts_s)
            yield VideoFrame(self._image(frame), stamp_s)
        within = sum(s < end_s for s in failed_s)
        missing = round(((self._duration_s or 0.0) - end_s) * self.fps)
        self.lost = within + max(len(failed_s) - within, missing, 0)
        if self.lost or torn:
            _log.warning("%s is damaged: %d frames are lost, %d torn", self.file, self.lost, torn)

    def _frames(self, failed_s: list[float]) -> Iterator[Any]:
        """Decoded frames; the times of packets that cannot be decoded are added to the list."""
        av = import_av()
        with _open(self.file) as container:
            stream = _video_stream(container, self.file)
            packets, failures = container.demux(stream), 0
            packet = None
            while failures < _FAILURES:
                try:
                    packet = next(packets, None)
                    if packet is None:
                        return
                    yield from packet.decode()
                    failures = 0
                except av.error.FFmpegError:
                    failures += 1
                    failed_s.append(_seconds(packet.pts, packet) or 0.0 if packet else 0.0)
                    packets = container.demux(stream)  # one that failed has ended

    def _square(self, frame: Any) -> tuple[int, int]:
        """Width and height in square pixels: the side whose pixels are long is stretched."""
        width, height = frame.width, frame.height
        if self._aspect > 1.0:
            width = 2 * round(width * self._aspect / 2.0)
        elif self._aspect < 1.0:
            height = 2 * round(height / self._aspect / 2.0)
        return width, height

    def _image(self, frame: Any) -> np.ndarray:
        width, height = self._square(frame)
        whole = self._size[0] * height - self._size[1] * width
        if abs(whole) <= max(width, height, *self._size):
            width, height = self._size  # a sender that changed its resolution, not its view
        image: np.ndarray = frame.to_ndarray(format="rgb24", width=width, height=height)
        image = image[:, ::-1] if self._mirrored else image
        return np.ascontiguousarray(np.rot90(image, self._turns))


def import_av() -> Any:
    """PyAV, which is loaded when the first video file is opened.

    Raises:
        ImageError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ImageError(
            f"video files need PyAV: pip install av, or apt install python3-av ({error})"
        ) from error
    return av


def _open(file: Path) -> Any:
    av = import_av()
    try:
        return av.open(str(file))
    except av.error.FFmpegError as error:
        accepted = f"a video file or a folder of images ({error})"
        raise ImageError(describe("video", str(file), accepted)) from error


def _video_stream(container: Any, file: Path) -> Any:
    streams = container.streams.video
    if not streams:
        raise ImageError(describe("video", str(file), "a file with a video stream"))
    if streams[0].codec_context is None:
        raise ImageError(describe("video", f"{file} (unknown codec)", "a codec FFmpeg decodes"))
    return streams[0]


def _seconds(ticks: int | None, of: Any) -> float | None:
    return None if ticks is None or of.time_base is None else float(ticks * of.time_base)


def _rate(file: Path, stream: Any) -> float:
    stated = [stream.average_rate, getattr(stream, "guessed_rate", None)]
    if stream.start_time is None:  # a bare stream, to which FFmpeg attributes 25 Hz
        stated.reverse()
    for rate in stated:
        if rate and _RATES_HZ[0] <= float(rate) <= _RATES_HZ[1]:
            return float(rate)
    with _open(file) as container:
        packets = islice(container.demux(_video_stream(container, file)), _PROBED)
        shown_s = [s for p in packets if (s := _seconds(p.pts, p)) is not None]
    elapsed_s = max(shown_s, default=0.0) - min(shown_s, default=0.0)
    return (len(shown_s) - 1) / elapsed_s if elapsed_s > 0.0 else FALLBACK_FPS


def _orientation(frame: Any, stream: Any) -> tuple[bool, int]:
    """How to put a frame upright.

    Returns:
        Whether to mirror it, left to right, and then how many turns of 90 degrees to
        make, counter-clockwise.
    """
    matrix = _display_matrix(frame)
    if matrix is not None:
        (a, b), (c, d) = matrix
        mirrored = bool(a * d < b * c)
        sign = -1.0 if mirrored else 1.0
        return mirrored, round(math.degrees(math.atan2(-sign * b, sign * a)) / 90.0) % 4
    # The rotation alone, as older versions give it.
    if hasattr(frame, "rotation"):  # PyAV from 13.1 on
        degrees = float(frame.rotation)
    elif hasattr(stream, "side_data"):  # 11 to 13.0
        degrees = float(stream.side_data.get("DISPLAYMATRIX", 0.0))
    else:  # FFmpeg before 5, clockwise
        degrees = -float(stream.metadata.get("rotate", 0.0))
    return False, round(degrees / 90.0) % 4


def _display_matrix(frame: Any) -> np.ndarray | None:
    """[2, 2] of a frame's columns and rows to those that are shown, or None."""
    try:
        found = [d for d in frame.side_data if getattr(d.type, "name", "") == "DISPLAYMATRIX"]
    except ValueError:  # side data of a kind that this PyAV does not know
        return None
    if not found:
        return None
    matrix: np.ndarray = np.frombuffer(bytes(found[0]), np.int32).reshape(3, 3)[:2, :2] / 65536.0
    return matrix
