"""Run the pipeline over a video: poses.npz and overlay.mp4."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vnect_ros import drawing
from vnect_ros.camera import Camera
from vnect_ros.cli import _common
from vnect_ros.errors import ImageError, describe
from vnect_ros.pipeline import Pipeline
from vnect_ros.recordings.writer import VideoWriter
from vnect_ros.records import Frame, Pose, State, nobody
from vnect_ros.skeleton import JOINT_NAMES

DESCRIPTION = """
Run the pipeline over a video file, a folder of images or a bag, offline.  DIR
gets poses.npz: stamps_s [T] from the first frame on, or a bag's own, state [T],
joints_px [T,21,2] in pixels of the full image, confidence [T,21], joints_raw_m
[T,21,3] the network's root-relative output, joints_cam_m [T,21,3] the fit in
the camera's optical frame, orientations_xyzw [T,21,4], q [T,N] and q_names,
joint_names; NaN where LOST.  And overlay.mp4: the skeleton over the image
beside a 3D view.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = _common.parser("process", DESCRIPTION)
    _common.add_video(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--limit", type=int, metavar="N", help="stop after so many frames")
    parser.add_argument("--no-overlay", action="store_true", help="write poses.npz alone")
    _common.add_camera(parser)
    _common.add_model(parser)
    _common.add_settings(parser)
    args = parser.parse_args(argv)
    return _common.run("process", lambda: _process(args))


def _process(args: Any) -> None:
    config = _common.settings(args.set)
    video = _common.open_video(args)
    backend = _common.load_backend(args)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    pipeline, camera = Pipeline(config, backend), None
    poses: list[Pose] = []
    total_s: list[float] = []
    length = min(video.count or sys.maxsize, args.limit or sys.maxsize)
    with VideoWriter(out / "overlay.mp4", video.fps) as writer:
        frames = itertools.islice(video, args.limit)
        for frame in tqdm(frames, total=None if length == sys.maxsize else length, unit="frame"):
            height, width = frame.image.shape[:2]
            if frame.camera or not camera or (camera.width, camera.height) != (width, height):
                camera = _common.load_camera(args, width, height, frame.camera)
            people = pipeline.step(Frame(frame.image, camera, frame.stamp_s))
            pose = people[0] if people else nobody(frame.stamp_s)
            poses.append(pose)
            total_s.append(pipeline.timings_s["total"])
            if not args.no_overlay:
                fitted_px = camera.project(pose.joints_camera_m)
                picture = drawing.side_by_side(frame.image, pose, fitted_px)
                writer.write(picture, frame.stamp_s)
    backend.close()
    if not poses:
        raise ImageError(describe("video", args.video, "at least one frame"))
    write_poses(out / "poses.npz", poses)
    summary = {"frames_lost": video.lost, **summarise(poses, total_s, camera)}
    _common.write_json(args.json, summary)
    print(_common.table(("process", ""), [(key, _shown(value)) for key, value in summary.items()]))


def write_poses(file: Path, poses: Sequence[Pose]) -> None:
    """Write the poses of a video, in the layout that DESCRIPTION states."""
    q_names = next((pose.q_names for pose in poses if pose.q_names), ())
    nan_q = np.full(len(q_names), np.nan)
    arrays = {
        "joints_px": [pose.joints_px for pose in poses],
        "joints_raw_m": [pose.joints_raw_m for pose in poses],
        "joints_cam_m": [pose.joints_camera_m for pose in poses],
        "orientations_xyzw": [pose.orientations_xyzw for pose in poses],
        "q": [pose.q if len(pose.q) == len(q_names) else nan_q for pose in poses],
    }
    lost = np.array([pose.state is State.LOST for pose in poses], dtype=bool)
    stacked = {key: np.array(values, dtype=np.float64) for key, values in arrays.items()}
    for values in stacked.values():
        values[lost] = np.nan
    np.savez_compressed(
        file,
        stamps_s=np.array([pose.stamp_s for pose in poses]),
        state=np.array([pose.state.value for pose in poses]),
        confidence=np.array([pose.confidence for pose in poses]),
        q_names=np.array(q_names),
        joint_names=np.array(JOINT_NAMES),
        **stacked,
    )


def summarise(
    poses: Sequence[Pose], total_s: Sequence[float], camera: Camera | None
) -> dict[str, Any]:
    """What the table shows."""
    states = [pose.state for pose in poses]
    measured = [pose for pose in poses if pose.state is State.MEASURED]
    milliseconds = np.array(total_s) * 1e3
    return {
        "frames": len(poses),
        **{state.value: states.count(state) for state in State},
        "camera": "none" if camera is None else "calibrated" if camera.calibrated else "a guess",
        "residual_px_median": float(np.median([pose.residual_px for pose in measured]))
        if measured
        else None,
        "step_ms_median": float(np.median(milliseconds)) if len(poses) else None,
        "step_ms_p95": float(np.percentile(milliseconds, 95)) if len(poses) else None,
    }


def _shown(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else "-" if value is None else str(value)


if __name__ == "__main__":
    sys.exit(main())
