"""Measure a model and the pipeline on sets with truth; docs/evaluation.md defines the figures."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vnect_ros.cli import _common
from vnect_ros.datasets import lspet
from vnect_ros.errors import ConfigError, describe
from vnect_ros.evaluation import plots
from vnect_ros.evaluation.baselines import VARIANTS, BlazePoseReader
from vnect_ros.evaluation.reading import NetworkReader, Reader
from vnect_ros.evaluation.stills import Readings, load_stills, read_all, score_lspet, score_stills
from vnect_ros.inference.base import Backend

SETS = ("lspet", "synthetic", "clips", "mpi_inf_3dhp", "human36m")
SHEET_TILES = 48
FULL_SET = 2000
"""More LSPET rows than this are taken for the set that training takes from."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = _common.parser(
        "evaluate",
        "Measure a model, and the pipeline on it, on sets with truth. Each set given is measured; "
        "with one set the JSON holds its figures at the top level, with several one entry a set.",
    )
    _common.add_model(made)
    sets = made.add_argument_group("sets")
    sets.add_argument("--lspet", metavar="DIR", help="labels.npz and a tar (or files) of crops")
    sets.add_argument(
        "--split",
        choices=lspet.SPLITS,
        default="all",
        help="rows of --lspet: all, or of the full set those kept from training (i %% 20 == 7) "
        "or the others (default: all)",
    )
    sets.add_argument("--synthetic", metavar="PATH", help="folder of shards of synthetic stills")
    sets.add_argument("--clips", metavar="DIR", help="folder of NAME.mp4 with NAME.npz")
    sets.add_argument("--mpi-inf-3dhp", metavar="DIR", help="the test set: TS1 ... TS6")
    sets.add_argument("--human36m", metavar="DIR", help="images and annotations of S9 and S11")
    sets.add_argument(
        "--boxes",
        action="store_true",
        help="on videos also read the raw network in the windows around the true joints",
    )
    made.add_argument("--limit", type=int, default=0, metavar="N", help="only the first N of a set")
    made.add_argument(
        "--peers",
        nargs="?",
        const="",
        metavar="DIR",
        help="also measure BlazePose lite, full and heavy on the crops (scripts/get_peers)",
    )
    made.add_argument("--plots", metavar="DIR", help="write bars, calibration and worst crops")
    _common.add_settings(made)
    return made


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Every set that was named; returns what `--json` writes."""
    named = [name for name in SETS if getattr(args, name)]
    if not named:
        raise ConfigError(describe("sets", None, "--" + ", --".join(SETS).replace("_", "-")))
    config = _common.settings(args.set)
    backend = _common.load_backend(args)
    readers: list[Reader] = [NetworkReader(backend)]
    if args.peers is not None:
        readers += [BlazePoseReader(variant, args.peers or None) for variant in VARIANTS]
    folder = Path(args.plots) if args.plots else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    try:
        for name in named:
            if name == "lspet":
                found[name] = on_lspet(readers, args, folder)
            elif name == "synthetic":
                found[name] = on_stills(readers, args, folder)
            else:
                found[name] = on_videos(name, backend, config, args, folder)
            found[name] = {"set": name, "model": _identity(backend), **found[name]}
    finally:
        backend.close()
    return found[named[0]] if len(named) == 1 else found


def _identity(backend: Backend) -> dict[str, Any]:
    model = backend.model
    return {
        "name": model.name,
        "precision": model.precision,
        "sha256": model.sha256,
        "backend": backend.name,
    }


def _beside(scores: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """Our own figures, with the peers' below `peers`."""
    peers = {"peers": dict(scores[1:])} if len(scores) > 1 else {}
    return {**scores[0][1], **peers}


def _first(images: Any, limit: int) -> Any:
    return itertools.islice(images, limit) if limit else images


