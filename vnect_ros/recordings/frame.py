"""The record of one image of a recording."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vnect_ros.camera import Camera

FALLBACK_FPS = 30.0
"""Rate taken for what states none [Hz]."""
MAX_FPS = 1000.0
"""Largest rate of a recording [Hz]."""


@dataclass(frozen=True)
class VideoFrame:
    """One image of a video, a folder of images or a bag."""

    image: np.ndarray
    """[H, W, 3] uint8 RGB."""
    stamp_s: float
    """Time since the first frame [s]."""
    camera: Camera | None = None
    """As the recording states it; None where it does not, or the camera is not calibrated."""
    frame_id: str = ""
    """The header's, of a bag."""
    stamp_ns: int = 0
    """The header's, of a bag [ns]."""
    recorded_ns: int = 0
    """When a bag received the image [ns]."""
