"""What the node does by the clock: see whether images still come, and report on itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode

from vnect_ros.config import NodeConfig
from vnect_ros.ros.diagnostics import Diagnostics


class Freshness:
    """Whether the last output still holds, by simulated time while that goes on.

    Where it stands still (no /clock, a clock that stops, a recording that
    ended) the wall's time counts: a person must not be MEASURED for ever.
    """

    def __init__(self, node: LifecycleNode) -> None:
        """Begin with an output of now."""
        self._node = node
        self._simulated_s, self._ticked_at = self._now_s(), time.monotonic()
        self.renew()

    def renew(self) -> None:
        """There is an output of now."""
        self._renewed = self._now_s(), time.monotonic()

    def look(self, timeout_s: float) -> str:
        """Note whether simulated time goes on; what is wrong with it, or "".

        Args:
            timeout_s: it stands still once it has not changed for so long [s].
        """
        now_s = self._now_s()
        if now_s != self._simulated_s:
            self._simulated_s, self._ticked_at = now_s, time.monotonic()
        if not self._is_simulated() or self._goes_on(timeout_s):
            return ""
        if now_s == 0.0:
            return "use_sim_time is set and no /clock was received"
        return f"simulated time stands still at {now_s:.3f} s: /clock does not advance"

    def is_fresh(self, timeout_s: float) -> bool:
        """Whether the last output is younger than `timeout_s` [s].

        One from the future is of a time before the simulation began anew.
        """
        simulated_s, wall_s = self._renewed
        if self._is_simulated() and self._goes_on(timeout_s):
            age_s = self._now_s() - simulated_s
        else:
            age_s = time.monotonic() - wall_s
        return 0.0 <= age_s < timeout_s

    def _goes_on(self, timeout_s: float) -> bool:
        return time.monotonic() - self._ticked_at < timeout_s

    def _is_simulated(self) -> bool:
        return bool(self._node.get_parameter("use_sim_time").value)

    def _now_s(self) -> float:
        return float(self._node.get_clock().now().nanoseconds * 1e-9)


class Watchdog:
    """Timers of a steady clock: neither a jump nor a paused simulation stops them."""

    def __init__(
        self,
        node: LifecycleNode,
        diagnostics: Diagnostics,
        phase: Callable[[], str],
        look: Callable[[], None],
        survey: Callable[[], None],
    ) -> None:
        """Make the publisher; `configure` starts the timers.

        Args:
            phase: gives the state of the lifecycle, for the reports.
            look: sees whether images still come.
            survey: looks around for other nodes before each report.
        """
        self._node, self._diagnostics = node, diagnostics
        self._phase, self._look, self._survey = phase, look, survey
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timers: list[Any] = []
        self._made_for: tuple[float, float] | None = None
        self.clock = Clock(clock_type=ClockType.STEADY_TIME)

    def configure(self, config: NodeConfig) -> None:
        """Look and report as often as the parameters say from now on."""
        made_for = (config.timeout_s, config.diagnostics_period)
        if made_for == self._made_for:
            return
        for timer in self._timers:
            self._node.destroy_timer(timer)
        look_s = min(max(config.timeout_s / 5.0, 0.005), 0.1)
        self._timers = [
            self._node.create_timer(period_s, callback, clock=self.clock)
            for period_s, callback in (
                (look_s, self._look),
                (config.diagnostics_period, self.report),
            )
        ]
        self._made_for = made_for

    def report(self) -> None:
        """Publish the diagnostics as they stand."""
        self._survey()
        stamp = self._node.get_clock().now().to_msg()
        name = self._node.get_fully_qualified_name().lstrip("/")
        self._publisher.publish(
            self._diagnostics.message(time.monotonic(), name, self._phase(), stamp)
        )
