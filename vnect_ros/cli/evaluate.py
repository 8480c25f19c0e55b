"""Measure a model and the pipeline on sets with truth; docs/evaluation.md defines the figures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from vnect_ros.cli import _common, _evaluate_crops, _evaluate_videos
from vnect_ros.datasets.held_out import PARTS
from vnect_ros.errors import ConfigError, describe
from vnect_ros.evaluation.baselines import open_baselines
from vnect_ros.evaluation.reading import NetworkReader, Reader
from vnect_ros.inference.base import Backend

CROPS: Final = {
    "lspet": _evaluate_crops.on_lspet,
    "people": _evaluate_crops.on_people,
    "recording": _evaluate_crops.on_recording,
    "synthetic": _evaluate_crops.on_stills,
}
"""Sets of crops: every reader is measured on them."""
VIDEOS: Final = {
    "nobody": _evaluate_videos.on_nobody,
    "presence": _evaluate_videos.on_presence,
    "clips": _evaluate_videos.on_clips,
    "mpi_inf_3dhp": _evaluate_videos.on_mpi_inf_3dhp,
    "human36m": _evaluate_videos.on_human36m,
}
"""What the whole pipeline runs on."""


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
        "--people", metavar="DIR", help="crops of real people with two teachers' labels"
    )
    sets.add_argument("--recording", metavar="DIR", help="crops of a calibrated recording")
    sets.add_argument("--synthetic", metavar="PATH", help="folder of shards of synthetic stills")
    sets.add_argument(
        "--nobody", metavar="DIR", help="pictures without people, through the whole pipeline"
    )
    sets.add_argument(
        "--presence", nargs=2, metavar=("PEOPLE", "NOBODY"),
        help="those two kinds of sets: the curve and threshold that a bundle should state; "
        "of a bundle without a presence_curve",
    )  # fmt: skip
    sets.add_argument("--clips", metavar="DIR", help="folder of NAME.mp4 with NAME.npz")
    sets.add_argument("--mpi-inf-3dhp", metavar="DIR", help="the test set: TS1 ... TS6")
    sets.add_argument("--human36m", metavar="DIR", help="images and annotations of S9 and S11")
    sets.add_argument(
        "--split",
        choices=PARTS,
        default="all",
        help="rows of the sets of real pictures: all, or of the full sets those that "
        "training leaves out or the others (default: all)",
    )
    sets.add_argument(
        "--boxes",
        action="store_true",
        help="on videos also read the raw network in the windows around the true joints",
    )
    sets.add_argument(
        "--as-tracked", action="store_true",
        help="read each crop of --lspet, --people and --synthetic twice: the second time in the "
        "window that tracking would cut about the joints of the first",
    )  # fmt: skip
    sets.add_argument(
        "--gravity", action="store_true",
        help="tell the network the direction of gravity in --synthetic, as the node does where "
        "ground_frame is known",
    )  # fmt: skip
    made.add_argument("--limit", type=int, default=0, metavar="N", help="only the first N of a set")
    made.add_argument(
        "--baselines",
        nargs="?",
        const="",
        metavar="DIR",
        help="on crops also measure the MoveNet and BlazePose networks that a folder holds "
        "and that scripts/get_baselines brought",
    )
    made.add_argument("--plots", metavar="DIR", help="write bars, calibration and worst crops")
    _common.add_settings(made)
    return made


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Every set that was named; returns what `--json` writes."""
    named = [name for name in (*CROPS, *VIDEOS) if getattr(args, name)]
    if not named:
        accepted = ", ".join(f"--{name}" for name in (*CROPS, *VIDEOS)).replace("_", "-")
        raise ConfigError(describe("sets", None, accepted))
    if args.as_tracked and args.recording:
        accepted = "not with --recording, whose truth is in the axes of its crops"
        raise ConfigError(describe("--as-tracked", True, accepted))
    config = _common.settings(args.set)
    backend = _common.load_backend(args)
    folder = Path(args.plots) if args.plots else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {}
    try:
        tracking = config if args.as_tracked else None
        readers: list[Reader] = [NetworkReader(backend, tracking=tracking)]
        if args.baselines is not None:
            readers += open_baselines(args.baselines or None, max(args.threads, 1))
        for name in named:
            if name in CROPS:
                figures = CROPS[name](readers, args, folder)
            else:
                figures = VIDEOS[name](backend, config, args, folder)
            found[name] = {"set": name, "model": _identity(backend), **figures}
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


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = parser().parse_args(argv)
    return _common.run("evaluate", lambda: _common.write_json(args.json, measure(args)))


if __name__ == "__main__":
    sys.exit(main())
