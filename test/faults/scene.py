"""A node under test, its scripted camera and network, and what was heard, with its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.time import Time
from ros_rig import CAMERA, Rig, fake_bundle, wait
from sensor_msgs.msg import CompressedImage
from stage import ScriptedBackend, Stage, jpeg

from vnect_ros import inference
from vnect_ros.camera import Camera
from vnect_ros.msg import Skeleton, SkeletonArray

GOOD = 255
"""The number of a shot in which one person stands still and is plainly seen."""
RATE_HZ = 30.0


def seconds(stamp: object) -> float:
    """A message's stamp [s]."""
    return Time.from_msg(stamp).nanoseconds * 1e-9


class Scene:
    """One node (namespace ""), and what a test wants to do to it."""

    def __init__(self, rig: Rig, folder: Path) -> None:
        self.rig = rig
        self.stage = ScriptedBackend.stage = Stage(CAMERA)
        inference.BACKENDS["scripted"] = ("stage", "ScriptedBackend")
        self.bundle = fake_bundle(folder)
        self.arrivals: list[tuple[float, SkeletonArray]] = []
        """(monotonic time of receipt [s], message)."""
        self.sent: list[float] = []
        """Stamp of every image shown [s]."""
        self.stepped_s = 0.0

    def start(self, **parameters: Any) -> Scene:
        """Start the node and wait until it listens."""
        given = {"model": self.bundle, "backend": "scripted", "diagnostics_period": 0.1}
        self._compressed = parameters.get("image_transport") == "compressed"
        self.heard = self.rig.start(**{**given, **parameters})
        self.rig.here.create_subscription(
            SkeletonArray, "skeletons",
            lambda m: self.arrivals.append((time.monotonic(), m)), 100,
        )  # fmt: skip
        self.camera = self.rig.camera()
        self.camera.await_node()
        return self

    @property
    def node(self):
        return self.rig.nodes[""]

    def close(self) -> None:
        self.stage.delay_s = 0.0
        self.stage.hold.set()
        self.rig.close()
        inference.BACKENDS.pop("scripted", None)

    # -- the camera --------------------------------------------------------------------

    def show(
        self,
        number: int = GOOD,
        stamp_s: float | None = None,
        camera: Camera | None = CAMERA,
    ) -> float:
        """One image of a shot, with its CameraInfo unless that is None; its stamp [s]."""
        if camera is not None:
            self.camera.inform(camera)
        image = self.stage.image(number, camera)
        if self._compressed:
            header = self.camera.header(stamp_s)
            self.camera.images.publish(
                CompressedImage(header=header, format="jpeg", data=jpeg(image))
            )
        else:
            header = self.camera.show(image, stamp_s)
        self.sent.append(seconds(header.stamp))
        return self.sent[-1]

    def play(
        self, numbers: list[int], rate_hz: float = RATE_HZ, camera: Camera | None = CAMERA
    ) -> list[float]:
        """The shots one after the other in real time; their stamps [s]."""
        stamps = []
        due = time.monotonic()
        for number in numbers:
            stamps.append(self.show(number, camera=camera))
            due += 1.0 / rate_hz
            time.sleep(max(due - time.monotonic(), 0.0))
        return stamps

    def play_until(
        self,
        done: Callable[[], bool],
        what: str,
        number: int = GOOD,
        timeout_s: float = 20.0,
        rate_hz: float = RATE_HZ,
        camera: Camera | None = CAMERA,
    ) -> None:
        """The same shot over and over, until something has happened."""
        deadline = time.monotonic() + timeout_s
        while not done():
            last = f"{self.heard.last_diagnostics()}; {self.states()[-5:]}"
            assert time.monotonic() < deadline, f"waited for {what}; last: {last}"
            self.play([number], rate_hz, camera)

    def step(self, numbers: list[int], period_s: float = 1.0 / RATE_HZ) -> list[SkeletonArray]:
        """The shots one by one, each answered before the next: none is superseded.

        Their stamps are `period_s` apart however long an answer takes.

        Returns:
            The array of each shot.
        """
        answers = []
        for number in numbers:
            stamp_s = max(self.sent[-1], self.stepped_s) + period_s
            time.sleep(max(stamp_s - time.time(), 0.0))  # never from the future
            self.stepped_s = stamp_s
            answers.append(self._answer(number, stamp_s))
        return answers

    def _answer(self, number: int, stamp_s: float) -> SkeletonArray:
        begin, already = time.monotonic(), len(self.arrivals)
        asked = -1.0
        while True:
            for _, array in self.arrivals[already:]:
                if abs(seconds(array.header.stamp) - stamp_s) < 1e-6:
                    return array
            now = time.monotonic()
            assert now - begin < 20.0, self.heard.last_diagnostics()
            if now - asked > 0.5:  # sensor data may be lost
                self.show(number, stamp_s)
                asked = now
            time.sleep(0.002)

    def track(self, frames: int = 5) -> None:
        """Until the person has been measured so many times from now on, and all is heard."""
        already = len(self.measured())
        self.play_until(lambda: len(self.measured()) >= already + frames, "a tracked person")
        self.settle()

    def settle(self) -> None:
        """Until nothing that was sent can still be answered."""
        count, since = -1, time.monotonic()
        while time.monotonic() - since < 2.0:
            ends = [a[-1] for a in (self.heard["skeletons"], [m for _, m in self.arrivals]) if a]
            last = min((seconds(m.header.stamp) for m in ends), default=0.0)
            if abs(last - self.sent[-1]) < 1e-6:
                time.sleep(0.05)  # the topics that come behind the skeletons
                return
            if count != len(self.arrivals):
                count, since = len(self.arrivals), time.monotonic()
            time.sleep(0.01)

    def recovery_s(self, number: int = GOOD, camera: Camera = CAMERA) -> float:
        """Show good images; the time from the first to the first skeleton measured in one [s]."""
        already, begin = len(self.arrivals), time.monotonic()
        first_s = self.show(number, camera=camera)
        time.sleep(1.0 / RATE_HZ)

        def measured() -> list[float]:
            return [
                at for at, array in self.arrivals[already:]
                for s in array.skeletons
                if s.state == Skeleton.MEASURED and seconds(s.header.stamp) >= first_s - 1e-6
            ]  # fmt: skip

        self.play_until(lambda: bool(measured()), "a measured skeleton", number, camera=camera)
        return measured()[0] - begin

    def node_pose(self) -> Skeleton:
        """A skeleton of now, settled."""
        self.track(8)
        pose = self.measured()[-1]
        self.forget()
        return pose

    # -- what was heard ----------------------------------------------------------------

    def skeletons(self) -> list[Skeleton]:
        return [s for _, array in list(self.arrivals) for s in array.skeletons]

    def states(self) -> list[int]:
        return [s.state for s in self.skeletons()]

    def measured(self) -> list[Skeleton]:
        return [s for s in self.skeletons() if s.state == Skeleton.MEASURED]

    def tracked(self) -> list[Skeleton]:
        return [s for s in self.skeletons() if s.state != Skeleton.LOST]

    def lost(self) -> list[Skeleton]:
        return [s for s in self.skeletons() if s.state == Skeleton.LOST]

    def forget(self) -> None:
        """Begin to listen anew."""
        self.arrivals.clear()
        self.heard.clear()

    def await_lost(self, count: int = 1, timeout_s: float = 10.0) -> Skeleton:
        """Wait for so many LOST skeletons."""
        wait(lambda: len(self.lost()) >= count, "LOST", timeout_s, self.heard.last_diagnostics)
        wait(lambda: len(self.heard["skeletons"]) >= len(self.arrivals), "the same elsewhere")
        return self.lost()[-1]

    def level(self) -> bytes:
        """Of the last diagnostics."""
        return self.heard["/diagnostics"][-1].status[0].level

    def value(self, key: str) -> str:
        """Of the last diagnostics."""
        values = self.heard["/diagnostics"][-1].status[0].values
        return next(v.value for v in values if v.key == key)


def positions(skeleton: Skeleton) -> np.ndarray:
    """[21, 3] of a tracked skeleton [m]."""
    points = (joint.pose.position for joint in skeleton.joints)
    return np.array([(p.x, p.y, p.z) for p in points])


def velocities(skeleton: Skeleton) -> np.ndarray:
    """[21, 3] of a tracked skeleton [m/s]."""
    return np.array([(j.velocity.x, j.velocity.y, j.velocity.z) for j in skeleton.joints])
