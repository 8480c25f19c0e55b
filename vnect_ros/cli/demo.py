"""The whole way through ROS: a video is published, followed, received and summed up."""

from __future__ import annotations

import argparse
import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vnect_ros import drawing
from vnect_ros.camera import Camera
from vnect_ros.cli import _common
from vnect_ros.config import ModelConfig, flatten
from vnect_ros.datasets.clips import PeopleClip, read_clip
from vnect_ros.errors import ImageError, VnectError, describe
from vnect_ros.evaluation import metrics, people_clips
from vnect_ros.evaluation.people_clips import MAX_PEOPLE
from vnect_ros.inference import bundles
from vnect_ros.recordings.frame import fitted, size
from vnect_ros.recordings.video import Video
from vnect_ros.recordings.writer import VideoWriter
from vnect_ros.records import State
from vnect_ros.skeleton import PELVIS

DESCRIPTION = """
Start the video publisher, the node and a listener as processes of their own,
play a video once through ROS, and sum up what was received: frames, states,
rates, latency from the image's stamp to receipt, reprojection residual, and,
where the truth lies beside the video (NAME_truth.npz), the error in mm, and of
several people how well they were told apart (IDF1, MOTA, switches).  DIR
gets received.npz and overlay.mp4.
"""
NAMESPACE = "/demo"
READY_TIMEOUT_S = 60.0
WAIT_S = 30.0
"""How long the publisher waits for the node at most [s]."""
END_TIMEOUT_S = 15.0


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = _common.parser("demo", DESCRIPTION)
    parser.add_argument(
        "video",
        nargs="?",
        metavar="VIDEO",
        help="a video file (default: a bundled clip of rendered people)",
    )
    parser.add_argument(
        "--people",
        action="store_true",
        help="follow everybody (max_people is 6), by default in the clip of three people",
    )
    parser.add_argument(
        "--out", default="demo_out", metavar="DIR", help="for the results (default: demo_out)"
    )
    parser.add_argument(
        "--size", type=size, metavar="WxH",
        help="publish images scaled to fit this size, the rest black (default: as they are)",
    )  # fmt: skip
    parser.add_argument("--compressed", action="store_true", help="publish them as JPEGs")
    parser.add_argument("--no-overlay", action="store_true", help="leave overlay.mp4 out")
    _common.add_camera(parser)
    _common.add_model(parser)
    _common.add_settings(parser)
    args = parser.parse_args(argv)
    return _common.run("demo", lambda: _demo(args))


def _demo(args: argparse.Namespace) -> None:
    args.video = args.video or _common.demo_clip(args.people)
    if args.people:
        args.set = [f"max_people={MAX_PEOPLE}", *args.set]
    if not args.video:
        raise ImageError(describe("VIDEO", "", "a video file: the bundled clip is not installed"))
    _common.settings(args.set)
    bundles.load(args.model, args.precision)
    video, out = Video(args.video), Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    _play(args, out)
    published = np.load(out / "published.npz")["stamps_s"]
    received = dict(np.load(out / "received.npz"))
    truth = load_truth(args.video)
    summary = summarise(published, received, truth)
    if truth is not None and truth["joints_camera_m"].ndim == 4:
        try:
            summary.update(identities(Path(args.video), published, received))
        except VnectError as error:  # motmetrics need not be installed
            print(f"demo: {error}", file=sys.stderr)
    print(_common.table(("demo", ""), rows(summary)))
    if not args.no_overlay:
        camera = _camera(args, video, truth)
        camera = camera.fitted(*(args.size or (camera.width, camera.height)))
        draw(out / "overlay.mp4", video, camera, published, received)
        print(f"overlay: {out / 'overlay.mp4'}")
    _common.write_json(args.json, summary)


def _play(args: argparse.Namespace, out: Path) -> None:
    """Run the three processes until the video is over.

    Raises:
        VnectError: one of them did not do its part; its last words are shown.
    """
    for file in ("published.npz", "received.npz"):
        (out / file).unlink(missing_ok=True)
    node = ["vnect_ros.ros.start", "--ros-args"]
    for key in flatten(ModelConfig()):
        if getattr(args, key) not in ("", 0):
            node += ["-p", f"{key}:={getattr(args, key)}"]
    for change in args.set:
        node += ["-p", change.replace("=", ":=", 1)]
    publisher = ["vnect_ros.ros.video_publisher", args.video, "--once", "--wait", str(WAIT_S)]
    publisher += ["--log", str(out / "published.npz")]
    if args.size:
        publisher += ["--size", "{}x{}".format(*args.size)]
    if args.compressed:
        publisher += ["--compressed"]
        node += ["-p", "image_transport:=compressed"]
    if args.camera:
        publisher += ["--camera", args.camera, *(["--rectified"] if args.rectified else [])]
    if args.fov is not None:
        publisher += ["--fov", str(args.fov)]
    listener = ["vnect_ros.ros.recorder", "--out", str(out)]
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        running["node"] = _start(node, out / "node.log")
        running["listener"] = _start([*listener, "--ros-args"], out / "listener.log")
        _await_line(running["listener"], out / "listener.log", "listening")
        running["publisher"] = _start([*publisher, "--ros-args"], out / "publisher.log")
        _await_end(running, out)
    finally:
        for process in running.values():
            _end(process)
    written = out / "received.npz"
    if not written.is_file() or "stamps_s" not in np.load(written):
        raise VnectError("nothing was received; " + _last_words("node", out))


