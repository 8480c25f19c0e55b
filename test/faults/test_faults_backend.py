"""Slow, hanging and failing inference; models that are gone; and the way back from each."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from diagnostic_msgs.msg import DiagnosticStatus
from scene import GOOD, RATE_HZ, seconds
from stage import failing

from vnect_ros.errors import BackendError
from vnect_ros.msg import Skeleton

pytestmark = pytest.mark.ros
OK, ERROR = DiagnosticStatus.OK, DiagnosticStatus.ERROR


def test_with_a_slow_network_the_newest_image_wins(scene, fault_table):
    """Inference nine times slower than the camera: no queue, and no pose older than needed.

    Whatever the machine is busy with: an image that is begun was the newest, so
    what is published is as old as one inference and the wait for it, which is
    at most a frame period.
    """
    scene.start(timeout_s=30.0)
    scene.track()
    begun: list[float] = []

    def note():
        begun.append(time.time())

    scene.stage.fail, scene.stage.delay_s = note, 0.3
    scene.forget()
    scene.play([GOOD] * 90)
    scene.settle()
    published = [seconds(a.header.stamp) for _, a in scene.arrivals]
    assert published == sorted(set(published))
    assert 3 <= len(published) <= 11  # of 90: no queue is worked off
    sent = np.array(scene.sent)
    for stamp_s in published[2:-1]:
        # The image was the newest when its inference began (its delay ended at `end`).
        end = min(t for t in begun if t > stamp_s)
        newer = sent[(sent > stamp_s + 1e-6) & (sent < end - 0.3 - 2.0 / RATE_HZ)]
        assert len(newer) == 0
    assert int(scene.value("images superseded by newer ones")) > 40
    ages = [s.latency for s in scene.measured()][2:]
    fault_table.add(
        "Inference slower than the camera (0.3 s at 30 Hz)",
        f"the newest image wins; median age of a published pose {np.median(ages):.2f} s, no queue",
        "–",
    )


def test_a_hanging_inference_is_lost_and_named(scene, fault_table):
    scene.start(timeout_s=0.5)
    scene.track()
    scene.forget()
    scene.stage.hold.clear()
    scene.play([GOOD] * 5)
    scene.await_lost()
    scene.heard.await_diagnostics(ERROR, "the inference of an image has not ended for")
    # The node itself goes on to answer.
    assert scene.rig.state() == "active" and scene.rig.get("timeout_s") == 0.5
    begin = time.monotonic()
    scene.stage.hold.set()
    already = len(scene.measured())
    scene.play_until(lambda: len(scene.measured()) > already, "a skeleton")
    fault_table.add(
        "The inference hangs",
        "LOST after `timeout_s`; ERROR “the inference of an image has not ended for … s”; services"
        " and parameters answer",
        time.monotonic() - begin,
    )


@pytest.mark.parametrize(
    "error",
    [
        BackendError("scripted: out of memory"),
        MemoryError("cannot allocate 9 GiB"),
        RuntimeError("CUDA error: device-side assert"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_a_failing_backend_takes_the_error_path(scene, fault_table, error):
    """Whatever the runtime raises: LOST, cleaned up, and configurable again."""
    scene.start(timeout_s=30.0)
    scene.track()
    made = scene.stage.made
    scene.forget()
    scene.stage.fail = failing(error)
    scene.play([GOOD] * 3)
    scene.rig.await_state("unconfigured")
    scene.heard.await_diagnostics(ERROR, str(error))
    lost = scene.await_lost()
    assert lost.state == Skeleton.LOST and len(scene.lost()) == 1
    assert scene.rig.here.count_subscribers("/image") == 0
    scene.stage.fail = lambda: None
    begin = time.monotonic()
    assert scene.rig.change("configure") and scene.rig.change("activate")
    assert scene.stage.made == made + 1
    scene.camera.await_node()
    scene.recovery_s()
    if isinstance(error, BackendError):
        fault_table.add(
            "The backend fails (GPU lost, out of memory)",
            "ERROR with the runtime's words; LOST; the node is `unconfigured`, its process lives;"
            " `configure` and `activate` bring it back",
            time.monotonic() - begin,
        )


def test_a_backend_that_still_fails_is_refused_again(scene):
    """The first inference is tried while configuring, not with the robot's first image."""
    scene.start(timeout_s=30.0)
    scene.track()
    scene.stage.fail = failing()
    scene.play([GOOD] * 3)
    scene.rig.await_state("unconfigured")
    assert not scene.rig.change("configure")
    assert scene.rig.state() == "unconfigured"
    scene.stage.fail = lambda: None
    assert scene.rig.change("configure") and scene.rig.change("activate")
    scene.camera.await_node()
    scene.track()


@pytest.mark.parametrize("damage", ["gone", "torn", "changed", "outside"])
def test_a_model_that_is_gone_or_changed(scene, fault_table, damage):
    """While it runs nothing is read again; the next configuration says what is wrong."""
    scene.start(timeout_s=30.0)
    scene.track()
    network = next(Path(scene.bundle).glob("model*"))
    intact = network.read_bytes()
    if damage == "outside":
        elsewhere = Path(scene.bundle).parent / "elsewhere"
        elsewhere.write_bytes(intact)
        network.unlink()
        network.symlink_to(elsewhere)
    elif damage == "gone":
        network.unlink()
    else:
        network.write_bytes(intact[:5] if damage == "torn" else intact[::-1])
    scene.track()  # the model in memory is as it was
    assert scene.rig.change("deactivate") and scene.rig.change("cleanup")
    assert not scene.rig.change("configure")
    named = {"gone": "an existing file", "torn": "size_bytes", "changed": "sha256"}.get(
        damage, "a file inside"
    )
    scene.heard.await_diagnostics(ERROR, named)
    assert scene.rig.state() == "unconfigured"
    network.unlink(missing_ok=True)
    network.write_bytes(intact)
    begin = time.monotonic()
    assert scene.rig.change("configure") and scene.rig.change("activate")
    scene.camera.await_node()
    scene.recovery_s()
    fault = {
        "gone": "The model's file is gone", "torn": "The model's file is torn",
        "changed": "The model's file is not what its checksum says",
        "outside": "The bundle points at a file outside itself",
    }[damage]  # fmt: skip
    fault_table.add(
        fault,
        f"`configure` is refused: ERROR “… {named} …”; what runs is not touched",
        time.monotonic() - begin,
    )


def test_a_failure_while_hanging_does_not_take_the_node_along(scene):
    """Deactivation waits for an inference, but not for ever."""
    scene.start(timeout_s=0.5)
    scene.track()
    scene.stage.hold.clear()
    scene.play([GOOD] * 3)
    scene.await_lost()
    assert scene.rig.change("deactivate")
    assert scene.rig.state() == "inactive"
    scene.stage.hold.set()
    assert scene.rig.change("cleanup") and scene.rig.change("configure")
    assert scene.rig.change("activate")
    scene.camera.await_node()
    scene.forget()
    scene.track()
    stamps = [seconds(s.header.stamp) for s in scene.measured()]
    assert stamps == sorted(set(stamps))


def test_disk_without_the_bundle(scene):
    scene.start(timeout_s=30.0)
    shutil.rmtree(scene.bundle)
    scene.track()
    assert scene.rig.change("deactivate") and scene.rig.change("cleanup")
    assert not scene.rig.change("configure")
    scene.heard.await_diagnostics(ERROR, "model: got")
