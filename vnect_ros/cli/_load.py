"""The tables of `benchmark --load`: every stage alone and beside busy processes; baselines."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from vnect_ros import steady
from vnect_ros.camera import Camera
from vnect_ros.cli import _common, _pace
from vnect_ros.errors import BackendError, ConfigError, describe
from vnect_ros.pipeline import Pipeline
from vnect_ros.records import Frame, State

BUSY: Final = """
import os

parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""
"""Ends with whoever started it, however that ends."""
MEDIAPIPE: Final = {"MediaPipe Pose full": 1, "MediaPipe Pose heavy": 2}
"""Name to its complexity."""
CHILD_TIMEOUT_S: Final = 600.0
COLUMNS: Final = {
    "median_ms": "median ms",
    "p95_ms": "p95 ms",
    "p999_ms": "p99.9 ms",
    "longest_ms": "longest ms",
    "cpu_ms_a_frame": "CPU ms",
    "core_at_30_hz": "core at 30 Hz",
    "seen": "seen",
}

SHOWN: Final = ("median_ms", "p95_ms")
"""Of each stage."""


def run(
    pipeline: Pipeline, camera: Camera, images: Sequence[np.ndarray], step_s: float, args: Any
) -> dict[str, Any]:
    """Play the images at their own rate, alone and beside busy processes, and print the tables.

    Args:
        images: [H, W, 3] uint8 RGB each, played there and back.
        step_s: between two of them [s].
        args: of the command line: load, nice, frames, warm_up, baselines.

    Returns:
        What `--json` writes: a row for each program and load, and our stages at each load.

    Raises:
        BackendError: a baseline is missing or fails.
        ConfigError: the niceness is not accepted.
    """
    rows: list[dict[str, Any]] = []
    stages: dict[str, dict[str, dict[str, float]]] = {}
    count = args.warm_up + args.frames
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "images.npy"
        if args.baselines:
            np.save(file, np.stack(images))
        for busy in sorted({0, args.load or 0}):
            with busy_processes(busy), _niceness(args.nice):
                row, stages[str(busy)] = _ours(
                    pipeline, camera, images, step_s, count, args.warm_up
                )
                rows.append({"program": "vnect_ros", "busy": busy, **row})
                for name, complexity in MEDIAPIPE.items() if args.baselines else ():
                    row = _mediapipe(file, step_s, complexity, count, args.warm_up)
                    rows.append({"program": name, "busy": busy, **row})
    print(_stage_table(stages))
    print()
    print(_program_table(rows))
    return {"programs": rows, "stages_ms": stages}


@contextlib.contextmanager
def _niceness(value: int | None) -> Iterator[None]:
    """That niceness for all threads of this process, and for what it starts: the baselines.

    None leaves it as it is.

    Raises:
        ConfigError: it is above that of the busy processes, or the system does not permit it.
    """
    if value is None:
        yield
        return
    before = steady.niceness()
    if value > before:
        accepted = f"at most {before}, which the busy processes have"
        raise ConfigError(describe("--nice", value, accepted))
    steady.set_niceness(value)
    try:
        yield
    finally:
        steady.set_niceness(before)


@contextlib.contextmanager
def busy_processes(count: int) -> Iterator[list[int]]:
    """So many processes beside this one that compute without end; gives their ids."""
    running = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield [process.pid for process in running]
    finally:
        for process in running:
            process.kill()
            process.wait()


def _ours(
    pipeline: Pipeline,
    camera: Camera,
    images: Sequence[np.ndarray],
    step_s: float,
    count: int,
    skip: int,
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The pipeline's figures, and those of each of its stages."""
    laps: list[dict[str, float]] = []
    seen = 0

    def step(image: np.ndarray, stamp_s: float) -> None:
        nonlocal seen
        poses = pipeline.step(Frame(image, camera, stamp_s))
        seen += any(pose.state is State.MEASURED for pose in poses)
        laps.append(pipeline.timings_s)
        if len(laps) == skip:
            steady.settle()

    pipeline.reset()
    frames = _pace.there_and_back(images, step_s)
    row = _pace.play(itertools.islice(frames, count), step, skip)
    stages = {
        stage: _pace.spread_ms(np.array([lap[stage] for lap in laps[skip:]])) for stage in laps[0]
    }
    return {**row, "seen": seen / count}, stages


def _mediapipe(
    file: Path, step_s: float, complexity: int, count: int, skip: int
) -> dict[str, float]:
    """The figures of MediaPipe on the same images, from a process of its own."""
    from vnect_ros.evaluation.baselines import FOLDER

    place = FOLDER / "mediapipe"
    if not place.is_dir():
        raise BackendError(describe("--baselines", str(place), "filled by scripts/get_baselines"))
    root = Path(__file__).resolve().parents[2]
    path = os.pathsep.join([str(place), str(root), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "vnect_ros.cli._mediapipe", str(file), str(step_s)]
    command += [str(complexity), str(count), str(skip)]
    child = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)},
        capture_output=True, text=True, timeout=CHILD_TIMEOUT_S, check=False,
    )  # fmt: skip
    if child.returncode != 0:
        raise BackendError(f"MediaPipe: {child.stderr.strip().splitlines()[-1:]}")
    found: dict[str, float] = json.loads(child.stdout.strip().splitlines()[-1])
    return found


def _stage_table(stages: dict[str, dict[str, dict[str, float]]]) -> str:
    """Median and 95 % of each stage, two columns for each load."""
    header = ["stage"]
    for busy in stages:
        beside = "alone" if busy == "0" else f"beside {busy}"
        header += [f"{beside}: median ms", "p95 ms"]
    rows = [
        [stage, *(f"{found[stage][key]:.2f}" for found in stages.values() for key in SHOWN)]
        for stage in next(iter(stages.values()))
    ]
    return _common.table(header, rows)


def _program_table(rows: Sequence[dict[str, Any]]) -> str:
    shown = [
        [f"{row['program']}, {row['busy']} busy processes beside it"]
        + [f"{row[key]:.2f}" for key in COLUMNS]
        for row in rows
    ]
    return _common.table(("program", *COLUMNS.values()), shown)
