"""The executable `vnect`: starts the node, and ends well from its first moment on."""

from __future__ import annotations

import argparse
import os
import signal
import sys


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted.

    Args:
        args: the command line without the program's name; None: the process's own.
    """
    # Until ROS takes the signals over there is nothing to give back, and what an interrupt
    # would break off (imports) would print where.
    before = {s: signal.signal(s, _leave) for s in (signal.SIGINT, signal.SIGTERM)}
    import rclpy
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    from rclpy.lifecycle import LifecycleState
    from rclpy.utilities import remove_ros_args

    from vnect_ros import steady
    from vnect_ros.errors import ConfigError
    from vnect_ros.ros.ending import end_ros, ignore_interrupts
    from vnect_ros.ros.node import VnectNode

    steady.use_one_thread()
    arguments = sys.argv[1:] if args is None else args
    _parse(remove_ros_args(["vnect", *arguments])[1:])
    steady.use_one_thread()
    executor = node = None
    try:
        for number, handler in before.items():
            signal.signal(number, handler)
        rclpy.init(args=["vnect", *arguments])
        executor = SingleThreadedExecutor()
        node = VnectNode(owns_process=True)
        executor.add_node(node)
        executor.spin()
    except ConfigError as error:
        rclpy.logging.get_logger("vnect").fatal(str(error))
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        if rclpy.ok():  # or the interrupt took what was being made away
            raise
    finally:
        ignore_interrupts()
        if node is not None and executor is not None:
            node.on_shutdown(LifecycleState(label="finalized", state_id=4))
            executor.shutdown(timeout_sec=1.0)
            node.destroy_node()
        end_ros()
    return 0


def _leave(*_: object) -> None:
    """End the process at once."""
    os._exit(0)


def _parse(arguments: list[str]) -> None:
    """Explain the node, and refuse what is not ROS's: all else is parameters."""
    from vnect_ros.config import NodeConfig, options

    lines = [f"  {key}: {field.metadata['doc']}" for key, field in options(NodeConfig()).items()]
    parser = argparse.ArgumentParser(
        prog="vnect",
        usage="vnect [-h] [--ros-args [-p NAME:=VALUE] [-r FROM:=TO] [--params-file FILE] ...]",
        description="The node: images in; skeletons, markers, TF and joint states out.",
        epilog="parameters:\n" + "\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
