"""Clips of several people through the whole pipeline: are they told apart, and their metres right?

Identities are scored by py-motmetrics: MOTA of Bernardin and Stiefelhagen (2008), IDF1 of
Ristani et al. (2016).  A person counts in a frame that shows half of the 14 joints; who is
shown less is neither missed nor are tracks on them false.  A track is on a person if its
joints lie, in the mean, within a quarter of the person's size of the true ones in the image.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

from vnect_ros.config import PipelineConfig
from vnect_ros.datasets.clips import PeopleClip
from vnect_ros.errors import VnectError, describe
from vnect_ros.evaluation import metrics
from vnect_ros.inference.base import Backend
from vnect_ros.pipeline import Pipeline
from vnect_ros.records import Frame, Pose, State
from vnect_ros.skeleton import EVALUATED_14, PELVIS

MAX_PEOPLE: Final = 6
"""At least so many may be tracked."""
SHOWN: Final = 7
"""Of the 14 joints, those that the picture must show for a person to count."""
NEAR: Final = 0.25
"""Mean distance of a track's joints from the person's, in parts of the person's size."""
SETTLED_S: Final = 3.0
"""Heights are judged once a person is tracked for so long."""
_JOINTS: Final = list(EVALUATED_14)
_FIGURES: Final = {
    "mota": "mota",
    "idf1": "idf1",
    "num_switches": "switches",
    "num_misses": "misses",
    "num_false_positives": "false_positives",
    "num_objects": "objects",
}


@dataclass(frozen=True)
class Tracks:
    """Everybody who was published in a clip, a row a pose."""

    frames: np.ndarray
    """[N] int."""
    ids: np.ndarray
    """[N] str."""
    joints_m: np.ndarray
    """[N, 21, 3] camera frame."""
    heights_m: np.ndarray
    """[N]."""
    height_std_m: np.ndarray
    """[N] NaN where the height is assumed."""

    @classmethod
    def of_poses(cls, frames: Iterable[Sequence[Pose]]) -> Tracks:
        """The tracked people of each frame's poses; LOST ones are left out."""
        rows = [
            (i, pose.id, pose.joints_camera_m, pose.height_m, pose.height_std_m)
            for i, poses in enumerate(frames)
            for pose in poses
            if pose.state is not State.LOST
        ]
        frame, ids, joints, heights, stds = zip(*rows) if rows else ((), (), (), (), ())
        return cls(
            np.array(frame, int),
            np.array(ids, str),
            np.array(joints).reshape(-1, 21, 3),
            np.array(heights, float),
            np.array(stds, float),
        )


@dataclass(frozen=True)
class Score:
    """The figures of one clip, and what they are made of."""

    accumulator: Any
    """Of motmetrics, whose figures of several clips can be merged."""
    people: list[dict[str, float]]
    """Each person's figures."""


def run(clip: PeopleClip, backend: Backend, config: PipelineConfig, floor: bool) -> Tracks:
    """Run the pipeline over a clip, with a progress bar.

    Args:
        floor: whether the pipeline is given the floor that the clip states.

    Raises:
        VnectError: the video has fewer frames than the truth.
    """
    most = max(config.max_people, MAX_PEOPLE)
    pipeline = Pipeline(dataclasses.replace(config, max_people=most), backend)
    found: list[list[Pose]] = []
    frames = tqdm(zip(clip.floors, clip.video), total=len(clip.floors), desc=clip.name, leave=False)
    for i, (plane, frame) in enumerate(frames):
        given = Frame(frame.image, clip.camera, i / clip.fps, plane if floor else None)
        found.append(pipeline.step(given))
    if len(found) < len(clip.floors):
        raise VnectError(
            describe(f"{clip.name}: frames", len(found), f"the truth's {len(clip.floors)}")
        )
    return Tracks.of_poses(found)


def score(clip: PeopleClip, tracks: Tracks, answered: np.ndarray | None = None) -> Score:
    """Compare tracks with the truth.

    Args:
        answered: [M] the frames that count, of a camera whose images were not all looked at;
            None: all.

    Raises:
        VnectError: motmetrics is not installed.
    """
    accumulator = _motmetrics().MOTAccumulator()
    counted = (~clip.occluded[:, :, _JOINTS]).sum(axis=2) >= SHOWN
    frames = range(len(counted)) if answered is None else np.unique(answered).tolist()
    _, tracks_of_rows = np.unique(tracks.ids, return_inverse=True)
    for frame in frames:
        people = counted[frame]
        rows = np.flatnonzero(tracks.frames == frame)
        distance = _distances(clip, frame, tracks.joints_m[rows])
        kept = ~_on_ignored(distance, people)
        apart = distance[people][:, kept]
        accumulator.update(np.flatnonzero(people), tracks_of_rows[rows[kept]], apart, frameid=frame)
    events = accumulator.mot_events
    events = events[events["Type"].isin(("MATCH", "SWITCH"))]
    row_of = {key: row for row, key in enumerate(zip(tracks.frames, tracks_of_rows))}
    frame_of = events.index.get_level_values("FrameId").to_numpy()
    rows = np.array([row_of[key] for key in zip(frame_of, events["HId"])], int)
    people_of = events["OId"].to_numpy()
    return Score(
        accumulator,
        [
            _person(clip, who, tracks, frame_of[people_of == who], rows[people_of == who], seen)
            for who, seen in enumerate(counted[list(frames)].sum(axis=0).tolist())
        ],
    )


