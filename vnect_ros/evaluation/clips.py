"""Videos with camera truth: the raw network and the fitted pipeline side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from vnect_ros.camera import Camera
from vnect_ros.config import PipelineConfig
from vnect_ros.datasets.clips import Clip
from vnect_ros.errors import VnectError, describe
from vnect_ros.evaluation import calibration, metrics, pck
from vnect_ros.inference.base import Backend
from vnect_ros.inference.model import Model
from vnect_ros.perception import crop as cropping
from vnect_ros.perception.reading import Reading, read
from vnect_ros.pipeline import Pipeline
from vnect_ros.records import Crop, Frame, Maps, Pose, State, nobody
from vnect_ros.skeleton import MIRROR, NORMALISED_KNEE_NECK_M, knee_neck_length


@dataclass(frozen=True)
class Run:
    """What raw network and pipeline found in one clip."""

    clip: Clip
    raw_m: np.ndarray
    """[F, 21, 3]: unfiltered, root-relative, camera axes, normalised size; NaN unseen."""
    raw_px: np.ndarray
    """[F, 21, 2] unfiltered."""
    raw_confidence: np.ndarray
    """[F, 21]."""
    fitted_m: np.ndarray
    """[F, 21, 3]: metric, camera frame; NaN while lost."""
    fitted_px: np.ndarray
    """[F, 21, 2]: the fitted joints projected."""
    std_m: np.ndarray
    """[F, 21, 3], stated per axis of the camera."""
    confidence: np.ndarray
    """[F, 21]."""
    states: np.ndarray
    """[F] str."""


class RecordingBackend:
    """Passes everything on and keeps the maps of the step, so that raw costs no second run."""

    def __init__(self, inner: Backend) -> None:
        self.inner, self.model = inner, inner.model
        self.name, self.detail = inner.name, inner.detail
        self.maps: list[Maps] = []

    def infer(
        self, images: Sequence[np.ndarray], gravities: Sequence[np.ndarray] | None = None
    ) -> list[Maps]:
        """See `Backend.infer`."""
        found = self.inner.infer(images, gravities)
        self.maps += found
        return found

    def close(self) -> None:
        """See `Backend.close`."""
        self.inner.close()


def raw_reading(maps: Maps, crop: Crop, camera: Camera, model: Model) -> Reading:
    """The joints of a window's maps before any filter; axes of the camera."""
    found = read(maps, model.confidence_curve, crop)
    if model.location_frame != "crop_ray":
        return found
    rotation = camera.rotation_camera_from_crop(crop.centre_px)
    return dataclasses.replace(found, root_relative_m=found.root_relative_m @ rotation.T)


def steps(
    clip: Clip, backend: Backend, config: PipelineConfig
) -> Iterator[tuple[Reading | None, Pose]]:
    """Each frame's raw reading (None while nobody is followed) and fitted pose."""
    recorder = RecordingBackend(backend)
    config = dataclasses.replace(config, max_people=1)
    if clip.height_m is not None:
        low, high = 0.5, 2.5
        fit = dataclasses.replace(
            config.fit, person_height=float(np.clip(clip.height_m, low, high))
        )
        config = dataclasses.replace(config, fit=fit)
    pipeline = Pipeline(config, recorder)
    for i, frame in zip(range(len(clip.joints_camera_m)), clip.video):
        recorder.maps.clear()
        poses = pipeline.step(Frame(frame.image, clip.camera, i / clip.fps))
        pose = poses[0] if poses else nobody(i / clip.fps)
        reading = None
        if pose.crop is not None and recorder.maps:
            reading = raw_reading(recorder.maps[0], pose.crop, clip.camera, backend.model)
        yield reading, pose