def on_lspet(
    readers: Sequence[Reader], args: argparse.Namespace, folder: Path | None
) -> dict[str, Any]:
    """PCK of every reader on the crops."""
    crops = lspet.load(args.lspet, args.split)
    if args.split == "all" and len(crops) > FULL_SET:
        print("note: split all of the full set holds the rows that the bundled model learned from")
    count = min(args.limit or len(crops), len(crops))
    truth = crops.joints14[:count]
    runs = [read_all(reader, _first(crops.images(), count), count) for reader in readers]
    scores = [(run.reader, score_lspet(run, truth)) for run in runs]
    rows = [
        [name, *(_interval(s, k) for k in ("pck02", "pck05")), *(
            f"{s[k]:.3f}" for k in ("pck02_strict", "pck05_strict", "pck02_14", "pck05_14")
        ), f"{s['n']}"]
        for name, s in scores
    ]  # fmt: skip
    print(f"LSPET, split {args.split}: PCK of the torso, 12 limb joints (95 % interval)")
    head = ["", "@0.2", "@0.5", "@0.2 strict", "@0.5 strict", "@0.2 14", "@0.5 14", "images"]
    print(_common.table(head, rows))
    groups = [*lspet.GROUPS]
    shares = [
        [f"{name} {key}", *(f"{s['joints'][g][key]:.3f}" for g in groups)]
        for name, s in scores
        for key in ("pck02", "swapped")
    ]
    print("\nBy joint (strict; swapped: within 0.2 torsos of the other side's joint only)")
    print(_common.table(["", *groups], shares))
    curve = scores[0][1]["confidence_curve"]
    print(f"\nconfidence curve: {curve}\n")
    if folder:
        values = {name: {g: s["joints"][g]["pck02"] for g in groups} for name, s in scores}
        plots.bars(folder / "lspet_joints.png", "PCK@0.2 torso", values)
        plots.reliability(
            folder / "lspet_confidence.png", {name: s["confidence"] for name, s in scores}
        )
        plots.sheet(folder / "lspet_worst.png", _worst_crops(runs[0], crops, truth))
    return {"split": args.split, **_beside(scores)}


def _interval(scores: dict[str, Any], key: str) -> str:
    return f"{scores[key]:.3f} ({scores[key + '_low']:.3f}-{scores[key + '_high']:.3f})"


def _worst_crops(run: Readings, crops: lspet.Crops, truth: np.ndarray) -> list[np.ndarray]:
    """Tiles of the crops with the most limb joints beyond half a torso, by the strict rule."""
    torso, known = lspet.torso_px(truth)
    visible = truth[..., 2] > 0.5
    predicted = lspet.annotated_joints(run.pixels_px)
    error = np.linalg.norm(predicted - truth[..., :2], axis=-1) / np.maximum(torso, 1.0)[:, None]
    counted = visible[:, :12]
    missed = ((error[:, :12] >= 0.5) & counted).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    worst = np.argsort(-np.where(known, missed, -1.0), kind="stable")[:SHEET_TILES]
    tiles = {}
    for i, image in enumerate(_first(crops.images(), len(truth))):
        if i in worst:
            points = np.full((21, 2), np.nan)
            points[list(lspet.TO_VNECT)] = np.where(visible[i, :, None], truth[i, :, :2], np.nan)
            note = f"{crops.rows[i]}: {missed[i]:.0%}"
            tiles[i] = plots.draw(image, run.pixels_px[i], points, note)
    return [tiles[i] for i in worst]


def on_stills(
    readers: Sequence[Reader], args: argparse.Namespace, folder: Path | None
) -> dict[str, Any]:
    """2D and 3D figures of every reader on synthetic stills."""
    stills = load_stills(args.synthetic, args.limit)
    runs = [read_all(reader, stills.images(), len(stills)) for reader in readers]
    scores = [(r.reader, score_stills(r, reader, stills)) for r, reader in zip(runs, readers)]
    keys = ("pck3d_150", "auc", "mpjpe_mm", "mpjpe17_mm", "pa_mpjpe_mm", "pa_mpjpe_limbs_mm")
    rows = [
        [name, *(_number(s[k]) for k in keys), *(f"{s[k]:.3f}" for k in ("pck02", "pck05")),
         f"{s['n']}"]
        for name, s in scores
    ]  # fmt: skip
    print("Synthetic stills: root-relative, normalised body size (peers: their own metres)")
    head = [
        "",
        "3DPCK@150",
        "AUC",
        "MPJPE",
        "17 joints",
        "PA-MPJPE",
        "PA limbs",
        "@0.2",
        "@0.5",
        "n",
    ]
    print(_common.table(head, rows))
    parts = ("mpjpe_seen_mm", "mpjpe_occluded_mm", "mpjpe_outside_mm", "mpjpe_metric_mm")
    print()
    print(
        _common.table(
            ["MPJPE [mm]", "seen", "occluded", "outside", "at own size"],
            [[name, *(_number(s[k]) for k in parts)] for name, s in scores],
        )
    )
    print("\nUpright, whole and hardly hidden people alone")
    whole = [
        [name, *(_number(s["upright"][k]) for k in ("pck3d_150", "mpjpe_mm", "pa_mpjpe_mm")),
         f"{s['upright']['n']}"]
        for name, s in scores
    ]  # fmt: skip
    print(_common.table(["", "3DPCK@150", "MPJPE", "PA-MPJPE", "n"], whole))
    print()
    if folder:
        joints = {name: {j: v["mpjpe_mm"] for j, v in s["joints"].items()} for name, s in scores}
        plots.bars(folder / "synthetic_joints.png", "MPJPE [mm]", joints)
        plots.sheet(folder / "synthetic_worst.png", _worst_stills(runs[0], readers[0], stills))
    return _beside(scores)


