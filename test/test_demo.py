"""The demo's sums: frames matched by stamp, latency, error against the truth, the overlay."""

from __future__ import annotations

import numpy as np
import pytest
from fake_backend import STANDING_M

from vnect_ros.camera import Camera
from vnect_ros.cli import demo
from vnect_ros.errors import VnectError
from vnect_ros.recordings.video import Video
from vnect_ros.recordings.writer import VideoWriter
from vnect_ros.records import State

FRAMES = 10
CAMERA = Camera.from_field_of_view(160, 120, 54.0)
PUBLISHED_S = 1000.0 + np.arange(FRAMES) / 25.0


@pytest.fixture
def received():
    """Frames 2..9; the first LOST, the rest 10 mm too far away, 40 to 47 ms late."""
    count = FRAMES - 2
    joints = np.tile(STANDING_M + (0.0, 0.0, 3.01), (count, 1, 1))
    pixels = np.tile(CAMERA.project(STANDING_M + (0.0, 0.0, 3.0)), (count, 1, 1))
    joints[0], pixels[0] = np.nan, np.nan
    return {
        "stamps_s": PUBLISHED_S[2:],
        "received_s": PUBLISHED_S[2:] + 0.040 + np.arange(count) * 0.001,
        "state": np.array([State.LOST.value] + [State.MEASURED.value] * (count - 1)),
        "joints_px": pixels,
        "joints_m": joints,
        "confidence": np.ones((count, 21)),
        "latency_s": np.full(count, 0.03),
        "residual_px": np.array([np.nan] + [1.5] * (count - 1)),
        "joint_state_count": np.array(7),
        "tf_count": np.array(6),
        "marker_count": np.array(8),
    }


@pytest.fixture
def truth():
    return {
        "joints_camera_m": np.tile(STANDING_M + (0.0, 0.0, 3.0), (FRAMES, 1, 1)),
        **{
            key: np.array(getattr(CAMERA, key))
            for key in ("fx", "fy", "cx", "cy", "width", "height")
        },
    }


def test_the_sums(received, truth):
    summary = demo.summarise(PUBLISHED_S, received, truth)
    assert (summary["frames_in"], summary["skeletons_out"]) == (10, 8)
    assert (summary["MEASURED"], summary["PREDICTED"], summary["LOST"]) == (7, 0, 1)
    assert summary["rate_in_hz"] == pytest.approx(25.0)
    assert summary["latency_p50_ms"] == pytest.approx(43.5, abs=1e-3)
    assert summary["latency_p95_ms"] == pytest.approx(46.65, abs=1e-3)
    assert summary["residual_median_px"] == 1.5
    assert summary["tf_messages"] == 6 and summary["joint_state_messages"] == 7
    assert summary["error_mpjpe_mm"] == pytest.approx(0.0, abs=1e-6)
    assert summary["error_3dpck_150mm"] == 1.0
    assert summary["error_root_mm"] == pytest.approx(10.0)
    assert summary["error_root_share_of_distance"] == pytest.approx(0.01 / 3.0)
    shown = dict(demo.rows(summary))
    assert shown["latency_p50_ms"] == "43.5" and shown["error_root_share_of_distance"] == "0.3%"


def test_the_stages_lead_from_the_stamp_to_the_receipt(received):
    received |= {"stages": np.array(["stamp to received"]), "stages_ms": np.array([(2.0, 3.25)])}
    summary = demo.summarise(PUBLISHED_S, received, None)
    assert summary["stamp_to_received_p50_ms"] == 2.0
    # Received 40 to 47 ms after the stamp, published 30 ms after it.
    assert summary["published_to_received_p50_ms"] == pytest.approx(13.5, abs=1e-3)
    assert summary["published_to_received_p95_ms"] == pytest.approx(16.65, abs=1e-3)
    assert dict(demo.rows(summary))["stamp_to_received_p95_ms"] == "3.2"


def test_without_truth_no_error_is_claimed(received):
    assert not any("error" in key for key in demo.summarise(PUBLISHED_S, received, None))


def test_nothing_received_is_said_plainly(received):
    nothing = {key: values[:0] if values.ndim else values for key, values in received.items()}
    summary = demo.summarise(PUBLISHED_S, nothing, None)
    assert summary["skeletons_out"] == 0 and summary["rate_out_hz"] == 0.0
    assert summary["latency_p50_ms"] is None
    assert dict(demo.rows(summary))["latency_p50_ms"] == "-"


def test_frames_are_matched_by_stamp():
    stamps = np.array([PUBLISHED_S[3], PUBLISHED_S[3] + 0.01, PUBLISHED_S[9], 5.0])
    assert demo.frame_indices(PUBLISHED_S, stamps).tolist() == [3, -1, 9, -1]
    assert demo.frame_indices(np.zeros(0), stamps).tolist() == [-1] * 4


