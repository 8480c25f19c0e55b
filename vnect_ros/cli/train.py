"""Train a network by a recipe: checkpoints, a table of validation figures, curves."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vnect_ros.cli import _common
from vnect_ros.errors import ConfigError, describe

DESCRIPTION = """
Train a network by a recipe (config/train/*.yaml).  DIR gets latest.pt, the
checkpoint that `export` takes, log.jsonl and curves.png.  Data sets are named in
the recipe as ${NAME}; say where they are with --data NAME=PATH or an environment
variable.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = _common.parser("train", DESCRIPTION)
    parser.add_argument("recipe", metavar="CONFIG", help="YAML file, as in config/train")
    parser.add_argument("--out", metavar="DIR", help="folder for the results (default: runs/NAME)")
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="where the data set of that name is, as often as you like",
    )
    parser.add_argument("--resume", action="store_true", help="go on from DIR's checkpoint")
    parser.add_argument(
        "--sheet", metavar="FILE.png", help="draw a contact sheet of augmented samples and end"
    )
    for option, kind, doc in (
        ("minutes", float, "length of the training on the clock"),
        ("steps", int, "length of the training in steps"),
        ("processes", int, "processes that share each batch, one core each"),
        ("device", str, "cpu, cuda, ..."),
    ):
        parser.add_argument(
            f"--{option}",
            type=kind,
            metavar="N" if kind is not str else "NAME",
            help=f"{doc} (default: the recipe's)",
        )
    args = parser.parse_args(argv)
    return _common.run("train", lambda: _train(args))


def _train(args: Any) -> None:
    import json

    from vnect_ros.learning import checkpoints, config, loop, plots, validation

    recipe = config.load(args.recipe, places(args.data))
    changes: dict[str, Any] = {}
    if args.minutes is not None:
        changes |= {"budget_minutes": args.minutes, "steps": 0}
    if args.steps is not None:
        changes |= {"steps": args.steps}
    changes |= {
        k: getattr(args, k) for k in ("processes", "device") if getattr(args, k) is not None
    }
    recipe = dataclasses.replace(recipe, **changes)
    if args.sheet:
        _sheet(recipe, Path(args.sheet))
        return
    out = Path(args.out or Path("runs") / Path(args.recipe).stem)
    checkpoint = loop.train(recipe, out, args.resume)
    picture = plots.plot(out)
    _, figures = plots.read_log(out / checkpoints.LOG)
    if figures:
        print(validation.table(figures))
    print(f"wrote {checkpoint} and {picture}")
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def places(pairs: Sequence[str]) -> dict[str, str]:
    """The paths by name of `--data NAME=PATH`.

    Raises:
        ConfigError: one is written in another way.
    """
    found = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not equals or not name:
            raise ConfigError(describe("--data", pair, "NAME=PATH"))
        found[name] = path
    return found


def _sheet(recipe: Any, file: Path) -> None:
    import cv2

    from vnect_ros import drawing
    from vnect_ros.datasets.preview import draw
    from vnect_ros.learning.sources import of_recipe

    mixture = of_recipe(recipe)
    sheet = drawing.sheet([draw(mixture.sample(n)) for n in range(48)])
    cv2.imwrite(str(file), sheet[..., ::-1])
    print(f"wrote {file}")


if __name__ == "__main__":
    sys.exit(main())
