"""Human3.6M (Ionescu et al., PAMI 2014) in the layout of Moon et al. (ICCV 2019).

`annotations/Human36M_subject<S>_{data,camera,joint_3d}.json` and `images/<file_name of
the data>`; world millimetres, camera R, t, f, c.  The set does not come with this
package, and has its own licence, which binds the weights that are trained on it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from vnect_ros.camera import Camera
from vnect_ros.datasets.clips import Clip, clip_of_files
from vnect_ros.datasets.cropping import Truth
from vnect_ros.datasets.photographs import Entry, ImageFiles, Photographs, placed
from vnect_ros.errors import VnectError, describe
from vnect_ros.skeleton import INDEX

JOINTS: Final = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "spine", "neck", "head", "head_top", "left_shoulder", "left_elbow", "left_wrist",
    "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip
"""The set's 17 joints; it has no hands and toes."""
FPS: Final = 50.0
"""Of the original videos; a layout that keeps every n-th frame has a n-th of it."""
TRAINING_SUBJECTS: Final = (1, 5, 6, 7, 8)
TEST_SUBJECTS: Final = (9, 11)
_COLUMNS = tuple(INDEX[name] for name in JOINTS)


@dataclass(frozen=True)
class _Row:
    """One image of a subject."""

    sequence: tuple[int, int, int]
    """Action, subaction, camera."""
    frame: int
    file: Path
    camera: Camera
    joints_camera_m: np.ndarray
    """[21, 3]."""


def stills(
    folder: str | Path,
    subjects: Sequence[int] = TRAINING_SUBJECTS,
    every: int = 5,
    size: int = 256,
) -> Photographs:
    """Samples of every so-many-th frame.

    Raises:
        VnectError: no subject is there, or a field is missing.
    """
    entries = []
    for row in _rows(folder, subjects, every):
        joints_px = row.camera.project(row.joints_camera_m)
        visible = np.isfinite(joints_px).all(axis=1).astype(float)
        entries.append(Entry(row.file, Truth(joints_px, visible, row.joints_camera_m, row.camera)))
    return Photographs(entries, size)


def clips(folder: str | Path, subjects: Sequence[int] = TEST_SUBJECTS) -> list[Clip]:
    """Every sequence of every camera; see `stills`."""
    found = []
    for subject in subjects:
        sequences: dict[tuple[int, int, int], list[_Row]] = defaultdict(list)
        for row in _rows(folder, [subject], 1, needed=False):
            sequences[row.sequence].append(row)
        for (action, subaction, cam), rows in sorted(sequences.items()):
            rows.sort(key=lambda row: row.frame)
            frames = [row.frame for row in rows]
            step = float(np.median(np.diff(frames))) if len(frames) > 1 else 1.0
            joints_m = np.stack([row.joints_camera_m for row in rows])
            found.append(
                clip_of_files(
                    f"S{subject}_{action:02d}_{subaction:02d}_{cam:02d}",
                    ImageFiles([row.file for row in rows], FPS / step),
                    rows[0].camera,
                    joints_m,
                    rows[0].camera.project(joints_m),
                )
            )
    if not found:
        raise _nothing(folder, subjects[0])
    return found


def _nothing(folder: str | Path, subject: int) -> VnectError:
    accepted = f"a folder with annotations/Human36M_subject{subject}_data.json"
    return VnectError(describe("human36m", str(folder), accepted))


def _rows(
    folder: str | Path, subjects: Sequence[int], every: int, needed: bool = True
) -> list[_Row]:
    found: list[_Row] = []
    for subject in subjects:
        stem = Path(folder) / "annotations" / f"Human36M_subject{subject}"
        if not Path(f"{stem}_data.json").is_file():
            continue
        data, cameras, joints = (
            json.loads(Path(f"{stem}_{part}.json").read_text(encoding="utf-8"))
            for part in ("data", "camera", "joint_3d")
        )
        try:
            found += _subject(Path(folder) / "images", every, data, cameras, joints)
        except (KeyError, IndexError) as error:
            raise VnectError(describe(f"{stem.name}: {error}", None, "a field")) from error
    if needed and not found:
        raise _nothing(folder, subjects[0])
    return found


def _subject(images: Path, every: int, data: Any, cameras: Any, joints: Any) -> Iterator[_Row]:
    for row in data["images"]:
        frame = row["frame_idx"]
        if frame % every:
            continue
        sequence = (row["action_idx"], row["subaction_idx"], row["cam_idx"])
        declared = cameras[str(row["cam_idx"])]
        rotation, shift = np.array(declared["R"], float), np.array(declared["t"], float).reshape(3)
        world = np.array(joints[str(sequence[0])][str(sequence[1])][str(frame)], float)
        points_m = placed((world @ rotation.T + shift) / 1e3, _COLUMNS)
        (fx, fy), (cx, cy) = declared["f"], declared["c"]
        camera = Camera(row["width"], row["height"], fx, fy, cx, cy)
        yield _Row(sequence, frame, images / row["file_name"], camera, points_m)
