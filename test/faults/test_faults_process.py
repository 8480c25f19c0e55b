"""The node in a process of its own: what remains when it is killed or interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from fake_backend import standing_bundle
from ros_rig import Heard, Rig, ScriptedCamera

pytestmark = pytest.mark.ros
CHECKOUT = Path(__file__).resolve().parents[2]


class Apart:
    """A node in its own process, seen from here."""

    def __init__(self, domain: int, folder: Path) -> None:
        command = [sys.executable, "-m", "vnect_ros.ros.node", "--ros-args"]
        command += ["--log-level", "error", "-p", "backend:=onnxruntime"]
        command += ["-p", f"model:={standing_bundle(folder / 'standing').folder}"]
        self.process = subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True)
        self.rig = Rig(domain)
        self.heard = Heard(self.rig, "")
        self.camera = ScriptedCamera(self.rig, "", compressed=False)

    def track(self) -> None:
        self.camera.await_node()
        deadline = time.monotonic() + 30.0
        while len(self.heard.tracked()) < 5:
            assert time.monotonic() < deadline, self.heard.last_diagnostics()
            self.camera.play(1)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.rig.close()


@pytest.fixture
def apart(ros_domain, tmp_path):
    made = Apart(ros_domain, tmp_path)
    yield made
    made.close()


def test_a_killed_node_leaves_nothing_that_looks_alive(apart, fault_table):
    apart.track()
    apart.process.kill()
    apart.process.wait()
    time.sleep(0.3)
    topics = ("skeletons", "/tf", "markers")
    counts = [len(apart.heard[topic]) for topic in topics]
    apart.camera.play(15)
    assert [len(apart.heard[topic]) for topic in topics] == counts
    shown = [m for array in apart.heard["markers"] for m in array.markers if m.action == m.ADD]
    lifetimes = [m.lifetime for m in shown]
    assert lifetimes
    assert all(0.0 < t.sec + t.nanosec * 1e-9 <= 0.5 for t in lifetimes)
    fault_table.add(
        "The node's process is killed",
        "silence: stamps grow old, markers end with their lifetime (`timeout_s`)",
        "with a new process",
    )


def test_an_interrupted_node_ends_well(apart, fault_table):
    apart.track()
    apart.process.send_signal(signal.SIGINT)
    _, errors = apart.process.communicate(timeout=30.0)
    assert apart.process.returncode == 0
    assert "Traceback" not in errors
    fault_table.add(
        "The node is interrupted (SIGINT, SIGTERM)",
        "the process ends with status 0",
        "with a new process",
    )
