"""Leeds Sports Pose Extended: the layout, and what a training takes of it.

A folder holds `labels.npz` (one row an image) and the crops: a tar file, row i being its
i-th image, or images in the folder (or in one folder in it), row i being the i-th by
name.  Of the labels, `joints14` [N, 14, 3] is needed: x, y in pixels of the crop and
visible 0/1, in the order of `JOINTS`.  There may be `teacher_landmarks` [N, 39, 5] (x, y
[px] first) and `teacher_world` [N, 39, 3] [m] of BlazePose heavy, and beside the file
`thunder.npz` with `joints17` [N, 17, 3] (x, y [px], score) of MoveNet Thunder.

BlazePose gives 3D, and 2D of the joints that the annotation lacks, where its 2D agrees
with the annotation.  In training alone the annotation is mended: where a teacher agrees
with it only with left and right exchanged, the annotation's sides are exchanged (of
forty such images looked at most had them wrong); where Thunder sees a joint elsewhere,
it counts less; where the annotation has none, Thunder's is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from vnect_ros.datasets import archive, held_out, teachers
from vnect_ros.datasets.sample import Sample, inside
from vnect_ros.errors import VnectError, describe
from vnect_ros.skeleton import INDEX, JOINT_NAMES, LIMBS, MIRROR, NUM_JOINTS, PELVIS

JOINTS: Final = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
    "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
    "neck", "head_top",
)  # fmt: skip
"""The 14 annotated joints, in the order of the labels; the first 12 are the limbs'."""
TO_VNECT: Final = tuple(INDEX[name] for name in JOINTS)
"""Index of each annotated joint among VNect's 21."""
MIRROR14: Final = tuple(JOINTS.index(JOINT_NAMES[MIRROR[j]]) for j in TO_VNECT)
"""Row of JOINTS of each joint's counterpart on the other side."""

_AGREE: Final = 0.08
"""Largest distance of BlazePose and the annotation, as a share of the person's size."""
_AGREE_THUNDER: Final = 0.2
"""The same of Thunder, which is asked joint by joint."""
_LIMBS = list(LIMBS)
_EXTRA: Final = ("right_hand", "left_hand", "right_toe", "left_toe", "head")


@dataclass(frozen=True)
class Labels:
    """What is known of N crops, in the terms of `Sample`."""

    joints_px: np.ndarray
    visible: np.ndarray
    joints_m: np.ndarray
    weight_3d: np.ndarray
    trusted: np.ndarray
    """[N] bool: BlazePose agrees with the annotation."""


class Lspet(Sequence[Sample]):
    """The crops of one folder, coded images in memory.

    Args:
        folder: the layout above.
        images: where the crops are, if not in `folder`.
        part: of `held_out.PARTS`; every row i with i % 20 == 7 is held out.
        trusted_repeat: how often an image with a trusted teacher is there (in "train").

    Raises:
        VnectError: the folder or the labels are not as declared.
    """

    def __init__(
        self,
        folder: str | Path,
        images: str | Path | None = None,
        part: str = "train",
        trusted_repeat: int = 1,
    ) -> None:
        joints14 = read_joints14(folder)
        place = Path(folder if images is None else images)
        names = archive.image_names(place)
        if len(names) != len(joints14):
            accepted = f"one a row of labels, {len(joints14)}"
            raise VnectError(describe("images", len(names), accepted))
        rows = held_out.rows_of(part, held_out.every_twentieth(len(names)))
        self._images = archive.Images(place, [names[i] for i in rows])
        size = self._images[0].shape[1] if len(rows) else 0
        labels = read_labels(folder, size, mend=part == "train")
        self._at = np.arange(len(rows))
        if part == "train":
            again = self._at[labels.trusted[rows]]
            self._at = np.concatenate([self._at, *[again] * (trusted_repeat - 1)])
        self.labels = labels
        self.rows = rows[self._at]
        """[M] row of labels.npz of each sample."""
        self.joints14 = joints14[self.rows]
        """[M, 14, 3] float32 the annotation as it is."""

    def __len__(self) -> int:
        return len(self._at)

    def image(self, i: int) -> np.ndarray:
        """[S, S, 3] uint8 RGB of the i-th sample."""
        return self._images[self._at[i]]

    def __getitem__(self, i: int) -> Sample:  # type: ignore[override]
        row, of = self.rows[i], self.labels
        return Sample(
            self.image(i), of.joints_px[row], of.visible[row], of.joints_m[row], of.weight_3d[row]
        )