def _worst_stills(run: Readings, reader: Reader, stills: Any) -> list[np.ndarray]:
    from vnect_ros.evaluation import metrics
    from vnect_ros.evaluation.stills import truth_in_axes

    errors = metrics.joint_errors(run.root_relative_m, truth_in_axes(stills, reader.crop_axes))
    mean = np.nan_to_num(np.nanmean(errors, axis=1), nan=-1.0)
    tiles = []
    for i in np.argsort(-mean, kind="stable")[:SHEET_TILES]:
        sample = stills.samples[int(i)]
        points = np.where(sample["visible"][:, None] > 0.0, sample["joints_px"], np.nan)
        tiles.append(
            plots.draw(sample["image"], run.pixels_px[i], points, f"{i}: {mean[i] * 1e3:.0f} mm")
        )
    return tiles


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 2.0 else f"{value:.1f}"


def on_videos(
    name: str, backend: Backend, config: Any, args: argparse.Namespace, folder: Path | None
) -> dict[str, Any]:
    """Raw network and fitted pipeline on clips with camera truth."""
    from vnect_ros.evaluation import clips

    if name == "clips":
        found = clips.load_clips(args.clips)
    else:
        from vnect_ros.datasets import public

        load = {"mpi_inf_3dhp": public.mpi_inf_3dhp, "human36m": public.human36m}[name]
        found = load(getattr(args, name))
    runs = [clips.run_clip(clip, backend, config) for clip in found[: args.limit or None]]
    scores = clips.score_clips(runs)
    spatial = ["pck3d_150", "auc", "mpjpe_mm", "pa_mpjpe_mm"]
    keys = [*spatial, "acceleration_error", "jitter", "mrpe_mm"]
    rows = [
        [side, *(_number(scores[side][k]) if k in scores[side] else "" for k in keys),
         f"{scores[side]['pck02']:.3f}", f"{scores[side]['flipped']:.3f}"]
        for side in ("raw", "fitted")
    ]  # fmt: skip
    print(f"{name}: {len(runs)} clips, {scores['frames']} frames, tracked {scores['tracked']:.3f}")
    head = ["", "3DPCK@150", "AUC", "MPJPE", "PA-MPJPE", "accel [m/s2]", "jitter [m/s3]", "MRPE"]
    print(_common.table([*head, "@0.2", "flipped"], rows))
    if args.boxes:
        boxes = [(run.clip, clips.read_boxes(run.clip, backend, config)) for run in runs]
        scores["boxes"] = clips.score_boxes(boxes)
        given = ", ".join(f"{k} {_number(scores['boxes'][k])}" for k in spatial)
        print(f"raw in given boxes, normalised size: {given}")
    print(f"acceleration error: {scores['acceleration_gain']:.1f} times lower than raw")
    stated = scores["calibration"]
    print(
        f"stated standard deviation: {stated['within_1_std']:.3f} within 1, "
        f"{stated['within_2_std']:.3f} within 2 (Gaussian: 0.683, 0.954), rms {stated['rms']:.2f}"
    )
    held = backend.model.position_std_m
    pair = [float(np.hypot(held[i], stated[k])) for i, k in enumerate(
        ("missing_across_m", "missing_along_m"))]  # fmt: skip
    scores["position_std_m"] = [round(value, 3) for value in pair]
    print(f"position_std_m for the bundle, by these clips: {scores['position_std_m']}\n")
    if folder:
        ratio = np.concatenate([clips.std_ratios(run) for run in runs])
        plots.coverage(folder / f"{name}_std.png", ratio)
        plots.reliability(folder / f"{name}_confidence.png", {"network": scores["confidence"]})
    return scores


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = parser().parse_args(argv)
    return _common.run("evaluate", lambda: _common.write_json(args.json, measure(args)))


if __name__ == "__main__":
    sys.exit(main())
