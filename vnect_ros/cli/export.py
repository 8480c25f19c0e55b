"""Write a trained network as a model bundle: ONNX in fp32, fp16 and int8, checked."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vnect_ros.cli import _common
from vnect_ros.errors import ModelError, describe
from vnect_ros.inference import bundles
from vnect_ros.inference.bundles import PRECISIONS

if TYPE_CHECKING:
    from torch import nn

READ_FIELDS: Final = (
    "input_size", "colour_order", "mean", "std", "stride_px", "joints", "layout", "heatmap_peak",
    "unit_m", "location_frame", "confidence_curve", "position_std_m", "gravity_input",
    "presence_output", "presence_curve", "presence_threshold",
)  # fmt: skip
"""How a bundle's files are fed and read: alike in every precision."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="export",
        description="Write a trained network as a model bundle (ONNX, bundle.json, MODEL_CARD.md). "
        "Each file is held against the network in torch; the table shows by how much it differs.",
    )
    p.add_argument(
        "checkpoint", help="of `train`, or the folder or name of a bundle that `export` wrote: "
        "its float32 weights in further precisions",
    )  # fmt: skip
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


def _of_bundle(name: str) -> tuple[nn.Module, dict[str, Any]]:
    """What `checkpoints.load` gives of a checkpoint, of a bundle.

    Raises:
        ModelError: there is no such bundle, or it was not written by `export`.
    """
    from vnect_ros.networks import build_network
    from vnect_ros.networks.weights.exported import load_exported

    model = bundles.load(name, "fp32")
    config = model.training.get("config")
    if not isinstance(config, Mapping) or "network" not in config:
        field = f"{model.folder.name}: training.config.network"
        raise ModelError(describe(field, None, "of a bundle that `export` wrote"))
    options = config.get("network_options", {})
    network = build_network(config["network"], model.input_size, **options)
    load_exported(network, model.file)
    fields = {key: getattr(model, key) for key in READ_FIELDS} | {"license": model.licence}
    training = {k: v for k, v in model.training.items() if k != "int8"}
    return network.eval(), {**training, "bundle": fields}


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

    given = Path(args.checkpoint)
    is_bundle = given.is_dir() or not given.suffix
    network, meta = (_of_bundle if is_bundle else checkpoints.load)(args.checkpoint)
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
