"""Readers on LSPET's crops with their annotated 2D."""

from __future__ import annotations

from typing import Any

import numpy as np

from vnect_ros.datasets.lspet import TO_VNECT
from vnect_ros.evaluation import calibration, metrics, pck
from vnect_ros.evaluation.reading import Readings


def score(readings: Readings, joints14: np.ndarray) -> dict[str, Any]:
    """PCK with its intervals, by joint, without side confusion, and the confidence's worth."""
    found: dict[str, Any] = pck.pck(readings.pixels_px, joints14)
    sided = pck.pck(pck.unswapped(readings.pixels_px, joints14), joints14)
    found["pck02_unswapped"], found["pck05_unswapped"] = sided["pck02"], sided["pck05"]
    found["joints"] = pck.by_joint(readings.pixels_px, joints14)
    peaks, confidence, right = judged(readings, joints14)
    found["confidence"] = calibration.reliability(confidence, right)
    found["confidence_curve"] = calibration.confidence_curve(peaks, right)
    return found


def judged(readings: Readings, joints14: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Peak, confidence and rightness (0.2 torsos, strict) of every visible limb joint."""
    columns = list(TO_VNECT[:12])
    truth = joints14[:, :12]
    torso, torso_visible = pck.torso_px(joints14)
    counted = (truth[..., 2] > 0.5) & torso_visible[:, None]
    hits = metrics.pck2d_hits(readings.pixels_px[:, columns], truth[..., :2], torso, 0.2)
    values = (readings.peaks[:, columns], readings.confidence[:, columns], hits)
    peaks, confidence, right = (v[counted] for v in values)
    return peaks, confidence, right