def run_clip(clip: Clip, backend: Backend, config: PipelineConfig) -> Run:
    """Run the pipeline over a clip, with a progress bar."""
    count = len(clip.joints_camera_m)
    nothing2, nothing3 = np.full((21, 2), np.nan), np.full((21, 3), np.nan)
    rows: list[tuple[Any, ...]] = []
    for reading, pose in tqdm(
        steps(clip, backend, config), total=count, desc=clip.name, leave=False
    ):
        lost = pose.state is State.LOST
        rows.append(
            (
                nothing3 if reading is None else reading.root_relative_m,
                nothing2 if reading is None else reading.pixels_px,
                np.full(21, np.nan) if reading is None else reading.confidence,
                pose.joints_camera_m,
                nothing2 if lost else clip.camera.project(pose.joints_camera_m),
                np.tile(pose.std_m[:, None], 3) if pose.std_axes_m is None else pose.std_axes_m,
                pose.confidence,
                pose.state.value,
            )
        )
    if len(rows) < count:
        raise VnectError(describe(f"{clip.name}: frames", len(rows), f"the truth's {count}"))
    return Run(clip, *(np.stack([row[i] for row in rows]) for i in range(8)))


def read_boxes(clip: Clip, backend: Backend, config: PipelineConfig) -> np.ndarray:
    """The raw network in the windows around the true joints (the papers' protocol).

    Returns:
        [F, 21, 3] root-relative, camera axes, normalised size; NaN without truth.
    """
    size, found = backend.model.input_size, np.full_like(clip.joints_camera_m, np.nan)
    frames = tqdm(clip.video, total=len(found), desc=f"{clip.name} boxes", leave=False)
    for i, frame in zip(range(len(found)), frames):
        known = clip.joints_px[i][np.isfinite(clip.joints_px[i]).all(axis=1)]
        if len(known):
            window = cropping.around(known, config.crop, size)
            (maps,) = backend.infer([cropping.cut(frame.image, window)])
            found[i] = raw_reading(maps, window, clip.camera, backend.model).root_relative_m
    return found


def score_boxes(runs: Sequence[tuple[Clip, np.ndarray]]) -> dict[str, float]:
    """The figures of `read_boxes` over all clips, at the normalised size (univ_annot3)."""
    predicted = np.concatenate([raw for _, raw in runs])
    truth = np.concatenate([clip.joints_camera_m for clip, _ in runs])
    size = NORMALISED_KNEE_NECK_M / knee_neck_length(truth)
    return metrics.summary_3d(predicted, metrics.root_relative(truth) * size[:, None, None])


def score_clip(run: Run) -> dict[str, Any]:
    """The figures of one clip.

    Raw and fitted are compared over the frames in which both exist.  Raw bodies are
    brought from the normalised size to the person's own by the truth; the fitted
    ones have the size that the pipeline gave them (from the person's height).
    """
    clip = run.clip
    truth = clip.joints_camera_m
    size = knee_neck_length(truth) / NORMALISED_KNEE_NECK_M
    raw = run.raw_m * np.nanmedian(size)
    both = np.isfinite(raw).all(axis=(1, 2)) & np.isfinite(run.fitted_m).all(axis=(1, 2))
    common = np.where(both[:, None, None], truth, np.nan)
    relative, fitted = metrics.root_relative(common), metrics.root_relative(run.fitted_m)
    root, axes = metrics.mrpe(run.fitted_m[:, 14], truth[:, 14])
    there = np.isfinite(truth).any(axis=(1, 2))
    found: dict[str, Any] = {
        "frames": len(truth),
        "tracked": _share(np.isfinite(run.fitted_m[there]).all(axis=(1, 2))),
        "measured": _share(run.states[there] == State.MEASURED.value),
        "raw": {
            **metrics.summary_3d(raw, relative),
            **metrics.summary_motion(raw, relative, clip.fps),
        },
        "fitted": {
            **metrics.summary_3d(fitted, relative),
            **metrics.summary_motion(fitted, relative, clip.fps),
            "acceleration_error_camera": metrics.acceleration_error(run.fitted_m, truth, clip.fps),
            "mrpe_mm": root * 1e3,
            **{f"mrpe_{axis}_mm": value * 1e3 for axis, value in zip("xyz", axes)},
        },
    }
    for name, predicted, pixels in (("raw", raw, run.raw_px), ("fitted", fitted, run.fitted_px)):
        found[name].update(_score_2d(pixels, clip, both))
        found[name]["flipped"] = _flipped(predicted, relative)
    found["calibration"] = calibration.coverage(std_ratios(run))
    sure, right = judged(run)
    found["confidence"] = calibration.reliability(sure, right)
    return found


