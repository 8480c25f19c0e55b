"""Put a lifter behind a trained network: `python -m vnect_ros.learning.train_lifter`.

The lifter first learns from poses alone, then also from what the network's maps
say of the recipe's images, so that it knows the network's errors and takes from
the convolutions' location maps what they are worth.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vnect_ros.learning import checkpoints
from vnect_ros.learning.batches import normalise
from vnect_ros.learning.config import TrainConfig, from_mapping
from vnect_ros.learning.lifter import Viewer, train_lifter
from vnect_ros.learning.mixture import collate
from vnect_ros.learning.sources import of_recipe
from vnect_ros.networks import build_network
from vnect_ros.networks.lift import SoftMaxima

_BATCH = 16


def told_by(network: nn.Module, config: TrainConfig, count: int) -> tuple[torch.Tensor, ...]:
    """What a network says of `count` samples of its recipe that have 3D truth.

    Args:
        network: without a lifter, in eval mode.

    Returns:
        Features [N, 126], locations [N, 63] in decimetres, weights [N, 21].
    """
    from tqdm import tqdm

    stream, read = of_recipe(config), SoftMaxima()
    kept: list[tuple[torch.Tensor, ...]] = []
    number, waiting = 0, []
    bar = tqdm(total=count, unit="image", mininterval=5)
    while bar.n < count:
        sample = stream.sample(number)
        number += 1
        if sample.weight_3d.sum() < 8:
            continue
        waiting.append(sample)
        if len(waiting) < _BATCH:
            continue
        batch = collate(waiting)
        with torch.no_grad():
            maps = network(normalise(torch.from_numpy(batch["image"]), network))
            features = read(maps)
        locations = torch.from_numpy(batch["joints_m"] * 10.0).transpose(1, 2).flatten(1)
        kept.append((features, locations, torch.from_numpy(batch["weight_3d"])))
        bar.update(len(waiting))
        waiting = []
    bar.close()
    return tuple(torch.cat(part) for part in zip(*kept))


def poses_of(config: TrainConfig) -> np.ndarray:
    """[N, 21, 3] float32: the poses of the recipe's rendered people [m]."""
    from vnect_ros.datasets.shards import Shards

    found = [
        Shards(Path(s.options["folder"]), s.options.get("split", "train")).label("joints_m")
        for s in config.sources
        if s.kind == "rendered"
    ]
    poses = np.concatenate(found).astype(np.float32)
    return poses[np.isfinite(poses).all(axis=(1, 2))]


def main() -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", help="of a trained vnect_lite")
    parser.add_argument("--out", required=True, help="the checkpoint with the lifter in it")
    parser.add_argument("--start", help="state of a lifter to begin with, of --save-lifter")
    parser.add_argument("--save-lifter", help="write the lifter's state after poses alone")
    parser.add_argument("--pose-steps", type=int, default=4000, help="batches of poses alone")
    parser.add_argument("--steps", type=int, default=2000, help="batches with what is told")
    parser.add_argument("--samples", type=int, default=12000, help="images the network tells of")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    content = checkpoints.read(args.checkpoint)
    config = from_mapping(content["config"])
    options = {**content["config"]["network_options"], "lift": True}
    torch.manual_seed(args.seed)
    lifted = build_network(config.network, **options)
    average = {k: v.float() for k, v in content["average"].items()}
    missing, unexpected = lifted.load_state_dict(average, strict=False)
    if unexpected or any(not name.startswith("lifter.") for name in missing):
        print(f"checkpoint: got {args.checkpoint!r}, accepted: of a vnect_lite", file=sys.stderr)
        return 2
    lifter = lifted.lifter
    viewer = Viewer(poses_of(config), args.seed)
    if args.start:
        lifter.load_state_dict(torch.load(args.start, weights_only=True))
    if args.pose_steps:
        history = train_lifter(lifter, viewer, args.pose_steps, seed=args.seed)
        print("poses alone, mean joint error [mm]:", *(round(h) for h in history), flush=True)
    if args.save_lifter:
        torch.save(lifter.state_dict(), args.save_lifter)
    if args.steps:
        plain = build_network(config.network, **content["config"]["network_options"])
        plain.load_state_dict(average)
        told = told_by(plain.eval(), config, args.samples)
        history = train_lifter(lifter, viewer, args.steps, told, rate=5e-4, seed=args.seed)
        print("with what is told, mean joint error [mm]:", *(round(h) for h in history))
    content["average"] = {k: v.detach().clone() for k, v in lifted.state_dict().items()}
    content["config"] = {**content["config"], "network_options": options}
    content.pop("network", None)
    checkpoints.save(Path(args.out), content)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
