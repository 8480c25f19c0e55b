"""Clocks: real ones that jump back, simulated ones that stop, jump and begin anew."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from diagnostic_msgs.msg import DiagnosticStatus
from ros_rig import wait
from rosgraph_msgs.msg import Clock
from scene import GOOD, RATE_HZ, positions, seconds, velocities
from stage import Person

from vnect_ros.msg import Skeleton

pytestmark = pytest.mark.ros


class Simulation:
    """Publishes /clock and images by it."""

    def __init__(self, scene) -> None:
        self._scene = scene
        self._clock = scene.rig.here.create_publisher(Clock, "/clock", 10)

    def tick(self, now_s: float) -> None:
        """Set the clock."""
        self._clock.publish(Clock(clock=self._scene.camera.header(now_s).stamp))

    def run(self, begin_s: float, frames: int, number: int = GOOD) -> float:
        """Images at 30 Hz of simulated time; the last one's stamp."""
        now_s = begin_s
        for i in range(frames):
            now_s = begin_s + i / RATE_HZ
            self.tick(now_s)
            time.sleep(0.01)
            self._scene.show(number, stamp_s=now_s)
            time.sleep(0.02)
        return now_s


def test_a_clock_set_back_begins_anew(scene, fault_table):
    """As when a bag begins again: old bone lengths and speeds are not taken along."""
    scene.start(timeout_s=10.0, fit__calibration_frames=5)
    scene.track(12)
    assert scene.tracked()[-1].calibration == Skeleton.CALIBRATION_DONE
    scene.forget()
    elsewhere = scene.stage.cast(7, Person((0.6, 0.0, 3.0)))
    start_s = time.time() - 1000.0
    begin = time.monotonic()
    for i in range(45):
        scene.show(elsewhere, stamp_s=start_s + i / RATE_HZ)
        time.sleep(1.0 / RATE_HZ)
        if len(scene.measured()) >= 10:
            break
    wait(lambda: len(scene.measured()) >= 5, "skeletons")
    states = scene.states()
    assert states[0] == Skeleton.LOST and Skeleton.PREDICTED not in states
    measured = scene.measured()
    stamps = [seconds(s.header.stamp) for s in scene.skeletons()]
    assert stamps == sorted(stamps) and stamps[-1] < start_s + 2.0
    assert measured[0].calibration != Skeleton.CALIBRATION_DONE
    # Nothing of the old place is left in the new one.
    assert abs(positions(measured[0])[14, 0] - positions(measured[-1])[14, 0]) < 0.15
    assert np.linalg.norm(velocities(measured[0]), axis=1).max() < 2.0
    at = next(t for t, a in scene.arrivals if a.skeletons and a.skeletons[0].state == 1)
    fault_table.add(
        "The clock jumps back (a bag begins again)",
        "LOST, then tracking begins anew: filters, fit and bone lengths are reset",
        at - begin,
    )


def test_a_short_loop_is_not_refused_for_ever(scene, fault_table):
    """A bag shorter than `timeout_s`, in a loop: its stamps are all older than the last."""
    scene.start(timeout_s=0.5)
    scene.track()
    last_s = scene.sent[-1]
    scene.forget()

    def looped():
        for i in range(6):
            scene.show(stamp_s=last_s - 0.3 + i / RATE_HZ)
            time.sleep(1.0 / RATE_HZ)
        return len(scene.measured()) >= 3

    begin = time.monotonic()
    wait(looped, "tracking in the loop", after=scene.heard.last_diagnostics)
    fault_table.add(
        "The clock jumps back by less than `timeout_s`",
        "ERROR “… images in the order they were taken” until LOST, then tracking begins anew",
        time.monotonic() - begin,
    )


def test_simulated_time_that_begins_anew_without_images(scene, fault_table):
    """The simulator is reset and no image comes: what was published is not true any more."""
    scene.start(timeout_s=0.5, use_sim_time=True)
    simulation = Simulation(scene)
    wait(lambda: simulation.run(500.0 + 2.0 * len(scene.sent), 10) and scene.measured(), "a person")
    scene.settle()
    scene.forget()

    def reset():
        simulation.tick(1.0)
        return bool(scene.lost())

    begin = time.monotonic()
    wait(reset, "LOST", 5.0, scene.heard.last_diagnostics)
    passed = time.monotonic() - begin
    already = len(scene.measured())
    now_s = 2.0
    while len(scene.measured()) < already + 3:
        now_s = simulation.run(now_s + 0.1, 10)
        assert now_s < 100.0, scene.heard.last_diagnostics()
    last = scene.measured()[-1]
    assert seconds(last.header.stamp) < 100.0 and abs(last.latency) < 5.0
    fault_table.add(
        "Simulated time begins anew and no image comes", "LOST at once (no wait for the clock)",
        passed,
    )  # fmt: skip


