"""PCK by the torso's length: the protocol of LSPET's 14 annotated joints, for any set."""

from __future__ import annotations

from typing import Final

import numpy as np

from vnect_ros.datasets.lspet import JOINTS, MIRROR14, TO_VNECT
from vnect_ros.errors import VnectError, describe
from vnect_ros.evaluation import metrics

GROUPS: Final = {
    "shoulders": (8, 9), "elbows": (7, 10), "wrists": (6, 11),
    "hips": (2, 3), "knees": (1, 4), "ankles": (0, 5), "neck": (12,), "head_top": (13,),
}  # fmt: skip
"""Rows of JOINTS that are counted together."""
_LEFT_SHOULDER, _RIGHT_HIP = JOINTS.index("left_shoulder"), JOINTS.index("right_hip")


def torso_px(joints14: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The torso's diameter: left shoulder to right hip, as annotated.

    Returns:
        [N] length [px], and [N] bool: both ends are annotated as visible.
    """
    ends = joints14[:, [_LEFT_SHOULDER, _RIGHT_HIP]]
    length = np.linalg.norm(ends[:, 0, :2] - ends[:, 1, :2], axis=-1)
    return length, np.all(ends[..., 2] > 0.5, axis=1)


def annotation(joints_px: np.ndarray, known: np.ndarray) -> np.ndarray:
    """[N, 14, 3] in the order of JOINTS: [N, 21, 2] joints of ours, [N, 21] bool as visible."""
    columns = list(TO_VNECT)
    points = np.nan_to_num(np.asarray(joints_px, np.float64)[:, columns])
    return np.concatenate([points, np.asarray(known)[:, columns, None]], axis=-1)


def annotated_joints(predictions_px: np.ndarray) -> np.ndarray:
    """[N, 14, 2] in the order of JOINTS, of [N, 21, 2] joints of ours or of themselves."""
    predictions_px = np.asarray(predictions_px, dtype=np.float64)
    if predictions_px.ndim != 3 or predictions_px.shape[1:] not in ((14, 2), (21, 2)):
        raise VnectError(describe("predictions_px", predictions_px.shape, "[N, 21, 2], [N, 14, 2]"))
    return predictions_px if predictions_px.shape[1] == 14 else predictions_px[:, list(TO_VNECT)]


def _visible(joints14: np.ndarray) -> np.ndarray:
    return joints14[..., 2] > 0.5


def pck(predictions_px: np.ndarray, joints14: np.ndarray) -> dict[str, float]:
    """PCK@0.2 and @0.5 of the torso over all visible joints, pooled.

    A joint counts where it is annotated as visible, and is right when it lies
    strictly within the share of the torso's diameter (`torso_px`).  Two rules
    for the images whose shoulder or hip is not visible, where the annotation
    holds a meaningless number:

    * plain (`pck02`, `pck05`): the number is taken as it stands, as the common
      scripts do; it flatters every method alike.
    * strict (`*_strict`): these images are left out.

    Args:
        predictions_px: [N, 21, 2] joints of ours or [N, 14, 2] annotated ones, pixels
            of the crop; NaN is a miss.
        joints14: [N, 14, 3] truth.

    Returns:
        `pck02`, `pck05` over the 12 limb joints (`_14`: all), `_strict` likewise, with
        `_low` and `_high` of the 95 % interval; `n` and `n_strict` images.
    """
    predicted = annotated_joints(predictions_px)
    joints14 = np.asarray(joints14)
    if joints14.shape != (len(predicted), 14, 3):
        raise VnectError(describe("joints14", joints14.shape, f"[{len(predicted)}, 14, 3]"))
    torso, torso_visible = torso_px(joints14)
    visible = _visible(joints14)
    strict = visible & torso_visible[:, None]
    found: dict[str, float] = {}
    for key, share in (("pck02", 0.2), ("pck05", 0.5)):
        hits = metrics.pck2d_hits(predicted, joints14[..., :2], torso, share)
        for name, counted, columns in (
            ("", visible, 12), ("_14", visible, 14),
            ("_strict", strict, 12), ("_strict_14", strict, 14),
        ):  # fmt: skip
            good = (hits & counted)[:, :columns].sum(axis=1)
            total = counted[:, :columns].sum(axis=1)
            found[key + name] = float(good.sum() / total.sum()) if total.sum() else float("nan")
            if columns == 12:
                low, high = metrics.bootstrap_interval(good, total)
                found[f"{key}{name}_low"], found[f"{key}{name}_high"] = low, high
    found["n"] = int(visible.any(axis=1).sum())
    found["n_strict"] = int(strict.any(axis=1).sum())
    return found


def by_joint(predictions_px: np.ndarray, joints14: np.ndarray) -> dict[str, dict[str, float]]:
    """The figures of each annotated joint, over the strict images.

    Returns:
        By joint and by group: `pck02`, `pck05`, `n`, and `swapped`: the share that lies
        within 0.2 torsos of the truth of the other side's joint but not of its own,
        where both are visible.
    """
    predicted, joints14 = annotated_joints(predictions_px), np.asarray(joints14)
    torso, torso_visible = torso_px(joints14)
    visible = _visible(joints14) & torso_visible[:, None]
    truth = joints14[..., :2]
    near = metrics.pck2d_hits(predicted, truth, torso, 0.2)
    far = metrics.pck2d_hits(predicted, truth, torso, 0.5)
    near_other = metrics.pck2d_hits(predicted, truth[:, list(MIRROR14)], torso, 0.2)
    both = visible & visible[:, list(MIRROR14)]

    def share(good: np.ndarray, counted: np.ndarray, columns: tuple[int, ...]) -> float:
        total = counted[:, columns].sum()
        return float((good & counted)[:, columns].sum() / total) if total else float("nan")

    columns_of = {name: (i,) for i, name in enumerate(JOINTS)}
    return {
        name: {
            "pck02": share(near, visible, columns),
            "pck05": share(far, visible, columns),
            "swapped": share(near_other & ~near, both, columns),
            "n": int(visible[:, columns].sum()),
        }
        for name, columns in {**columns_of, **GROUPS}.items()
    }


def unswapped(predictions_px: np.ndarray, joints14: np.ndarray) -> np.ndarray:
    """The prediction with arms and legs each given the better of the two sides.

    What PCK would be if left and right were never confused: [N, 14, 2].
    """
    predicted = annotated_joints(predictions_px).copy()
    mirrored = predicted[:, list(MIRROR14)]
    distance = [
        np.where(_visible(joints14), np.linalg.norm(p - joints14[..., :2], axis=-1), 0.0)
        for p in (predicted, mirrored)
    ]
    for limb in ((0, 1, 2, 3, 4, 5), (6, 7, 8, 9, 10, 11)):
        better = distance[1][:, limb].sum(axis=1) < distance[0][:, limb].sum(axis=1)
        predicted[np.ix_(better, limb)] = mirrored[np.ix_(better, limb)]
    return predicted
