"""The node in a process of its own: what remains when it is killed or interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
import rclpy
from diagnostic_msgs.msg import DiagnosticStatus
from fake_backend import standing_bundle
from ros_rig import Heard, Rig, ScriptedCamera, fake_bundle
from std_msgs.msg import String

from vnect_ros import steady

pytestmark = pytest.mark.ros
CHECKOUT = Path(__file__).resolve().parents[2]
NICENESS = min(steady.niceness() + 2, 19)


class Apart:
    """A node in its own process, seen from here."""

    def __init__(self, domain: int, folder: Path) -> None:
        command = [sys.executable, "-m", "vnect_ros.ros.start", "--ros-args"]
        command += ["--log-level", "error", "-p", "backend:=onnxruntime", "-p", "max_people:=1"]
        command += ["-p", f"niceness:={NICENESS}"]
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


def test_all_threads_of_the_node_have_its_niceness(apart):
    apart.track()
    stats = [task / "stat" for task in Path(f"/proc/{apart.process.pid}/task").iterdir()]
    values = [int(stat.read_text().rpartition(")")[2].split()[16]) for stat in stats]
    assert len(values) > 3 and set(values) == {NICENESS}


@pytest.mark.parametrize("at", ["imports", "constructor", "configure"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_node_that_is_interrupted_while_it_starts_ends_well(
    ros_domain, tmp_path, fault_table, at, number
):
    """The signal comes at a line of the program, not after a time."""
    code = f"""
import builtins, os, signal, sys
from vnect_ros.ros import start

def interrupt():
    os.kill(os.getpid(), {int(number)})

if {at!r} == "imports":
    original = builtins.__import__

    def imported(name, *args, **kwargs):
        if name == "vnect_ros.ros.node":
            interrupt()
        return original(name, *args, **kwargs)

    builtins.__import__ = imported
else:
    from vnect_ros import inference
    from vnect_ros.ros import params

    module, name = (params, "declare") if {at!r} == "constructor" else (inference, "create")
    original = getattr(module, name)

    def wrapped(*args, **kwargs):
        interrupt()
        return original(*args, **kwargs)

    setattr(module, name, wrapped)
sys.exit(start.main(sys.argv[1:]))
"""
    model = standing_bundle(tmp_path / "standing").folder
    command = [sys.executable, "-c", code, "--ros-args", "-p", f"model:={model}"]
    command += ["-p", "backend:=onnxruntime", "-p", "max_people:=1"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "active: " not in done.stderr
    if (at, number) == ("configure", signal.SIGINT):
        fault_table.add(
            "The node is interrupted while it starts", "the process ends at once with status 0",
            "with a new process",
        )  # fmt: skip


def test_an_interrupt_that_is_just_being_answered_spoils_no_ending():
    """rclpy shuts down from a thread of its own; about one round in 200 met it on its way."""
    code = """
import os, signal
import rclpy
from vnect_ros.ros.ending import end_ros

for number in range(1000):
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=rclpy.SignalHandlerOptions.ALL)
    os.kill(os.getpid(), signal.SIGTERM)
    end_ros(context)
    assert not context.ok()
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_two_nodes_with_the_same_body_are_warned_of(rig, tmp_path, fault_table):
    """Whatever their namespaces: /tf has one `body_human`."""
    fake = {"model": fake_bundle(tmp_path), "backend": "fake", "diagnostics_period": 0.1}
    heard = {name: rig.start(name, body_id="human", **fake) for name in ("/left", "/right")}
    for name in heard:
        rig.camera(name).await_node()
        rig.camera(name).follow()

    def until_warned(name, other):
        """While images come: that there are none would be said in its place."""
        text = f"body_human is published by {other}/vnect too"
        rig.camera(name).play_until(lambda: heard[name].said(DiagnosticStatus.WARN, text), text)

    for name, other in (("/left", "/right"), ("/right", "/left")):
        until_warned(name, other)
    assert rig.change("deactivate", "/right/vnect") and rig.change("cleanup", "/right/vnect")
    heard["/left"].clear()

    rig.camera("/left").play_until(
        lambda: any(
            s.message == "MEASURED" for s in heard["/left"].said(DiagnosticStatus.OK, "MEASURED")
        ),
        "no warning any more",
    )
    # Another node of the very same name, as two robots' without namespaces are.
    twin = rclpy.create_node("vnect", namespace="/left", context=rig.context)
    twin.create_publisher(String, "bodies/human/urdf", 1)
    until_warned("/left", "/left")
    twin.destroy_node()
    fault_table.add(
        "Two nodes publish bodies of the same id, in whatever namespaces",
        "WARN “body_… is published by … too: give each a body_id”",
        "–",
    )
