"""Whether stated confidence and stated uncertainty hold."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.special import erf

GAUSSIAN_SHARES: Final = {1: float(erf(1 / np.sqrt(2))), 2: float(erf(2 / np.sqrt(2)))}
"""Share of a Gaussian within 1 and 2 standard deviations: 0.683, 0.954."""
CURVE_SIGMAS: Final = np.linspace(0.0, 3.0, 31)


def ratios(error_m: np.ndarray, std_m: np.ndarray) -> np.ndarray:
    """Errors in stated standard deviations.

    Args:
        error_m: [..., 3] prediction minus truth.
        std_m: [...] stated standard deviation of each axis, or [..., 3] one an axis.

    Returns:
        [N, 3] absolute ratios of the joints where both are finite and the
        deviation is positive.
    """
    if std_m.ndim < error_m.ndim:
        std_m = std_m[..., None]
    error_m, std_m = (a.reshape(-1, 3) for a in np.broadcast_arrays(error_m, std_m))
    valid = (np.isfinite(error_m) & np.isfinite(std_m) & (std_m > 0.0)).all(axis=1)
    return np.abs(error_m[valid]) / std_m[valid]


def coverage(ratio: np.ndarray) -> dict[str, float]:
    """How many joints lie within 1 and 2 stated standard deviations.

    Args:
        ratio: [N, 3], of `ratios`.

    Returns:
        `within_1_std`, `within_2_std` over all axes and per axis (`_x`, `_y`, `_z`);
        `rms` of the ratio (1 when the stated size is right); `n` joints.
    """
    found: dict[str, float] = {}
    for sigmas in GAUSSIAN_SHARES:
        inside = (ratio <= sigmas).astype(float)
        key = f"within_{sigmas}_std"
        found[key] = float(inside.mean()) if ratio.size else float("nan")
        for axis, name in enumerate("xyz"):
            found[f"{key}_{name}"] = float(inside[:, axis].mean()) if ratio.size else float("nan")
    found["rms"] = float(np.sqrt(np.mean(ratio**2))) if ratio.size else float("nan")
    found["n"] = len(ratio)
    return found


def coverage_curve(ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """CURVE_SIGMAS, the share of [N, 3] ratios within each, and a Gaussian's share."""
    flat = np.sort(ratio.reshape(-1))
    share = np.searchsorted(flat, CURVE_SIGMAS, side="right") / max(flat.size, 1)
    return CURVE_SIGMAS, share, erf(CURVE_SIGMAS / np.sqrt(2))


def missing_std(error_m: np.ndarray, std_m: np.ndarray) -> tuple[float, float]:
    """What has to be added to stated deviations, squares summed, for errors to be covered.

    The least that brings a Gaussian's shares within both one and two deviations:
    the errors that last through a clip, which a fit of that clip cannot know.

    Args:
        error_m: [..., 3] prediction minus truth, camera axes.
        std_m: [...] or [..., 3] as stated.

    Returns:
        Across and along the viewing direction [m]; what a bundle's
        `position_std_m` gains.  (0, 0) where nothing is missing.
    """
    if std_m.ndim < error_m.ndim:
        std_m = std_m[..., None]
    error, std = (a.reshape(-1, 3) for a in np.broadcast_arrays(np.abs(error_m), std_m))
    valid = np.isfinite(error).all(axis=1) & np.isfinite(std).all(axis=1)
    error, std = error[valid], std[valid]

    def missing(axes: slice) -> float:
        if not len(error):
            return 0.0
        needed = 0.0
        for sigmas, share in GAUSSIAN_SHARES.items():
            # Joint by joint the least addition that covers it; then the share's quantile.
            least = np.sqrt(np.maximum((error[:, axes] / sigmas) ** 2 - std[:, axes] ** 2, 0.0))
            needed = max(needed, float(np.quantile(least, share)))
        return needed

    return missing(slice(0, 2)), missing(slice(2, 3))


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> dict[str, object]:
    """Stated confidence against how often it is right.

    Args:
        confidence: [N] in [0, 1].
        right: [N] bool.

    Returns:
        `expected_calibration_error`: mean distance of the two, over bins of equal
        width weighted by their joints; `bins`: [mean confidence, share right, joints]
        of each bin that holds any.
    """
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    rows = []
    for b in range(bins):
        here = index == b
        if here.any():
            rows.append(
                [float(confidence[here].mean()), float(right[here].mean()), int(here.sum())]
            )
    total = sum(row[2] for row in rows)
    gap = sum(abs(row[0] - row[1]) * row[2] for row in rows)
    return {
        "expected_calibration_error": gap / total if total else float("nan"),
        "bins": rows,
    }


def confidence_curve(
    peaks: np.ndarray, right: np.ndarray, knots: int = 10
) -> tuple[tuple[float, float], ...]:
    """The bundle's (peak, probability) pairs, measured on held-out joints.

    Bins of equally many joints, made monotone by pooling adjacent violators.

    Args:
        peaks: [N] heights of the heatmaps' maxima.
        right: [N] bool: the joint was found.
        knots: bins at most.

    Returns:
        Rising pairs as `models.write_bundle` takes them; (0, 0) comes first.
    """
    order = np.argsort(peaks, kind="stable")
    parts = [p for p in np.array_split(order, knots) if len(p)]
    pooled: list[list[float]] = []  # [sum of peaks, sum right, count]
    for part in parts:
        pooled.append([float(peaks[part].sum()), float(right[part].sum()), float(len(part))])
        while len(pooled) > 1 and pooled[-2][1] * pooled[-1][2] >= pooled[-1][1] * pooled[-2][2]:
            last = pooled.pop()
            pooled[-1] = [a + b for a, b in zip(pooled[-1], last)]
    curve = [(0.0, 0.0)]
    for peak_sum, right_sum, count in pooled:
        peak, probability = round(peak_sum / count, 4), round(right_sum / count, 4)
        if peak > curve[-1][0]:
            curve.append((peak, probability))
    return tuple(curve) if len(curve) > 1 else ((0.0, 0.0), (1.0, 1.0))
