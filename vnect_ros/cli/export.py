"""Write a trained network as a model bundle: ONNX in fp32, fp16 and int8, checked."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vnect_ros.cli import _common
from vnect_ros.errors import ModelError, describe
from vnect_ros.inference.bundles import PRECISIONS


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="export",
        description="Write a trained network as a model bundle (ONNX, bundle.json, MODEL_CARD.md). "
        "Each file is held against the network in torch; the table shows by how much it differs.",
    )
    p.add_argument("checkpoint", help="of `train`")
    p.add_argument("--out", required=True, help="folder of the bundle; its name is the model's")
    p.add_argument(
        "--precisions", default="fp32", help="comma-separated, of " + ", ".join(PRECISIONS)
    )
    p.add_argument("--default-precision", default="", help="what `load` takes (default: fp32)")
    p.add_argument(
        "--images", action="append", default=[], metavar="DIR",
        help="pictures of one person each, or synthetic samples: for the int8 ranges and the "
        "joint errors; may be given several times",
    )  # fmt: skip
    p.add_argument("--count", type=int, default=200, help="pictures to take (default 200)")
    p.add_argument("--license", default="", help="of the weights (default: the checkpoint's)")
    p.add_argument(
        "--calibration", default="minmax", help="int8 ranges: minmax, percentile or entropy"
    )
    p.add_argument(
        "--fields",
        help="JSON file with fields of the bundle that the checkpoint does not know, "
        'e.g. {"confidence_curve": [[0.0, 0.0], [1.0, 1.0]]}',
    )
    p.add_argument("--card", help="Markdown file that becomes the middle of MODEL_CARD.md")
    p.add_argument("--json", help="write what the table shows to this file")
    return p


def split_meta(meta: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A checkpoint's meta: the bundle's fields, the card's chapters, and the rest as JSON.

    Of files and folders in the rest only the last name stays: a bundle travels.
    """
    fields = dict(meta.get("bundle", {}))
    card = dict(meta.get("card", {}))
    config = meta.get("config")
    if isinstance(config, Mapping) and "size" in config:
        fields.setdefault("input_size", config["size"])
    rest = {}
    for key, value in meta.items():
        if key in ("bundle", "card"):
            continue
        try:
            rest[key] = _portable(json.loads(json.dumps(value)))
        except (TypeError, ValueError):
            continue
    return fields, card, rest


def _portable(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _portable(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_portable(v) for v in value]
    if isinstance(value, str) and value.startswith(("/", "~")):
        return Path(value).name
    return value


def _json_object(file: str) -> dict[str, Any]:
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(describe(file, content, "a JSON object"))
    return content


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Do it; returns what `--json` writes."""
    from vnect_ros.learning import checkpoints
    from vnect_ros.learning.export.bundle import export_bundle, fields_of, table
    from vnect_ros.learning.export.compare import person_crops

    network, meta = checkpoints.load(args.checkpoint)
    declared, card, training = split_meta(meta)
    fields = {**fields_of(network), **declared}
    licence = args.license or fields.pop("license", "") or "unstated"
    fields.pop("license", None)
    if args.fields:
        fields.update(_json_object(args.fields))
    if args.default_precision:
        fields["default_precision"] = args.default_precision
    middle = Path(args.card).read_text(encoding="utf-8") if args.card else ""
    share = -(-args.count // max(1, len(args.images)))
    crops = [c for d in args.images for c in person_crops(d, fields["input_size"], share)]
    model, rows = export_bundle(
        network,
        args.out,
        fields=fields,
        licence=licence,
        crops=crops,
        precisions=[p.strip() for p in args.precisions.split(",") if p.strip()],
        calibration=args.calibration,
        training=training,
        card=card,
        card_text=middle,
    )
    print(table(rows))
    print(f"wrote {model.folder}")
    return {"model": model.name, "rows": [row.as_dict() for row in rows]}


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    args = parser().parse_args(argv)
    return _common.run("export", lambda: _common.write_json(args.json, run(args)))


if __name__ == "__main__":
    sys.exit(main())
