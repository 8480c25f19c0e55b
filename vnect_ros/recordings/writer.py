"""Video files of frames, through PyAV (FFmpeg)."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from vnect_ros.errors import ImageError, describe
from vnect_ros.recordings.video_file import import_av

_TICK = Fraction(1, 90000)
"""Of the time stamps [s]: all common rates are whole numbers of it."""


class VideoWriter:
    """Writes H.264, or MPEG-4 where FFmpeg lacks its encoder.

    A context manager; the first frame settles the size.
    """

    def __init__(self, file: str | Path, fps: float, crf: int = 21) -> None:
        """Name the file; nothing is opened before the first frame.

        Args:
            fps: nominal rate, and that of frames without a time [Hz].
            crf: quality of H.264, lower is better.
        """
        self.file, self.fps, self._crf = Path(file), fps, crf
        self._size: tuple[int, int] | None = None
        self._container: Any = None
        self._stream: Any = None
        self._frames, self._ticks = 0, -1

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, image: np.ndarray, stamp_s: float | None = None) -> None:
        """Append a frame.

        Args:
            image: [H, W, 3] uint8 RGB, H and W even and as in the first frame.
            stamp_s: when it is shown, after the one before [s]; None: 1 / fps later.

        Raises:
            ImageError: another size, PyAV is missing, or the encoder failed.
        """
        size = (image.shape[1], image.shape[0])
        if self._size is None:
            self._open(size)
        if size != self._size:
            raise ImageError(describe("frame", size, f"the first one's size {self._size}"))
        av = import_av()
        if stamp_s is None:
            stamp_s = self._frames / self.fps
        self._frames += 1
        self._ticks = max(round(stamp_s / _TICK), self._ticks + 1)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame.pts, frame.time_base = self._ticks, _TICK
        self._encode(frame)

    def close(self) -> None:
        """Finish the file.

        Raises:
            ImageError: the encoder failed.
        """
        if self._container is None:
            return
        try:
            self._encode(None)
        finally:
            container, self._container = self._container, None
            container.close()

    def _encode(self, frame: Any) -> None:
        av = import_av()
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except av.error.FFmpegError as error:
            raise ImageError(f"{self.file} cannot be written: {error}") from error

    def _open(self, size: tuple[int, int]) -> None:
        av = import_av()
        self._size = size
        self.file.parent.mkdir(parents=True, exist_ok=True)
        codec, options = "libx264", {"preset": "veryfast", "crf": str(self._crf)}
        if codec not in av.codecs_available:
            codec, options = "mpeg4", {"qscale": "3"}
        try:
            container = av.open(str(self.file), "w", options={"movflags": "+faststart"})
            rate = Fraction(self.fps).limit_denominator(10000)
            self._stream = container.add_stream(codec, rate=rate, options=options)
        except av.error.FFmpegError as error:
            raise ImageError(f"{self.file} cannot be written: {error}") from error
        self._container = container
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = _TICK
