"""The long run of `benchmark --soak`: memory and latency over time."""

from __future__ import annotations

import os
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vnect_ros import steady
from vnect_ros.camera import Camera
from vnect_ros.cli import _pace
from vnect_ros.pipeline import Pipeline
from vnect_ros.recordings.frame import VideoFrame
from vnect_ros.records import Frame, State

MIB = float(1 << 20)
WARM_UP_FRAMES = 10
SAMPLE_S = 5.0
"""How often memory is looked at, and the latencies in between are condensed."""


@dataclass
class Course:
    """What was seen, a row a sample."""

    elapsed_s: list[float] = field(default_factory=list)
    memory_mib: list[float] = field(default_factory=list)
    median_ms: list[float] = field(default_factory=list)
    p95_ms: list[float] = field(default_factory=list)
    measured: list[float] = field(default_factory=list)
    """Share of the frames in which the person was measured."""
    frames: int = 0
    laps_s: array[float] = field(default_factory=lambda: array("f"))
    """Of every frame, but for those that warm the libraries up."""
    cpu_s: float = 0.0
    """Processor time of those frames."""


def watch(
    pipeline: Pipeline,
    camera: Camera,
    frames: Iterator[VideoFrame],
    duration_s: float,
    held_mib: float = 0.0,
    fast: bool = False,
) -> Course:
    """Play so many seconds of the frames and note the course.

    Args:
        held_mib: memory that the frames themselves take, left out of the course.
        fast: one after the other, instead of at their own rate; the course is
            still in the frames' time.
    """
    course = Course()
    begin = time.perf_counter()
    sampled_s = 0.0
    laps_ms: list[float] = []
    measured: list[bool] = []
    used_s = 0.0
    for frame in frames:
        if course.frames == WARM_UP_FRAMES:
            steady.settle()
            used_s = time.process_time()
        if not fast:
            time.sleep(max(begin + frame.stamp_s - time.perf_counter(), 0.0))
        poses = pipeline.step(Frame(frame.image, camera, frame.stamp_s))
        laps_ms.append(pipeline.timings_s["total"] * 1e3)
        measured.append(any(pose.state is State.MEASURED for pose in poses))
        if course.frames >= WARM_UP_FRAMES:
            course.laps_s.append(pipeline.timings_s["total"])
        course.frames += 1
        elapsed_s = frame.stamp_s if fast else time.perf_counter() - begin
        over = elapsed_s >= duration_s
        if elapsed_s - sampled_s >= SAMPLE_S or over:
            course.elapsed_s.append(elapsed_s)
            course.memory_mib.append(resident_mib() - held_mib)
            course.median_ms.append(float(np.median(laps_ms)))
            course.p95_ms.append(float(np.percentile(laps_ms, 95)))
            course.measured.append(float(np.mean(measured)))
            sampled_s, laps_ms, measured = elapsed_s, [], []
        if over:
            break
    course.cpu_s = time.process_time() - used_s
    return course


def summarise(course: Course) -> dict[str, float]:
    """The figures of a course.

    The growth is that of its second half; the changes compare its last quarter
    with its second one, by medians: the first belongs to the start.
    """
    elapsed, memory = np.array(course.elapsed_s), np.array(course.memory_mib)
    half = len(elapsed) // 2
    median_ms = np.array(course.median_ms)
    growth = np.polyfit(elapsed[half:], memory[half:], 1)[0] if len(elapsed) > half + 1 else 0.0
    return {
        "minutes": float(elapsed[-1]) / 60.0,
        "frames": float(course.frames),
        "rate_hz": course.frames / float(elapsed[-1]),
        "memory_first_mib": float(memory[0]),
        "memory_last_mib": float(memory[-1]),
        "memory_growth_mib_per_hour": float(growth) * 3600.0,
        "memory_change": _change(memory),
        "latency_change": _change(median_ms),
        "p95_ms_worst_sample": float(np.max(course.p95_ms)),
        "measured_share": float(np.mean(course.measured)),
        **(_pace.figures(np.array(course.laps_s), course.cpu_s) if course.laps_s else {}),
    }


def _change(values: np.ndarray) -> float:
    """Share by which the last quarter lies above the second."""
    quarter = max(len(values) // 4, 1)
    early = float(np.median(values[quarter : 2 * quarter] if len(values) > 3 else values))
    return float(np.median(values[-quarter:])) / early - 1.0


def plot(course: Course, file: str) -> None:
    """Draw memory and latency over time."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    minutes = np.array(course.elapsed_s) / 60.0
    figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(8, 5))
    above.plot(minutes, course.memory_mib)
    above.set_ylabel("memory [MiB]")
    above.set_ylim(0.0, 1.2 * max(course.memory_mib))  # a flat line is seen below the frame
    below.plot(minutes, course.median_ms, label="median")
    below.plot(minutes, course.p95_ms, label="95th percentile")
    below.set_ylabel("step [ms]")
    below.set_xlabel("time [min]")
    below.set_ylim(bottom=0.0)
    below.legend()
    figure.tight_layout()
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def resident_mib() -> float:
    """Memory of this process that is in RAM now [MiB]."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB
