"""Image and video files of public data sets, as samples and as frames of clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vnect_ros.datasets.cropping import Truth, crop_sample
from vnect_ros.datasets.sample import Sample
from vnect_ros.errors import ImageError, describe
from vnect_ros.recordings.frame import VideoFrame
from vnect_ros.skeleton import NUM_JOINTS


@dataclass(frozen=True)
class Entry:
    """One person in one photograph."""

    file: Path
    truth: Truth
    frame: int = -1
    """Frame of a video, or -1 for an image file."""


class Photographs(Sequence[Sample]):
    """Samples cut from image or video files on demand.

    Args:
        entries: file, frame and truth of each.
        size: edge of the samples [px].
    """

    def __init__(self, entries: Sequence[Entry], size: int = 256) -> None:
        self._entries, self._size = list(entries), size

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, i: int) -> Sample:  # type: ignore[override]
        entry = self._entries[i]
        return crop_sample(read_image(entry.file, entry.frame), entry.truth, self._size)


@dataclass(frozen=True)
class ImageFiles:
    """The image files of one sequence, as a video's frames."""

    files: Sequence[Path]
    fps: float

    def __iter__(self) -> Iterator[VideoFrame]:
        for i, file in enumerate(self.files):
            yield VideoFrame(read_image(file), i / self.fps)


def read_image(file: Path, frame: int = -1) -> np.ndarray:
    """[H, W, 3] uint8 RGB of an image file, or of a video's frame; ImageError if it is none."""
    if frame < 0:
        image = cv2.imread(str(file), cv2.IMREAD_COLOR)
    else:
        video = cv2.VideoCapture(str(file))
        video.set(cv2.CAP_PROP_POS_FRAMES, frame)
        _, image = video.read()
        video.release()
    if image is None:
        raise ImageError(describe("image", f"{file} frame {frame}", "an image OpenCV reads"))
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def placed(values: np.ndarray, joints: Sequence[int | None]) -> np.ndarray:
    """[..., J, D] joints of a set as our [..., 21, D], NaN where it has none.

    Args:
        joints: our index of each of the set's joints; None for one that we do not have.
    """
    out = np.full((*values.shape[:-2], NUM_JOINTS, values.shape[-1]), np.nan)
    known = {joint: i for i, joint in enumerate(joints) if joint is not None}
    out[..., list(known), :] = values[..., list(known.values()), :]
    return out
