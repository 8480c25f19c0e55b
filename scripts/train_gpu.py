#!/usr/bin/env python3
"""Train on a machine with a GPU that reaches no network and is lent for half an hour.

    scripts/train_gpu.py pack  --out parts LSPET_FOLDER MOTION.npz   # here: parts of 60 MiB
    scripts/train_gpu.py run   --parts parts --out result [CONFIG]   # there: renders and trains
    scripts/train_gpu.py join  --parts result/weights --out new.pt   # here: a checkpoint again

`run` needs the checkout and the packages of requirements/train.txt, nothing else.
The recipe finds what `pack` carried as ${DATA}, and the rendered people as ${SYNTHETIC}.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    from vnect_ros.errors import VnectError

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    tasks = parser.add_subparsers(dest="task", required=True)
    packing = tasks.add_parser("pack", help="data into parts")
    packing.add_argument("paths", nargs="+", metavar="PATH")
    packing.add_argument("--out", required=True, metavar="DIR")
    packing.add_argument("--limit-mib", type=float, default=60.0, metavar="N")
    running = tasks.add_parser("run", help="render and train")
    running.add_argument(
        "config", nargs="?", default=str(ROOT / "config/train/vnect_lite_gpu.yaml")
    )
    running.add_argument("--parts", metavar="DIR", help="what `pack` wrote")
    running.add_argument("--out", required=True, metavar="DIR")
    running.add_argument("--minutes", type=float, help="length of the training (default: recipe's)")
    running.add_argument("--steps", type=int, help="length in steps, in place of minutes")
    running.add_argument("--renderers", type=int, default=max(1, (os.cpu_count() or 2) - 5))
    running.add_argument("--device", help="cpu, cuda (default: the recipe's)")
    running.add_argument("--motion", metavar="FILE", help="of the packed data, for the renderers")
    running.add_argument("--shard", type=int, default=500, help="samples a shard")
    joining = tasks.add_parser("join", help="parts into a checkpoint")
    joining.add_argument("--parts", required=True, metavar="DIR")
    joining.add_argument("--out", required=True, metavar="FILE")
    args = parser.parse_args(argv)
    try:
        return _do(args)
    except VnectError as error:
        print(f"train_gpu: {error}", file=sys.stderr)
        return 1


def _do(args: argparse.Namespace) -> int:
    from vnect_ros.learning import config, job

    if args.task == "pack":
        files = job.pack(args.paths, args.out, args.limit_mib)
    elif args.task == "join":
        files = [job.join_weights(args.parts, args.out)]
    else:
        out = Path(args.out)
        data, shards = out / "data", out / "synthetic"
        if args.parts:
            job.unpack(args.parts, data)
        recipe = config.load(args.config, {"DATA": str(data), "SYNTHETIC": str(shards)})
        changes: dict[str, object] = {}
        if args.minutes is not None:
            changes |= {"budget_minutes": args.minutes, "steps": 0}
        if args.steps is not None:
            changes["steps"] = args.steps
        if args.device:
            changes["device"] = args.device
        recipe = dataclasses.replace(recipe, **changes)
        arguments = ["--motion", str(data / args.motion)] if args.motion else []
        files = job.run(recipe, out, shards, args.renderers, arguments, args.shard)
    print("wrote", *files)
    return 0


if __name__ == "__main__":
    sys.exit(main())
