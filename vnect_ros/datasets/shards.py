"""Pre-rendered samples on disk: small folders of JPEG crops with their labels.

A split of a folder is a run of shards `SPLIT_0000.npz` (labels and offsets)
each beside `SPLIT_0000.bin` (the JPEG files, end to end).  The labels' file
appears last and by renaming, so a reader never meets a half-written shard and
a training may start while later shards are still being rendered.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vnect_ros.datasets.sample import Sample, inside
from vnect_ros.errors import ConfigError, describe
from vnect_ros.skeleton import NUM_JOINTS

LABELS: dict[str, tuple[tuple[int, ...], type]] = {
    "joints_px": ((NUM_JOINTS, 2), np.float32),
    "visible": ((NUM_JOINTS,), np.float32),
    "occluded": ((NUM_JOINTS,), np.float32),
    "joints_m": ((NUM_JOINTS, 3), np.float32),
    "weight_3d": ((NUM_JOINTS,), np.float32),
    "joints_camera_m": ((NUM_JOINTS, 3), np.float32),
    "gravity": ((3,), np.float32),
    "k_crop": ((3, 3), np.float32),
    "height_m": ((), np.float32),
    "seed": ((), np.int64),
}
"""Shape and type of every label of a sample, the image aside.

joints_px: pixels of the crop, the top left pixel's centre at (0, 0).
visible: weight for heatmaps, 0 where the joint lies outside the picture.
occluded: 1 where something else is in front of the joint (its truth still holds).
joints_m: root-relative, crop-ray frame, body size normalised [m].
weight_3d: weight for location maps.
joints_camera_m: metric, camera's optical frame [m].
gravity: direction of gravity in the crop-ray frame, unit length; zeros: unknown.
k_crop: intrinsics that take the camera frame to pixels of the crop.
height_m: the person's height, standing upright [m].
seed: what the sample was made from.
"""


class ShardWriter:
    """Collects samples and writes a shard whenever `size` of them are there.

    Args:
        folder: where the shards go; made when missing.
        split: prefix of the shards' names.
        size: samples a shard holds.
        quality: JPEG quality, 1 to 100.
        first: number of the first shard (to go on where an earlier run ended).
    """

    def __init__(
        self, folder: Path, split: str, size: int = 2000, quality: int = 92, first: int = 0
    ) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._split, self._size, self._quality = split, size, quality
        self._number = first
        self._images: list[bytes] = []
        self._labels: list[Mapping[str, Any]] = []

    def add(self, sample: Mapping[str, Any]) -> None:
        """Take one sample: `image` [S, S, 3] uint8 RGB and every label of LABELS."""
        missing = sorted(set(LABELS) - set(sample))
        if missing:
            raise ConfigError(describe("sample", missing[0], "a sample with every label"))
        bgr = cv2.cvtColor(sample["image"], cv2.COLOR_RGB2BGR)
        self._images.append(
            cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, self._quality])[1].tobytes()
        )
        self._labels.append({key: sample[key] for key in LABELS})
        if len(self._images) >= self._size:
            self.flush()

    def flush(self) -> None:
        """Write what is collected as a (possibly short) shard."""
        if not self._images:
            return
        stem = self._folder / f"{self._split}_{self._number:04d}"
        offsets = np.cumsum([0] + [len(data) for data in self._images]).astype(np.int64)
        stacked: dict[str, Any] = {
            key: np.stack([np.asarray(row[key], dtype) for row in self._labels])
            for key, (_, dtype) in LABELS.items()
        }
        stem.with_suffix(".bin").write_bytes(b"".join(self._images))
        scratch = stem.with_suffix(".part")
        with open(scratch, "wb") as file:
            np.savez(file, offsets=offsets, **stacked)
        os.replace(scratch, stem.with_suffix(".npz"))
        self._number += 1
        self._images, self._labels = [], []


class Shards(Sequence[dict[str, Any]]):
    """The samples of one split, in order of writing.

    `shards[i]` is a dict: `image` uint8 [S, S, 3] RGB and the LABELS.  Labels
    live in memory (about 0.8 KB a sample), images are read from disk.

    Args:
        folder: where the shards are.
        split: prefix of their names.

    Raises:
        ConfigError: the folder holds no shard of the split.
    """

    def __init__(self, folder: Path, split: str = "train") -> None:
        self._folder, self._split = Path(folder), split
        self._names: list[str] = []
        self._bins: list[np.ndarray] = []
        self._offsets: list[np.ndarray] = []
        self._labels: list[dict[str, np.ndarray]] = []
        self._starts = [0]
        if self.refresh() == 0:
            raise ConfigError(
                describe("folder", str(folder), f"a folder with {split}_0000.npz in it")
            )

    def refresh(self) -> int:
        """Take in shards written since; returns the number of samples now there."""
        for path in sorted(self._folder.glob(f"{self._split}_[0-9]*.npz")):
            if path.name in self._names:
                continue
            with np.load(path) as data:
                offsets = data["offsets"]
                labels = {key: data[key] for key in LABELS}
            self._names.append(path.name)
            self._bins.append(np.memmap(path.with_suffix(".bin"), np.uint8, "r"))
            self._offsets.append(offsets)
            self._labels.append(labels)
            self._starts.append(self._starts[-1] + len(offsets) - 1)
        return len(self)

    def __len__(self) -> int:
        return self._starts[-1]

    def label(self, key: str) -> np.ndarray:
        """[N, ...] one label of every sample, in order."""
        return np.concatenate([labels[key] for labels in self._labels])

    def __getitem__(self, index: int) -> dict[str, Any]:  # type: ignore[override]
        if not -len(self) <= index < len(self):
            raise IndexError(describe("index", index, f"below {len(self)}"))
        index %= len(self)
        shard = int(np.searchsorted(self._starts, index, "right")) - 1
        row = index - self._starts[shard]
        begin, end = self._offsets[shard][row : row + 2]
        bgr = cv2.imdecode(np.asarray(self._bins[shard][begin:end]), cv2.IMREAD_COLOR)
        sample: dict[str, Any] = {key: value[row] for key, value in self._labels[shard].items()}
        sample["image"] = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        return sample


def as_sample(row: Mapping[str, Any]) -> Sample:
    """A stored or a fresh row, `image` and LABELS, in the terms of a training."""
    # all of a rendered person is known: a joint outside the picture is not in it
    outside = ~inside(row["joints_px"], row["image"].shape[0])
    return Sample(
        row["image"],
        row["joints_px"],
        np.where(outside, np.float32(1.0), row["visible"]),
        row["joints_m"],
        row["weight_3d"],
        float(row["k_crop"][0, 0]),
        row["gravity"],
        float(not outside.all()),
    )
