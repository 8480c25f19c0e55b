"""A training for a machine with a GPU that is lent for half an hour and reaches no network.

The machine gets the package, the recipe and the data in parts of bounded size;
it renders synthetic people while it trains on them, and gives back the averaged
weights in half precision, again in parts of bounded size.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from vnect_ros.errors import VnectError, describe
from vnect_ros.learning import checkpoints, loop
from vnect_ros.learning.config import TrainConfig

MIB = 1024 * 1024
MANIFEST = "manifest.json"


def write_parts(
    data: bytes, folder: str | Path, stem: str, limit_mib: float, note: dict[str, Any] | None = None
) -> list[Path]:
    """Write bytes as `stem_000.part`, … of at most `limit_mib`, with a manifest of checksums."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    step = int(limit_mib * MIB)
    files, sums = [], {}
    for number, start in enumerate(range(0, len(data), step)):
        file = folder / f"{stem}_{number:03d}.part"
        file.write_bytes(data[start : start + step])
        sums[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        files.append(file)
    (folder / MANIFEST).write_text(json.dumps({"parts": sums, "note": note or {}}, indent=1))
    return files


def read_parts(folder: str | Path) -> tuple[bytes, dict[str, Any]]:
    """Join what `write_parts` wrote.

    Raises:
        VnectError: a part is missing or damaged.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        raise VnectError(describe("folder", str(folder), f"a folder with {MANIFEST}"))
    manifest = json.loads((folder / MANIFEST).read_text())
    data = []
    for name, expected in manifest["parts"].items():
        part = (folder / name).read_bytes() if (folder / name).is_file() else b""
        if hashlib.sha256(part).hexdigest() != expected:
            raise VnectError(describe(f"part {name}", f"{len(part)} bytes", "the part as written"))
        data.append(part)
    return b"".join(data), manifest["note"]


def pack(paths: Sequence[str | Path], out: str | Path, limit_mib: float = 60.0) -> list[Path]:
    """Put files and folders into one archive, in parts to be carried in one at a time."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        for path in paths:
            tar.add(path, arcname=Path(path).name)
    return write_parts(held.getvalue(), out, "data", limit_mib)


def unpack(parts: str | Path, out: str | Path) -> Path:
    """Undo `pack`."""
    data, _ = read_parts(parts)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar.getmembers():
            if member.name.startswith(("/", "..")) or not (member.isfile() or member.isdir()):
                raise VnectError(describe("archive member", member.name, "plain files below it"))
        tar.extractall(out)
    return Path(out)


def split_weights(checkpoint: str | Path, out: str | Path, limit_mib: float = 16.0) -> list[Path]:
    """Write a checkpoint's averaged weights in half precision, in parts."""
    content = checkpoints.read(checkpoint)
    kept = {k: content[k] for k in ("config", "step", "samples", "progress", "validation")}
    held = io.BytesIO()
    torch.save({**kept, "average": {k: v.half() for k, v in content["average"].items()}}, held)
    return write_parts(held.getvalue(), out, "weights", limit_mib, {"step": content["step"]})


def join_weights(parts: str | Path, out: str | Path) -> Path:
    """Undo `split_weights`: a checkpoint for `start_from` and `export`."""
    data, _ = read_parts(parts)
    content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    content["average"] = {k: v.float() for k, v in content["average"].items()}
    checkpoints.save(Path(out), content)
    return Path(out)


class Renderers:
    """Processes that render synthetic people into a folder until they are ended.

    Args:
        folder: of the shards.
        count: processes.
        arguments: further ones of `vnect_ros.cli.render stills`.
        shard: samples a shard.
    """

    def __init__(
        self, folder: Path, count: int, arguments: Sequence[str] = (), shard: int = 500
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._log = (folder / "render.log").open("w")
        each = 200_000 // shard * shard
        self._running = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "vnect_ros.cli.render",
                    "stills",
                    "--out",
                    str(folder),
                    "--split",
                    "train",
                    "--count",
                    str(each),
                    "--first",
                    str(number * each),
                    "--shard",
                    str(shard),
                    *arguments,
                ],
                stdout=self._log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            for number in range(count)
        ]

    def wait_for_shard(self, timeout_s: float) -> None:
        """Return when something is there to train on.

        Raises:
            VnectError: the renderers ended or the time passed before.
        """
        end = time.monotonic() + timeout_s
        while not list(self._folder.glob("train_*.npz")):
            if all(p.poll() is not None for p in self._running) or time.monotonic() > end:
                words = (self._folder / "render.log").read_text()[-400:]
                raise VnectError(f"nothing was rendered; the renderers said: {words}")
            time.sleep(0.5)

    def close(self) -> None:
        """End the renderers."""
        for process in self._running:
            process.terminate()
        for process in self._running:
            process.wait()
        self._log.close()


def run(
    config: TrainConfig,
    out: str | Path,
    rendered: str | Path,
    renderers: int,
    arguments: Sequence[str] = (),
    shard: int = 500,
    limit_mib: float = 16.0,
) -> list[Path]:
    """Render, train, and leave the weights in parts.

    Args:
        config: the recipe; its length is the recipe's.
        out: gets `run/` (log, checkpoint) and `weights/` (the parts).
        rendered: folder of the shards, as the recipe names it.
        renderers: processes that render while the training runs; 0 if shards are there.
        arguments: further ones of the renderer.
        shard: samples a shard.
        limit_mib: largest part.
    """
    out = Path(out)
    team = Renderers(Path(rendered), renderers, arguments, shard) if renderers else None
    try:
        if team:
            team.wait_for_shard(240.0)
        file = loop.train(config, out / "run", resume=True)
    finally:
        if team:
            team.close()
    return split_weights(file, out / "weights", limit_mib)
