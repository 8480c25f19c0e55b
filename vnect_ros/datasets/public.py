"""The public sets in the layouts that their users have: MPI-INF-3DHP and Human3.6M.

Neither set states a person's height, so the pipeline is given that of a mean
body with the truth's knee-to-neck length.  Their joints map onto VNect's first
17; hands and toes have no truth.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from vnect_ros.body.urdf import mean_bone_lengths
from vnect_ros.camera import Camera
from vnect_ros.errors import ImageError, VnectError, describe
from vnect_ros.evaluation.clips import Clip
from vnect_ros.recordings.video import VideoFrame
from vnect_ros.skeleton import INDEX, NUM_JOINTS, knee_neck_length

MPI_INF_3DHP_FPS: Final = 25.0
"""The test set's layout does not state its rate; it scales accelerations and filters."""
HUMAN36M_FPS: Final = 50.0
"""Of the original videos; a layout that keeps every n-th frame has a n-th of it."""
HUMAN36M_SUBJECTS: Final = (9, 11)
HUMAN36M_JOINTS: Final = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "spine", "neck", "head", "head_top", "left_shoulder", "left_elbow", "left_wrist",
    "right_shoulder", "right_elbow", "right_wrist",
)  # fmt: skip


@dataclass(frozen=True)
class Pictures:
    """The images of one sequence, in order."""

    files: Sequence[Path]
    fps: float

    def __iter__(self) -> Iterator[VideoFrame]:
        for i, file in enumerate(self.files):
            image = cv2.imread(str(file), cv2.IMREAD_COLOR)
            if image is None:
                raise ImageError(describe("image", str(file), "an image OpenCV reads"))
            yield VideoFrame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), i / self.fps)


def mean_height_m(joints_camera_m: np.ndarray) -> float:
    """Height of a mean adult with the median knee-to-neck length of [F, 21, 3] joints."""
    bones = mean_bone_lengths(1.0)
    thigh = (bones[INDEX["right_knee"]] + bones[INDEX["left_knee"]]) / 2.0
    share = float(thigh + bones[INDEX["spine"]] + bones[INDEX["neck"]])
    return float(np.nanmedian(knee_neck_length(joints_camera_m))) / share


def mpi_inf_3dhp(folder: str | Path) -> list[Clip]:
    """The test set: `TS1` to `TS6`, each `imageSequence/*.jpg` and `annot_data.mat`.

    Of the annotation `annot2` [F, 17, 2] and `annot3` [F, 17, 3] (camera frame, mm)
    are read, and `valid_frame`: other frames have no truth.  The intrinsics are
    those that take annot3 to annot2.

    Raises:
        VnectError: no sequence is there, one is not as declared, or h5py is missing.
    """
    try:
        import h5py
    except ImportError as error:
        raise VnectError(f"mpi-inf-3dhp needs h5py: {error}") from error
    folder = Path(folder)
    files = sorted(folder.glob("TS*/annot_data.mat"))
    if not files:
        raise VnectError(describe("mpi_inf_3dhp", str(folder), "a folder with TS1/annot_data.mat"))
    clips = []
    for file in files:
        with h5py.File(file, "r") as data:
            missing = [k for k in ("annot2", "annot3", "valid_frame") if k not in data]
            if missing:
                raise VnectError(describe(f"{file}: {missing[0]}", None, "a field"))
            valid = np.asarray(data["valid_frame"]).reshape(-1) > 0
            pixels_px = np.asarray(data["annot2"]).reshape(len(valid), 17, 2)
            joints_m = np.asarray(data["annot3"]).reshape(len(valid), 17, 3) / 1e3
        images = sorted((file.parent / "imageSequence").glob("*.jpg"))
        if len(images) != len(valid):
            raise VnectError(describe(f"{file.parent.name}: images", len(images), str(len(valid))))
        first = cv2.imread(str(images[0]))
        camera = fitted_camera(joints_m[valid], pixels_px[valid], first.shape[1], first.shape[0])
        clips.append(
            _clip(
                file.parent.name,
                Pictures(images, MPI_INF_3DHP_FPS),
                camera,
                np.where(valid[:, None, None], joints_m, np.nan),
                np.where(valid[:, None, None], pixels_px, np.nan),
                tuple(range(17)),
            )
        )
    return clips


