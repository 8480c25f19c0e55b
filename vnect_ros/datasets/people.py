"""Crops of real people with the labels of two teachers, MoveNet Thunder and BlazePose heavy.

A folder holds one folder a set, each with one tar file of square crops and `labels.npz`,
rows in the tar's order: `source` [N] (the picture's path where it comes from),
`joints17_thunder` [N, 17, 3] (x, y with 0 at the left edge of the first pixel; score),
`teacher_landmarks` [N, 39, 5] (x, y, ... pixels of the crop), `teacher_world` [N, 39, 3]
(metres, x right, y down, z away) and `agreed` [N] bool (both teachers alike on the crop).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from vnect_ros.datasets import archive, held_out, teachers
from vnect_ros.datasets.sample import Sample, inside
from vnect_ros.errors import VnectError, describe
from vnect_ros.skeleton import INDEX

MARGIN: Final = 1.45
"""Edge of the stored crops over the larger edge of the person's box."""
AGREE: Final = 0.08
"""Largest distance of the two teachers, as a share of the person's box, of a joint that is sure."""
_SHAPES = {
    "source": (),
    "joints17_thunder": (17, 3),
    "teacher_landmarks": (39, 5),
    "teacher_world": (39, 3),
    "agreed": (),
}
_GROUP: Final = {
    "ccp": r"(.*)\d\.\w+",  # ten neighbouring photographs: some show the same person
    "inria": r"(.*)\d[a-z]\.\w+",  # likewise, of any person in them
    "freeexercise": r"(.*)/.*",  # an exercise: two photographs of one model
    "gmdcsa": r"(.*?)/.*",  # a subject
    "davis": r"(.*)/.*",  # a sequence
}
"""What of a source, by set, names the person or sequence; elsewhere all of it."""


@dataclass(frozen=True)
class Labels:
    """What is known of N crops."""

    sets: np.ndarray
    """[N] str: the set each row is of."""
    source: np.ndarray
    """[N] str."""
    joints_px: np.ndarray
    """[N, 21, 2] float32: Thunder's, and BlazePose's of the joints that Thunder lacks."""
    visible: np.ndarray
    """[N, 21] float32 weight: 1 where both teachers agree, less where one alone is sure."""
    joints_m: np.ndarray
    """[N, 21, 3] float32: BlazePose's, root-relative, normalised size [m]."""
    weight_3d: np.ndarray
    """[N, 21] float32; 0 throughout where the teachers do not agree."""
    agreed: np.ndarray
    """[N] bool."""

    def first(self, count: int) -> Labels:
        """The labels of the first so many crops."""
        return Labels(*(getattr(self, name)[:count] for name in _FIELDS))


class People(Sequence[Sample]):
    """The crops of a folder's sets as samples, coded images in memory.

    Args:
        folder: of the layout above.
        part: of `held_out.PARTS`; rows are split by person, exercise or sequence.
        sets: names of folders; all that hold labels by default.
        agreed: only the crops on which both teachers agree.

    Raises:
        VnectError: the folder, a set or its labels are not as declared.
    """

    def __init__(
        self,
        folder: str | Path,
        part: str = "train",
        sets: Sequence[str] = (),
        agreed: bool = False,
    ) -> None:
        folder = Path(folder)
        names = list(sets) or sorted(p.parent.name for p in folder.glob("*/labels.npz"))
        if not names:
            raise VnectError(describe("people", str(folder), "a folder with SET/labels.npz"))
        read = [_read(folder / name, part, agreed) for name in names]
        self._images = [image for images, _ in read for image in _places(images)]
        self.labels = Labels(
            *(np.concatenate([getattr(labels, k) for _, labels in read]) for k in _FIELDS)
        )

    def __len__(self) -> int:
        return len(self._images)

    def image(self, i: int) -> np.ndarray:
        """[S, S, 3] uint8 RGB of the i-th crop."""
        images, row = self._images[i]
        return images[row]

    def __getitem__(self, i: int) -> Sample:  # type: ignore[override]
        of = self.labels
        return Sample(
            self.image(i), of.joints_px[i], of.visible[i], of.joints_m[i], of.weight_3d[i]
        )


_FIELDS = tuple(Labels.__dataclass_fields__)


def _places(images: archive.Images) -> list[tuple[archive.Images, int]]:
    return [(images, i) for i in range(len(images))]


def _read(folder: Path, part: str, agreed: bool) -> tuple[archive.Images, Labels]:
    data = archive.read_arrays(folder / "labels.npz", _SHAPES)
    names = archive.image_names(folder)
    if len(names) != len(data["source"]):
        count = len(data["source"])
        raise VnectError(describe(f"{folder}: images", len(names), f"one a row, {count}"))
    rows = held_out.rows_of(part, held_out.by_group(groups(folder.name, data["source"].tolist())))
    if agreed:
        rows = rows[data["agreed"][rows]]
    images = archive.Images(folder, [names[i] for i in rows])
    size = images[0].shape[1] if len(images) else 0
    return images, _labels(folder.name, {k: v[rows] for k, v in data.items()}, size)


def groups(name: str, source: Sequence[str]) -> list[str]:
    """The person, exercise or sequence that each row of a set shows, as far as paths tell it."""
    pattern = re.compile(_GROUP.get(name, r"(.*)"))
    found = []
    for path in source:
        match = pattern.fullmatch(str(path))
        found.append(f"{name}/{match.group(1) if match else path}")
    return found


def _labels(name: str, data: dict[str, np.ndarray], size: int) -> Labels:
    thunder = data["joints17_thunder"].astype(np.float64)
    thunder[..., :2] -= 0.5  # from a pixel's left edge to its centre
    joints_px = teachers.vnect_joints(thunder[..., :2])
    score = teachers.vnect_scores(thunder)
    other_px = teachers.vnect_joints(data["teacher_landmarks"][..., :2].astype(np.float64))
    lacking = ~np.isfinite(joints_px).all(axis=-1)
    near = np.linalg.norm(joints_px - other_px, axis=-1) < AGREE * size / MARGIN
    agreed = data["agreed"]
    visible = np.where(score >= teachers.SCORE, np.where(near, 1.0, 0.4), 0.0)
    # What only one teacher knows, or what is placed between joints, where both agree beside it.
    for joint, beside in _BESIDE.items():
        sure = agreed & near[:, [INDEX[b] for b in beside]].all(axis=1)
        visible[:, INDEX[joint]] = np.where(sure, 0.6, 0.0)
    joints_px[lacking] = other_px[lacking]
    visible *= inside(joints_px, size)
    joints_m, believable = teachers.locations(data["teacher_world"])
    weight = np.where(visible > 0.0, np.maximum(near, 0.6), 0.3)
    weight *= (agreed & believable)[:, None]
    return Labels(
        np.full(len(agreed), name),
        data["source"],
        joints_px.astype(np.float32),
        visible.astype(np.float32),
        joints_m.astype(np.float32),
        weight.astype(np.float32),
        agreed,
    )


_BESIDE: Final = {
    "right_hand": ("right_wrist",), "left_hand": ("left_wrist",),
    "right_toe": ("right_ankle",), "left_toe": ("left_ankle",),
    "neck": ("right_shoulder", "left_shoulder"), "head_top": ("head",),
    "pelvis": ("right_hip", "left_hip"),
    "spine": ("right_shoulder", "left_shoulder", "right_hip", "left_hip"),
}  # fmt: skip
"""Joints that Thunder has no keypoint of, and those beside them that must agree."""
