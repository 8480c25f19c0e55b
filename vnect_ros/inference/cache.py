"""Built engines on disk: found by everything they depend on, never half-written.

An entry is one file: a line of JSON (format, checksum, what it was built from)
and the engine behind it.  It appears by an atomic rename; one that cannot be
read, verified or loaded is a miss, and goes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeVar

from vnect_ros.errors import BackendError

Engine = TypeVar("Engine")

FORMAT: Final = 1
"""Of the entries and of what the graph undergoes before the build: part of the key."""
SUFFIX: Final = ".engine"
KEEP: Final = 8
"""Entries kept; beyond that the longest unused go."""


@dataclass(frozen=True)
class Built:
    """What every built engine depends on; a runtime adds what else its own depend on."""

    model_sha256: str
    precision: str
    runtime: str
    """Module and version, e.g. "tensorrt 10.3.0"."""

    @property
    def digest(self) -> str:
        """64 hexadecimal digits that stand for the key."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Key(Built):
    """Everything a TensorRT engine depends on."""

    gpu: str
    compute_capability: str
    driver: str
    batch: int = 1
    format: int = FORMAT


def folder() -> Path:
    """Where engines are kept: `$XDG_CACHE_HOME` or `~/.cache`, never /tmp."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    return root / "vnect_ros" / "engines"


class Cache:
    """The entries in one folder; several processes may use it at once."""

    def __init__(self, where: Path | None = None) -> None:
        """Open the folder, making it if need be.

        Raises:
            BackendError: it cannot be made.
        """
        try:
            self.folder = folder() if where is None else where
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except (OSError, RuntimeError) as error:  # the latter: nobody's home is known
            raise BackendError(f"engine cache {where or ''} cannot be made: {error}") from error

    def path(self, key: Built) -> Path:
        """The file of an entry."""
        return self.folder / (key.digest[:32] + SUFFIX)

    def read(self, key: Built) -> bytes | None:
        """The engine of a key; None if there is none, or it is damaged."""
        path = self.path(key)
        try:
            head, _, engine = path.read_bytes().partition(b"\n")
            declared = json.loads(head)
            intact = (
                declared["key"] == asdict(key)
                and declared["sha256"] == hashlib.sha256(engine).hexdigest()
            )
        except (OSError, ValueError, KeyError, TypeError):
            intact = False
        if not intact:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return engine

    def write(self, key: Built, engine: bytes) -> None:
        """Put an engine under its key, at once or not at all.

        Raises:
            BackendError: the disk refuses.
        """
        head = {"key": asdict(key), "sha256": hashlib.sha256(engine).hexdigest()}
        scratch = None
        try:
            with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".part", delete=False) as file:
                scratch = Path(file.name)
                file.write(json.dumps(head, sort_keys=True).encode() + b"\n" + engine)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(self.path(key))
        except OSError as error:
            if scratch is not None:
                scratch.unlink(missing_ok=True)
            raise BackendError(f"engine cache {self.folder}: cannot write: {error}") from error
        self._prune()

    def drop(self, key: Built) -> None:
        """Forget an entry."""
        self.path(key).unlink(missing_ok=True)

    @contextlib.contextmanager
    def lock(self, key: Built) -> Iterator[None]:
        """Keep other processes from building the same engine meanwhile."""
        with open(self.path(key).with_suffix(".lock"), "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield  # closing the file releases the lock

    def engine(
        self, key: Built, build: Callable[[], bytes], load: Callable[[bytes], Engine]
    ) -> tuple[Engine, bool]:
        """The loaded engine of a key, built if the cache has none that loads.

        Args:
            build: makes the engine.
            load: takes it; raises BackendError if the runtime refuses it.

        Returns:
            What `load` returned, and whether the engine came from the cache.

        Raises:
            BackendError: of `build`, or of `load` on a freshly built engine.
        """
        with self.lock(key):
            cached = self.read(key)
            if cached is not None:
                try:
                    return load(cached), True
                except BackendError:
                    self.drop(key)
            engine = build()
            loaded = load(engine)
            self.write(key, engine)
            return loaded, False

    def _prune(self) -> None:
        entries = []
        for path in self.folder.glob("*" + SUFFIX):
            with contextlib.suppress(OSError):  # another process may have taken it
                entries.append((path.stat().st_mtime, path))
        for _, path in sorted(entries, reverse=True)[KEEP:]:
            path.unlink(missing_ok=True)
