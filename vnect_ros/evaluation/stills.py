"""Readers on synthetic people, of whom everything is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from vnect_ros.camera import Camera
from vnect_ros.datasets.shards import Shards
from vnect_ros.errors import VnectError, describe
from vnect_ros.evaluation import metrics, pck
from vnect_ros.evaluation.reading import Direction, Reader, Readings
from vnect_ros.records import Crop
from vnect_ros.skeleton import (
    EVALUATED_14,
    INDEX,
    LIMBS,
    NORMALISED_KNEE_NECK_M,
    knee_neck_length,
)

HELD_OUT_SPLITS: Final = ("heldout", "val")


@dataclass(frozen=True)
class Stills:
    """Synthetic crops and their truth."""

    samples: Shards
    count: int
    """Samples that are taken, from the first on."""

    def __len__(self) -> int:
        return self.count

    def images(self) -> Iterable[np.ndarray]:
        """Each sample's [S, S, 3] uint8 RGB crop."""
        return (self.samples[i]["image"] for i in range(self.count))

    def labels(self, key: str) -> np.ndarray:
        """[N, ...] one label of every sample."""
        labels: np.ndarray = self.samples.label(key)[: self.count]
        return labels


def load_stills(path: str | Path, limit: int = 0) -> Stills:
    """Open synthetic stills.

    Args:
        path: a folder, of which the split "heldout" (else "val", else the first by name)
            is taken, or the file of one shard such as `heldout_0000.npz`, which stands
            for its split.
        limit: samples to take at most; 0 takes all.

    Raises:
        VnectError: there are none.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    splits = sorted({p.stem.rpartition("_")[0] for p in folder.glob("*_[0-9]*.npz")})
    asked = [path.stem.rpartition("_")[0]] if folder != path else [*HELD_OUT_SPLITS, *splits[:1]]
    split = next((name for name in asked if name in splits), None)
    if split is None:
        accepted = "a folder (or file) of shards such as heldout_0000.npz with its .bin"
        raise VnectError(describe("synthetic", str(path), accepted))
    samples = Shards(folder, split)
    return Stills(samples, min(limit or len(samples), len(samples)))


def truth_in_axes(stills: Stills, crop_axes: bool) -> np.ndarray:
    """[N, 21, 3] root-relative truth of normalised size; NaN for joints without truth.

    Args:
        crop_axes: in the axes of the crop's own virtual camera, else the camera's.
    """
    truth = stills.labels("joints_m").astype(np.float64)
    if not crop_axes:
        camera_m = stills.labels("joints_camera_m").astype(np.float64)
        scale = NORMALISED_KNEE_NECK_M / knee_neck_length(camera_m)
        truth = metrics.root_relative(camera_m) * scale[:, None, None]
    return np.where(stills.labels("weight_3d")[..., None] > 0.0, truth, np.nan)


def score(readings: Readings, reader: Reader, stills: Stills) -> dict[str, Any]:
    """2D and 3D figures over a synthetic set.

    Bodies have the normalised size, as in the 3DHP protocol on univ_annot3;
    `mpjpe_metric_mm` is that error at each person's own size.  A method whose bodies
    are metric (`Reader.normalised` false) is compared at the person's own size, and
    over the limbs alone where it does not know the other joints.

    Returns:
        The figures of the people who count (`upright_whole`) at the top; the others'
        below `rest`, everybody's below `all`.
    """
    truth_m = truth_in_axes(stills, reader.crop_axes)
    size = knee_neck_length(stills.labels("joints_camera_m").astype(np.float64))
    to_metric = (size / NORMALISED_KNEE_NECK_M)[:, None, None]
    if not reader.normalised:
        truth_m, to_metric = truth_m * to_metric, np.ones_like(to_metric)
    counted = upright_whole(stills)
    parts = [counted, ~counted, np.ones_like(counted)]
    main, rest, everybody = (_figures(readings, truth_m, to_metric, stills, p) for p in parts)
    return {**main, "rest": rest, "all": everybody}


def in_own_axes(readings: Readings, reader: Reader, stills: Stills) -> Readings:
    """The same, what is in the axes of the windows that were read turned to the crops' own."""
    if not reader.crop_axes:
        return readings
    turned = readings.root_relative_m.copy()
    for i, window in enumerate(readings.windows):
        if window is not None:
            turned[i] = turned[i] @ _window_from_own(_camera(stills.samples[i]), window).T
    return replace(readings, root_relative_m=turned)


