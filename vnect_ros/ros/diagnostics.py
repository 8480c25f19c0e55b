"""What the node says of itself on /diagnostics: rate, latency, camera, last error."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from threading import Lock

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from vnect_ros import steady
from vnect_ros.inference.base import Backend
from vnect_ros.records import Pose, State
from vnect_ros.ros.people_statistics import PeopleStatistics, rate_hz
from vnect_ros.ros.stage_times import WINDOW, StageTimes

RECENT = 30
"""Images whose stamps are compared with the clock."""
AHEAD_S, BEHIND_S = 1e-3, 1.0
"""How far stamps may be ahead of the clock, and behind it, at receipt [s]."""
YEAR_S = 3.2e7
NOBODY = "nobody is tracked"


class Diagnostics:
    """Counts and remembers; every method may be called from any thread.

    Times are of a steady clock [s], except for latencies, which are differences.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.facts: dict[str, str] = {}
        """What does not change while the node is configured: model, backend, ..."""
        self.hardware_id = ""
        self._priority_fault = ""
        self.clear()

    def clear(self) -> None:
        """Begin anew: the node activates."""
        with self._lock:
            self._received = self._replaced = self._published = self._refused = 0
            self._arrivals: deque[float] = deque(maxlen=WINDOW)
            self._ends: deque[float] = deque(maxlen=WINDOW)
            self._latencies: deque[float] = deque(maxlen=WINDOW)
            self._timings: dict[str, float] = {}
            self._stages = StageTimes()
            self._error, self._error_at = "", -np.inf
            self._reported = 0
            self._fatal = ""
            self._ages: deque[float] = deque(maxlen=RECENT)
            self._people = PeopleStatistics()
            self.tracking = "nobody seen yet"
            self.camera = self.camera_fault = ""
            self.extras: dict[str, tuple[str, str]] = {}
            self.stale = self.clock = self.neighbour = ""

    def received(self, now_s: float, replaced: bool, age_s: float) -> None:
        """An image came.

        Args:
            replaced: it took the place of one that nobody had looked at.
            age_s: the node's clock at receipt less the image's stamp [s].
        """
        with self._lock:
            self._received += 1
            self._replaced += replaced
            self._arrivals.append(now_s)
            self._ages.append(age_s)

    def published(
        self,
        now_s: float,
        latency_s: float,
        timings_s: dict[str, float],
        stages_s: Mapping[str, float],
        people: Mapping[str, Pose],
        skipped: int,
    ) -> None:
        """An image's outputs went out.

        Args:
            latency_s: from the image's stamp [s].
            timings_s: of each part of the processing [s].
            stages_s: of each of `stage_times.STAGES` [s].
            people: everybody who is tracked, by the id published.
            skipped: people whom the network did not look at in this image.
        """
        with self._lock:
            self._people.update(now_s, people, skipped)
            self.tracking = ", ".join(p.state.value for p in people.values()) or NOBODY
            self.stale = ""
            self._published += 1
            self._ends.append(now_s)
            self._latencies.append(latency_s)
            self._timings = timings_s
            self._stages.add(stages_s)

    def stopped(self, cause: str) -> None:
        """No image is used any more, so that nobody is tracked; `cause` says why."""
        with self._lock:
            self._people.update(time.monotonic(), {}, 0)
            self.stale, self.tracking = cause, State.LOST.value

    def refused(self, now_s: float, error: str) -> None:
        """An image could not be used."""
        with self._lock:
            self._refused += 1
            self._error, self._error_at = error, now_s

    def failed(self, error: str) -> None:
        """The node cannot work at all until it is configured again."""
        with self._lock:
            self._fatal = error

    def configured(self, backend: Backend, camera: str, priority_fault: str) -> None:
        """The node could be configured.

        Args:
            camera: what its images are known by: their topic.
            priority_fault: why the process has not the niceness asked for; "" if it has.
        """
        self.clear()
        self.hardware_id = camera
        self.facts = {
            "model": f"{backend.model.name} ({backend.model.precision})",
            "backend": backend.name,
            "backend detail": backend.detail,
            "niceness": str(steady.niceness()),
        }
        self._priority_fault = priority_fault

    def message(self, now_s: float, name: str, state: str, stamp: object) -> DiagnosticArray:
        """One status; `state` is that of the lifecycle.  Errors are reported at least once."""
        with self._lock:
            level, summary = self._summary(now_s, state)
            self._reported = self._refused
            latencies = np.array(self._latencies) * 1e3
            values = {
                "lifecycle": state,
                **self.facts,
                "camera": self.camera_fault or self.camera or "no image yet",
                "floor": "not known",
                **{name: fault or used for name, (used, fault) in self.extras.items()},
                "tracking": self.tracking,
                **self._people.values(now_s),
                "images received": str(self._received),
                "image rate [Hz]": f"{rate_hz(self._arrivals, now_s):.1f}",
                "processed rate [Hz]": f"{rate_hz(self._ends, now_s):.1f}",
                "images published": str(self._published),
                "images superseded by newer ones": str(self._replaced),
                "images refused": str(self._refused),
            }
            for share in (50, 95):
                value = f"{np.percentile(latencies, share):.1f}" if len(latencies) else ""
                values[f"latency p{share}, image stamp to publishing [ms]"] = value
            values.update(self._stages.values())
            for part, duration in self._timings.items():
                values[f"{part} [ms]"] = f"{duration * 1e3:.2f}"
            values["last error"] = self._fatal or self._error
            if self._error and not self._fatal:
                values["last error, ago [s]"] = f"{now_s - self._error_at:.1f}"
        status = DiagnosticStatus(
            level=level,
            name=f"{name}: tracking",
            message=summary,
            hardware_id=self.hardware_id,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = stamp
        return array

    def _summary(self, now_s: float, state: str) -> tuple[bytes, str]:
        if self._fatal:
            return DiagnosticStatus.ERROR, self._fatal
        if state != "active":
            return DiagnosticStatus.OK, f"{state}: not processing images"
        if self._refused > self._reported or now_s - self._error_at < 1.0:
            return DiagnosticStatus.ERROR, self._error
        if self.clock:
            return DiagnosticStatus.WARN, self.clock
        if self.stale:
            return DiagnosticStatus.ERROR, self.stale
        warning = self.camera_fault or self._odd_stamps() or self._missing() or self.neighbour
        warning = warning or self._priority_fault
        if warning:
            return DiagnosticStatus.WARN, warning
        return DiagnosticStatus.OK, self.tracking

    def _missing(self) -> str:
        """Why the last image lacked what it should have had; "" if it did not."""
        return next((fault for _, fault in self.extras.values() if fault), "")

    def _odd_stamps(self) -> str:
        """What is odd about the images' stamps, and its likely cause; "" if nothing."""
        if not self._ages:
            return ""
        age_s = float(np.median(self._ages))
        if age_s < -AHEAD_S:
            return f"image stamps are {-age_s:.3f} s ahead of this node's clock"
        if age_s < BEHIND_S:
            return ""
        return f"image stamps are {age_s:.3f} s behind this node's clock: {_cause(age_s)}"


def _cause(age_s: float) -> str:
    """Why images may be so old [s] when they come."""
    stamp_s = time.time() - age_s
    if abs(stamp_s - time.monotonic()) < 60.0:
        return "the driver counts from the machine's start (a monotonic clock)"
    if stamp_s < YEAR_S:
        return "the driver counts from the camera's start, or simulates (use_sim_time)"
    return (
        "a recording that is played without use_sim_time and --clock, another machine whose clock"
        " differs, or images that wait on the way"
    )
