"""The figures of the field, each by its exact protocol, on plain arrays.

Positions are metres, stamps seconds.  A frame or a joint whose truth or
prediction holds a NaN is not valid and does not count; a figure without a
single valid value is NaN.  Shares are in [0, 1].

Sources: Mehta et al., "Monocular 3D Human Pose Estimation In The Wild" (3DV
2017) and its evaluation script for 3DPCK, AUC and MPJPE; Ionescu et al.,
Human3.6M (PAMI 2014) for MPJPE; Moon et al. (ICCV 2019) for MRPE.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from vnect_ros import skeleton
from vnect_ros.errors import VnectError, describe

PCK_THRESHOLD_M: Final = 0.150
"""The threshold of 3DPCK; an error must be strictly below."""
AUC_THRESHOLDS_M: Final = np.arange(31) * 0.005
"""0:5:150 mm; the first can never be met, so a perfect AUC is 30/31."""
JOINTS_14: Final = skeleton.EVALUATED_14
"""Head top to ankles: 3DPCK, AUC and the usual MPJPE."""
JOINTS_17: Final = tuple(range(17))
"""The 14, pelvis, spine and head: the MPJPE of the MPI-INF-3DHP script, whose
mean takes in the pelvis that is always zero."""


def _same_shape(prediction: np.ndarray, truth: np.ndarray, last: int) -> None:
    if prediction.shape != truth.shape or prediction.ndim < 1 or prediction.shape[-1] != last:
        raise VnectError(
            describe("prediction", prediction.shape, f"the truth's {truth.shape}, last axis {last}")
        )


def mean(values: np.ndarray) -> float:
    """The mean of the finite values; NaN of none."""
    finite = np.asarray(values)[np.isfinite(values)]
    return float(finite.mean()) if finite.size else float("nan")


def root_relative(joints_m: np.ndarray) -> np.ndarray:
    """[..., 21, 3] positions with the pelvis subtracted."""
    return joints_m - joints_m[..., skeleton.PELVIS : skeleton.PELVIS + 1, :]


def joint_errors(
    prediction_m: np.ndarray, truth_m: np.ndarray, joints: Sequence[int] = JOINTS_14
) -> np.ndarray:
    """Root-relative distance of each joint, without any alignment.

    Args:
        prediction_m: [..., 21, 3], any one frame whose axes are the truth's.
        truth_m: the same shape.
        joints: the joints to keep.

    Returns:
        [..., len(joints)] distances [m], NaN where not valid.
    """
    _same_shape(prediction_m, truth_m, 3)
    difference = root_relative(prediction_m) - root_relative(truth_m)
    distances: np.ndarray = np.linalg.norm(difference[..., list(joints), :], axis=-1)
    return distances


def mpjpe(
    prediction_m: np.ndarray, truth_m: np.ndarray, joints: Sequence[int] = JOINTS_14
) -> float:
    """Mean per-joint position error, root-relative, no Procrustes [m]."""
    return mean(joint_errors(prediction_m, truth_m, joints))


def pck3d(errors_m: np.ndarray, threshold_m: float = PCK_THRESHOLD_M) -> float:
    """Share of the finite errors strictly below the threshold."""
    finite = errors_m[np.isfinite(errors_m)]
    return mean((finite < threshold_m).astype(float))


def auc(errors_m: np.ndarray) -> float:
    """Mean 3DPCK over the 31 thresholds 0, 5, ..., 150 mm."""
    return mean(np.array([pck3d(errors_m, t) for t in AUC_THRESHOLDS_M]))


def similarity_aligned(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The prediction moved onto the truth by each frame's best similarity.

    Rotation (never a reflection), one scale and translation, by least squares:
    Umeyama, PAMI 1991.

    Args:
        prediction: [..., J, 3].
        truth: the same shape.

    Returns:
        [..., J, 3]; a frame with a NaN is NaN, one whose prediction is a single
        point lands on the truth's mean.
    """
    _same_shape(prediction, truth, 3)
    valid = (np.isfinite(prediction) & np.isfinite(truth)).all(axis=(-2, -1), keepdims=True)
    p, t = np.where(valid, prediction, 0.0), np.where(valid, truth, 0.0)
    mean_p, mean_t = p.mean(axis=-2, keepdims=True), t.mean(axis=-2, keepdims=True)
    p, t = p - mean_p, t - mean_t
    u, singular, vt = np.linalg.svd(np.swapaxes(p, -1, -2) @ t)
    sign = np.ones_like(singular)
    sign[..., -1] = np.where(np.linalg.det(u) * np.linalg.det(vt) < 0.0, -1.0, 1.0)
    rotation = (u * sign[..., None, :]) @ vt
    spread = (p**2).sum(axis=(-2, -1))
    scale = (singular * sign).sum(axis=-1) / np.where(spread > 0.0, spread, 1.0)
    return np.where(valid, scale[..., None, None] * (p @ rotation) + mean_t, np.nan)