def _start(module: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", *module, "-r", f"__ns:={NAMESPACE}"]
    with log.open("wb") as stream:
        return subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)


def _await_line(process: subprocess.Popen[bytes], log: Path, line: str) -> None:
    """Wait until the process has written the line."""
    deadline = time.monotonic() + READY_TIMEOUT_S
    while line not in log.read_text(errors="replace"):
        if process.poll() is not None or time.monotonic() > deadline:
            raise VnectError(_last_words(log.stem, log.parent))
        time.sleep(0.05)


def _await_end(running: dict[str, subprocess.Popen[bytes]], out: Path) -> None:
    """Wait for the publisher to end by itself; the others must outlive it."""
    while running["publisher"].poll() is None:
        for name in ("node", "listener"):
            if running[name].poll() is not None:
                raise VnectError(_last_words(name, out))
        time.sleep(0.1)
    if running["publisher"].returncode != 0:
        raise VnectError(_last_words("publisher", out))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a process as Ctrl-C does; kill it if that does not help."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_words(name: str, out: Path) -> str:
    lines = (out / f"{name}.log").read_text(errors="replace").strip().splitlines()[-12:]
    return "\n  ".join([f"the {name} failed; its last words ({out / name}.log):", *lines])


def truth_file(video: str | Path) -> Path:
    """The file of the truth beside a video, whether it is there or not."""
    return Path(video).with_name(Path(video).stem + "_truth.npz")


def load_truth(video: str | Path) -> dict[str, np.ndarray] | None:
    """The truth beside a video, NAME_truth.npz: joints_camera_m and intrinsics.

    The joints are [F, 21, 3], of several people [F, P, 21, 3].

    Raises:
        VnectError: the file is there but lacks an array.
    """
    file = truth_file(video)
    if not file.is_file():
        return None
    content = dict(np.load(file))
    for key in ("joints_camera_m", "fx", "fy", "cx", "cy", "width", "height"):
        if key not in content:
            raise VnectError(describe(f"{file}: {key}", None, "an array"))
    return content


def summarise(
    published_s: np.ndarray, received: dict[str, np.ndarray], truth: dict[str, np.ndarray] | None
) -> dict[str, Any]:
    """What the table shows.

    Args:
        published_s: [F] stamps of the video's frames in order [s].
        received: the listener's arrays, a row a skeleton.
        truth: of `load_truth`.
    """
    states, stamps_s = received["state"].astype(str), received["stamps_s"]
    tracked = states != State.LOST.value
    latency_ms = (received["received_s"] - stamps_s) * 1e3
    summary: dict[str, Any] = {
        "frames_in": len(published_s),
        "skeletons_out": len(stamps_s),
        **{state.value: int((states == state.value).sum()) for state in State},
        "rate_in_hz": _rate(published_s),
        "rate_out_hz": _rate(np.unique(stamps_s)),
        "latency_p50_ms": _percentile(latency_ms, 50.0),
        "latency_p95_ms": _percentile(latency_ms, 95.0),
        "residual_median_px": _percentile(received["residual_px"][tracked], 50.0),
        "tf_messages": int(received["tf_count"]),
        "marker_messages": int(received["marker_count"]),
        "joint_state_messages": int(received["joint_state_count"]),
    }
    summary.update(_stages(received, latency_ms))
    several = truth is not None and truth["joints_camera_m"].ndim == 4
    if truth is not None and not several:
        frames = frame_indices(published_s, stamps_s)
        valid = tracked & (frames >= 0) & (frames < len(truth["joints_camera_m"]))
        fitted = received["joints_m"][valid]
        real = truth["joints_camera_m"][frames[valid]].astype(np.float64)
        if len(fitted):
            errors_m = metrics.joint_errors(fitted, real)
            root_m = np.linalg.norm(fitted[:, PELVIS] - real[:, PELVIS], axis=1)
            distance_m = np.linalg.norm(real[:, PELVIS], axis=1)
            summary["error_mpjpe_mm"] = metrics.mpjpe(fitted, real) * 1e3
            summary["error_3dpck_150mm"] = metrics.pck3d(errors_m)
            summary["error_root_mm"] = float(np.nanmean(root_m)) * 1e3
            summary["error_root_share_of_distance"] = float(np.nanmean(root_m / distance_m))
    return summary


