"""Pictures without people: what must not be taken for a person.

A folder holds one tar file of images and `index.npz` with `names` and `source` [N], rows
in any order; or it holds such folders.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vnect_ros.datasets import archive, held_out
from vnect_ros.errors import VnectError, describe

_HOUSE = re.compile(r"(.*/\d+)_(bathroom|bedroom|kitchen|frontal)\.\w+")
"""Four pictures of one house in the set of houses."""


class Nobody(Sequence[np.ndarray]):
    """The pictures of a folder, coded images in memory; `[i]` is [h, w, 3] uint8 RGB.

    Args:
        folder: of the layout above.
        part: of `held_out.PARTS`; the pictures of one house lie on one side.

    Raises:
        VnectError: the folder is not as declared.
    """

    def __init__(self, folder: str | Path, part: str = "train") -> None:
        folder = Path(folder)
        folders = [folder] if (folder / "index.npz").is_file() else sorted(
            p.parent for p in folder.glob("*/index.npz")
        )  # fmt: skip
        if not folders:
            raise VnectError(describe("nobody", str(folder), "a folder with index.npz"))
        self._images: list[tuple[archive.Images, int]] = []
        sources: list[str] = []
        for place in folders:
            index = archive.read_arrays(place / "index.npz", {"names": (), "source": ()})
            of = [str(s) for s in index["source"]]
            rows = held_out.rows_of(part, held_out.by_group([_group(s) for s in of]))
            images = archive.Images(place, [str(index["names"][i]) for i in rows])
            self._images += [(images, i) for i in range(len(images))]
            sources += [of[i] for i in rows]
        self.source = np.array(sources)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, i: int) -> np.ndarray:  # type: ignore[override]
        images, row = self._images[i]
        return images[row]


def _group(source: str) -> str:
    match = _HOUSE.fullmatch(source)
    return match.group(1) if match else source
