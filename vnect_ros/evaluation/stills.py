"""Readers on sets of crops: LSPET with its 2D truth, synthetic people with all of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from tqdm import tqdm

from vnect_ros.datasets import lspet
from vnect_ros.errors import VnectError, describe
from vnect_ros.evaluation import calibration, metrics
from vnect_ros.evaluation.reading import Reader, Reading
from vnect_ros.skeleton import EVALUATED_14, INDEX, NORMALISED_KNEE_NECK_M, knee_neck_length

LIMBS_21: Final = tuple(lspet.TO_VNECT[i] for i in lspet.LIMBS)
"""VNect's indices of the 12 limb joints, which every method places alike."""
HELD_OUT_SPLITS: Final = ("heldout", "val")


@dataclass(frozen=True)
class Readings:
    """What one reader said of every image of a set."""

    reader: str
    pixels_px: np.ndarray
    """[N, 21, 2] pixels of the image."""
    root_relative_m: np.ndarray
    """[N, 21, 3]."""
    confidence: np.ndarray
    """[N, 21]."""
    peaks: np.ndarray
    """[N, 21]."""


def read_all(reader: Reader, images: Iterable[np.ndarray], count: int) -> Readings:
    """Read every whole image, with a progress bar."""
    rows: list[Reading] = [
        reader.read(image) for image in tqdm(images, total=count, desc=reader.name, leave=False)
    ]
    return Readings(
        reader.name,
        np.stack([r.pixels_px for r in rows]),
        np.stack([r.root_relative_m for r in rows]),
        np.stack([r.confidence for r in rows]),
        np.stack([r.peaks for r in rows]),
    )


def score_lspet(readings: Readings, joints14: np.ndarray) -> dict[str, Any]:
    """PCK with its intervals, by joint, without side confusion, and the confidence's worth."""
    found: dict[str, Any] = lspet.pck(readings.pixels_px, joints14)
    sided = lspet.pck(lspet.unswapped(readings.pixels_px, joints14), joints14)
    found["pck02_unswapped"], found["pck05_unswapped"] = sided["pck02"], sided["pck05"]
    found["joints"] = lspet.by_joint(readings.pixels_px, joints14)
    peaks, confidence, right = judged(readings, joints14)
    found["confidence"] = calibration.reliability(confidence, right)
    found["confidence_curve"] = calibration.confidence_curve(peaks, right)
    return found


def judged(readings: Readings, joints14: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Peak, confidence and rightness (0.2 torsos, strict) of every visible limb joint."""
    columns = list(LIMBS_21)
    torso, torso_visible = lspet.torso_px(joints14)
    truth = joints14[:, : len(columns)]
    counted = (truth[..., 2] > 0.5) & torso_visible[:, None]
    hits = metrics.pck2d_hits(readings.pixels_px[:, columns], truth[..., :2], torso, 0.2)
    values = (readings.peaks[:, columns], readings.confidence[:, columns], hits)
    peaks, confidence, right = (v[counted] for v in values)
    return peaks, confidence, right


@dataclass(frozen=True)
class Stills:
    """Synthetic crops and their truth."""

    samples: Any
    """Sequence of samples as `training.synthetic.shards.Shards` gives them."""
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
    from vnect_ros.datasets.shards import Shards

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


def score_stills(readings: Readings, reader: Reader, stills: Stills) -> dict[str, Any]:
    """2D and 3D figures over a synthetic set.

    Bodies have the normalised size, as in the 3DHP protocol on univ_annot3;
    `mpjpe_metric_mm` is that error at each person's own size.  A method whose bodies
    are metric (`Reader.normalised` false) is compared at the person's own size, and
    over the limbs alone where it does not know the other joints.
    """
    truth = truth_in_axes(stills, reader.crop_axes)
    size = knee_neck_length(stills.labels("joints_camera_m").astype(np.float64))
    to_metric = (size / NORMALISED_KNEE_NECK_M)[:, None, None]
    predicted = readings.root_relative_m
    if not reader.normalised:
        truth = truth * to_metric
        to_metric = np.ones_like(to_metric)
    found: dict[str, Any] = metrics.summary_3d(predicted, truth)
    found["mpjpe_metric_mm"] = metrics.mpjpe(predicted * to_metric, truth * to_metric) * 1e3
    found["pa_mpjpe_limbs_mm"] = metrics.pa_mpjpe(predicted, truth, LIMBS_21) * 1e3
    found["size_ratio"] = float(np.nanmedian(knee_neck_length(predicted) / knee_neck_length(truth)))
    found.update(_score_2d(readings, stills))
    errors = metrics.joint_errors(predicted, truth)
    occluded = stills.labels("occluded")[:, list(EVALUATED_14)] > 0.5
    inside = stills.labels("visible")[:, list(EVALUATED_14)] > 0.0
    for name, mask in (
        ("seen", inside & ~occluded), ("occluded", inside & occluded), ("outside", ~inside),
    ):  # fmt: skip
        found[f"mpjpe_{name}_mm"] = _masked_mean(errors, mask) * 1e3
    plain = upright_whole(stills)
    found["upright"] = {
        "n": int(plain.sum()),
        "mpjpe_mm": metrics.mpjpe(predicted[plain], truth[plain]) * 1e3,
        "pa_mpjpe_mm": metrics.pa_mpjpe(predicted[plain], truth[plain]) * 1e3,
        "pck3d_150": metrics.pck3d(errors[plain]),
    }
    found["joints"] = {
        name: {
            "mpjpe_mm": _masked_mean(errors[:, [i]], np.isfinite(errors[:, [i]])) * 1e3,
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


def _masked_mean(values: np.ndarray, mask: np.ndarray) -> float:
    kept = values[mask & np.isfinite(values)]
    return float(kept.mean()) if kept.size else float("nan")


def _score_2d(readings: Readings, stills: Stills) -> dict[str, float]:
    """PCK@0.2 and @0.5 of the torso over the limbs inside the picture."""
    joints = stills.labels("joints_px")[:, list(lspet.TO_VNECT)].astype(np.float64)
    seen = stills.labels("visible")[:, list(lspet.TO_VNECT)] > 0.0
    found = lspet.pck(readings.pixels_px, np.concatenate([joints, seen[..., None]], axis=-1))
    return {key: found[key] for key in ("pck02", "pck05")}
