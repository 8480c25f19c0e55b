"""The tables of `evaluate` on what the whole pipeline runs on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vnect_ros.cli._common import number, table
from vnect_ros.config import PipelineConfig
from vnect_ros.datasets import human36m, mpi_inf_3dhp
from vnect_ros.datasets.clips import Clip, PeopleClip, load_clips
from vnect_ros.datasets.nobody import Nobody
from vnect_ros.datasets.people import People
from vnect_ros.evaluation import clips, nobody, people_clips, plots, presence
from vnect_ros.inference.base import Backend


def on_nobody(
    backend: Backend, config: PipelineConfig, args: argparse.Namespace, folder: Path | None
) -> dict[str, Any]:
    """How often the pipeline publishes a person where there is none."""
    pictures = Nobody(args.nobody, args.split)
    source = [str(s) for s in pictures.source[: args.limit or None]]
    scores = nobody.score(pictures, source, backend, config)
    print(
        f"Pictures without people, split {args.split}: a person is published in "
        f"{scores['phantoms']:.1%} of {scores['n']} (95 % interval "
        f"{scores['phantoms_low']:.1%} to {scores['phantoms_high']:.1%})\n"
    )
    return {"split": args.split, **scores}


def on_presence(
    backend: Backend, config: PipelineConfig, args: argparse.Namespace, folder: Path | None
) -> dict[str, Any]:
    """What a bundle should state of its presence output."""
    crops, pictures = People(args.presence[0], args.split), Nobody(args.presence[1], args.split)
    count = args.limit or None
    scores = presence.score(
        presence.of_crops((crops.image(i) for i in range(len(crops))[:count]), backend),
        presence.of_searches((pictures[i] for i in range(len(pictures))[:count]), backend, config),
    )
    print(
        f"Presence, split {args.split}: threshold {scores['presence_threshold']}, reached in "
        f"{scores['reached']:.1%} of {scores['n_pictures']} pictures without people, missed by "
        f"{scores['missed']:.1%} of {scores['n_people']} people\n"
        f"presence curve: {scores['presence_curve']}\n"
    )
    return {"split": args.split, **scores}


def on_clips(
    backend: Backend, config: PipelineConfig, args: argparse.Namespace, folder: Path | None
) -> dict[str, Any]:
    """Videos with camera truth, of one person and of several."""
    found = load_clips(args.clips)[: args.limit or None]
    one = [clip for clip in found if isinstance(clip, Clip)]
    several = [clip for clip in found if isinstance(clip, PeopleClip)]
    scores = _on_videos("clips", one, backend, config, args, folder) if one else {}
    return {**scores, **({"people": _on_people(several, backend, config)} if several else {})}


def _on_people(
    found: Sequence[PeopleClip], backend: Backend, config: PipelineConfig
) -> dict[str, Any]:
    """Clips of several people, with their floor where they state it, and without."""
    scores: dict[str, Any] = {}
    rows: list[list[str]] = []
    for name, floor in (("floor", True), ("no floor", False)):
        clips_of = [clip for clip in found if not floor or any(clip.floors)]
        if not clips_of:
            continue
        scores[name] = people_clips.summary(
            {
                clip.name: people_clips.score(clip, people_clips.run(clip, backend, config, floor))
                for clip in clips_of
            }
        )
        of_clips = scores[name]["clips"]
        rows += [_people_row(f"{clip}, {name}", row) for clip, row in of_clips.items()]
        rows.append(_people_row(f"all, {name}", scores[name]))
    print(f"clips of several people: {len(found)}; heights after {people_clips.SETTLED_S:g} s")
    head = ["", "IDF1", "MOTA", "switches", "missed", "false", "MPJPE", "root [mm]"]
    head += ["root/distance", "settled", "height [cm]", "measured"]
    print(table(head, rows) + "\n")
    return scores


def _people_row(name: str, figures: dict[str, Any]) -> list[str]:
    shares = [figures[key] / figures["objects"] for key in ("misses", "false_positives")]
    keys = ("mpjpe_mm", "root_mm", "root_share", "root_share_settled", "height_error_cm")
    return [
        name,
        *(number(float(figures[key])) for key in ("idf1", "mota")),
        str(figures["switches"]),
        *map(number, shares),
        *(number(figures[key]) for key in (*keys, "height_measured")),
    ]


def on_mpi_inf_3dhp(
    backend: Backend, config: PipelineConfig, args: argparse.Namespace, folder: Path | None
) -> dict[str, Any]:
    """The test set of MPI-INF-3DHP."""
    found = mpi_inf_3dhp.clips(args.mpi_inf_3dhp)
    return _on_videos("mpi_inf_3dhp", found, backend, config, args, folder)


def on_human36m(
    backend: Backend, config: PipelineConfig, args: argparse.Namespace, folder: Path | None
) -> dict[str, Any]:
    """S9 and S11 of Human3.6M."""
    found = human36m.clips(args.human36m)
    return _on_videos("human36m", found, backend, config, args, folder)


def _on_videos(
    name: str,
    found: Sequence[Clip],
    backend: Backend,
    config: PipelineConfig,
    args: argparse.Namespace,
    folder: Path | None,
) -> dict[str, Any]:
    """Raw network and fitted pipeline on clips with camera truth."""
    runs = [clips.run_clip(clip, backend, config) for clip in found[: args.limit or None]]
    scores = clips.score_clips(runs)
    spatial = ["pck3d_150", "auc", "mpjpe_mm", "pa_mpjpe_mm"]
    keys = [*spatial, "acceleration_error", "jitter", "mrpe_mm", "pck02", "flipped"]
    rows = [
        [side, *(number(scores[side][k]) if k in scores[side] else "" for k in keys)]
        for side in ("raw", "fitted")
    ]
    print(f"{name}: {len(runs)} clips, {scores['frames']} frames, tracked {scores['tracked']:.3f}")
    head = ["", "3DPCK@150", "AUC", "MPJPE", "PA-MPJPE", "accel [m/s2]", "jitter [m/s3]", "MRPE"]
    print(table([*head, "@0.2", "flipped"], rows))
    if args.boxes:
        boxes = [(run.clip, clips.read_boxes(run.clip, backend, config)) for run in runs]
        scores["boxes"] = clips.score_boxes(boxes)
        given = ", ".join(f"{k} {number(scores['boxes'][k])}" for k in spatial)
        print(f"raw in given boxes, normalised size: {given}")
    print(f"acceleration error: {scores['acceleration_gain']:.1f} times lower than raw")
    stated = scores["calibration"]
    print(
        f"stated standard deviation: {stated['within_1_std']:.3f} within 1, "
        f"{stated['within_2_std']:.3f} within 2 (Gaussian: 0.683, 0.954), rms {stated['rms']:.2f}"
    )
    held = backend.model.position_std_m
    missing = (stated["missing_across_m"], stated["missing_along_m"])
    scores["position_std_m"] = [round(float(np.hypot(*pair)), 3) for pair in zip(held, missing)]
    print(f"position_std_m for the bundle, by these clips: {scores['position_std_m']}\n")
    if folder:
        ratio = np.concatenate([clips.std_ratios(run) for run in runs])
        plots.coverage(folder / f"{name}_std.png", ratio)
        plots.reliability(folder / f"{name}_confidence.png", {"network": scores["confidence"]})
    return scores