def test_images_from_the_future_are_told(scene, fault_table):
    """A camera whose clock is ahead: followed, and said."""
    scene.start(timeout_s=10.0)
    for i in range(300):
        scene.show(stamp_s=time.time() + 60.0 + i * 1e-3)
        time.sleep(1.0 / RATE_HZ)
        if scene.measured() and "ahead of this node's clock" in scene.heard.last_diagnostics():
            break
    scene.heard.await_diagnostics(DiagnosticStatus.WARN, "ahead of this node's clock")
    assert scene.measured()[-1].latency < -50.0
    fault_table.add(
        "Stamps ahead of the node's clock",
        "WARN “image stamps are … s ahead of this node's clock”; `latency` is negative",
        "–",
    )


BEHIND = {
    "the machine's start": ("the driver counts from the machine's start", time.monotonic),
    "the camera's start": ("the driver counts from the camera's start", lambda: 12.0),
    "an old recording": ("a recording that is played without", lambda: time.time() - 1e6),
}


@pytest.mark.parametrize("origin", BEHIND)
def test_images_from_the_past_are_named(scene, fault_table, origin):
    """Stamps far behind the clock: followed, with the likely cause on diagnostics."""
    cause, start = BEHIND[origin]
    scene.start(timeout_s=10.0)
    begin_s, begin = start(), time.monotonic()

    def named():
        scene.show(stamp_s=begin_s + time.monotonic() - begin)
        time.sleep(1.0 / RATE_HZ)
        return cause in scene.heard.last_diagnostics() and len(scene.measured()) >= 3

    wait(named, cause, 20.0, scene.heard.last_diagnostics)
    status = scene.heard.await_diagnostics(DiagnosticStatus.WARN, "s behind this node's clock")
    assert cause in status.message
    fault_table.add(
        f"Stamps far behind the node's clock ({origin})",
        f"WARN “image stamps are … s behind this node's clock: {cause} …”; followed",
        "–",
    )


def test_simulated_time_without_a_clock(scene, fault_table):
    """use_sim_time, and nobody publishes /clock: named while images come, LOST after them."""
    scene.start(timeout_s=0.5, use_sim_time=True)
    named = "use_sim_time is set and no /clock was received"
    scene.play_until(
        lambda: len(scene.measured()) >= 3 and named in scene.heard.last_diagnostics(), named
    )
    scene.heard.await_diagnostics(DiagnosticStatus.WARN, named)
    begin = time.monotonic()
    scene.await_lost(timeout_s=5.0)
    passed = time.monotonic() - begin
    scene.settle()
    assert len(scene.lost()) == 1
    fault_table.add(
        "`use_sim_time` without a /clock",
        f"WARN “{named}”; LOST after `timeout_s` of wall time without images",
        passed,
    )


@pytest.mark.parametrize("images_go_on", [False, True], ids=["a bag ends", "the clock stops"])
def test_simulated_time_that_stands_still(scene, fault_table, images_go_on):
    """What was published last is not true for ever because the clock stopped."""
    scene.start(timeout_s=0.5, use_sim_time=True)
    simulation = Simulation(scene)
    wait(lambda: simulation.run(50.0 + 2.0 * len(scene.sent), 10) and scene.measured(), "a person")
    scene.settle()
    last_s = scene.sent[-1]
    named = "simulated time stands still"
    if images_go_on:  # a camera by the wall's clock beside a simulation that is paused
        scene.play_until(lambda: named in scene.heard.last_diagnostics(), named)
        assert Skeleton.MEASURED in scene.states()[-3:]
    scene.await_lost(timeout_s=5.0)
    scene.heard.await_diagnostics(DiagnosticStatus.WARN, named)
    scene.forget()
    begin = time.monotonic()
    if not images_go_on:
        now_s = last_s + 1.0
        while not scene.measured():
            now_s = simulation.run(now_s + 0.1, 5)
        fault_table.add(
            "Simulated time stands still (the clock stops, a bag ends, a paused simulation)",
            f"LOST after `timeout_s` of wall time; WARN “{named} …”",
            time.monotonic() - begin,
        )
