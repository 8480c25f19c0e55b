"""The tables of `evaluate` on sets of crops, every method beside the others."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from vnect_ros.cli._common import number, table
from vnect_ros.datasets.lspet import TO_VNECT, Lspet
from vnect_ros.datasets.people import People
from vnect_ros.datasets.recording import Recording
from vnect_ros.evaluation import lspet, metrics, pck, people, plots, recording, stills
from vnect_ros.evaluation.reading import Reader, Readings, read_all
from vnect_ros.evaluation.sides import VIEWS

SHEET_TILES: Final = 48
FULL_SET: Final = 2000
"""More LSPET rows than this are taken for the set that training takes from."""


def _beside(scores: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """Our own figures, with the baselines' below `baselines`."""
    others = {"baselines": dict(scores[1:])} if len(scores) > 1 else {}
    return {**scores[0][1], **others}


def _count(args: argparse.Namespace, length: int) -> int:
    return min(args.limit or length, length)


def _rows(scores: Sequence[tuple[str, dict[str, Any]]], *keys: str) -> list[list[str]]:
    return [[name, *(number(s[key]) for key in keys)] for name, s in scores]


def on_lspet(
    readers: Sequence[Reader], args: argparse.Namespace, folder: Path | None
) -> dict[str, Any]:
    """PCK of every reader on LSPET's crops."""
    crops = Lspet(args.lspet, part=args.split)
    if args.split == "all" and len(crops) > FULL_SET:
        print("note: split all of the full set holds the rows that the bundled model learned from")
    count = _count(args, len(crops))
    truth = crops.joints14[:count]
    runs = [read_all(r, (crops.image(i) for i in range(count)), count) for r in readers]
    scores = [(run.reader, lspet.score(run, truth)) for run in runs]
    rows = [
        [name, *(_interval(s, k) for k in ("pck02", "pck05")), *(
            number(s[k]) for k in ("pck02_strict", "pck05_strict", "pck02_14", "pck05_14", "n")
        )]
        for name, s in scores
    ]  # fmt: skip
    print(f"LSPET, split {args.split}: PCK of the torso, 12 limb joints (95 % interval)")
    head = ["", "@0.2", "@0.5", "@0.2 strict", "@0.5 strict", "@0.2 14", "@0.5 14", "images"]
    print(table(head, rows))
    groups = [*pck.GROUPS]
    shares = [
        [f"{name} {key}", *(number(s["joints"][g][key]) for g in groups)]
        for name, s in scores
        for key in ("pck02", "swapped")
    ]
    print("\nBy joint (strict; swapped: within 0.2 torsos of the other side's joint only)")
    print(table(["", *groups], shares))
    print(f"\nconfidence curve: {scores[0][1]['confidence_curve']}\n")
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


def _worst_crops(run: Readings, crops: Lspet, truth: np.ndarray) -> list[np.ndarray]:
    """Tiles of the crops with the most limb joints beyond half a torso, by the strict rule."""
    torso, known = pck.torso_px(truth)
    visible = truth[..., 2] > 0.5
    predicted = pck.annotated_joints(run.pixels_px)
    error = np.linalg.norm(predicted - truth[..., :2], axis=-1) / np.maximum(torso, 1.0)[:, None]
    counted = visible[:, :12]
    missed = ((error[:, :12] >= 0.5) & counted).sum(axis=1) / np.maximum(counted.sum(axis=1), 1)
    tiles = []
    for i in np.argsort(-np.where(known, missed, -1.0), kind="stable")[:SHEET_TILES]:
        points = np.full((21, 2), np.nan)
        points[list(TO_VNECT)] = np.where(visible[i, :, None], truth[i, :, :2], np.nan)
        note = f"{crops.rows[i]}: {missed[i]:.0%}"
        tiles.append(plots.draw(crops.image(int(i)), run.pixels_px[i], points, note))
    return tiles


