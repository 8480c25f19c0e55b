"""Windows that show nobody: over pictures without people, and beside people.

A search looks through windows of many sizes anywhere in a picture; so do these samples.
Window number i of a set is always the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vnect_ros.datasets import nobody, people
from vnect_ros.datasets.sample import Sample, inside
from vnect_ros.perception.crop import cut
from vnect_ros.records import Crop
from vnect_ros.skeleton import NUM_JOINTS

_SIZE_PX = 224
_AWAY_PX = -1e4
"""Where the joints of nobody are."""
_MOST_JOINTS = 2
"""Of a person in a window that does not show one: a hand or a foot."""


class Nobody(Sequence[Sample]):
    """Square windows of pictures without people.

    Args:
        folder: of the layout of `datasets.nobody`.
        part: of `held_out.PARTS`.
        each: windows a picture.
    """

    def __init__(self, folder: str | Path, part: str = "train", each: int = 8) -> None:
        self._pictures = nobody.Nobody(folder, part)
        self._each = each

    def __len__(self) -> int:
        return len(self._pictures) * self._each

    def __getitem__(self, i: int) -> Sample:  # type: ignore[override]
        picture = self._pictures[i // self._each]
        rng = np.random.default_rng(i)
        h, w = picture.shape[:2]
        edge = max(h, w) * rng.uniform(0.25, 1.1)
        room = np.maximum(np.array([w, h]) - edge, 0.0)
        centre = np.array([w, h]) / 2.0 + rng.uniform(-0.5, 0.5, 2) * room
        return _sample(picture, centre, edge, np.full((NUM_JOINTS, 2), _AWAY_PX))


class BesidePeople(Sequence[Sample]):
    """Small windows of pictures of people that show no joint of them, or one or two.

    Args:
        folder: of the layout of `datasets.people`.
        part: of `held_out.PARTS`.
    """

    def __init__(self, folder: str | Path, part: str = "train") -> None:
        self._people = people.People(folder, part)

    def __len__(self) -> int:
        return len(self._people)

    def __getitem__(self, i: int) -> Sample:  # type: ignore[override]
        picture, joints_px = self._people.image(i), self._people.labels.joints_px[i]
        rng = np.random.default_rng(i)
        size = picture.shape[0]
        most = int(rng.integers(_MOST_JOINTS + 1))
        best, fewest = (np.full(2, 0.1 * size), 0.2 * size), NUM_JOINTS
        for _ in range(30):
            edge = size * rng.uniform(0.14, 0.4)
            centre = rng.uniform(0.3 * edge, size - 0.3 * edge, 2)
            near = (np.abs(joints_px - centre).max(axis=1) < 0.6 * edge).sum()
            if near < fewest:
                best, fewest = (centre, edge), near
            if near <= most:
                break
        return _sample(picture, *best, joints_px)


def _sample(
    picture: np.ndarray, centre_px: np.ndarray, edge_px: float, joints_px: np.ndarray
) -> Sample:
    """The window as a sample of nobody; heatmaps of joints in it are left open."""
    left, top = centre_px - edge_px / 2.0
    crop = Crop(left, top, edge_px, _SIZE_PX)
    places = crop.input_from_image(joints_px).astype(np.float32)
    return Sample(
        cut(picture, crop),
        places,
        (~inside(places, _SIZE_PX)).astype(np.float32),
        np.zeros((NUM_JOINTS, 3), np.float32),
        np.zeros(NUM_JOINTS, np.float32),
        present=0.0,
    )
