"""What the node does by the clock: see whether images still come, and tell of itself."""

from __future__ import annotations

import time
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode

from vnect_ros.config import NodeConfig
from vnect_ros.ros.diagnostics import Diagnostics


class Watch:
    """Timers of a steady clock: neither a jump nor a paused simulation stops them."""

    def __init__(
        self,
        node: LifecycleNode,
        diagnostics: Diagnostics,
        phase: Callable[[], str],
        look: Callable[[], None],
    ) -> None:
        """Make the publisher; `keep` starts the timers.

        Args:
            phase: gives the state of the lifecycle, for the reports.
            look: sees whether images still come.
        """
        self._node, self._diagnostics = node, diagnostics
        self._phase, self._look = phase, look
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timers: list = []
        self._made_for: tuple[float, float] | None = None
        self.clock = Clock(clock_type=ClockType.STEADY_TIME)

    def keep(self, config: NodeConfig) -> None:
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
        stamp = self._node.get_clock().now().to_msg()
        name = self._node.get_fully_qualified_name().lstrip("/")
        self._publisher.publish(
            self._diagnostics.message(time.monotonic(), name, self._phase(), stamp)
        )
