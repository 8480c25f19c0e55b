"""Leeds Sports Pose Extended crops: the layout, and PCK by the torso's length.

A folder holds `labels.npz` (one row an image) and the crops: a tar file, row i
being its i-th image, or images in the folder (or in one folder in it), row i
being the i-th by name.  Of the labels, `joints14` [N, 14, 3] is needed: x, y in
pixels of the crop and visible 0/1, in the order of `JOINTS`.  The training reads
the same layout through this module.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from vnect_ros import skeleton
from vnect_ros.errors import VnectError, describe
from vnect_ros.evaluation import metrics

JOINTS: Final = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
    "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
    "neck", "head_top",
)  # fmt: skip
"""The 14 annotated joints, in the order of the labels."""
TO_VNECT: Final = tuple(skeleton.INDEX[name] for name in JOINTS)
"""Index of each annotated joint among VNect's 21."""
LIMBS: Final = tuple(range(12))
"""Rows of JOINTS that every method places alike; necks and head tops differ."""
IMAGES: Final = (".jpg", ".jpeg", ".png")
SPLITS: Final = ("all", "heldout", "train")
HELD_OUT_EVERY: Final = 20
HELD_OUT_REMAINDER: Final = 7
"""Rows i with i % 20 == 7 of the full set are never trained on."""
GROUPS: Final = {
    "shoulders": (8, 9), "elbows": (7, 10), "wrists": (6, 11),
    "hips": (2, 3), "knees": (1, 4), "ankles": (0, 5), "neck": (12,), "head_top": (13,),
}  # fmt: skip

_LEFT_SHOULDER, _RIGHT_HIP = JOINTS.index("left_shoulder"), JOINTS.index("right_hip")
MIRROR: Final = tuple(JOINTS.index(skeleton.JOINT_NAMES[skeleton.MIRROR[j]]) for j in TO_VNECT)


@dataclass(frozen=True)
class Crops:
    """A set of person crops with their truth."""

    names: tuple[str, ...]
    """[N] file name of each row's image."""
    rows: np.ndarray
    """[N] int64 row in labels.npz."""
    joints14: np.ndarray
    """[N, 14, 3] float32: x, y [px of the crop], visible 0/1."""
    folder: Path

    def coded(self) -> Iterator[bytes]:
        """The bytes of each row's image file."""
        archive = _archive(self.folder)
        if not archive:
            yield from ((self.folder / name).read_bytes() for name in self.names)
            return
        with tarfile.open(archive) as tar:
            members = {member.name: member for member in tar}
            for name in self.names:
                file = tar.extractfile(members[name])
                yield file.read() if file else b""

    def images(self) -> Iterator[np.ndarray]:
        """Each row's [h, w, 3] uint8 RGB image."""
        return (decoded(name, data) for name, data in zip(self.names, self.coded()))

    def __len__(self) -> int:
        return len(self.names)


def decoded(name: str, data: bytes) -> np.ndarray:
    """[h, w, 3] uint8 RGB of an image file's bytes; VnectError, by name, if it is none."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise VnectError(describe("image", name, "a readable image"))
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _archive(folder: Path) -> Path | None:
    """The folder's one tar file, if it has one."""
    archives = sorted(folder.glob("*.tar"))
    return archives[0] if len(archives) == 1 else None


def _image_names(folder: Path) -> list[str]:
    """Every crop of the folder, in the order of the labels."""
    archive = _archive(folder)
    if archive:
        with tarfile.open(archive) as tar:
            return [m.name for m in tar if m.isfile() and m.name.lower().endswith(IMAGES)]
    for pattern in ("*", "*/*"):
        paths = (p for p in folder.glob(pattern) if p.suffix.lower() in IMAGES)
        names = sorted(p.relative_to(folder).as_posix() for p in paths)
        if names:
            return names
    raise VnectError(describe("lspet", str(folder), "a folder with one tar file or images"))


def read_labels(folder: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a folder's labels.npz by name: `joints14`, and what else there is.

    Raises:
        VnectError: there is no such file, or no `joints14` [N, 14, 3] in it.
    """
    file = Path(folder) / "labels.npz"
    if not file.is_file():
        raise VnectError(describe("lspet", str(folder), "a folder that holds labels.npz"))
    with np.load(file, allow_pickle=False) as data:
        if "joints14" not in data or data["joints14"].shape[1:] != (14, 3):
            raise VnectError(describe("labels.npz", sorted(data.files), "joints14 [N, 14, 3]"))
        return {name: data[name] for name in data.files}


def load(folder: str | Path, split: str = "all", images: str | Path | None = None) -> Crops:
    """Read the layout.

    Args:
        folder: holds labels.npz and the crops.
        split: "all" rows, or the "heldout" ones (i % 20 == 7) that training leaves out,
            or the "train" ones that it takes.
        images: where the crops are, if not in `folder`.

    Raises:
        VnectError: the folder, the labels or the split are not as declared.
    """
    if split not in SPLITS:
        raise VnectError(describe("split", split, ", ".join(SPLITS)))
    joints14 = read_labels(folder)["joints14"].astype(np.float32)
    place = Path(folder if images is None else images)
    names = _image_names(place)
    if len(names) != len(joints14):
        raise VnectError(describe("images", len(names), f"one a row of labels, {len(joints14)}"))
    rows = np.arange(len(names))
    held_out = rows % HELD_OUT_EVERY == HELD_OUT_REMAINDER
    kept = {"all": np.ones_like(held_out), "heldout": held_out, "train": ~held_out}
    rows = rows[kept[split]]
    return Crops(tuple(names[i] for i in rows), rows, joints14[rows], place)


def torso_px(joints14: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The torso's diameter: left shoulder to right hip, as annotated.

    Returns:
        [N] length [px], and [N] bool: both ends are annotated as visible.
    """
    ends = joints14[:, [_LEFT_SHOULDER, _RIGHT_HIP]]
    return np.linalg.norm(ends[:, 0, :2] - ends[:, 1, :2], axis=-1), (ends[..., 2] > 0.5).all(1)


def annotated_joints(predictions_px: np.ndarray) -> np.ndarray:
    """[N, 14, 2] in the order of JOINTS, of [N, 21, 2] VNect joints or of themselves."""
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
        predictions_px: [N, 21, 2] VNect joints or [N, 14, 2] annotated joints, pixels
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
    near_other = metrics.pck2d_hits(predicted, truth[:, list(MIRROR)], torso, 0.2)
    both = visible & visible[:, list(MIRROR)]

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
    mirrored = predicted[:, list(MIRROR)]
    distance = [
        np.where(_visible(joints14), np.linalg.norm(p - joints14[..., :2], axis=-1), 0.0)
        for p in (predicted, mirrored)
    ]
    for limb in ((0, 1, 2, 3, 4, 5), (6, 7, 8, 9, 10, 11)):
        better = distance[1][:, limb].sum(axis=1) < distance[0][:, limb].sum(axis=1)
        predicted[np.ix_(better, limb)] = mirrored[np.ix_(better, limb)]
    return predicted
