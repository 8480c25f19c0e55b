"""Train the int8 form of a bundle to give what its float32 form gives."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from vnect_ros.cli import _common
from vnect_ros.cli.train import places
from vnect_ros.errors import ModelError, describe

DESCRIPTION = """
Quantise a bundle's float32 network, and let the result learn to give what the float32
network gives, on the crops of a recipe (config/train/*.yaml), without labels.  Writes
the bundle with the new int8 file, its other files as they were; DIR gets latest.pt and
log.jsonl, with the distances from the float32 network.
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    from vnect_ros.learning.export.graph import CALIBRATIONS, TRAINED_FLOAT

    p = _common.parser("quantise", DESCRIPTION)
    p.add_argument("model", metavar="MODEL", help="folder or name of the bundle")
    p.add_argument("recipe", metavar="CONFIG", help="YAML file that names the crops' sources")
    p.add_argument("--out", required=True, metavar="BUNDLE", help="folder of the new bundle")
    p.add_argument("--run", required=True, metavar="DIR", help="folder of checkpoint and log")
    p.add_argument(
        "--data", action="append", default=[], metavar="NAME=PATH",
        help="where the data set of that name is, as often as you like",
    )  # fmt: skip
    p.add_argument(
        "--images", action="append", default=[], metavar="DIR",
        help="pictures of one person each, or synthetic samples: every other one for the first "
        "ranges, the rest for the table; may be given several times",
    )  # fmt: skip
    p.add_argument("--count", type=_common.positive, default=200, help="pictures (default 200)")
    p.add_argument(
        "--calibration", default="minmax", help="first ranges: " + ", ".join(CALIBRATIONS)
    )
    p.add_argument(
        "--float", action="append", default=[], metavar="LAYER",
        help="beginning of the name of layers that stay in float32, as often as you like "
        f"(default: {' '.join(TRAINED_FLOAT)})",
    )  # fmt: skip
    p.add_argument(
        "--resume",
        action="store_true",
        help="go on from DIR's checkpoint; where that has ended, with another such training",
    )
    for option, kind, doc in (
        ("minutes", float, "length of the training on the clock (default: 40)"),
        ("steps", int, "length of the training in steps, in place of it"),
        ("batch", int, "crops a step (default: 8)"),
        ("rate", float, "peak learning rate of the weights (default: 1e-5)"),
        ("scale-rate", float, "of the logarithms of the activations' scales (default: 3e-3)"),
    ):
        p.add_argument(f"--{option}", type=kind, metavar="N", help=doc)
    return p


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Do it; returns what `--json` writes."""
    import onnx

    from vnect_ros.inference import bundles
    from vnect_ros.learning import config, distillation, quantised
    from vnect_ros.learning.export import graph
    from vnect_ros.learning.export.bundle import check, replace_int8, replace_table, table
    from vnect_ros.learning.export.compare import person_crops
    from vnect_ros.networks import build_network
    from vnect_ros.networks.weights.exported import load_exported, read_model

    names = ("minutes", "steps", "batch", "rate", "scale_rate")
    given = {k: getattr(args, k) for k in names if getattr(args, k) is not None}
    how = distillation.DistillationConfig(**given)
    recipe = config.load(args.recipe, places(args.data))
    bundle = bundles.load(args.model, "fp32")
    network = build_network(recipe.network, bundle.input_size, **recipe.network_options)
    load_exported(network, bundle.file)
    share = -(-args.count // max(1, len(args.images)))
    crops = [c for d in args.images for c in person_crops(d, bundle.input_size, share)]
    if len(crops) < 2:
        raise ModelError(describe("images", len(crops), "at least 2, to calibrate int8"))
    layers = tuple(args.float) or graph.TRAINED_FLOAT
    exported = read_model(bundle.file)
    with tempfile.TemporaryDirectory() as scratch:
        plain, file = Path(scratch) / "model.onnx", Path(scratch) / "model_int8.onnx"
        onnx.save(exported, str(plain))
        graph.to_int8(
            plain, file, lambda: map(bundle.prepare, crops[::2]),
            calibration=args.calibration, float_layers=layers,
        )  # fmt: skip
        weights = quantised.weights_of(exported)
        student = quantised.ExportedNetwork(onnx.load(str(file)), weights)
        distiller = distillation.Distiller(
            quantised.ExportedNetwork(exported), student, bundle, how
        )
        distillation.distil(distiller, recipe, args.run, args.resume)
        onnx.save(student.stored(), str(file))
        graph.store_compactly(file)
        training = {
            "learnt_from": "fp32", "batch": how.batch,
            "steps": distiller.batches_before + distiller.progress.step,
            "rate": how.rate, "scale_rate": how.scale_rate, "float_layers": list(layers),
            "sources": [s.kind for s in recipe.sources],
        }  # fmt: skip
        model = replace_int8(bundle, file, args.out, training)
    rows = check(network, model, crops[1::2])
    card = model.folder / "MODEL_CARD.md"
    if card.is_file():
        text = card.read_text(encoding="utf-8")
        card.write_text(replace_table(text, rows), encoding="utf-8")
    print(table(rows))
    print(f"wrote {model.folder}")
    return {"model": model.name, "rows": [row.as_dict() for row in rows]}


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = parser().parse_args(argv)
    return _common.run("quantise", lambda: _common.write_json(args.json, run(args)))


if __name__ == "__main__":
    sys.exit(main())
