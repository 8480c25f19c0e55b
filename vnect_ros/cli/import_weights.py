"""Make a bundle of VNect's official weights, or of a public re-implementation's."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vnect_ros.cli import _common
from vnect_ros.errors import ModelError, describe
from vnect_ros.inference.bundles import PRECISIONS

if TYPE_CHECKING:
    from vnect_ros.networks.vnect import VNect

FORMATS = ("caffe", "pickle", "tensorflow")

LICENCE = "VNect licence of the authors (non-commercial research); not to be passed on"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="import_weights",
        description="Make a model bundle out of VNect weights: the authors' .caffemodel, or the "
        "pickle or TensorFlow checkpoint of a re-implementation. Every weight is "
        "checked by name and shape; nothing in the file is executed.",
    )
    p.add_argument("file", help="vnect_model.caffemodel, a .pkl, or a checkpoint (.index)")
    p.add_argument("--out", required=True, help="folder of the bundle; its name is the model's")
    p.add_argument("--format", default="", help=f"{', '.join(FORMATS)}; by default from the name")
    p.add_argument("--prototxt", help="the authors' network text, to check ours against")
    p.add_argument(
        "--ignore", action="append", default=[], metavar="NAME",
        help="leave this layer or variable of the file out; may be given several times",
    )  # fmt: skip
    p.add_argument("--licence", default=LICENCE, help="of the weights, for the bundle")
    p.add_argument(
        "--precisions", default="fp32", help="comma-separated, of " + ", ".join(PRECISIONS)
    )
    p.add_argument("--images", help="folder of pictures of one person each (needed for int8)")
    p.add_argument("--json", help="write what the table shows to this file")
    return p


def format_of(file: str) -> str:
    """The format that a file's name tells.

    Raises:
        ModelError: it tells none.
    """
    suffix = Path(file).suffix.lower()
    known = {".caffemodel": "caffe", ".pkl": "pickle", ".pickle": "pickle", ".index": "tensorflow"}
    if suffix in known:
        return known[suffix]
    if Path(file + ".index").is_file():
        return "tensorflow"
    raise ModelError(describe("--format", "", ", ".join(FORMATS)))


def read(args: argparse.Namespace) -> VNect:
    """The network with the file's weights."""
    from vnect_ros.networks.weights import vnect

    kind = args.format or format_of(args.file)
    if kind not in FORMATS:
        raise ModelError(describe("--format", kind, ", ".join(FORMATS)))
    if kind == "caffe":
        from vnect_ros.networks.weights.caffe import read_caffemodel, read_prototxt

        if args.prototxt:
            vnect.check_prototxt(read_prototxt(args.prototxt))
        return vnect.from_caffe(read_caffemodel(args.file), args.ignore)
    if kind == "pickle":
        from vnect_ros.networks.weights.pickles import read_pickle

        variables = read_pickle(args.file)
    else:
        from vnect_ros.networks.weights.tensorflow import read_checkpoint

        variables = read_checkpoint(args.file)
    network, passed = vnect.from_tensorflow(variables, args.ignore)
    if passed:
        print(f"passed over {len(passed)} variables of the optimiser, e.g. {passed[0]}")
    return network


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Do it; returns what `--json` writes."""
    from vnect_ros.learning.export.bundle import VNECT, export_bundle, table
    from vnect_ros.learning.export.compare import person_crops

    network = read(args)
    crops = person_crops(args.images, 368, 60) if args.images else []
    model, rows = export_bundle(
        network,
        args.out,
        fields=VNECT,
        licence=args.licence,
        crops=crops,
        precisions=[p.strip() for p in args.precisions.split(",") if p.strip()],
        training={"imported_from": Path(args.file).name},
        card={"Source": f"Imported from `{Path(args.file).name}` by `import_weights`."},
    )
    print(table(rows))
    print(f"wrote {model.folder}; use it with model:={model.folder}")
    return {"model": model.name, "rows": [row.as_dict() for row in rows]}


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = parser().parse_args(argv)
    return _common.run("import_weights", lambda: _common.write_json(args.json, run(args)))


if __name__ == "__main__":
    sys.exit(main())
