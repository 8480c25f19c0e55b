"""Render synthetic people: stills for training, clips with truth, the bundled clips."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vnect_ros.cli import _common
from vnect_ros.errors import ConfigError, describe

TILES = (6, 4)
"""Columns and rows of a preview."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="render", description=__doc__)
    what = made.add_subparsers(dest="what", required=True, metavar="WHAT")
    stills = what.add_parser("stills", help="shards of samples for training and evaluation")
    stills.add_argument("--out", type=Path, required=True, help="folder of the shards")
    stills.add_argument("--split", default="train", help="prefix of the shards")
    stills.add_argument("--count", type=int, default=2000, help="samples")
    stills.add_argument("--first", type=int, default=0, help="first seed; a multiple of --shard")
    stills.add_argument("--shard", type=int, default=2000, help="samples a shard")
    stills.add_argument("--size", type=int, default=256, help="edge of the crops [px]")
    stills.add_argument("--nobody", action="store_true", help="places without a person")
    _add_sources(stills)
    preview = what.add_parser("preview", help="a picture of samples with their joints drawn")
    preview.add_argument("--out", type=Path, required=True, help="picture to write")
    preview.add_argument("--first", type=int, default=0, help="first seed or stored sample")
    preview.add_argument("--shards", type=Path, help="show stored samples of this folder instead")
    preview.add_argument("--plain", action="store_true", help="without the joints")
    _add_sources(preview)
    for name, text in (
        ("clips", "held-out videos of one person or several, with their truth"),
        ("demo", "a bundled clip and its truth"),
        ("test-motion", "the motion that the tests run on, as one npz file"),
    ):
        made_of = what.add_parser(name, help=text)
        made_of.add_argument("--out", type=Path, required=True, help="folder or file to write")
        made_of.add_argument("--motion", type=Path, required=True, help="npz of captured clips")
        if name != "test-motion":
            made_of.add_argument("--people", action="store_true", help="those of several people")
        if name == "clips":
            made_of.add_argument("--only", nargs="*", metavar="NAME", help="some of them")
    return made


def _add_sources(to: argparse.ArgumentParser) -> None:
    to.add_argument("--motion", type=Path, help="npz of motion clips [T, 21, 3] in mm")
    to.add_argument("--photos", type=Path, help="folder of LSPET, for backgrounds")
    to.add_argument("--held-out", action="store_true", help="of the held-out set")


def _generator(args: argparse.Namespace, size: int) -> Any:
    from vnect_ros.synthetic.generate import Generator, Sources
    from vnect_ros.synthetic.motion import load_motion
    from vnect_ros.synthetic.strips import load_strips

    clips = load_motion(args.motion, args.held_out) if args.motion else {}
    strips = load_strips(args.photos, args.held_out) if args.photos else []
    return Generator(Sources(clips, strips, args.held_out), size)


def stills(args: argparse.Namespace) -> None:
    """Render shards."""
    from tqdm import tqdm

    from vnect_ros.datasets.shards import ShardWriter

    generator = _generator(args, args.size)
    writer = ShardWriter(args.out, args.split, args.shard, first=args.first // args.shard)
    for seed in tqdm(range(args.first, args.first + args.count), mininterval=10):
        writer.add(generator.sample(seed, args.nobody))
    writer.flush()


def preview(args: argparse.Namespace) -> None:
    """Draw samples side by side."""
    import cv2

    from vnect_ros import drawing
    from vnect_ros.datasets.preview import draw
    from vnect_ros.datasets.shards import Shards, as_sample

    numbers = range(args.first, args.first + TILES[0] * TILES[1])
    if args.shards:
        stored = Shards(args.shards, "heldout" if args.held_out else "train")
        rows = [stored[i] for i in numbers]
    else:
        generator = _generator(args, 256)
        rows = [generator.sample(i) for i in numbers]
    tiles = [
        row["image"] if args.plain else draw(as_sample(row), hidden=row["occluded"] > 0.5)
        for row in rows
    ]
    picture = drawing.sheet(tiles, TILES[0])
    cv2.imwrite(str(args.out), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


def clips(args: argparse.Namespace) -> None:
    """Film the held-out clips."""
    from vnect_ros.synthetic import heldout_clips, people_clips
    from vnect_ros.synthetic.bodies import body_model
    from vnect_ros.synthetic.filming import film
    from vnect_ros.synthetic.motion import load_motion

    known = tuple(people_clips.PLANS) if args.people else heldout_clips.NAMES
    shot = people_clips.heldout_people_shot if args.people else heldout_clips.heldout_shot
    names = args.only or known
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        raise ConfigError(describe("--only", unknown, ", ".join(known)))
    motion = load_motion(args.motion, held_out=True)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in names:
        video, truth = args.out / f"{name}.mp4", args.out / f"{name}.npz"
        film(body_model(), shot(name, body_model(), motion), video, truth)


def demo(args: argparse.Namespace) -> None:
    """Film a bundled clip."""
    from vnect_ros.synthetic.bodies import body_model
    from vnect_ros.synthetic.demo_clip import demo_shot
    from vnect_ros.synthetic.filming import film
    from vnect_ros.synthetic.people_clips import bundled_people_shot

    args.out.mkdir(parents=True, exist_ok=True)
    name, shot = ("people", bundled_people_shot) if args.people else ("demo", demo_shot)
    video, truth = args.out / f"{name}.mp4", args.out / f"{name}_truth.npz"
    film(body_model(), shot(_captured(args.motion)), video, truth, 1.75, 22)


def test_motion(args: argparse.Namespace) -> None:
    """Write the tests' motion."""
    from vnect_ros.synthetic.demo_clip import motion_for_tests

    np.savez_compressed(args.out, **motion_for_tests(_captured(args.motion)))


def _captured(file: Path) -> dict[str, np.ndarray]:
    from vnect_ros.synthetic.demo_clip import WALK
    from vnect_ros.synthetic.motion import load_motion

    motion = load_motion(file)
    if WALK not in motion:
        raise ConfigError(describe("motion", str(file), f"a set with {WALK}"))
    return motion


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = parser().parse_args(argv)
    do = {
        "stills": stills, "preview": preview, "clips": clips, "demo": demo,
        "test-motion": test_motion,
    }[args.what]  # fmt: skip
    return _common.run("render", lambda: do(args))


if __name__ == "__main__":
    sys.exit(main())