def pa_mpjpe(
    prediction_m: np.ndarray, truth_m: np.ndarray, joints: Sequence[int] = JOINTS_14
) -> float:
    """MPJPE after the per-frame similarity alignment of the same joints [m]."""
    p, t = prediction_m[..., list(joints), :], truth_m[..., list(joints), :]
    return mean(np.linalg.norm(similarity_aligned(p, t) - t, axis=-1))


def scaled(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The prediction times each frame's best scale about the origin, by least squares.

    Args:
        prediction: [..., J, 3]; joints with a NaN on either side do not count.
        truth: the same shape.
    """
    _same_shape(prediction, truth, 3)
    valid = (np.isfinite(prediction) & np.isfinite(truth)).all(axis=-1, keepdims=True)
    p, t = np.where(valid, prediction, 0.0), np.where(valid, truth, 0.0)
    spread = (p * p).sum(axis=(-2, -1), keepdims=True)
    return prediction * ((p * t).sum(axis=(-2, -1), keepdims=True) / np.maximum(spread, 1e-12))


def limb_figures(prediction_m: np.ndarray, truth_m: np.ndarray) -> dict[str, float]:
    """Errors over the 12 limb joints, which every method places alike, of [N, 21, 3].

    Returns:
        `scaled_mm`: relative to the middle of the hips, after one best scale a frame;
        `pa_mm`: after the best similarity.
    """
    hips = [skeleton.INDEX["right_hip"], skeleton.INDEX["left_hip"]]
    p, t = (
        (joints - joints[:, hips].mean(axis=1, keepdims=True))[:, list(skeleton.LIMBS)]
        for joints in (prediction_m, truth_m)
    )
    return {
        "scaled_mm": mean(np.linalg.norm(scaled(p, t) - t, axis=-1)) * 1e3,
        "pa_mm": pa_mpjpe(prediction_m, truth_m, skeleton.LIMBS) * 1e3,
    }


def mrpe(root_prediction_m: np.ndarray, root_truth_m: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean root position error in the camera frame.

    Args:
        root_prediction_m: [..., 3] pelvis.
        root_truth_m: the same shape.

    Returns:
        The mean distance [m], and [3] mean absolute error along x, y, z [m].
    """
    _same_shape(root_prediction_m, root_truth_m, 3)
    difference = (root_prediction_m - root_truth_m).reshape(-1, 3)
    difference = difference[np.isfinite(difference).all(axis=1)]
    if not len(difference):
        return float("nan"), np.full(3, np.nan)
    return mean(np.linalg.norm(difference, axis=1)), np.abs(difference).mean(axis=0)


def acceleration_error(
    prediction_m: np.ndarray,
    truth_m: np.ndarray,
    rate_hz: float,
    joints: Sequence[int] = JOINTS_14,
) -> float:
    """Mean length of the second difference of prediction minus truth [m/s^2].

    Args:
        prediction_m: [T, 21, 3] in evenly spaced frames.  Pass root-relative
            positions to leave the root's motion out.
        truth_m: the same shape.
        rate_hz: frames a second.
        joints: the joints to keep.
    """
    _same_shape(prediction_m, truth_m, 3)
    error = (prediction_m - truth_m)[:, list(joints), :]
    return mean(np.linalg.norm(np.diff(error, n=2, axis=0), axis=-1)) * rate_hz**2


def jitter(joints_m: np.ndarray, rate_hz: float, joints: Sequence[int] = JOINTS_14) -> float:
    """Mean length of the third difference of [T, 21, 3] positions [m/s^3]."""
    return mean(np.linalg.norm(np.diff(joints_m[:, list(joints), :], n=3, axis=0), axis=-1)) * (
        rate_hz**3
    )


def pck2d_hits(
    prediction_px: np.ndarray,
    truth_px: np.ndarray,
    reference_px: np.ndarray,
    share: float,
) -> np.ndarray:
    """Which joints lie strictly within a share of each image's reference length.

    Args:
        prediction_px: [N, J, 2].
        truth_px: [N, J, 2].
        reference_px: [N] length, such as the torso's.
        share: the threshold as a share of it.

    Returns:
        [N, J] bool; a joint that was not predicted (NaN) is no hit.
    """
    _same_shape(prediction_px, truth_px, 2)
    distance = np.linalg.norm(prediction_px - truth_px, axis=-1)
    with np.errstate(invalid="ignore"):
        return distance < share * reference_px[:, None]


def bootstrap_interval(
    sums: np.ndarray,
    counts: np.ndarray,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """The 95 % interval of sum(sums) / sum(counts) over resampled images.

    Images, not joints, are drawn again, since the joints of one image err
    together.

    Args:
        sums: [N] of each image: hits, or the sum of its errors.
        counts: [N] values that each sum is over.
    """
    sums, counts = np.asarray(sums, float), np.asarray(counts, float)
    if not len(sums) or counts.sum() == 0:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(0, len(sums), size=(resamples, len(sums)))
    total = counts[drawn].sum(axis=1)
    ratios = sums[drawn].sum(axis=1)[total > 0] / total[total > 0]
    low, high = np.percentile(ratios, [2.5, 97.5])
    return float(low), float(high)


def summary_3d(prediction_m: np.ndarray, truth_m: np.ndarray) -> dict[str, float]:
    """The root-relative figures of [T, 21, 3] frames, with the intervals of two.

    Keys: `pck3d_150`, `auc`, `mpjpe_mm`, `mpjpe17_mm`, `pa_mpjpe_mm`, `n`, and
    `*_low` / `*_high` for `pck3d_150` and `mpjpe_mm`.
    """
    errors = joint_errors(prediction_m, truth_m)
    valid = np.isfinite(errors)
    count = valid.sum(axis=1)
    with np.errstate(invalid="ignore"):
        hits = (errors < PCK_THRESHOLD_M).sum(axis=1)
    hit_interval = bootstrap_interval(hits, count)
    error_interval = bootstrap_interval(np.where(valid, errors, 0.0).sum(axis=1), count)
    return {
        "pck3d_150": pck3d(errors),
        "pck3d_150_low": hit_interval[0],
        "pck3d_150_high": hit_interval[1],
        "auc": auc(errors),
        "mpjpe_mm": mean(errors) * 1e3,
        "mpjpe_mm_low": error_interval[0] * 1e3,
        "mpjpe_mm_high": error_interval[1] * 1e3,
        "mpjpe17_mm": mpjpe(prediction_m, truth_m, JOINTS_17) * 1e3,
        "pa_mpjpe_mm": pa_mpjpe(prediction_m, truth_m) * 1e3,
        "n": int((count > 0).sum()),
    }


def summary_motion(
    prediction_m: np.ndarray, truth_m: np.ndarray, rate_hz: float
) -> dict[str, float]:
    """Acceleration error and jitter of one clip, [T, 21, 3] at an even rate.

    Keys: `acceleration_error` [m/s^2], `jitter` and `jitter_truth` [m/s^3].
    """
    return {
        "acceleration_error": acceleration_error(prediction_m, truth_m, rate_hz),
        "jitter": jitter(prediction_m, rate_hz),
        "jitter_truth": jitter(truth_m, rate_hz),
    }


def scores(metric: Callable[[np.ndarray], float], errors: np.ndarray) -> np.ndarray:
    """A metric of the errors of each joint apart: [T, J] to [J]."""
    return np.array([metric(errors[:, joint]) for joint in range(errors.shape[1])])
