"""What a process does so that no frame takes much longer than the others.

Both calls change the whole process, so that the package makes them in its own processes alone
(the node, the command lines); a program that imports the package decides for itself.
"""

from __future__ import annotations

import gc

import cv2


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
