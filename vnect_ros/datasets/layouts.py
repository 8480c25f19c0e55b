"""Public data sets in the layouts that their users have.

MPI-INF-3DHP (training part), Human3.6M (layout of Moon et al., ICCV 2019) and
MPII (annotations as JSON).  None of them comes with this package; each has its
own licence, which binds the weights trained on it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from vnect_ros.datasets.cropping import Truth, crop_sample
from vnect_ros.datasets.sample import Sample
from vnect_ros.errors import ImageError, VnectError, describe
from vnect_ros.skeleton import INDEX, NUM_JOINTS

MPI_INF_3DHP_JOINTS: Final = (
    7,
    5,
    14,
    15,
    16,
    9,
    10,
    11,
    23,
    24,
    25,
    18,
    19,
    20,
    4,
    3,
    6,
    17,
    12,
    27,
    22,
)
"""Our 21 joints among the set's 28 (0-based)."""

HUMAN36M_JOINTS: Final = (
    "pelvis",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "spine",
    "neck",
    "head",
    "head_top",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
)

MPII_JOINTS: Final = (
    "right_ankle",
    "right_knee",
    "right_hip",
    "left_hip",
    "left_knee",
    "left_ankle",
    "pelvis",
    None,
    "neck",
    "head_top",
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
)
"""The set's 16 joints; its thorax (7) has no counterpart."""


@dataclass(frozen=True)
class _Entry:
    file: Path
    frame: int
    """Frame of a video, or -1 for an image file."""
    truth: Truth


class Photographs(Sequence[Sample]):
    """Samples cut from image or video files on demand.

    Args:
        entries: file, frame and truth of each.
        size: edge of the samples [px].
    """

    def __init__(self, entries: Sequence[_Entry], size: int = 256) -> None:
        self._entries, self._size = list(entries), size

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, i: int) -> Sample:  # type: ignore[override]
        entry = self._entries[i]
        image = _read(entry.file, entry.frame)
        return crop_sample(image, entry.truth, self._size)


def _read(file: Path, frame: int) -> np.ndarray:
    if frame < 0:
        image = cv2.imread(str(file), cv2.IMREAD_COLOR)
    else:
        video = cv2.VideoCapture(str(file))
        video.set(cv2.CAP_PROP_POS_FRAMES, frame)
        _, image = video.read()
        video.release()
    if image is None:
        raise ImageError(describe("image", f"{file} frame {frame}", "an image OpenCV reads"))
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _spread(values: np.ndarray, names: Sequence[str | None]) -> np.ndarray:
    """[J, D] joints of a set to our [21, D], NaN where it has none."""
    out = np.full((NUM_JOINTS, values.shape[-1]), np.nan)
    for row, name in zip(values, names):
        if name is not None:
            out[INDEX[name]] = row
    return out


def mpi_inf_3dhp(
    folder: str | Path,
    subjects: Sequence[int] = (1, 2, 3, 4, 5, 6, 7, 8),
    cameras: Sequence[int] = (0, 1, 2, 4, 5, 6, 7, 8),
    every: int = 10,
    size: int = 256,
) -> Photographs:
    """The training part: `S<n>/Seq<m>/annot.mat`, `camera.calibration`, `imageSequence/`.

    Of annot.mat `annot2` and `annot3` (a cell a camera, [F, 84], 28 joints,
    millimetres in the camera frame).  Images are `imageSequence/video_<c>.avi` or,
    extracted, `imageSequence/video_<c>/*.jpg`, row i being its i-th by name.

    Raises:
        VnectError: no sequence is there, or one is not as declared.
    """
    from scipy.io import loadmat

    entries: list[_Entry] = []
    for subject in subjects:
        for file in sorted(Path(folder).glob(f"S{subject}/Seq*/annot.mat")):
            data = loadmat(file)
            if "annot2" not in data or "annot3" not in data:
                raise VnectError(describe(f"{file}", sorted(data), "annot2 and annot3"))
            intrinsics = _read_calibration(file.with_name("camera.calibration"))
            for c in cameras:
                if c >= len(data["annot2"]):
                    continue
                pixels = np.asarray(data["annot2"][c, 0], float).reshape(-1, 28, 2)
                metres = np.asarray(data["annot3"][c, 0], float).reshape(-1, 28, 3) / 1e3
                source = file.parent / "imageSequence" / f"video_{c}"
                images = sorted(source.glob("*.jpg"))
                for f in range(0, len(pixels), every):
                    truth = Truth(
                        pixels[f, list(MPI_INF_3DHP_JOINTS)],
                        np.ones(NUM_JOINTS),
                        metres[f, list(MPI_INF_3DHP_JOINTS)],
                        intrinsics[c],
                    )
                    if images and f < len(images):
                        entries.append(_Entry(images[f], -1, truth))
                    elif not images:
                        entries.append(_Entry(source.with_suffix(".avi"), f, truth))
    if not entries:
        raise VnectError(describe("mpi_inf_3dhp", str(folder), "a folder with S1/Seq1/annot.mat"))
    return Photographs(entries, size)


