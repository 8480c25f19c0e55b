"""Pieces of photographs without people, for the backgrounds of rendered ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vnect_ros.datasets.lspet import Lspet


def load_strips(folder: str | Path, held_out: bool = False, limit: int = 1500) -> list[np.ndarray]:
    """Edge strips of LSPET's crops, where the labelled person is not.

    Args:
        folder: of the layout of `datasets.lspet`.
        held_out: only of the rows kept out of training, else only of the others.
        limit: strips at most.

    Returns:
        [h, w, 3] uint8 RGB each.
    """
    strips: list[np.ndarray] = []
    crops = Lspet(folder, part="heldout" if held_out else "train")
    for i, points in enumerate(crops.joints14):
        if len(strips) >= limit:
            break
        seen = points[points[:, 2] > 0, :2]
        if len(seen) < 10:
            continue
        picture = crops.image(i)
        size = picture.shape[1]
        left, right = int(seen[:, 0].min()) - 22, int(seen[:, 0].max()) + 22
        for strip in (picture[:, :left] if left > 0 else None, picture[:, right:]):
            if strip is None or strip.shape[1] < 0.16 * size:
                continue
            if (strip.max(axis=2) < 8).mean() > 0.02:  # black beyond the image
                continue
            strips.append(np.ascontiguousarray(strip))
    return strips
