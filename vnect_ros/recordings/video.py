"""Frames from a video file, a folder of images or a bag, each with its time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from vnect_ros.errors import ImageError, describe
from vnect_ros.recordings.bag import Bag, is_bag
from vnect_ros.recordings.frame import FALLBACK_FPS, MAX_FPS, VideoFrame
from vnect_ros.recordings.image_folder import ImageFolder
from vnect_ros.recordings.video_file import VideoFile


class Video:
    """A video file, the images of a folder in the order of their numbers, or a bag's topic."""

    def __init__(
        self,
        source: str | Path,
        fps: float | None = None,
        *,
        topic: str = "",
        rectified: str = "auto",
    ) -> None:
        """Open it.

        Args:
            fps: of a folder of images (default 30), or an even rate in place of the
                source's own time stamps [Hz].
            topic: of a bag's images; "" takes the only one there is.
            rectified: whether a bag's images are, so that P of CameraInfo holds:
                "true", "false", or "auto", by the topic's name.

        Raises:
            ImageError: there is nothing there that can be read.
        """
        if fps is not None and not 0.0 < fps <= MAX_FPS:
            raise ImageError(describe("fps", fps, f"above 0, to {MAX_FPS:g} images a second"))
        self.source = Path(source)
        self._even = fps
        self._reader: Bag | ImageFolder | VideoFile
        if is_bag(self.source):
            self._reader = Bag(self.source, topic, rectified)
        elif topic:
            raise ImageError(describe("topic", topic, f"none: {source} is no bag"))
        elif self.source.is_dir():
            self._reader, self._even = ImageFolder(self.source, fps or FALLBACK_FPS), None
        else:
            self._reader = VideoFile(self.source)
        self.fps = fps or self._reader.fps
        """Nominal rate [Hz]; the frames' stamps need not follow it."""
        self.count = self._reader.count
        """Frames, as nearly as the source states them; 0 where it does not."""

    @property
    def lost(self) -> int:
        """Frames that could not be used in the last whole pass."""
        return self._reader.lost

    def __iter__(self) -> Iterator[VideoFrame]:
        """The frames from the first on; the source may be gone over many times.

        Raises:
            ImageError: an image of a folder cannot be read, or no image of a bag.
        """
        for i, frame in enumerate(self._reader):
            even = self._even
            yield frame if even is None else dataclasses.replace(frame, stamp_s=i / even)
