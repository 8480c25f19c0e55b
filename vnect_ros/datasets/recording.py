"""A calibrated recording of real people: crops with exact 3D of twelve joints.

A folder holds one tar file of square crops and `labels.npz`, rows in the tar's order:
`camera` [N] (any names), `joints12_crop_ray_m` [N, 12, 3] (metres in the axes of a camera
that looks through the crop's centre), `joints12_camera_m` [N, 12, 3] (in those of the
whole image's camera), `joints12_px` [N, 12, 2] (pixels of the crop), `K_crop` [N, 3, 3];
the joints in the order of the first twelve of `datasets.lspet.JOINTS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vnect_ros.datasets import archive
from vnect_ros.datasets.lspet import TO_VNECT
from vnect_ros.datasets.photographs import placed
from vnect_ros.errors import VnectError, describe

_SHAPES = {
    "camera": (),
    "joints12_crop_ray_m": (12, 3),
    "joints12_camera_m": (12, 3),
    "joints12_px": (12, 2),
    "K_crop": (3, 3),
}


class Recording(Sequence[np.ndarray]):
    """The crops of one folder, coded images in memory; `[i]` is [S, S, 3] uint8 RGB.

    Raises:
        VnectError: the folder or the labels are not as declared.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        data = archive.read_arrays(folder / "labels.npz", _SHAPES)
        names = archive.image_names(folder)
        if len(names) != len(data["camera"]):
            accepted = f"one a row of labels, {len(data['camera'])}"
            raise VnectError(describe("images", len(names), accepted))
        self._images = archive.Images(folder, names)
        self.camera: np.ndarray = data["camera"]
        """[N] which camera each crop is of."""

        def ours(key: str) -> np.ndarray:
            return placed(data[key].astype(np.float64), TO_VNECT[:12])

        self.joints_crop_ray_m = ours("joints12_crop_ray_m")
        """[N, 21, 3] in the axes of the camera that looks through the crop's centre [m]."""
        self.joints_camera_m = ours("joints12_camera_m")
        """[N, 21, 3] in those of the image's camera [m]."""
        self.joints_px = ours("joints12_px")
        """[N, 21, 2] pixels of the crop."""

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, i: int) -> np.ndarray:  # type: ignore[override]
        return self._images[i]
