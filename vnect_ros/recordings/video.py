"""Frames from video files and folders of images, and H.264 files of frames."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from vnect_ros.errors import ImageError, describe

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
FALLBACK_FPS = 30.0
"""Rate taken for a file that states none."""


@dataclass(frozen=True)
class VideoFrame:
    """One image of a video."""

    image: np.ndarray
    """[H, W, 3] uint8 RGB."""
    stamp_s: float
    """Time since the first frame [s]."""


class Video:
    """A video file, or the images of a folder in the order of their names."""

    def __init__(self, source: str | Path, fps: float | None = None) -> None:
        """Open it.

        Args:
            fps: of a folder of images (default 30), or to overrule a file's own.

        Raises:
            ImageError: there is nothing there that can be read.
        """
        self.source = Path(source)
        self._files: list[Path] = []
        if self.source.is_dir():
            files = sorted(self.source.iterdir())
            self._files = [f for f in files if f.suffix.lower() in IMAGE_SUFFIXES]
            if not self._files:
                accepted = "a folder with " + ", ".join(IMAGE_SUFFIXES)
                raise ImageError(describe("video", str(source), accepted))
            self.fps, self.count = fps or FALLBACK_FPS, len(self._files)
            return
        capture = cv2.VideoCapture(str(self.source))
        opened = capture.isOpened()
        stated = capture.get(cv2.CAP_PROP_FPS)
        self.count = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        """Frames stated by the file; 0 where it does not say."""
        capture.release()
        if not opened:
            raise ImageError(describe("video", str(source), "a video file or a folder of images"))
        self.fps = fps or (stated if 1.0 <= stated <= 1000.0 else FALLBACK_FPS)

    def __iter__(self) -> Iterator[VideoFrame]:
        """The frames from the first on; a file may be gone over many times.

        Raises:
            ImageError: an image of the folder cannot be read.
        """
        for i, image in enumerate(self._from_files() if self._files else self._from_capture()):
            yield VideoFrame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), i / self.fps)

    def _from_files(self) -> Iterator[np.ndarray]:
        for file in self._files:
            image = cv2.imread(str(file), cv2.IMREAD_COLOR)
            if image is None:
                raise ImageError(describe("image", str(file), "an image OpenCV reads"))
            yield image

    def _from_capture(self) -> Iterator[np.ndarray]:
        capture = cv2.VideoCapture(str(self.source))
        try:
            while True:
                there, image = capture.read()
                if not there:
                    return
                yield image
        finally:
            capture.release()


class VideoWriter:
    """Writes H.264 through the ffmpeg program, MPEG-4 through OpenCV where it is missing.

    A context manager; the first frame settles the size.
    """

    def __init__(self, file: str | Path, fps: float) -> None:
        """Name the file; nothing is opened before the first frame."""
        self.file, self.fps = Path(file), fps
        self._size: tuple[int, int] | None = None
        self._ffmpeg: subprocess.Popen[bytes] | None = None
        self._writer: cv2.VideoWriter | None = None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, image: np.ndarray) -> None:
        """Append a frame.

        Args:
            image: [H, W, 3] uint8 RGB, H and W even and as in the first frame.

        Raises:
            ImageError: another size, or the encoder failed.
        """
        size = (image.shape[1], image.shape[0])
        if self._size is None:
            self._open(size)
        if size != self._size:
            raise ImageError(describe("frame", size, f"the first one's size {self._size}"))
        if self._writer is not None:
            self._writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
            return
        assert self._ffmpeg is not None and self._ffmpeg.stdin is not None  # set by _open
        try:
            self._ffmpeg.stdin.write(np.ascontiguousarray(image).data)
        except BrokenPipeError as error:
            raise ImageError(f"ffmpeg stopped while writing {self.file}") from error

    def close(self) -> None:
        """Finish the file.

        Raises:
            ImageError: the encoder failed.
        """
        if self._writer is not None:
            self._writer.release()
        if self._ffmpeg is not None and self._ffmpeg.stdin is not None:
            self._ffmpeg.stdin.close()
            if self._ffmpeg.wait() != 0:
                raise ImageError(f"ffmpeg could not write {self.file}")
        self._writer = self._ffmpeg = None

    def _open(self, size: tuple[int, int]) -> None:
        width, height = self._size = size
        self.file.parent.mkdir(parents=True, exist_ok=True)
        program = shutil.which("ffmpeg")
        if program is None:
            fourcc = cv2.VideoWriter_fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self.file), fourcc, self.fps, size)
            return
        command = [program, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
        command += ["-s", f"{width}x{height}", "-r", f"{self.fps:.6f}", "-i", "-"]
        command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "21"]
        command += ["-pix_fmt", "yuv420p", "-movflags", "+faststart", str(self.file)]
        self._ffmpeg = subprocess.Popen(command, stdin=subprocess.PIPE)