def _distances(clip: PeopleClip, frame: int, joints_m: np.ndarray) -> np.ndarray:
    """[P, N] how far tracks are from people, in parts of their size; NaN where too far."""
    true_px = clip.joints_px[frame]
    found_px = np.array([clip.camera.project(joints) for joints in joints_m]).reshape(-1, 21, 2)
    size = np.ptp(true_px, axis=1).max(axis=1)
    apart = np.linalg.norm(true_px[:, None] - found_px, axis=-1)[..., _JOINTS].mean(axis=2)
    distance: np.ndarray = apart / size[:, None]
    return np.where(distance < NEAR, distance, np.nan)


def _on_ignored(distance: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """[N] the tracks that belong to people who do not count in this frame."""
    cost = np.where(np.isfinite(distance), distance, 1e3)
    dropped = np.zeros(distance.shape[1], bool)
    for person, track in zip(*linear_sum_assignment(cost)):
        dropped[track] = not counted[person] and np.isfinite(distance[person, track])
    return dropped


def _person(
    clip: PeopleClip, who: int, tracks: Tracks, frames: np.ndarray, rows: np.ndarray, counted: int
) -> dict[str, float]:
    """The figures of one person.

    Args:
        frames: [M] those in which a track is on the person.
        rows: [M] that track's in `tracks`.
        counted: frames that show the person.
    """
    truth, found = clip.joints_camera_m[frames, who], tracks.joints_m[rows]
    root_m = np.linalg.norm(found[:, PELVIS] - truth[:, PELVIS], axis=1)
    distance_m = np.linalg.norm(truth[:, PELVIS], axis=1)
    late = frames >= frames.min(initial=len(clip.floors)) + SETTLED_S * clip.fps
    settled = rows[late]
    off_m = np.abs(tracks.heights_m[settled] - clip.heights_m[who])
    return {
        "height_m": float(clip.heights_m[who]),
        "counted": counted,
        "tracked": len(frames) / max(counted, 1),
        "mpjpe_mm": metrics.mpjpe(found, truth) * 1e3,
        "root_mm": metrics.mean(root_m) * 1e3,
        "root_share": metrics.mean(root_m / distance_m),
        "root_share_settled": metrics.mean((root_m / distance_m)[late]),
        "height_error_cm": float(np.median(off_m)) * 1e2 if len(off_m) else float("nan"),
        "height_measured": metrics.mean(np.isfinite(tracks.height_std_m[settled]).astype(float)),
    }


def summary(scores: dict[str, Score]) -> dict[str, Any]:
    """The figures of each clip, and of all: events pooled, people in the mean.

    Args:
        scores: by the clips' names.
    """
    motmetrics = _motmetrics()
    table = motmetrics.metrics.create().compute_many(
        [one.accumulator for one in scores.values()],
        names=list(scores),
        metrics=list(_FIGURES),
        generate_overall=True,
    )
    figures = {
        name: {ours: row[theirs] for theirs, ours in _FIGURES.items()}
        for name, row in zip(table.index, table.to_dict("records"))
    }
    clips = {
        name: {**figures[name], **_mean(one.people), "people": one.people}
        for name, one in scores.items()
    }
    everybody = [person for one in scores.values() for person in one.people]
    pooled = {**figures["OVERALL"], **_mean(everybody)}
    return {**pooled, "n": len(everybody), "clips": clips}


def _mean(people: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of people's figures, each person alike."""
    keys = ["mpjpe_mm", "root_mm", "root_share", "root_share_settled"]
    keys += ["height_error_cm", "height_measured"]
    return {key: metrics.mean(np.array([person[key] for person in people])) for key in keys}


def _motmetrics() -> Any:
    try:
        import motmetrics
    except ImportError as error:
        raise VnectError(f"clips of several people need motmetrics: {error}") from error
    return motmetrics
