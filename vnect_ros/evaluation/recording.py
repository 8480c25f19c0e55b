"""Readers on a calibrated recording of real people: exact 3D of twelve joints."""

from __future__ import annotations

from typing import Any

import numpy as np

from vnect_ros.datasets.recording import Recording
from vnect_ros.evaluation import metrics, pck
from vnect_ros.evaluation.reading import Reader, Readings


def score(readings: Readings, reader: Reader, recording: Recording) -> dict[str, Any]:
    """Errors over the twelve joints, in all and by camera.

    Returns:
        `n` crops; `scaled_mm` and `pa_mm` of `metrics.limb_figures`; `pck02`, `pck05`; and
        these of each camera below `cameras`.
    """
    truth_m = recording.joints_crop_ray_m if reader.crop_axes else recording.joints_camera_m
    truth14 = pck.annotation(recording.joints_px, np.isfinite(recording.joints_px).all(axis=-1))

    def figures(rows: np.ndarray) -> dict[str, Any]:
        found = pck.pck(readings.pixels_px[rows], truth14[rows])
        return {
            "n": int(rows.sum()),
            **metrics.limb_figures(readings.root_relative_m[rows], truth_m[rows]),
            **{k: found[k] for k in ("pck02", "pck05")},
        }

    everything = np.ones(len(recording), bool)
    cameras = {str(c): figures(recording.camera == c) for c in dict.fromkeys(recording.camera)}
    return {**figures(everything), "cameras": cameras}
