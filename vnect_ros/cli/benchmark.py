"""Time the pipeline stage by stage, and watch it for hours."""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vnect_ros.camera import Camera
from vnect_ros.cli import _backend_table, _common, _load, _pace, _soak
from vnect_ros.errors import ImageError, describe
from vnect_ros.pipeline import Pipeline
from vnect_ros.recordings.frame import VideoFrame
from vnect_ros.recordings.video import Video
from vnect_ros.records import Frame, State

DESCRIPTION = """
Time the pipeline stage by stage over a video that is played again and again:
median and 95th percentile of the frames in which a person was measured, memory,
and the time from the start of a process to its first pose.  Where ROS can be
imported, the conversion from and to messages is timed too.  With --soak the
video is played at its own rate (or --fast) for so many minutes, and memory and
latency are watched.  With --load the frames come at the video's own rate, alone and beside
so many busy processes, with the processor time of a frame; --baselines plays them to
MediaPipe Pose too.  With --backends every runtime and precision that works here is timed.
"""
STAGES = ("convert", "crop", "network", "decode", "filter", "fit", "publish", "total")
WARM_UP_FRAMES = 10
FIRST_POSE = "first pose"
HELD_FRAMES = 100
"""Frames of the video that are played; what they take is left out of the memory shown."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = _parser().parse_args(arguments)
    if args.backends:
        return _common.run(
            "benchmark", lambda: _common.write_json(args.json, _backend_table.run(args))
        )
    if args.first_pose:
        return _common.run("benchmark", lambda: _first_pose(args))
    return _common.run("benchmark", lambda: _benchmark(args, arguments))


def _parser() -> argparse.ArgumentParser:
    parser = _common.parser("benchmark", DESCRIPTION)
    clip = _common.demo_clip()
    parser.add_argument(
        "video",
        nargs="?",
        default=clip,
        metavar="VIDEO",
        help="a video file, or a folder of images (default: the bundled clip)",
    )
    parser.add_argument("--frames", type=int, default=200, help="frames to time (default: 200)")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="time the processor, of all threads, in place of the wall: on a machine that is busy",
    )
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="watch it for so long")
    parser.add_argument(
        "--fast", action="store_true",
        help="of --soak: frame upon frame, so that the minutes are over sooner",
    )  # fmt: skip
    parser.add_argument("--plot", metavar="FILE", help="of --soak: a picture of its course (PNG)")
    parser.add_argument(
        "--load",
        type=int,
        metavar="N",
        help="at the video's rate, alone and beside N busy processes",
    )
    parser.add_argument(
        "--baselines", action="store_true",
        help="of --load: MediaPipe Pose full and heavy too, which scripts/get_baselines brings",
    )  # fmt: skip
    parser.add_argument(
        "--warm-up", type=int, default=60, help="of --load: frames that do not count (default: 60)"
    )
    parser.add_argument(
        "--nice", type=int, metavar="N",
        help="of --load: the niceness of whom we time, baselines too, beside busy processes of "
        "the niceness that this program has; below 0 needs the right to it (default: the same)",
    )  # fmt: skip
    parser.add_argument("--no-start-up", action="store_true", help="leave the start-up time out")
    parser.add_argument("--first-pose", action="store_true", help=argparse.SUPPRESS)
    _backend_table.add_arguments(parser)
    _common.add_camera(parser)
    _common.add_model(parser)
    _common.add_settings(parser)
    return parser


def _benchmark(args: argparse.Namespace, arguments: Sequence[str]) -> None:
    if not args.video:
        raise ImageError(describe("VIDEO", "", "a video file: the bundled clip is not installed"))
    found: dict[str, Any] = {
        "machine": {
            "cpus": os.cpu_count(),
            "processor": _processor(),
            "python": platform.python_version(),
        },
        "video": Path(args.video).name,
    }
    frames = list(itertools.islice(Video(args.video), HELD_FRAMES))
    if not frames:
        raise ImageError(describe("video", args.video, "at least one frame"))
    held_mib = sum(frame.image.nbytes for frame in frames) / _soak.MIB
    height, width = frames[0].image.shape[:2]
    found["image"] = [width, height]
    backend = _common.load_backend(args)
    clock = time.process_time if args.cpu_time else time.perf_counter
    pipeline = Pipeline(_common.settings(args.set), backend, clock)
    found["clock"] = "processor" if args.cpu_time else "wall"
    model = backend.model
    found.update(model=model.name, precision=model.precision, backend=backend.name)
    camera = _common.load_camera(args, width, height, frames[0].camera)
    if args.soak:
        course = _soak.watch(
            pipeline, camera, looped(frames), args.soak * 60.0, held_mib, args.fast
        )
        found["soak"] = _soak.summarise(course)
        if args.plot:
            _soak.plot(course, args.plot)
        rows = [(key, f"{value:.2f}") for key, value in found["soak"].items()]
        print(_common.table(("soak", ""), rows))
    elif args.load is not None or args.baselines:
        images = [frame.image for frame in frames]
        print(_head(found))
        found["load"] = _load.run(pipeline, camera, images, _period_s(frames), args)
    else:
        found["stages_ms"], found["states"] = _time_stages(
            pipeline, camera, looped(frames), args.frames, clock
        )
        found["memory_mib"] = _soak.resident_mib() - held_mib
        if not args.no_start_up:
            found["start_to_first_pose_s"] = _start_up(arguments)
        print(_report(found))
    backend.close()
    _common.write_json(args.json, found)


def looped(frames: Sequence[VideoFrame]) -> Iterator[VideoFrame]:
    """The frames again and again, forwards and backwards so that nobody jumps; time goes on."""
    images = [frame.image for frame in frames]
    for image, stamp_s in _pace.there_and_back(images, _period_s(frames)):
        yield VideoFrame(image, stamp_s)


def _period_s(frames: Sequence[VideoFrame]) -> float:
    return frames[1].stamp_s - frames[0].stamp_s if len(frames) > 1 else 1.0 / 30.0


def _time_stages(
    pipeline: Pipeline,
    camera: Camera,
    frames: Iterator[VideoFrame],
    count: int,
    clock: Callable[[], float],
) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    """Median and 95th percentile [ms] of each stage, and how often each state was."""
    ros = _ros_stages(camera)
    laps: list[dict[str, float]] = []
    states = dict.fromkeys((state.value for state in State), 0)
    for i, frame in enumerate(itertools.islice(frames, WARM_UP_FRAMES + count)):
        image, stamp_s = frame.image, frame.stamp_s
        lap: dict[str, float] = {}
        if ros is not None:
            message = ros.message(image, stamp_s)
            begin = clock()
            image = ros.convert(message)
            lap["convert"] = clock() - begin
        poses = pipeline.step(Frame(image, camera, stamp_s))
        lap.update(pipeline.timings_s)
        if ros is not None:
            begin = clock()
            ros.publish(poses, stamp_s)
            lap["publish"] = clock() - begin
            lap["total"] += lap["convert"] + lap["publish"]
        if i >= WARM_UP_FRAMES:
            state = poses[0].state if poses else State.LOST
            states[state.value] += 1
            if state is State.MEASURED:
                laps.append(lap)
    if ros is not None:
        ros.close()
    table = {}
    for stage in STAGES:
        values_ms = np.array([lap[stage] for lap in laps if stage in lap]) * 1e3
        if len(values_ms):
            table[stage] = {
                "median": float(np.median(values_ms)),
                "p95": float(np.percentile(values_ms, 95)),
            }
    return table, states


def _ros_stages(camera: Camera) -> Any:
    """The conversions from and to messages, where ROS is at hand; else None."""
    try:
        from vnect_ros.ros.benchmark_stages import RosStages
    except ImportError:
        return None
    return RosStages(camera)


def _first_pose(args: argparse.Namespace) -> None:
    """Run until the first pose and say so: what `_start_up` times from outside."""
    pipeline, camera = Pipeline(_common.settings(args.set), _common.load_backend(args)), None
    for frame in Video(args.video):
        if camera is None:
            height, width = frame.image.shape[:2]
            camera = _common.load_camera(args, width, height, frame.camera)
        poses = pipeline.step(Frame(frame.image, camera, frame.stamp_s))
        if poses and poses[0].state is State.MEASURED:
            print(FIRST_POSE, flush=True)
            return
    raise ImageError(describe("video", args.video, "one in which somebody is seen"))


def _start_up(arguments: Sequence[str]) -> float:
    """Seconds from the start of a process to its first pose [s]; NaN if it fails."""
    command = [sys.executable, "-m", "vnect_ros.cli.benchmark", *arguments, "--first-pose"]
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    begin = time.perf_counter()
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        said = child.stdout.readline().strip()
        took_s = time.perf_counter() - begin
    return took_s if said == FIRST_POSE else float("nan")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.lower().startswith(("model name", "hardware")):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _head(found: dict[str, Any]) -> str:
    """What was measured where."""
    machine = found["machine"]
    width, height = found["image"]
    clock = "" if found["clock"] == "wall" else " (time of the processor, not of the wall)"
    return (
        f"{found['model']} ({found['precision']}) on {found['backend']}, {found['video']} "
        f"{width}x{height}\n{machine['processor']}, {machine['cpus']} CPUs{clock}\n"
    )


def _report(found: dict[str, Any]) -> str:
    stages = found["stages_ms"]
    rows = [(stage, f"{ms['median']:.2f}", f"{ms['p95']:.2f}") for stage, ms in stages.items()]
    states = ", ".join(f"{count} {state}" for state, count in found["states"].items() if count)
    foot = f"frames: {states}\nmemory: {found['memory_mib']:.0f} MiB"
    if "start_to_first_pose_s" in found:
        foot += f"\nstart to first pose: {found['start_to_first_pose_s']:.2f} s"
    return "\n".join(
        [_head(found), _common.table(("stage", "median ms", "p95 ms"), rows), "", foot]
    )


if __name__ == "__main__":
    sys.exit(main())