def directions_down(stills: Stills) -> list[Direction]:
    """The direction of gravity in each sample."""

    def of(sample: dict[str, Any]) -> Direction:
        down, camera = sample["gravity"].astype(np.float64), _camera(sample)
        return lambda window: down @ _window_from_own(camera, window)

    return [of(stills.samples[i]) for i in range(len(stills))]


def _camera(sample: dict[str, Any]) -> Camera:
    """That of a sample's crop."""
    height, width = sample["image"].shape[:2]
    k = sample["k_crop"]
    return Camera(width, height, k[0, 0], k[1, 1], k[0, 2], k[1, 2])


def _window_from_own(camera: Camera, window: Crop) -> np.ndarray:
    """[3, 3] that takes row vectors from the axes of a crop to those of a window of it."""
    middle = np.array([camera.width - 1.0, camera.height - 1.0]) / 2.0
    own = camera.rotation_camera_from_crop(middle)
    turn: np.ndarray = own.T @ camera.rotation_camera_from_crop(window.centre_px)
    return turn


def _figures(
    readings: Readings,
    truth_m: np.ndarray,
    to_metric: np.ndarray,
    stills: Stills,
    rows: np.ndarray,
) -> dict[str, Any]:
    """The figures of some rows [N] bool."""
    predicted, truth, metric = readings.root_relative_m[rows], truth_m[rows], to_metric[rows]
    found: dict[str, Any] = metrics.summary_3d(predicted, truth)
    found["mpjpe_metric_mm"] = metrics.mpjpe(predicted * metric, truth * metric) * 1e3
    found["pa_mpjpe_limbs_mm"] = metrics.pa_mpjpe(predicted, truth, LIMBS) * 1e3
    ratio = knee_neck_length(predicted) / knee_neck_length(truth)
    known = ratio[np.isfinite(ratio)]
    found["size_ratio"] = float(np.median(known)) if known.size else float("nan")
    seen = stills.labels("visible")[rows] > 0.0
    truth14 = pck.annotation(stills.labels("joints_px")[rows], seen)
    shares = pck.pck(readings.pixels_px[rows], truth14)
    found.update({key: shares[key] for key in ("pck02", "pck05")})
    errors = metrics.joint_errors(predicted, truth)
    columns = list(EVALUATED_14)
    occluded = stills.labels("occluded")[rows][:, columns] > 0.5
    inside = seen[:, columns]
    for name, mask in (
        ("seen", inside & ~occluded), ("occluded", inside & occluded), ("outside", ~inside),
    ):  # fmt: skip
        found[f"mpjpe_{name}_mm"] = metrics.mean(errors[mask]) * 1e3
    found["joints"] = {
        name: {
            "mpjpe_mm": metrics.mean(errors[:, i]) * 1e3,
            "pck3d_150": metrics.pck3d(errors[:, i]),
        }
        for i, name in enumerate(n for n, j in INDEX.items() if j in EVALUATED_14)
    }
    return found


def upright_whole(stills: Stills) -> np.ndarray:
    """[N] bool: head up, feet below the hips, all inside the picture, hardly anything hidden.

    What a robot mostly meets: the trunk within 35 degrees of the picture's vertical and
    at most two of the 14 joints occluded.
    """
    joints = stills.labels("joints_px").astype(np.float64)
    up = joints[:, INDEX["pelvis"]] - joints[:, INDEX["neck"]]
    lean = np.degrees(np.arctan2(np.abs(up[:, 0]), up[:, 1]))
    feet = joints[:, [INDEX["left_ankle"], INDEX["right_ankle"]], 1].min(axis=1)
    columns = list(EVALUATED_14)
    whole = (stills.labels("visible")[:, columns] > 0.0).all(axis=1)
    hidden = (stills.labels("occluded")[:, columns] > 0.5).sum(axis=1)
    chosen: np.ndarray = (
        (lean < 35.0) & (feet > joints[:, INDEX["pelvis"], 1]) & whole & (hidden <= 2)
    )
    return chosen
