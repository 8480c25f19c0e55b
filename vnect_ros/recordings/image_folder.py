"""The images of a folder as a video, in the order of the numbers in their names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import cv2

from vnect_ros.errors import ImageError, describe
from vnect_ros.recordings.frame import VideoFrame

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


class ImageFolder:
    """Image files of one folder."""

    def __init__(self, folder: Path, fps: float) -> None:
        """List it.

        Args:
            fps: the rate that the images are taken to have [Hz].

        Raises:
            ImageError: there are no images.
        """
        files = [file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES]
        if not files:
            raise ImageError(describe("video", str(folder), "a folder with " + ", ".join(SUFFIXES)))
        self._files = sorted(files, key=_order)
        self.fps, self.count, self.lost = fps, len(files), 0

    def __iter__(self) -> Iterator[VideoFrame]:
        """The images at an even rate.

        Raises:
            ImageError: one of them cannot be read.
        """
        for i, file in enumerate(self._files):
            image = cv2.imread(str(file), cv2.IMREAD_COLOR)
            if image is None:
                raise ImageError(describe("image", str(file), "an image OpenCV reads"))
            yield VideoFrame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), i / self.fps)


def _order(file: Path) -> tuple[list[int | str], str]:
    """2.jpg before 10.jpg: numbers by value, text between them by letters."""
    parts = re.split(r"(\d+)", file.name.lower())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], file.name
