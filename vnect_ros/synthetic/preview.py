"""A contact sheet of what the generator makes, with the joints drawn, to be looked at.

`python -m vnect_ros.synthetic.preview --seed 0 --out sheet.png`
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from vnect_ros.skeleton import BONES, SIDE

_COLOURS = {"right": (255, 60, 50), "left": (50, 110, 255), "centre": (60, 230, 80)}


def drawn(sample: Mapping, zoom: float = 1.0) -> np.ndarray:
    """[S, S, 3] uint8 the sample's image with its skeleton: right red, left blue.

    Seen joints are filled discs, hidden ones rings; joints outside the picture
    are left away.
    """
    size = int(len(sample["image"]) * zoom)
    picture = cv2.resize(sample["image"], (size, size), interpolation=cv2.INTER_LINEAR)
    points = ((np.asarray(sample["joints_px"]) + 0.5) * zoom - 0.5).round().astype(int)
    for parent, child in BONES:
        if sample["visible"][parent] and sample["visible"][child]:
            colour = _COLOURS[SIDE[child]]
            cv2.line(
                picture, points[parent].tolist(), points[child].tolist(), colour, 1, cv2.LINE_AA
            )
    for j, point in enumerate(points):
        if sample["visible"][j]:
            fill = 1 if sample["occluded"][j] else -1
            cv2.circle(picture, point.tolist(), 3 if fill > 0 else 2, _COLOURS[SIDE[j]], fill)
    return picture


def main() -> None:
    """Make a sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    parser.add_argument("--out", type=Path, required=True, help="picture to write")
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--motion", type=Path, help="npz of motion clips")
    parser.add_argument("--photos", type=Path, help="folder of photographs")
    parser.add_argument("--photo-labels", type=Path, help="npz with their joints14")
    parser.add_argument("--held-out", action="store_true", help="of the held-out set")
    parser.add_argument("--shards", type=Path, help="show stored samples of this folder instead")
    parser.add_argument("--plain", action="store_true", help="without the joints")
    args = parser.parse_args()
    count = args.columns * args.rows
    if args.shards:
        from vnect_ros.datasets.shards import Shards

        stored = Shards(args.shards, "heldout" if args.held_out else "train")
        samples = [stored[i] for i in range(args.seed, args.seed + count)]
    else:
        from vnect_ros.synthetic.generate import Generator, Sources, load_strips
        from vnect_ros.synthetic.motion import load_motion

        clips = load_motion(args.motion, args.held_out) if args.motion else {}
        strips: list = []
        if args.photos:
            with np.load(args.photo_labels) as labels:
                strips = load_strips(args.photos, labels["joints14"], args.held_out, 200)
        generator = Generator(Sources(clips, strips, args.held_out))
        samples = [generator.sample(args.seed + i) for i in range(count)]
    tiles = [s["image"] if args.plain else drawn(s) for s in samples]
    rows = [np.concatenate(tiles[r * args.columns :][: args.columns], 1) for r in range(args.rows)]
    cv2.imwrite(str(args.out), cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
