"""Frames from a video file or a folder of images, each with its time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vnect_ros.errors import ImageError, describe
from vnect_ros.recordings.image_folder import ImageFolder
from vnect_ros.recordings.video_file import FALLBACK_FPS, VideoFile


@dataclass(frozen=True)
class VideoFrame:
    """One image of a video."""

    image: np.ndarray
    """[H, W, 3] uint8 RGB."""
    stamp_s: float
    """Time since the first frame [s]."""


class Video:
    """A video file, or the images of a folder in the order of the numbers in their names."""

    def __init__(self, source: str | Path, fps: float | None = None) -> None:
        """Open it.

        Args:
            fps: of a folder of images (default 30), or an even rate in place of a
                file's own time stamps [Hz].

        Raises:
            ImageError: there is nothing there that can be read.
        """
        if fps is not None and not 0.0 < fps < float("inf"):
            raise ImageError(describe("fps", fps, "a positive number of images a second"))
        self.source = Path(source)
        self._even = fps
        self._reader: ImageFolder | VideoFile
        if self.source.is_dir():
            self._reader = ImageFolder(self.source, fps or FALLBACK_FPS)
        else:
            self._reader = VideoFile(self.source)
        self.fps = fps or self._reader.fps
        """Nominal rate [Hz]; the frames' stamps need not follow it."""
        self.count = self._reader.count
        """Frames, as nearly as the source states them; 0 where it does not."""

    @property
    def lost(self) -> int:
        """Frames that could not be decoded in the last whole pass."""
        return self._reader.lost

    def __iter__(self) -> Iterator[VideoFrame]:
        """The frames from the first on; the source may be gone over many times.

        Raises:
            ImageError: an image of the folder cannot be read.
        """
        for i, (image, stamp_s) in enumerate(self._reader):
            yield VideoFrame(image, stamp_s if self._even is None else i / self._even)
