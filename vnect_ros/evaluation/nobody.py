"""The whole pipeline on pictures without people: how often it publishes somebody.

Each picture is shown as a still video.  The search goes over the same windows again and
again, and of a still every round finds the same: a picture is done once all of it was
searched ROUNDS times with nobody tracked, or at the end of the time, whichever is first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from tqdm import tqdm

from vnect_ros.camera import Camera
from vnect_ros.config import CameraConfig, PipelineConfig
from vnect_ros.inference.base import Backend
from vnect_ros.pipeline import Pipeline
from vnect_ros.records import Frame, State

SECONDS: Final = 3.0
RATE_HZ: Final = 30.0
ROUNDS: Final = 2
"""The second one comes back to what a window of the first one showed no more than a sign of."""


def still_camera(image: np.ndarray) -> Camera:
    """A guess for the unknown camera of an image [H, W, 3]."""
    height, width = image.shape[:2]
    return Camera.from_field_of_view(width, height, CameraConfig().fallback_fov)


def phantom_s(image: np.ndarray, backend: Backend, config: PipelineConfig) -> float:
    """When a person is first published from a still [H, W, 3] [s]; infinite if never."""
    camera = still_camera(image)
    pipeline = Pipeline(config, backend)
    for i in range(round(SECONDS * RATE_HZ)):
        poses = pipeline.step(Frame(image, camera, i / RATE_HZ))
        if any(pose.state is not State.LOST for pose in poses):
            return i / RATE_HZ
        if pipeline.searched >= ROUNDS and not pipeline.people:
            break
    return math.inf


def score(
    pictures: Sequence[np.ndarray], source: Sequence[str], backend: Backend, config: PipelineConfig
) -> dict[str, Any]:
    """Run every picture, with a progress bar.

    Args:
        pictures: [H, W, 3] uint8 RGB each.
        source: [N] what the first N of them are called.

    Returns:
        `n`; `phantoms`, the share of pictures in which a person is ever published, with
        the 95 % interval `_low`, `_high`; `found`, the sources of those pictures.
    """
    first = np.array(
        [
            phantom_s(pictures[i], backend, config)
            for i in tqdm(range(len(source)), desc="nobody", leave=False)
        ]
    )
    flags = np.isfinite(first)
    low, high = wilson(int(flags.sum()), len(flags))
    return {
        "n": len(flags),
        "phantoms": float(flags.mean()),
        "phantoms_low": low,
        "phantoms_high": high,
        "found": [str(s) for s, flag in zip(source, flags) if flag],
    }


def wilson(hits: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927): sound where there are hardly any hits."""
    share, spread = hits / count, z * z / count
    middle = (share + spread / 2.0) / (1.0 + spread)
    half = z * math.sqrt(share * (1.0 - share) / count + spread / (4.0 * count)) / (1.0 + spread)
    return middle - half, middle + half