def fitted_camera(joints_m: np.ndarray, pixels_px: np.ndarray, width: int, height: int) -> Camera:
    """The pinhole that takes [F, J, 3] camera-frame points to [F, J, 2] pixels best."""
    slopes = (joints_m[..., :2] / joints_m[..., 2:]).reshape(-1, 2)
    pixels = pixels_px.reshape(-1, 2)
    (fx, cx), (fy, cy) = (np.polyfit(slopes[:, i], pixels[:, i], 1) for i in (0, 1))
    return Camera(width, height, fx, fy, cx, cy)


def human36m(folder: str | Path) -> list[Clip]:
    """S9 and S11 in the layout of Moon et al. (ICCV 2019).

    `annotations/Human36M_subject<S>_{data,camera,joint_3d}.json` and
    `images/<file_name of the data>`; world millimetres, camera R, t, f, c.

    Raises:
        VnectError: a file or a field is missing.
    """
    folder = Path(folder)
    clips: list[Clip] = []
    for subject in HUMAN36M_SUBJECTS:
        stem = folder / "annotations" / f"Human36M_subject{subject}"
        if not Path(f"{stem}_data.json").is_file():
            continue
        data, cameras, joints = (
            json.loads(Path(f"{stem}_{part}.json").read_text(encoding="utf-8"))
            for part in ("data", "camera", "joint_3d")
        )
        try:
            clips += _human36m_subject(folder / "images", subject, data, cameras, joints)
        except (KeyError, IndexError) as error:
            raise VnectError(describe(f"{stem.name}: {error}", None, "a field")) from error
    if not clips:
        accepted = "a folder with annotations/Human36M_subject9_data.json"
        raise VnectError(describe("human36m", str(folder), accepted))
    return clips


def _human36m_subject(
    images: Path, subject: int, data: Any, cameras: Any, joints: Any
) -> Iterator[Clip]:
    sequences: dict[tuple[int, int, int], list[Any]] = defaultdict(list)
    for image in data["images"]:
        sequences[(image["action_idx"], image["subaction_idx"], image["cam_idx"])].append(image)
    for (action, subaction, cam), rows in sorted(sequences.items()):
        rows.sort(key=lambda row: row["frame_idx"])
        frames = [row["frame_idx"] for row in rows]
        step = float(np.median(np.diff(frames))) if len(frames) > 1 else 1.0
        declared = cameras[str(cam)]
        rotation, shift = np.array(declared["R"], float), np.array(declared["t"], float).reshape(3)
        world = joints[str(action)][str(subaction)]
        points_m = np.array([world[str(i)] for i in frames], float) @ rotation.T + shift
        points_m /= 1e3
        (fx, fy), (cx, cy) = declared["f"], declared["c"]
        camera = Camera(rows[0]["width"], rows[0]["height"], fx, fy, cx, cy)
        yield _clip(
            f"S{subject}_{action:02d}_{subaction:02d}_{cam:02d}",
            Pictures([images / row["file_name"] for row in rows], HUMAN36M_FPS / step),
            camera,
            points_m,
            camera.project(points_m),
            tuple(INDEX[name] for name in HUMAN36M_JOINTS),
        )


def _clip(
    name: str,
    pictures: Pictures,
    camera: Camera,
    joints_m: np.ndarray,
    pixels_px: np.ndarray,
    indices: Sequence[int],
) -> Clip:
    """A clip of [F, J, 3] and [F, J, 2] truth whose joints are those indices of ours."""
    joints_camera_m = np.full((len(joints_m), NUM_JOINTS, 3), np.nan)
    joints_px = np.full((len(joints_m), NUM_JOINTS, 2), np.nan)
    joints_camera_m[:, list(indices)] = joints_m
    joints_px[:, list(indices)] = pixels_px
    return Clip(
        name=name,
        video=pictures,
        camera=camera,
        fps=pictures.fps,
        joints_camera_m=joints_camera_m,
        joints_px=joints_px,
        height_m=mean_height_m(joints_camera_m),
    )
