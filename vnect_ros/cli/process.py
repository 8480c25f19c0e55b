"""Run the pipeline over a recording: poses.npz, overlay.mp4, and the node's outputs as a bag."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from vnect_ros import drawing
from vnect_ros.camera import Camera
from vnect_ros.cli import _common
from vnect_ros.config import NodeConfig, PipelineConfig, flatten, replace
from vnect_ros.errors import ImageError, VnectError, describe
from vnect_ros.pipeline import Pipeline
from vnect_ros.recordings.writer import VideoWriter
from vnect_ros.records import Frame, Pose, State, nobody
from vnect_ros.skeleton import JOINT_NAMES

if TYPE_CHECKING:
    from vnect_ros.ros.bag_recorder import BagRecorder

DESCRIPTION = """
Run the pipeline over a video file, a folder of images or a bag, offline.  DIR
gets poses.npz, a row for each person of each frame, and one that is LOST for a
frame without anybody: frame [R] its number, id [R], stamps_s [R] from the first
frame on, or a bag's own, state [R], joints_px [R,21,2] in pixels of the full
image, confidence [R,21], joints_raw_m [R,21,3] the network's root-relative
output, joints_cam_m [R,21,3] the fit in the camera's optical frame,
orientations_xyzw [R,21,4], q [R,N] and q_names, joint_names; NaN where LOST.
And overlay.mp4: the skeletons over the image beside a 3D view.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = _common.parser("process", DESCRIPTION)
    _common.add_video(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--bag",
        metavar="BAG",
        help="write skeletons, TF, markers, joint states and URDF to this new bag, to be played"
        " beside the original (needs ROS 2)",
    )
    parser.add_argument(
        "--limit", type=_common.positive, metavar="N", help="stop after so many frames"
    )
    parser.add_argument("--no-overlay", action="store_true", help="leave overlay.mp4 out")
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
    rows: list[tuple[int, Pose]] = []
    total_s: list[float] = []
    length = min(video.count or sys.maxsize, args.limit or sys.maxsize)
    total = None if length == sys.maxsize else length
    frames = itertools.islice(video, args.limit)
    with VideoWriter(out / "overlay.mp4", video.fps) as writer, _recorder(args, config) as recorder:
        for number, frame in enumerate(tqdm(frames, total=total, unit="frame")):
            height, width = frame.image.shape[:2]
            if frame.camera or not camera or (camera.width, camera.height) != (width, height):
                camera = _common.load_camera(args, width, height, frame.camera)
            stamp_s = frame.stamp_ns * 1e-9 or frame.stamp_s
            poses = pipeline.step(Frame(frame.image, camera, stamp_s))
            rows += [(number, pose) for pose in poses or [nobody(stamp_s)]]
            total_s.append(pipeline.timings_s["total"])
            if not args.no_overlay:
                writer.write(_drawn(frame.image, poses, camera), frame.stamp_s)
            if recorder is not None:
                recorder.write(poses, camera, frame, total_s[-1])
    backend.close()
    if not rows:
        raise ImageError(describe("video", args.video, "at least one frame"))
    write_poses(out / "poses.npz", rows)
    summary = {"frames_lost": video.lost, **summarise(rows, total_s, camera)}
    _common.write_json(args.json, summary)
    print(_common.table(("process", ""), [(key, _shown(value)) for key, value in summary.items()]))


def _recorder(
    args: Any, config: PipelineConfig
) -> contextlib.AbstractContextManager[BagRecorder | None]:
    if not args.bag:
        return contextlib.nullcontext()
    try:
        from vnect_ros.ros.bag_recorder import BagRecorder
    except ImportError as error:
        raise VnectError(f"--bag needs ROS 2 and this package's messages ({error})") from error
    return BagRecorder(Path(args.bag), replace(NodeConfig(), flatten(config)))


def _drawn(image: np.ndarray, poses: Sequence[Pose], camera: Camera) -> np.ndarray:
    """Everybody over the image and beside it in space."""
    shown = poses or [nobody(0.0)]
    people = [(pose, camera.project(pose.joints_camera_m)) for pose in shown]
    return drawing.side_by_side(image, people)


def write_poses(file: Path, rows: Sequence[tuple[int, Pose]]) -> None:
    """Write the poses of a recording, in the layout that DESCRIPTION states."""
    poses = [pose for _, pose in rows]
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
    stacked: dict[str, Any] = {
        key: np.array(values, dtype=np.float64) for key, values in arrays.items()
    }
    for values in stacked.values():
        values[lost] = np.nan
    np.savez_compressed(
        file,
        frame=np.array([number for number, _ in rows]),
        id=np.array([pose.id for pose in poses]),
        stamps_s=np.array([pose.stamp_s for pose in poses]),
        state=np.array([pose.state.value for pose in poses]),
        confidence=np.array([pose.confidence for pose in poses]),
        q_names=np.array(q_names),
        joint_names=np.array(JOINT_NAMES),
        **stacked,
    )


def summarise(
    rows: Sequence[tuple[int, Pose]], total_s: Sequence[float], camera: Camera | None
) -> dict[str, Any]:
    """What the table shows."""
    poses = [pose for _, pose in rows]
    states = [pose.state for pose in poses]
    measured = [pose for pose in poses if pose.state is State.MEASURED]
    at_once = Counter(number for number, pose in rows if pose.state is not State.LOST)
    milliseconds = np.array(total_s) * 1e3
    return {
        "frames": len(total_s),
        "people": len({pose.id for pose in measured}),
        "people_at_once": max(at_once.values(), default=0),
        **{state.value: states.count(state) for state in State},
        "camera": "none" if camera is None else "calibrated" if camera.calibrated else "a guess",
        "residual_px_median": float(np.median([pose.residual_px for pose in measured]))
        if measured
        else None,
        "step_ms_median": float(np.median(milliseconds)) if len(total_s) else None,
        "step_ms_p95": float(np.percentile(milliseconds, 95)) if len(total_s) else None,
    }


def _shown(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else "-" if value is None else str(value)


if __name__ == "__main__":
    sys.exit(main())
