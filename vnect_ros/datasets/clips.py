"""Videos with camera truth of one person, or of several.

A folder holds `NAME.mp4` beside `NAME.npz` (or `NAME_truth.npz`): `joints_camera_m`
[F, 21, 3] metric in the camera's optical frame, `joints_px` [F, 21, 2], the
intrinsics `fx`, `fy`, `cx`, `cy` of the images, `fps`, and optionally `height_m`
(the person's standing height), `occluded` [F, 21], `distortion` and
`distortion_model`.  NaN stands for no truth.

Of several people the arrays have an axis of people behind that of frames, `height_m` is
[P], and `occluded` is needed (true outside the picture too); with
`transform_camera_from_world` [F, 4, 4] the floor, z = 0 of the world, is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vnect_ros.body.urdf import mean_bone_lengths
from vnect_ros.camera import Camera
from vnect_ros.datasets.photographs import ImageFiles
from vnect_ros.errors import VnectError, describe
from vnect_ros.recordings.frame import VideoFrame
from vnect_ros.recordings.video import Video
from vnect_ros.records import Plane
from vnect_ros.skeleton import KNEE_NECK_WEIGHTS, knee_neck_length


@dataclass(frozen=True)
class _Filmed:
    name: str
    video: Iterable[VideoFrame]
    camera: Camera
    fps: float


@dataclass(frozen=True)
class Clip(_Filmed):
    """One video of one person and its truth."""

    joints_camera_m: np.ndarray
    """[F, 21, 3] metric, camera frame; NaN where unknown."""
    joints_px: np.ndarray
    """[F, 21, 2] image; NaN where unknown."""
    height_m: float | None = None
    occluded: np.ndarray | None = None
    """[F, 21] bool."""


@dataclass(frozen=True)
class PeopleClip(_Filmed):
    """One video of several people and its truth."""

    joints_camera_m: np.ndarray
    """[F, P, 21, 3] metric, camera frame."""
    joints_px: np.ndarray
    """[F, P, 21, 2] image; NaN behind the camera."""
    heights_m: np.ndarray
    """[P] standing."""
    occluded: np.ndarray
    """[F, P, 21] bool: hidden, or outside the picture."""
    floors: tuple[Plane | None, ...]
    """[F] None where the floor is not known."""


def load_clips(folder: str | Path) -> list[Clip | PeopleClip]:
    """Every clip of a folder, by name.

    Raises:
        VnectError: there is none, or a truth lacks a field.
    """
    found = []
    for video in sorted(Path(folder).glob("*.mp4")):
        for truth in (video.with_suffix(".npz"), video.with_name(f"{video.stem}_truth.npz")):
            if truth.is_file():
                found.append(read_clip(video, truth))
                break
    if not found:
        raise VnectError(describe("clips", str(folder), "a folder with NAME.mp4 and NAME.npz"))
    return found


def read_clip(video: Path, truth: Path) -> Clip | PeopleClip:
    """A video and its truth.

    Raises:
        VnectError: the truth lacks a field, or the video has no frame.
    """
    with np.load(truth, allow_pickle=False) as data:
        values = {key: data[key] for key in data.files}
    needed = ["joints_camera_m", "joints_px", "fx", "fy", "cx", "cy", "fps"]
    people = "joints_camera_m" in values and values["joints_camera_m"].ndim == 4
    needed += ["height_m", "occluded"] if people else []
    missing = [key for key in needed if key not in values]
    if missing:
        raise VnectError(describe(f"{truth.name}: {missing[0]}", None, "a field"))
    fps = float(values["fps"])
    frames = Video(video, fps)
    camera = _camera(video, frames, values)
    joints_m, joints_px = (values[k].astype(np.float64) for k in ("joints_camera_m", "joints_px"))
    if people:
        placed = values.get("transform_camera_from_world")
        floors = (
            (None,) * len(joints_m)
            if placed is None
            else tuple(Plane.of_ground(np.linalg.inv(transform)) for transform in placed)
        )
        hidden = values["occluded"] > 0.5
        heights = values["height_m"]
        return PeopleClip(
            video.stem, frames, camera, fps, joints_m, joints_px, heights, hidden, floors
        )
    return Clip(
        name=video.stem,
        video=frames,
        camera=camera,
        fps=fps,
        joints_camera_m=joints_m,
        joints_px=joints_px,
        height_m=float(np.mean(values["height_m"])) if "height_m" in values else None,
        occluded=values["occluded"] > 0.5 if "occluded" in values else None,
    )


def _camera(file: Path, frames: Video, values: dict[str, np.ndarray]) -> Camera:
    """The camera of a truth's fields, for the size of the video's images."""
    first = next(iter(frames), None)
    if first is None:
        raise VnectError(describe("clip", str(file), "a video with frames"))
    height, width = first.image.shape[:2]
    fx, fy, cx, cy = (float(values[key]) for key in ("fx", "fy", "cx", "cy"))
    model = str(values.get("distortion_model", "plumb_bob"))
    distortion = tuple(np.ravel(values.get("distortion", ())).tolist())
    return Camera(width, height, fx, fy, cx, cy, model, distortion)


def clip_of_files(
    name: str,
    files: ImageFiles,
    camera: Camera,
    joints_camera_m: np.ndarray,
    joints_px: np.ndarray,
) -> Clip:
    """A clip of a set that states nobody's height: that of a mean body with its thighs and spine.

    Args:
        joints_camera_m: [F, 21, 3]; NaN where unknown.
        joints_px: [F, 21, 2] likewise.
    """
    height_m = mean_height_m(joints_camera_m)
    return Clip(name, files, camera, files.fps, joints_camera_m, joints_px, height_m)


def mean_height_m(joints_camera_m: np.ndarray) -> float:
    """Height of a mean adult with the median knee-to-neck length of [F, 21, 3] joints."""
    share = float(mean_bone_lengths(1.0) @ KNEE_NECK_WEIGHTS)
    return float(np.nanmedian(knee_neck_length(joints_camera_m))) / share
