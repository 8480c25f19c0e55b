"""What a process does so that no frame takes much longer than the others.

All calls change the whole process, so that the package makes them in its own processes alone
(the node, the command lines); a program that imports the package decides for itself.
"""

from __future__ import annotations

import contextlib
import gc
import os
from pathlib import Path

import cv2

from vnect_ros.errors import ConfigError, describe


def use_one_thread() -> None:
    """Keep OpenCV from sharing an image out among threads.

    The threads save nothing on images this small, and wait for each other where other
    programs use the cores.  The fit runs on its caller's thread anyway, and
    `ModelConfig.threads` bounds the network.
    """
    cv2.setNumThreads(1)


def settle() -> None:
    """Exempt what has been loaded so far from garbage collection.

    A full collection goes through every object of every imported library, for longer than
    a frame lasts.  To be called once all is loaded, and again after a change of model.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def niceness() -> int:
    """That of the calling thread, -20 to 19."""
    return os.getpriority(os.PRIO_PROCESS, 0)


def set_niceness(value: int) -> None:
    """Give all threads of the process a niceness; those that they start later inherit it.

    A thread that wakes up on a core that others keep busy gets its share of that core, by
    the niceness of both; -10 leaves those at 0 about a tenth.

    Args:
        value: -20 (goes first) to 19.

    Raises:
        ConfigError: the system does not permit it; no thread has changed.
    """
    tasks = Path("/proc/self/task")  # of Linux, where each thread has a niceness of its own
    threads = sorted(int(task.name) for task in tasks.iterdir()) if tasks.is_dir() else [0]
    for thread in threads:
        try:
            with contextlib.suppress(ProcessLookupError):  # that thread has ended meanwhile
                os.setpriority(os.PRIO_PROCESS, thread, value)
        except PermissionError as error:
            accepted = f"{niceness()} to 19 without root, CAP_SYS_NICE or a limit (RLIMIT_NICE)"
            raise ConfigError(describe("niceness", value, accepted)) from error
