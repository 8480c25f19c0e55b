"""Pictures of an evaluation: bars, calibration, and the crops that went worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from vnect_ros import drawing
from vnect_ros.evaluation import calibration

TILE_PX: Final = 224
_TRUTH: Final = (255, 255, 255)


def _figure(width: float, height: float) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def bars(file: str | Path, label: str, values: Mapping[str, Mapping[str, float]]) -> None:
    """Grouped bars: method to joint to value."""
    figure = _figure(9, 4)
    axes = figure.add_subplot()
    joints = list(next(iter(values.values())))
    width = 0.8 / len(values)
    for i, (method, by_joint) in enumerate(values.items()):
        places = np.arange(len(joints)) + (i - (len(values) - 1) / 2) * width
        axes.bar(places, [by_joint.get(j, np.nan) for j in joints], width, label=method)
    axes.set_xticks(np.arange(len(joints)), [j.replace("_", " ") for j in joints], rotation=45)
    axes.set_ylabel(label)
    axes.grid(axis="y", alpha=0.3)
    axes.legend()
    figure.savefig(file, dpi=110)


def reliability(file: str | Path, methods: Mapping[str, Mapping[str, Any]]) -> None:
    """Stated confidence against the share that is right."""
    figure = _figure(4.5, 4.5)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfect")
    for method, found in methods.items():
        rows = np.array(found["bins"]).reshape(-1, 3)
        error = found["expected_calibration_error"]
        axes.plot(rows[:, 0], rows[:, 1], marker="o", label=f"{method} (error {error:.3f})")
    axes.set_xlabel("stated confidence")
    axes.set_ylabel("share within 0.2 torsos")
    axes.legend()
    figure.savefig(file, dpi=110)


def coverage(file: str | Path, ratio: np.ndarray) -> None:
    """Share of the joints within k stated standard deviations, per axis.

    Args:
        ratio: [N, 3], of `calibration.ratios`.
    """
    figure = _figure(4.5, 4.5)
    axes = figure.add_subplot()
    for axis, name in enumerate("xyz"):
        sigmas, share, gaussian = calibration.coverage_curve(ratio[:, axis : axis + 1])
        axes.plot(sigmas, share, label=name)
    axes.plot(sigmas, gaussian, color="grey", linestyle=":", label="Gaussian")
    axes.set_xlabel("error / stated standard deviation")
    axes.set_ylabel("share of joints within")
    axes.legend()
    figure.savefig(file, dpi=110)


def draw(image: np.ndarray, joints_px: np.ndarray, truth_px: np.ndarray, note: str) -> np.ndarray:
    """One tile: the predicted bones in the colours of their side, the truth as white-rimmed dots.

    A line joins each true joint with its prediction.

    Args:
        image: [H, W, 3] uint8 RGB.
        joints_px: [21, 2] pixels of the image; NaN is not drawn.
        truth_px: [21, 2] likewise.
        note: a few characters for the corner.
    """
    scale = TILE_PX / max(image.shape[:2])
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    tile = np.zeros((TILE_PX, TILE_PX, 3), np.uint8)
    tile[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    found, truth = ((points + 0.5) * scale - 0.5 for points in (joints_px, truth_px))
    drawing.bones(tile, found, width=2)
    known = np.isfinite(truth).all(axis=1)
    for joint in np.flatnonzero(known & np.isfinite(found).all(axis=1)):
        ends = (tuple(np.clip(p[joint], -1e4, 1e4).round().astype(int)) for p in (truth, found))
        start, end = ((int(x), int(y)) for x, y in ends)
        cv2.line(tile, start, end, _TRUTH, 1, cv2.LINE_AA)
    drawing.joints(tile, truth, radius=3)
    for x, y in truth[known].round().astype(int):
        cv2.circle(tile, (int(x), int(y)), 3, _TRUTH, 1, cv2.LINE_AA)
    cv2.putText(tile, note, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(tile, note, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _TRUTH, 1, cv2.LINE_AA)
    return tile


def sheet(file: str | Path, tiles: Sequence[np.ndarray], columns: int = 8) -> None:
    """Write [TILE_PX, TILE_PX, 3] tiles as one picture, row by row."""
    cv2.imwrite(str(file), cv2.cvtColor(drawing.sheet(tiles, columns), cv2.COLOR_RGB2BGR))
