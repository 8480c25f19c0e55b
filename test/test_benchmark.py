"""The benchmark runs over a real video and says what the issue asks for; no timing is judged."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fake_backend import standing_bundle

from vnect_ros.cli import _soak, benchmark
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