def _read_calibration(file: Path) -> list[np.ndarray]:
    """K of each camera from a `camera.calibration` (lines `intrinsic` and 16 numbers)."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words and words[0] == "intrinsic":
            found.append(np.array([float(w) for w in words[1:17]]).reshape(4, 4)[:3, :3])
    if not found:
        raise VnectError(describe(str(file), "no line `intrinsic`", "one a camera"))
    return found


def human36m(
    folder: str | Path, subjects: Sequence[int] = (1, 5, 6, 7, 8), every: int = 5, size: int = 256
) -> Photographs:
    """`annotations/Human36M_subject<S>_{data,camera,joint_3d}.json` and `images/`.

    World millimetres, camera R, t, f, c.  S9 and S11 are the usual test subjects.

    Raises:
        VnectError: no subject is there, or a field is missing.
    """
    folder = Path(folder)
    entries: list[_Entry] = []
    for subject in subjects:
        stem = folder / "annotations" / f"Human36M_subject{subject}"
        if not Path(f"{stem}_data.json").is_file():
            continue
        parts = [
            json.loads(Path(f"{stem}_{part}.json").read_text(encoding="utf-8"))
            for part in ("data", "camera", "joint_3d")
        ]
        try:
            entries += _human36m_subject(folder / "images", every, *parts)
        except (KeyError, IndexError) as error:
            raise VnectError(describe(f"{stem.name}: {error}", None, "a field")) from error
    if not entries:
        accepted = "a folder with annotations/Human36M_subject1_data.json"
        raise VnectError(describe("human36m", str(folder), accepted))
    return Photographs(entries, size)


def _human36m_subject(
    images: Path, every: int, data: Any, cameras: Any, joints: Any
) -> list[_Entry]:
    entries = []
    for row in data["images"]:
        if row["frame_idx"] % every:
            continue
        camera = cameras[str(row["cam_idx"])]
        frames = joints[str(row["action_idx"])][str(row["subaction_idx"])]
        world = np.array(frames[str(row["frame_idx"])], float)
        points_m = world @ np.array(camera["R"], float).T + np.array(camera["t"], float).reshape(3)
        points_m = _spread(points_m / 1e3, HUMAN36M_JOINTS)
        (fx, fy), (cx, cy) = camera["f"], camera["c"]
        k = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])
        flat = points_m @ k.T
        visible = np.isfinite(flat[:, 2]).astype(float)
        truth = Truth(flat[:, :2] / flat[:, 2:], visible, points_m, k)
        entries.append(_Entry(images / row["file_name"], -1, truth))
    return entries


def mpii(folder: str | Path, annotations: str = "annot/train.json", size: int = 256) -> Photographs:
    """`images/` and annotations as JSON: rows of `image`, `joints` [16, 2], `joints_vis` [16].

    The layout of the common conversions of the set; joints are 0-based pixels, a
    negative position is unknown.

    Raises:
        VnectError: the annotations are missing or not as declared.
    """
    file = Path(folder) / annotations
    if not file.is_file():
        raise VnectError(describe("mpii", str(folder), f"a folder with {annotations}"))
    entries = []
    for row in json.loads(file.read_text(encoding="utf-8")):
        if "joints" not in row or len(row["joints"]) != len(MPII_JOINTS):
            raise VnectError(describe(f"{file}: joints", row.get("joints"), "16 positions a row"))
        points = np.array(row["joints"], float)
        known = np.array(row["joints_vis"], float) * (points >= 0).all(axis=1)
        if known.sum() < 4:
            continue
        joints_px = _spread(points, MPII_JOINTS)
        visible = np.nan_to_num(_spread(known[:, None], MPII_JOINTS)[:, 0])
        truth = Truth(np.nan_to_num(joints_px), visible)
        entries.append(_Entry(Path(folder) / "images" / row["image"], -1, truth))
    return Photographs(entries, size)
