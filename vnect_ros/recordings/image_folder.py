"""The images of a folder as a video, in the order of the numbers in their names."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from vnect_ros.errors import ImageError, describe
from vnect_ros.messages.encoded import SampleDepth, decode
from vnect_ros.recordings.frame import VideoFrame

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_log = logging.getLogger(__name__)


class ImageFolder:
    """Image files of one folder."""

    def __init__(self, folder: Path, fps: float) -> None:
        """List it.

        Args:
            fps: the rate that the images are taken to have [Hz].

        Raises:
            ImageError: there are no images.
        """
        shown = (file for file in folder.iterdir() if not file.name.startswith("."))
        files = [file for file in shown if file.suffix.lower() in SUFFIXES]
        if not files:
            raise ImageError(describe("video", str(folder), "a folder with " + ", ".join(SUFFIXES)))
        self._folder, self._files = folder, sorted(files, key=_order)
        self.fps, self.count, self.lost = fps, len(files), 0

    def __iter__(self) -> Iterator[VideoFrame]:
        """The images at an even rate; one that cannot be read is left out, and its time passes.

        Those are counted in `lost` and logged.

        Raises:
            ImageError: none of them can be read.
        """
        depth, fault, self.lost = SampleDepth(), "", 0
        for i, file in enumerate(self._files):
            try:
                image = decode(file.read_bytes(), depth, "image", str(file), as_file=True)
            except (ImageError, OSError) as error:
                fault, self.lost = str(error), self.lost + 1
                continue
            yield VideoFrame(image, i / self.fps)
        if self.lost == self.count:
            raise ImageError(fault)
        if self.lost:
            _log.warning("%s: %d images are left out, the last: %s", self._folder, self.lost, fault)


def _order(file: Path) -> tuple[list[int | str], str]:
    """2.jpg before 10.jpg: numbers by value, text between them by letters."""
    parts = re.split(r"(\d+)", file.name.lower())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], file.name
