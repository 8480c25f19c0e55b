"""Every shipped network follows the bundled clip through three real processes over DDS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from vnect_ros.cli.demo import frame_indices
from vnect_ros.inference import bundles
from vnect_ros.recordings.video import Video
from vnect_ros.recordings.writer import VideoWriter

pytestmark = [pytest.mark.ros, pytest.mark.timeout(240)]
ROOT = Path(__file__).resolve().parents[1]
CLIP, TRUTH = ROOT / "assets" / "demo.mp4", ROOT / "assets" / "demo_truth.npz"
SLOWER = 3
"""The clip is played so much slower: a busy machine must keep up for the figures to count."""


@pytest.mark.parametrize("model", bundles.available())
def test_the_demo_follows_the_bundled_clip(ros_domain, tmp_path, model):
    truth = dict(np.load(TRUTH))
    video, count = Video(CLIP), 75
    with VideoWriter(tmp_path / "start.mp4", video.fps / SLOWER) as writer:
        for _, frame in zip(range(count), video):
            writer.write(frame.image)
    np.savez(tmp_path / "start_truth.npz", **truth)
    command = [sys.executable, "-m", "vnect_ros.cli.demo", str(tmp_path / "start.mp4")]
    command += ["--out", str(tmp_path), "--json", str(tmp_path / "demo.json"), "--no-overlay"]
    command += ["--model", model]
    done = subprocess.run(
        command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr + done.stdout
    summary = json.loads((tmp_path / "demo.json").read_text())
    assert summary["frames_in"] == count
    assert summary["MEASURED"] >= 5  # on an idle machine nearly all
    assert summary["joint_state_messages"] > 0.9 * summary["MEASURED"] - 2
    received = dict(np.load(tmp_path / "received.npz"))
    tracked = received["state"] == "MEASURED"
    frames = frame_indices(np.load(tmp_path / "published.npz")["stamps_s"], received["stamps_s"])
    real_px, seen_px = truth["joints_px"][frames[tracked]], received["joints_px"][tracked]
    height_px = np.ptp(real_px[..., 1], axis=1)[:, None]
    off = np.linalg.norm(seen_px - real_px, axis=2) / height_px
    assert np.nanmedian(off) < 0.1
    # Outputs are published once an image, all with its stamp.
    assert len(set(received["tf_stamps_s"])) == len(received["tf_stamps_s"])
    assert set(received["tf_stamps_s"]) <= set(np.load(tmp_path / "published.npz")["stamps_s"])