def identities(
    video: Path, published_s: np.ndarray, received: dict[str, np.ndarray]
) -> dict[str, Any]:
    """How well several people were told apart, and the errors of their joints.

    The frames that the node answered count: where it is slower than the camera, in
    `idf1_of_all_frames` everybody is missed in each of the others.

    Args:
        video: with the truth of several people beside it.
        published_s, received: as of `summarise`.
    """
    clip = read_clip(video, truth_file(video))
    assert isinstance(clip, PeopleClip)
    frames = frame_indices(published_s, received["stamps_s"])
    answered = np.unique(frames[(frames >= 0) & (frames < len(clip.floors))])
    kept = (received["state"].astype(str) != State.LOST.value) & np.isin(frames, answered)
    keys = ("id", "joints_m", "height_m", "height_std_m")
    tracks = people_clips.Tracks(frames[kept], *(received[key][kept] for key in keys))
    found = people_clips.summary({clip.name: people_clips.score(clip, tracks, answered)})
    of_all = people_clips.summary({clip.name: people_clips.score(clip, tracks)})
    return {
        "people": found["n"],
        "frames_answered": len(answered),
        **{key: found[key] for key in ("idf1", "mota", "switches")},
        "idf1_of_all_frames": of_all["idf1"],
        "error_mpjpe_mm": found["mpjpe_mm"],
        "error_root_mm": found["root_mm"],
        "error_root_share_of_distance": found["root_share"],
    }


def _stages(received: dict[str, np.ndarray], latency_ms: np.ndarray) -> dict[str, Any]:
    """How long an image's stages took, from its stamp to receipt, and how much they differed."""
    if "stages" not in received:
        return {}
    stages = dict(zip(received["stages"].tolist(), received["stages_ms"].tolist()))
    on_way_ms = latency_ms - received["latency_s"] * 1e3
    stages["published to received"] = [_percentile(on_way_ms, share) for share in (50.0, 95.0)]
    return {
        f"{stage.replace(' ', '_')}_{name}_ms": ms
        for stage, shares in stages.items()
        for name, ms in zip(("p50", "p95"), shares)
    }


def frame_indices(published_s: np.ndarray, stamps_s: np.ndarray) -> np.ndarray:
    """[T] index of the video's frame each stamp belongs to; -1 where there is none."""
    if not len(published_s):
        return np.full(len(stamps_s), -1)
    nearest = np.abs(np.asarray(stamps_s)[:, None] - published_s).argmin(axis=1)
    return np.where(np.abs(published_s[nearest] - stamps_s) < 1e-4, nearest, -1)


def rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The summary as lines of the table."""
    shown = {
        "rate_in_hz": "{:.1f}", "rate_out_hz": "{:.1f}",
        "residual_median_px": "{:.2f}", "idf1": "{:.3f}", "mota": "{:.3f}",
        "idf1_of_all_frames": "{:.3f}",
        "error_mpjpe_mm": "{:.1f}", "error_3dpck_150mm": "{:.3f}",
        "error_root_mm": "{:.0f}", "error_root_share_of_distance": "{:.1%}",
    }  # fmt: skip
    return [
        (key, "-" if value is None else shown.get(key, _format(key)).format(value))
        for key, value in summary.items()
    ]


def _format(key: str) -> str:
    return "{:.1f}" if key.endswith("_ms") else "{}"


def draw(
    file: Path,
    video: Video,
    camera: Camera,
    published_s: np.ndarray,
    received: dict[str, np.ndarray],
) -> None:
    """Write the video with the received skeletons; skipped frames keep the last one's."""
    frame_of_row = frame_indices(published_s, received["stamps_s"])
    shown: list[tuple[drawing.Drawable, np.ndarray | None]] = []
    frames = itertools.islice(video, len(published_s))
    with VideoWriter(file, video.fps) as writer:
        for index, frame in enumerate(tqdm(frames, total=len(published_s), unit="frame")):
            rows = np.flatnonzero(frame_of_row == index)
            shown = [_picture(row, camera, received) for row in rows.tolist()] or shown
            image = fitted(frame.image, (camera.width, camera.height))
            writer.write(drawing.side_by_side(image, shown))


def _picture(
    row: int, camera: Camera, received: dict[str, np.ndarray]
) -> tuple[drawing.Drawable, np.ndarray | None]:
    """What is drawn of a received skeleton, and its fitted joints in the image [px]."""
    picture = drawing.Picture(
        State(str(received["state"][row])),
        received["joints_px"][row],
        received["confidence"][row],
        received["joints_m"][row],
        float(received["residual_px"][row]),
    )
    return picture, camera.project(received["joints_m"][row])


def _camera(args: argparse.Namespace, video: Video, truth: dict[str, np.ndarray] | None) -> Camera:
    """The camera the fitted joints are drawn with."""
    first = next(iter(video))
    height, width = first.image.shape[:2]
    if truth is not None and not args.camera and args.fov is None:
        fx, fy, cx, cy = (float(truth[key]) for key in ("fx", "fy", "cx", "cy"))
        known = Camera(int(truth["width"]), int(truth["height"]), fx, fy, cx, cy)
        return known.for_image(width, height)  # as the video publisher does
    return _common.load_camera(args, width, height, first.camera)


def _rate(stamps_s: np.ndarray) -> float:
    elapsed = float(stamps_s[-1] - stamps_s[0]) if len(stamps_s) > 1 else 0.0
    return (len(stamps_s) - 1) / elapsed if elapsed > 0.0 else 0.0


def _percentile(values: np.ndarray, share: float) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.percentile(finite, share)) if len(finite) else None


if __name__ == "__main__":
    sys.exit(main())