def std_ratios(run: Run) -> np.ndarray:
    """[N, 3] errors of the fitted joints in the camera frame over their stated deviation."""
    return calibration.ratios(run.fitted_m - run.clip.joints_camera_m, run.std_m)


def judged(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Raw confidence of every joint with truth, and whether it lies within 0.2 torsos."""
    torso = np.linalg.norm(run.clip.joints_px[:, 5] - run.clip.joints_px[:, 8], axis=-1)
    hits = metrics.pck2d_hits(run.raw_px, run.clip.joints_px, torso, 0.2)
    counted = np.isfinite(run.raw_confidence) & np.isfinite(run.clip.joints_px).all(axis=-1)
    return run.raw_confidence[counted], hits[counted]


def _score_2d(pixels_px: np.ndarray, clip: Clip, frames: np.ndarray) -> dict[str, float]:
    seen = np.isfinite(clip.joints_px).all(axis=-1) & frames[:, None]
    found = pck.pck(pixels_px, pck.annotation(clip.joints_px, seen))
    return {key: found[key] for key in ("pck02", "pck05")}


def _flipped(predicted_m: np.ndarray, truth_m: np.ndarray) -> float:
    """Share of frames that would fit the truth better with left and right exchanged."""
    own = metrics.joint_errors(predicted_m, truth_m).mean(axis=1)
    other = metrics.joint_errors(predicted_m[:, list(MIRROR)], truth_m).mean(axis=1)
    valid = np.isfinite(own)
    return _share(other[valid] < own[valid])


def _share(flags: np.ndarray) -> float:
    return float(np.mean(flags)) if len(flags) else float("nan")


def score_clips(runs: Sequence[Run]) -> dict[str, Any]:
    """Every clip's figures, their mean weighted by frames, and the pooled calibration."""
    each = {run.clip.name: score_clip(run) for run in runs}
    weights = np.array([scores["frames"] for scores in each.values()], float)

    def pooled(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        keys = [k for k, v in rows[0].items() if isinstance(v, (int, float)) and k != "n"]
        values = {k: np.array([row[k] for row in rows], float) for k in keys}
        return {
            k: _weighted(v, weights) for k, v in values.items() if not k.endswith(("_low", "_high"))
        }

    rows = list(each.values())
    raw, fitted = (pooled([row[side] for row in rows]) for side in ("raw", "fitted"))
    ratio = np.concatenate([std_ratios(run) for run in runs])
    confidence, right = (np.concatenate(j) for j in zip(*(judged(run) for run in runs)))
    errors = np.concatenate([run.fitted_m - run.clip.joints_camera_m for run in runs])
    across, along = calibration.missing_std(errors, np.concatenate([r.std_m for r in runs]))
    return {
        "frames": int(weights.sum()),
        "tracked": pooled(rows)["tracked"],
        "measured": pooled(rows)["measured"],
        "raw": raw,
        "fitted": fitted,
        "acceleration_gain": raw["acceleration_error"] / max(fitted["acceleration_error"], 1e-9),
        "calibration": {
            **calibration.coverage(ratio),
            "missing_across_m": across,
            "missing_along_m": along,
        },
        "confidence": calibration.reliability(confidence, right),
        "clips": each,
    }


def _weighted(values: np.ndarray, weights: np.ndarray) -> float:
    kept = np.isfinite(values)
    return float(np.average(values[kept], weights=weights[kept])) if kept.any() else float("nan")
