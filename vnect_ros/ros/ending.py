"""How our processes give ROS back when they end."""

from __future__ import annotations

import signal

import rclpy
from rclpy.context import Context
from rclpy.signals import uninstall_signal_handlers


def ignore_interrupts() -> None:
    """Let what remains to be done be done: a launch file and the terminal both interrupt."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def end_ros(context: Context | None = None) -> None:
    """Shut a context down once, whoever else is about to.

    At an interrupt a thread of rclpy shuts every context down, at its own time.
    `rclpy.try_shutdown` asks whether that has happened and then shuts down, so an interrupt
    that is just being answered makes it raise `RCLError`.  Here that thread ends first.
    `ignore_interrupts` comes before it where there is more to end.

    Args:
        context: None: the process's default one.
    """
    uninstall_signal_handlers()  # joins the thread
    rclpy.try_shutdown(context=context)