def read_joints14(folder: str | Path) -> np.ndarray:
    """[N, 14, 3] float32: the annotation of a folder; VnectError if it is not as declared."""
    return _read(folder)["joints14"].astype(np.float32)


def _read(folder: str | Path) -> dict[str, np.ndarray]:
    return archive.read_arrays(Path(folder) / "labels.npz", {"joints14": (14, 3)})


def read_labels(folder: str | Path, size: int = 224, mend: bool = False) -> Labels:
    """Read a folder's labels and decide where the teachers are trusted.

    Args:
        folder: the layout above.
        size: edge of the crops [px].
        mend: let the teachers mend the annotation, as described above.
    """
    data = _read(folder)
    joints14 = data["joints14"].astype(np.float64)
    n = len(joints14)
    joints_px, visible = np.zeros((n, NUM_JOINTS, 2)), np.zeros((n, NUM_JOINTS))
    joints_px[:, list(TO_VNECT)] = joints14[..., :2]
    visible[:, list(TO_VNECT)] = joints14[..., 2] > 0.5
    thunder = Path(folder) / "thunder.npz"
    if mend and thunder.is_file():
        _mend(archive.read_arrays(thunder, {"joints17": (17, 3)})["joints17"], joints_px, visible)
    joints_m, weight_3d, trusted = np.zeros((n, NUM_JOINTS, 3)), np.zeros_like(visible), None
    _derive_centre(joints_px, visible)
    if "teacher_landmarks" in data and "teacher_world" in data:
        landmarks = data["teacher_landmarks"][..., :2].astype(np.float64)
        teacher_px = teachers.vnect_joints(landmarks)
        trusted = _agreement(teacher_px, joints_px, visible)[1]
        if mend:
            _exchange_where_better(teacher_px, joints_px, visible, ~trusted)
        near, trusted = _agreement(teacher_px, joints_px, visible)
        _fill(trusted, near, teacher_px, joints_px, visible)
        visible *= inside(joints_px, size)
        joints_m, weight_3d = _teacher_3d(data["teacher_world"], trusted, near, visible)
    return Labels(
        joints_px.astype(np.float32),
        visible.astype(np.float32),
        joints_m.astype(np.float32),
        weight_3d.astype(np.float32),
        np.zeros(n, bool) if trusted is None else trusted,
    )


