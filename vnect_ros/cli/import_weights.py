"""Make a bundle of VNect's official weights."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vnect_ros.cli import _common
from vnect_ros.inference.bundles import PRECISIONS

if TYPE_CHECKING:
    from vnect_ros.networks.vnect import VNect

LICENSE = "VNect licence of the authors (non-commercial research); not to be passed on"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="import_weights",
        description="Make a model bundle out of the authors' VNect weights, a .caffemodel. Every "
        "weight is checked by name and shape; nothing in the file is executed.",
    )
    p.add_argument("file", help="vnect_model.caffemodel")
    p.add_argument("--out", required=True, help="folder of the bundle; its name is the model's")
    p.add_argument("--prototxt", help="the authors' network text, to check ours against")
    p.add_argument(
        "--ignore", action="append", default=[], metavar="NAME",
        help="leave this layer of the file out; may be given several times",
    )  # fmt: skip
    p.add_argument("--license", default=LICENSE, help="of the weights, for the bundle")
    p.add_argument(
        "--precisions", default="fp32", help="comma-separated, of " + ", ".join(PRECISIONS)
    )
    p.add_argument("--images", help="folder of pictures of one person each (needed for int8)")
    p.add_argument("--json", help="write what the table shows to this file")
    return p


def read(args: argparse.Namespace) -> VNect:
    """The network with the file's weights."""
    from vnect_ros.networks.weights import caffe, vnect

    if args.prototxt:
        vnect.check_prototxt(caffe.read_prototxt(args.prototxt))
    return vnect.from_caffe(caffe.read_caffemodel(args.file), args.ignore)


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
        licence=args.license,
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