def on_people(
    readers: Sequence[Reader], args: argparse.Namespace, folder: Path | None
) -> dict[str, Any]:
    """Every reader on real people, where the two teachers agree."""
    crops = People(args.people, args.split, agreed=True)
    count = _count(args, len(crops))
    labels = crops.labels.first(count)
    runs = [read_all(r, (crops.image(i) for i in range(count)), count) for r in readers]
    scores = [(run.reader, people.score(run, labels)) for run in runs]
    print(f"Real people, split {args.split}, where MoveNet Thunder and BlazePose heavy agree")
    keys = ("n", "pck02", "pck05", "scaled_mm", "pa_mm", "exchanged")
    head = ["", "crops", "@0.2", "@0.5", "scaled [mm]", "PA [mm]", "sides exchanged"]
    rows = []
    for name, s in scores:
        rows += _rows([(name, s)], *keys)
        rows += _rows([(f"  {part}", of) for part, of in s["sets"].items()], *keys)
    print(table(head, rows))
    print("\nShare with left and right exchanged, by the side from which the person is seen")
    shown = [
        [name, *(f"{number(s['views'][v]['share'])} of {s['views'][v]['n']}" for v in VIEWS)]
        for name, s in scores
    ]
    print(table(["", *VIEWS], shown), end="\n\n")
    if folder:
        truth = np.where(labels.visible[..., None] >= 1.0, labels.joints_px, np.nan)
        errors = np.linalg.norm(runs[0].pixels_px - truth, axis=-1)
        worst = np.argsort(-np.nan_to_num(errors).max(axis=1), kind="stable")[:SHEET_TILES]
        plots.sheet(
            folder / "people_worst.png",
            [
                plots.draw(crops.image(int(i)), runs[0].pixels_px[i], truth[i], labels.sets[i])
                for i in worst
            ],
        )
    return {"split": args.split, **_beside(scores)}


def on_recording(
    readers: Sequence[Reader], args: argparse.Namespace, folder: Path | None
) -> dict[str, Any]:
    """Every reader on a calibrated recording, by camera."""
    crops = Recording(args.recording)
    runs = [read_all(reader, crops, len(crops)) for reader in readers]
    scores = [(r.reader, recording.score(r, reader, crops)) for r, reader in zip(runs, readers)]
    print("Calibrated recording, 12 limb joints, root-relative to the hips' middle")
    rows = []
    keys = ("n", "scaled_mm", "pa_mm", "pck02", "pck05")
    for name, s in scores:
        rows += _rows([(name, s)], *keys)
        rows += _rows([(f"  camera {c}", of) for c, of in s["cameras"].items()], *keys)
    print(table(["", "crops", "scaled [mm]", "PA [mm]", "@0.2", "@0.5"], rows), end="\n\n")
    return _beside(scores)


def on_stills(
    readers: Sequence[Reader], args: argparse.Namespace, folder: Path | None
) -> dict[str, Any]:
    """2D and 3D figures of every reader on synthetic stills."""
    found = stills.load_stills(args.synthetic, args.limit)
    down = stills.directions_down(found) if args.gravity else []
    runs = [
        stills.in_own_axes(read_all(reader, found.images(), len(found), down), reader, found)
        for reader in readers
    ]
    scores = [(r.reader, stills.score(r, reader, found)) for r, reader in zip(runs, readers)]
    given = ", gravity known" if args.gravity else ""
    print(f"Synthetic stills{given}: root-relative, normalised body size (baselines: own metres)")
    print("Upright people, wholly in the picture and hardly hidden; then the rest")
    keys = ("pck3d_150", "auc", "mpjpe_mm", "mpjpe17_mm", "pa_mpjpe_mm", "pa_mpjpe_limbs_mm",
            "pck02", "pck05", "n")  # fmt: skip
    rows = _rows(scores, *keys) + _rows([(f"{n}, rest", s["rest"]) for n, s in scores], *keys)
    head = ["", "3DPCK@150", "AUC", "MPJPE", "17 joints", "PA-MPJPE", "PA limbs", "@0.2", "@0.5",
            "n"]  # fmt: skip
    print(table(head, rows))
    parts = ("mpjpe_seen_mm", "mpjpe_occluded_mm", "mpjpe_outside_mm", "mpjpe_metric_mm")
    everybody = [(name, s["all"]) for name, s in scores]
    print()
    print(
        table(
            ["MPJPE of all [mm]", "seen", "occluded", "outside", "at own size"],
            _rows(everybody, *parts),
        )
    )
    print()
    if folder:
        joints = {name: {j: v["mpjpe_mm"] for j, v in s["joints"].items()} for name, s in scores}
        plots.bars(folder / "synthetic_joints.png", "MPJPE [mm]", joints)
        plots.sheet(folder / "synthetic_worst.png", _worst_stills(runs[0], readers[0], found))
    return _beside(scores)


def _worst_stills(run: Readings, reader: Reader, found: stills.Stills) -> list[np.ndarray]:
    errors = metrics.joint_errors(
        run.root_relative_m, stills.truth_in_axes(found, reader.crop_axes)
    )
    known = np.isfinite(errors)
    total = np.where(known, errors, 0.0).sum(axis=1)
    mean = np.where(known.any(axis=1), total / np.maximum(known.sum(axis=1), 1), -1.0)
    tiles = []
    for i in np.argsort(-mean, kind="stable")[:SHEET_TILES]:
        sample = found.samples[int(i)]
        points = np.where(sample["visible"][:, None] > 0.0, sample["joints_px"], np.nan)
        note = f"{i}: {mean[i] * 1e3:.0f} mm"
        tiles.append(plots.draw(sample["image"], run.pixels_px[i], points, note))
    return tiles