def test_several_people_are_told_apart_or_not(tmp_path):
    pytest.importorskip("motmetrics", reason="scores identities (requirements/tracking.txt)")
    people = np.stack([STANDING_M + (-0.7, 0.0, 4.0), STANDING_M + (0.7, 0.0, 4.5)])
    with VideoWriter(tmp_path / "two.mp4", 25.0) as writer:
        for _ in range(FRAMES):
            writer.write(np.zeros((120, 160, 3), np.uint8))
    np.savez(
        tmp_path / "two_truth.npz", joints_camera_m=np.tile(people, (FRAMES, 1, 1, 1)),
        joints_px=np.tile(CAMERA.project(people), (FRAMES, 1, 1, 1)), fps=25.0,
        height_m=[1.7, 1.7], occluded=np.zeros((FRAMES, 2, 21), bool),
        **{key: getattr(CAMERA, key) for key in ("fx", "fy", "cx", "cy", "width", "height")},
    )  # fmt: skip
    count = 2 * FRAMES
    ids = np.tile(["aaaaa", "bbbbb"], FRAMES)
    received = {
        "stamps_s": np.repeat(PUBLISHED_S, 2), "received_s": np.repeat(PUBLISHED_S, 2) + 0.04,
        "state": np.full(count, State.MEASURED.value), "id": ids,
        "joints_m": np.tile(people, (FRAMES, 1, 1)), "joints_px": np.zeros((count, 21, 2)),
        "height_m": np.full(count, 1.7), "height_std_m": np.zeros(count),
        "residual_px": np.ones(count), "confidence": np.ones((count, 21)),
        **{f"{key}_count": np.array(1) for key in ("tf", "marker", "joint_state")},
    }  # fmt: skip
    truth = demo.load_truth(tmp_path / "two.mp4")
    summary = demo.summarise(PUBLISHED_S, received, truth)
    assert summary["skeletons_out"] == count and summary["rate_out_hz"] == pytest.approx(25.0)
    assert not any(key.startswith("error") for key in summary)
    found = demo.identities(tmp_path / "two.mp4", PUBLISHED_S, received)
    assert (found["people"], found["idf1"], found["mota"], found["switches"]) == (2, 1.0, 1.0, 0)
    assert found["error_mpjpe_mm"] == pytest.approx(0.0, abs=1e-6)
    # Half of the images: nobody is missed in those that were looked at.
    rows = np.flatnonzero(np.arange(count) // 2 % 2 == 0)
    half = {key: values[rows] if values.ndim else values for key, values in received.items()}
    found = demo.identities(tmp_path / "two.mp4", PUBLISHED_S, half)
    assert found["frames_answered"] == len(rows) / 2 and found["people"] == 2
    assert (found["idf1"], found["mota"], found["switches"]) == (1.0, 1.0, 0)
    share = len(rows) / count
    assert found["idf1_of_all_frames"] == pytest.approx(2.0 * share / (1.0 + share))
    half["state"][:2], half["id"][:2] = State.LOST.value, ""  # answered with nobody
    assert demo.identities(tmp_path / "two.mp4", PUBLISHED_S, half)["mota"] < 1.0
    received["id"] = np.where(np.arange(count) < count // 2, ids, np.roll(ids, 1))
    received["state"][:2] = State.LOST.value
    found = demo.identities(tmp_path / "two.mp4", PUBLISHED_S, received)
    assert found["switches"] == 2 and found["mota"] == pytest.approx(1.0 - 4 / count)
    assert found["frames_answered"] == FRAMES and found["idf1"] == found["idf1_of_all_frames"]
    demo.draw(tmp_path / "overlay.mp4", Video(tmp_path / "two.mp4"), CAMERA, PUBLISHED_S, received)
    assert len(list(Video(tmp_path / "overlay.mp4"))) == FRAMES


def test_the_truth_beside_a_video(tmp_path, truth):
    assert demo.load_truth(tmp_path / "a.mp4") is None
    np.savez(tmp_path / "a_truth.npz", **truth)
    read = demo.load_truth(tmp_path / "a.mp4")
    np.testing.assert_array_equal(read["joints_camera_m"], truth["joints_camera_m"])
    del truth["fx"]
    np.savez(tmp_path / "a_truth.npz", **truth)
    with pytest.raises(VnectError, match=r"a_truth\.npz: fx: got None"):
        demo.load_truth(tmp_path / "a.mp4")


def test_the_overlay_shows_each_frame_once(tmp_path, received):
    with VideoWriter(tmp_path / "a.mp4", 25.0) as writer:
        for _ in range(FRAMES):
            writer.write(np.full((120, 160, 3), 128, np.uint8))
    demo.draw(tmp_path / "o.mp4", Video(tmp_path / "a.mp4"), CAMERA, PUBLISHED_S, received)
    frames = [frame.image.astype(int) for frame in Video(tmp_path / "o.mp4")]
    assert len(frames) == FRAMES and frames[0].shape == (120, 320, 3)
    colours = [np.ptp(image[:, :160], axis=2).max() for image in frames]
    assert max(colours[:2]) < 40 and min(colours[3:]) > 80


def test_what_cannot_work_is_refused_before_anything_is_started(tmp_path, capsys):
    out = tmp_path / "out"
    for arguments, message in [
        (["--model", "absent"], "model: got 'absent'"),
        (["--set", "crop.margin=0"], "crop.margin: got 0.0"),
    ]:
        assert demo.main([str(tmp_path / "a.mp4"), "--out", str(out), *arguments]) == 1
        assert message in capsys.readouterr().err
    assert not out.exists()
