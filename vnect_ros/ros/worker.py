"""One thread that always works on the newest item; older ones are given up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestWorker(Generic[T]):
    """A slot for one item and a thread that empties it.

    A queue would grow whenever work is slower than the camera, and the poses
    with it grow old.
    """

    def __init__(self, handle: Callable[[T], None], name: str) -> None:
        """Start the thread.  `handle` must not raise."""
        self._handle = handle
        self._item: T | None = None
        self._open = True
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> bool:
        """Leave an item for the thread; True if it took the place of one not yet begun."""
        with self._condition:
            replaced = self._item is not None
            self._item = item
            self._condition.notify()
        return replaced

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Begin no other item, and wait for the one at hand; False if it does not end."""
        with self._condition:
            self._open, self._item = False, None
            self._condition.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._condition:
                while self._open and self._item is None:
                    self._condition.wait()
                if not self._open:
                    return
                item, self._item = self._item, None
            self._handle(item)  # type: ignore[arg-type]
