"""Joints of one backend or precision against another's, on the same crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from vnect_ros.config import DecodeConfig
from vnect_ros.errors import ImageError, describe
from vnect_ros.perception.reading import Reading

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


@dataclass(frozen=True)
class Difference:
    """How far joints moved, over all that the reference sees."""

    joints: int
    mean_px: float
    p95_px: float
    mean_mm: float
    p95_mm: float

    def as_dict(self) -> dict[str, float]:
        """The fields by name, for JSON."""
        return asdict(self)


def difference(reference: Sequence[Reading], others: Sequence[Reading]) -> Difference:
    """Distances of the joints that the reference sees; NaN where it sees none."""
    px, mm = [], []
    for expected, got in zip(reference, others, strict=True):
        seen = expected.confidence >= DecodeConfig().min_confidence
        far = np.linalg.norm(expected.pixels_px - got.pixels_px, axis=1)
        off = np.linalg.norm(expected.root_relative_m - got.root_relative_m, axis=1) * 1e3
        px.append(far[seen])
        mm.append(off[seen])
    all_px = np.concatenate(px) if px else np.empty(0)
    all_mm = np.concatenate(mm) if mm else np.empty(0)
    if not len(all_px):
        return Difference(0, *[float("nan")] * 4)
    return Difference(
        joints=len(all_px),
        mean_px=float(all_px.mean()),
        p95_px=float(np.percentile(all_px, 95)),
        mean_mm=float(all_mm.mean()),
        p95_mm=float(np.percentile(all_mm, 95)),
    )


def person_crops(folder: str | Path, size: int, count: int) -> list[np.ndarray]:
    """Images of a folder as network inputs: [size, size, 3] uint8 RGB each.

    Args:
        folder: pictures of one person each, of which the middle square of a
            longer one is taken; or synthetic samples (`training.synthetic`).
        count: how many, spread evenly over the folder; fewer if it has fewer.

    Raises:
        ImageError: the folder has neither, or an image cannot be read.
    """
    folder = Path(folder)
    files = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)
    if files:
        return [_picture(files[i], size) for i in spread(len(files), count)]
    if any(folder.glob("train_[0-9]*.npz")):
        from vnect_ros.datasets.shards import Shards

        samples = Shards(folder, "train")
        return [_square(samples[i]["image"], size) for i in spread(len(samples), count)]
    raise ImageError(describe("images", str(folder), "a folder with " + ", ".join(SUFFIXES)))


def spread(length: int, count: int) -> list[int]:
    """`count` indices, evenly spread over `length`; all of them if there are fewer."""
    even = np.linspace(0, length - 1, min(count, length)).round().astype(int)
    return [int(i) for i in np.unique(even)]


def _picture(file: Path, size: int) -> np.ndarray:
    image = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if image is None:
        raise ImageError(f"{file}: not an image that OpenCV reads")
    return _square(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), size)


def _square(image: np.ndarray, size: int) -> np.ndarray:
    edge = min(image.shape[:2])
    top, left = (image.shape[0] - edge) // 2, (image.shape[1] - edge) // 2
    square = image[top : top + edge, left : left + edge]
    if edge != size:
        method = cv2.INTER_AREA if edge > size else cv2.INTER_LINEAR
        square = cv2.resize(square, (size, size), interpolation=method)
    return np.ascontiguousarray(square)