def _size(joints_px: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """[N] the longer edge of the box of each image's known limb joints [px], at least 1."""
    known, limbs_px = visible[:, _LIMBS, None] > 0, joints_px[:, _LIMBS]
    low = np.where(known, limbs_px, np.inf).min(axis=1)
    high = np.where(known, limbs_px, -np.inf).max(axis=1)
    size: np.ndarray = np.maximum((high - low).max(axis=1), 1.0)
    return size


def _agreement(
    other_px: np.ndarray, joints_px: np.ndarray, visible: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where another's joints lie near: [N, 21] each, and [N] at three quarters of the limbs."""
    distance = np.linalg.norm(other_px - joints_px, axis=-1)
    near = distance < _AGREE * _size(joints_px, visible)[:, None]
    known = visible[:, _LIMBS] > 0
    enough = (near[:, _LIMBS] & known).sum(axis=1) >= 0.75 * np.maximum(known.sum(axis=1), 1)
    return near, enough & (known.sum(axis=1) >= 8)


def _exchange(joints_px: np.ndarray, visible: np.ndarray, rows: np.ndarray) -> None:
    """Exchange left and right, in place."""
    joints_px[rows] = joints_px[rows][:, list(MIRROR)]
    visible[rows] = visible[rows][:, list(MIRROR)]


def _exchange_where_better(
    other_px: np.ndarray, joints_px: np.ndarray, visible: np.ndarray, rows: np.ndarray
) -> None:
    """Exchange the annotation's sides, in place, in those rows that then agree with another."""
    _exchange(joints_px, visible, rows)
    agrees = _agreement(other_px, joints_px, visible)[1]
    _exchange(joints_px, visible, rows & ~agrees)


def _mend(joints17: np.ndarray, joints_px: np.ndarray, visible: np.ndarray) -> None:
    """Let Thunder's keypoints [N, 17, 3] mend the annotated limbs, in place."""
    joints17 = joints17.astype(np.float64)
    thunder_px, score = teachers.vnect_joints(joints17[..., :2]), teachers.vnect_scores(joints17)
    sure = score >= teachers.SCORE
    agrees = _agreement(thunder_px, joints_px, visible * sure)[1]
    _exchange_where_better(thunder_px, joints_px, visible, ~agrees)
    reach = _AGREE_THUNDER * _size(joints_px, visible)[:, None]
    apart = np.linalg.norm(thunder_px - joints_px, axis=-1) >= reach
    limbs = np.isin(np.arange(NUM_JOINTS), _LIMBS)
    gap = limbs & sure & (visible == 0)
    visible[limbs & sure & apart & (visible > 0)] = 0.4
    joints_px[gap] = thunder_px[gap]
    visible[gap] = np.where(score[gap] >= 2.0 * teachers.SCORE, 0.6, 0.3)


def _derive_centre(joints_px: np.ndarray, visible: np.ndarray) -> None:
    """Place pelvis, spine and head between annotated joints, with less weight."""
    for name, a, b, t, weight in (
        ("pelvis", "right_hip", "left_hip", 0.5, 1.0),
        ("spine", "pelvis", "neck", 0.45, 0.5),
        ("head", "neck", "head_top", 0.5, 0.5),
    ):
        i, j, k = INDEX[name], INDEX[a], INDEX[b]
        joints_px[:, i] = (1 - t) * joints_px[:, j] + t * joints_px[:, k]
        visible[:, i] = weight * np.minimum(visible[:, j], visible[:, k])


def _fill(
    trusted: np.ndarray,
    near: np.ndarray,
    teacher_px: np.ndarray,
    joints_px: np.ndarray,
    visible: np.ndarray,
) -> None:
    """Use BlazePose's 2D, in place, for joints that are lacking, near ones that agree."""
    for side in ("right", "left"):
        for name, beside in (("hand", "wrist"), ("toe", "ankle")):
            end, close = INDEX[f"{side}_{name}"], INDEX[f"{side}_{beside}"]
            use = trusted & near[:, close] & (visible[:, close] > 0)
            joints_px[use, end] = teacher_px[use, end]
            visible[use, end] = 1.0
    for joint in _LIMBS:
        use = trusted & (visible[:, joint] == 0)
        joints_px[use, joint] = teacher_px[use, joint]
        visible[use, joint] = 0.4


def _teacher_3d(
    world: np.ndarray, trusted: np.ndarray, near: np.ndarray, visible: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    joints_m, believable = teachers.locations(world)
    weight = np.where(near, 1.0, 0.0)
    for name in _EXTRA:
        weight[:, INDEX[name]] = (visible[:, INDEX[name]] > 0) * 0.7
    for name in ("neck", "head_top", "spine"):
        weight[:, INDEX[name]] = 0.5
    weight[:, PELVIS] = 1.0
    return joints_m, weight * (trusted & believable)[:, None]
