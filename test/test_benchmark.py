"""The benchmark runs over a real video and says what the issue asks for; no timing is judged."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
from fake_backend import standing_bundle

from vnect_ros import steady
from vnect_ros.cli import _load, _pace, _soak, benchmark
from vnect_ros.evaluation import baselines
from vnect_ros.recordings.video import VideoFrame
from vnect_ros.recordings.writer import VideoWriter


@pytest.fixture
def video(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25.0) as writer:
        for i in range(12):
            writer.write(np.full((120, 160, 3), 10 * i, np.uint8))
    return str(tmp_path / "a.mp4")


@pytest.fixture
def model(tmp_path):
    bundle = standing_bundle(tmp_path / "bundle").folder
    return ["--model", str(bundle), "--backend", "onnxruntime"]


def test_stages_memory_and_start_up(tmp_path, video, model, capsys):
    file = tmp_path / "b.json"
    assert benchmark.main([video, "--frames", "20", "--json", str(file), *model]) == 0
    found = json.loads(file.read_text())
    stages = found["stages_ms"]
    assert list(stages) == [s for s in benchmark.STAGES if s in stages]
    assert {"crop", "network", "decode", "filter", "fit", "total"} <= set(stages)
    assert ("publish" in stages) == ("convert" in stages) == _has_ros()
    for milliseconds in stages.values():
        assert 0.0 < milliseconds["median"] <= milliseconds["p95"]
    assert found["states"]["MEASURED"] > 0 and sum(found["states"].values()) == 20
    assert found["memory_mib"] > 10.0 and found["start_to_first_pose_s"] > 0.0
    assert (found["model"], found["backend"]) == ("bundle", "onnxruntime")
    assert found["image"] == [160, 120]
    printed = capsys.readouterr().out
    assert "median ms" in printed and "start to first pose" in printed


@pytest.mark.parametrize("pace", [[], ["--fast"]], ids=["own rate", "fast"])
def test_soak_notes_the_course(tmp_path, video, model, pace):
    file, picture = tmp_path / "s.json", tmp_path / "s.png"
    arguments = [video, "--soak", "0.02", "--json", str(file), *model, *pace]
    plot = ["--plot", str(picture)] if _has_matplotlib() else []
    assert benchmark.main([*arguments, *plot]) == 0
    soak = json.loads(file.read_text())["soak"]
    assert soak["frames"] > 10 and soak["minutes"] >= 0.02 and soak["measured_share"] > 0.5
    assert not plot or picture.stat().st_size > 1000


def test_load_is_measured_alone_and_beside_busy_processes(tmp_path, video, model, capsys):
    file = tmp_path / "l.json"
    arguments = ["--load", "1", "--frames", "15", "--warm-up", "5", "--json", str(file)]
    assert benchmark.main([video, *arguments, *model]) == 0
    found = json.loads(file.read_text())["load"]
    assert [row["busy"] for row in found["programs"]] == [0, 1]
    for row in found["programs"]:
        assert 0.0 < row["median_ms"] <= row["p95_ms"] <= row["p999_ms"] <= row["longest_ms"]
        assert row["cpu_ms_a_frame"] > 0.0
        assert row["core_at_30_hz"] == pytest.approx(row["cpu_ms_a_frame"] * 0.03)
        assert row["program"] == "vnect_ros" and row["seen"] > 0.5
    for stages in found["stages_ms"].values():
        assert set(stages) == {"crop", "network", "decode", "filter", "fit", "total"}
    printed = capsys.readouterr().out
    assert "beside 1: median ms" in printed and "core at 30 Hz" in printed


def test_busy_processes_are_busy_and_end():
    with _load.busy_processes(2) as pids:
        used_s = [_cpu_s(pid) for pid in pids]
        deadline = time.monotonic() + 60.0
        while any(_cpu_s(pid) <= before for pid, before in zip(pids, used_s)):
            assert time.monotonic() < deadline
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_niceness_ends_with_what_is_timed(monkeypatch):
    asked = []
    monkeypatch.setattr(steady, "set_niceness", asked.append)
    with _load._niceness(steady.niceness() - 10):
        assert asked == [steady.niceness() - 10]
    assert asked[1:] == [steady.niceness()]
    with _load._niceness(None):
        assert len(asked) == 2


@pytest.mark.parametrize("more", [5, -10])
def test_a_niceness_that_cannot_be_had_is_refused(more, video, model, monkeypatch, capsys):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "setpriority", refuse)
    value = str(steady.niceness() + more)
    assert benchmark.main([video, "--load", "1", "--nice", value, *model]) == 1
    assert f": got {value}, accepted: " in capsys.readouterr().err


class Clock:
    """Time that passes only where somebody sleeps or works."""

    def __init__(self):
        self.now_s = 7.0

    def perf_counter(self):
        return self.now_s

    process_time = perf_counter

    def sleep(self, duration_s):
        self.now_s += duration_s


def test_frames_come_when_they_are_due_and_warming_up_does_not_count(monkeypatch):
    clock, came_s = Clock(), []
    monkeypatch.setattr(_pace, "time", clock)
    works_s = [0.5, 0.02, 0.03, 0.15, 0.01, 0.01]

    def step(image, stamp_s):
        came_s.append(clock.now_s - 7.0)
        clock.sleep(works_s[len(came_s) - 1])

    found = _pace.play([(np.zeros((2, 2, 3), np.uint8), 0.1 * i) for i in range(6)], step, skip=1)
    # The first is late by four periods, and none is left out.
    np.testing.assert_allclose(came_s, [0.0, 0.5, 0.52, 0.55, 0.7, 0.71])
    assert found["median_ms"] == pytest.approx(20.0)
    assert found["longest_ms"] == pytest.approx(150.0)
    assert found["cpu_ms_a_frame"] == pytest.approx(1000.0 * sum(works_s[1:]) / 5)


def test_how_late_it_wakes_up_is_part_of_a_frames_time(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_pace, "time", clock)
    sleep = clock.sleep
    clock.sleep = lambda duration_s: sleep(duration_s + 0.004 * (duration_s > 0.0))
    image = np.zeros((2, 2, 3), np.uint8)
    frames = [(image, 0.1 * (i + 1)) for i in range(4)]
    found = _pace.play(frames, lambda *_: sleep(0.01), skip=1)
    assert found["median_ms"] == found["longest_ms"] == pytest.approx(14.0)


def test_figures_of_frames():
    found = _pace.figures(np.arange(1, 1002) * 1e-3, used_s=5.005)
    assert found["median_ms"] == pytest.approx(501.0)
    assert found["p95_ms"] == pytest.approx(951.0)
    assert found["p999_ms"] == pytest.approx(1000.0)
    assert found["longest_ms"] == pytest.approx(1001.0)
    assert found["cpu_ms_a_frame"] == pytest.approx(5.0)
    assert found["core_at_30_hz"] == pytest.approx(0.15)


def test_baselines_that_are_missing_are_named(monkeypatch, tmp_path, video, model, capsys):
    monkeypatch.setattr(baselines, "FOLDER", tmp_path / "absent")
    arguments = ["--baselines", "--frames", "3", "--warm-up", "1", *model]
    assert benchmark.main([video, *arguments]) == 1
    assert "scripts/get_baselines" in capsys.readouterr().err


@pytest.mark.skipif(not (baselines.FOLDER / "mediapipe").is_dir(), reason="scripts/get_baselines")
def test_mediapipe_is_measured_on_the_same_frames(tmp_path, model):
    file = tmp_path / "m.json"
    arguments = ["--baselines", "--frames", "10", "--warm-up", "5", "--json", str(file)]
    assert benchmark.main([*arguments, *model]) == 0
    rows = json.loads(file.read_text())["load"]["programs"]
    assert [row["program"] for row in rows] == ["vnect_ros", *_load.MEDIAPIPE]
    assert all(row["seen"] > 0.9 and row["cpu_ms_a_frame"] > 1.0 for row in rows[1:])


def test_growth_is_that_of_the_second_half():
    course = _soak.Course(
        elapsed_s=[0.0, 60.0, 120.0, 180.0],
        memory_mib=[10.0, 100.0, 101.0, 102.0],
        median_ms=[5.0] * 4,
        p95_ms=[6.0, 9.0, 6.0, 6.0],
        measured=[1.0, 1.0, 0.5, 1.0],
        frames=5400,
    )
    summary = _soak.summarise(course)
    assert summary["memory_growth_mib_per_hour"] == pytest.approx(60.0)
    assert summary["memory_change"] == pytest.approx(0.02)
    assert summary["latency_change"] == 0.0
    assert summary["p95_ms_worst_sample"] == 9.0 and summary["rate_hz"] == 30.0


def test_a_loop_goes_forwards_and_backwards_and_time_goes_on():
    frames = [VideoFrame(np.full((2, 2, 3), i, np.uint8), i / 10.0) for i in range(3)]
    looped = benchmark.looped(frames)
    shown = [next(looped) for _ in range(9)]
    assert [int(f.image[0, 0, 0]) for f in shown] == [0, 1, 2, 1, 0, 1, 2, 1, 0]
    np.testing.assert_allclose([f.stamp_s for f in shown], np.arange(9) / 10.0)


def test_an_empty_video_is_refused(tmp_path, model, capsys):
    assert benchmark.main([str(tmp_path / "absent.mp4"), *model]) == 1
    assert "absent.mp4" in capsys.readouterr().err


def _cpu_s(pid):
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _has_ros():
    try:
        import rclpy  # noqa: F401
    except ImportError:
        return False
    return True


def _has_matplotlib():
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True
