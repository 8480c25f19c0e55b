"""Leeds Sports Pose Extended, as `evaluation.lspet` reads it, with what a training takes.

Besides the annotation, `labels.npz` may hold a teacher's `teacher_landmarks`
[N, 39, 5] (x, y [px] first) and `teacher_world` [N, 39, 3] [m].

The teacher (BlazePose heavy) gives 3D, and 2D of the joints that the annotation
lacks, where its 2D agrees with the annotation.  Where it agrees only with left and
right exchanged, the annotation is taken to have the sides wrong (of forty such
images looked at most had), and is exchanged, in training alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from vnect_ros.datasets import lspet
from vnect_ros.datasets.sample import Sample
from vnect_ros.skeleton import (
    INDEX,
    MIRROR,
    NORMALISED_KNEE_NECK_M,
    NUM_JOINTS,
    PELVIS,
    knee_neck_length,
)

# (our joint, landmark or landmarks to average)
_FROM_TEACHER: Final = (
    ("right_shoulder", (12,)),
    ("right_elbow", (14,)),
    ("right_wrist", (16,)),
    ("left_shoulder", (11,)),
    ("left_elbow", (13,)),
    ("left_wrist", (15,)),
    ("right_hip", (24,)),
    ("right_knee", (26,)),
    ("right_ankle", (28,)),
    ("left_hip", (23,)),
    ("left_knee", (25,)),
    ("left_ankle", (27,)),
    ("pelvis", (23, 24)),
    ("neck", (11, 12)),
    ("head", (7, 8)),
    ("right_hand", (18, 20)),
    ("left_hand", (17, 19)),
    ("right_toe", (32,)),
    ("left_toe", (31,)),
)
_LIMBS: Final = tuple(range(2, 14))
_EXTRA: Final = ("right_hand", "left_hand", "right_toe", "left_toe", "head")


@dataclass(frozen=True)
class Labels:
    """What is known of N crops, in the terms of `Sample`."""

    joints_px: np.ndarray
    visible: np.ndarray
    joints_m: np.ndarray
    weight_3d: np.ndarray
    trusted: np.ndarray
    """[N] bool: the teacher agrees with the annotation."""


def from_teacher(landmarks: np.ndarray) -> np.ndarray:
    """Reorder [..., 39, D] landmarks to our [..., 21, D]; what has no source is derived.

    Head top and spine are extrapolated and interpolated from their neighbours.
    """
    out = np.zeros((*landmarks.shape[:-2], NUM_JOINTS, landmarks.shape[-1]))
    for name, sources in _FROM_TEACHER:
        out[..., INDEX[name], :] = landmarks[..., list(sources), :].mean(axis=-2)
    pelvis, ears = out[..., PELVIS, :], out[..., INDEX["head"], :]
    shoulders = out[..., INDEX["neck"], :].copy()
    neck = shoulders + 0.25 * (ears - shoulders)
    out[..., INDEX["neck"], :] = neck
    out[..., INDEX["spine"], :] = pelvis + 0.45 * (neck - pelvis)
    out[..., INDEX["head_top"], :] = ears + 0.75 * (ears - neck)
    return out


def read_labels(
    folder: Path, agree: float = 0.08, share: float = 0.75, correct_sides: bool = False
) -> Labels:
    """Read a folder's labels and decide where the teacher is trusted.

    Args:
        folder: the layout above.
        agree: largest distance of teacher and annotation, as a share of the
            person's size (the larger edge of the joints' box).
        share: of the visible limb joints that must agree for the crop to be trusted.
        correct_sides: exchange an annotation's sides where the teacher then agrees.
    """
    data = lspet.read_labels(folder)
    joints14 = data["joints14"].astype(np.float64)
    landmarks, world = data.get("teacher_landmarks"), data.get("teacher_world")
    n = len(joints14)
    joints_px = np.zeros((n, NUM_JOINTS, 2))
    visible = np.zeros((n, NUM_JOINTS))
    joints_px[:, list(lspet.TO_VNECT)] = joints14[..., :2]
    visible[:, list(lspet.TO_VNECT)] = joints14[..., 2] > 0.5
    _derive_centre(joints_px, visible)
    joints_m = np.zeros((n, NUM_JOINTS, 3))
    weight_3d = np.zeros((n, NUM_JOINTS))
    trusted = np.zeros(n, bool)
    if landmarks is not None and world is not None:
        teacher_px = from_teacher(landmarks[..., :2].astype(np.float64))
        limbs = list(_LIMBS)
        seen = visible[:, limbs] > 0
        box = np.where(seen[..., None], joints_px[:, limbs], np.nan)
        with np.errstate(all="ignore"):
            size = np.nanmax(np.nanmax(box, axis=1) - np.nanmin(box, axis=1), axis=1)
        size = np.maximum(np.nan_to_num(size, nan=1.0), 1.0)[:, None]
        count = seen.sum(axis=1)

        def agreement() -> tuple[np.ndarray, np.ndarray]:
            near = np.linalg.norm(teacher_px - joints_px, axis=-1) / size < agree
            known = visible[:, limbs] > 0
            enough = (near[:, limbs] & known).sum(axis=1) >= share * np.maximum(count, 1)
            return near, enough & (count >= 8)

        _, trusted = agreement()
        if correct_sides:
            _correct_sides(agreement, trusted, joints_px, visible)
        close, trusted = agreement()
        _take_from_teacher(trusted, close, teacher_px, joints_px, visible)
        joints_m, weight_3d = _teacher_3d(world, trusted, close, visible)
    return Labels(
        joints_px.astype(np.float32),
        visible.astype(np.float32),
        joints_m.astype(np.float32),
        weight_3d.astype(np.float32),
        trusted,
    )


def _correct_sides(
    agreement: Callable[[], tuple[np.ndarray, np.ndarray]],
    trusted: np.ndarray,
    joints_px: np.ndarray,
    visible: np.ndarray,
) -> None:
    """Exchange sides, in place, where the teacher then agrees and did not before."""

    def exchange(rows: np.ndarray) -> None:
        joints_px[rows] = joints_px[rows][:, list(MIRROR)]
        visible[rows] = visible[rows][:, list(MIRROR)]

    exchange(~trusted)
    _, agrees = agreement()
    exchange(~trusted & ~agrees)


def _derive_centre(joints_px: np.ndarray, visible: np.ndarray) -> None:
    """Place pelvis, spine and head between annotated joints, with less weight."""
    for name, a, b, t, weight in (
        ("pelvis", "right_hip", "left_hip", 0.5, 1.0),
        ("spine", "pelvis", "neck", 0.45, 0.5),
        ("head", "neck", "head_top", 0.5, 0.5),
    ):
        i, j, k = INDEX[name], INDEX[a], INDEX[b]
        joints_px[:, i] = (1 - t) * joints_px[:, j] + t * joints_px[:, k]
        visible[:, i] = weight * (visible[:, j] > 0) * (visible[:, k] > 0)


def _take_from_teacher(
    trusted: np.ndarray,
    close: np.ndarray,
    teacher_px: np.ndarray,
    joints_px: np.ndarray,
    visible: np.ndarray,
) -> None:
    """Use the teacher's 2D for joints that the annotation lacks, near ones that agree."""
    ends = {
        "right_hand": "right_wrist",
        "left_hand": "left_wrist",
        "right_toe": "right_ankle",
        "left_toe": "left_ankle",
    }
    for name, near in ends.items():
        use = trusted & close[:, INDEX[near]] & (visible[:, INDEX[near]] > 0)
        joints_px[use, INDEX[name]] = teacher_px[use, INDEX[name]]
        visible[use, INDEX[name]] = 1.0
    for joint in _LIMBS:
        use = trusted & (visible[:, joint] == 0)
        joints_px[use, joint] = teacher_px[use, joint]
        visible[use, joint] = 0.4
    inside = ((joints_px > 0) & (joints_px < 223)).all(axis=-1)
    visible *= inside


def _teacher_3d(
    world: np.ndarray, trusted: np.ndarray, close: np.ndarray, visible: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    joints_m = from_teacher(world.astype(np.float64))
    joints_m -= joints_m[:, PELVIS : PELVIS + 1]
    length = knee_neck_length(joints_m)
    joints_m *= (NORMALISED_KNEE_NECK_M / np.maximum(length, 0.3))[:, None, None]
    weight = np.where(close, 1.0, 0.0)
    for name in _EXTRA:
        weight[:, INDEX[name]] = (visible[:, INDEX[name]] > 0) * 0.7
    for name in ("neck", "head_top", "spine"):
        weight[:, INDEX[name]] = 0.5
    weight[:, PELVIS] = 1.0
    weight *= trusted[:, None] & (length > 0.5)[:, None]
    return joints_m, weight


class Lspet:
    """The crops of one folder, decoded on demand from JPEG bytes held in memory.

    Args:
        folder: the layout above.
        images: where the crops are, if not in `folder`.
        part: "train", "held_out" (every row i with i % 20 == 7) or "all".
        trusted_repeat: how often an image with a trusted teacher is there (in "train").
    """

    def __init__(
        self,
        folder: str | Path,
        images: str | Path | None = None,
        part: str = "train",
        trusted_repeat: int = 1,
    ) -> None:
        if part not in ("train", "held_out", "all"):
            raise ValueError(f"part: got {part!r}, accepted: train, held_out, all")
        crops = lspet.load(folder, "heldout" if part == "held_out" else part, images)
        labels = read_labels(Path(folder), correct_sides=part == "train")
        place = np.arange(len(crops))
        if part == "train" and trusted_repeat > 1:
            again = place[labels.trusted[crops.rows]]
            place = np.concatenate([place, *[again] * (trusted_repeat - 1)])
        self.rows, self.joints14 = crops.rows[place], crops.joints14[place]
        self.labels = labels
        coded = list(crops.coded())
        self._coded = [(crops.names[i], coded[i]) for i in place]

    def __len__(self) -> int:
        return len(self.rows)

    def image(self, i: int) -> np.ndarray:
        """[224, 224, 3] uint8 RGB of the i-th crop of this part."""
        return lspet.decoded(*self._coded[i])

    def __getitem__(self, i: int) -> Sample:
        row = self.rows[i]
        of = self.labels
        return Sample(
            self.image(i), of.joints_px[row], of.visible[row], of.joints_m[row], of.weight_3d[row]
        )
