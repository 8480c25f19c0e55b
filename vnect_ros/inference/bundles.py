"""A model bundle: the network's file and all that is needed to feed and read it.

A bundle is a folder `models/<name>/` with `bundle.json` and one network file a
precision.  VNect's official layout (368 px, BGR, value / 255 - 0.4, decimetres
in the camera's axes) and our own are both just bundles.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vnect_ros import share
from vnect_ros.errors import ModelError, describe
from vnect_ros.inference.json_fields import Fields
from vnect_ros.inference.model import IDENTITY, MAP_GROUPS, Curve, Model
from vnect_ros.skeleton import JOINT_NAMES

FORMAT = 1
BUNDLE_FILE = "bundle.json"
PRECISIONS = ("fp32", "fp16", "int8")
COLOUR_ORDERS = ("RGB", "BGR")
LOCATION_FRAMES = ("crop_ray", "camera")


def search_path() -> list[Path]:
    """The folders bundles are looked up in: the checkout, then what is installed."""
    return [folder / "models" for folder in share.folders() if (folder / "models").is_dir()]


def available() -> list[str]:
    """Names of the bundles that `load` finds by name."""
    found = (file for folder in search_path() for file in folder.glob(f"*/{BUNDLE_FILE}"))
    return sorted({file.parent.name for file in found})


def locate(name: str | Path) -> Path:
    """The folder of a bundle, given that folder, its bundle.json or its name.

    Raises:
        ModelError: there is no such bundle; those there are get named.
    """
    try:
        path = Path(name).expanduser()
        if path.name == BUNDLE_FILE:
            path = path.parent
        inside = (f / path for f in search_path() if str(path) and len(path.parts) == 1)
        for folder in [path, *inside]:
            if (folder / BUNDLE_FILE).is_file():
                return folder.resolve()
    except (OSError, RuntimeError, ValueError):  # no name of a file; no such user's home
        pass
    known = ", ".join(available()) or "none is installed"
    raise ModelError(describe("model", str(name), f"a bundle's folder, or a name out of: {known}"))


def load(name: str | Path, precision: str = "") -> Model:
    """Read a bundle and verify the network file of one precision.

    Args:
        name: folder or name of the bundle, as for `locate`.
        precision: "" takes the bundle's own default.

    Raises:
        ModelError: no such bundle, a field is missing or refused, or the file
            is missing, outside the bundle, or does not match its checksum.
    """
    folder = locate(name)
    try:
        declared = json.loads((folder / BUNDLE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{folder / BUNDLE_FILE}: cannot be read: {error}") from error
    fields = Fields(str(folder / BUNDLE_FILE), declared)
    fields.get("format", int, choices=(FORMAT,))
    files, source, output = fields.inner("files"), fields.inner("input"), fields.inner("output")
    precisions = tuple(p for p in PRECISIONS if p in files.values)
    if not precisions or len(precisions) != len(files.values):
        raise fields.refusal("files", sorted(files.values), "some of " + ", ".join(PRECISIONS))
    default = fields.get("default_precision", str, choices=precisions)
    if precision and precision not in precisions:
        accepted = ", ".join(precisions)
        raise ModelError(describe(f"{folder.name}: precision", precision, accepted))
    entry = files.inner(precision or default)
    file = _verified(folder, entry)
    input_size = source.get("size_px", int, low=32, high=4096)
    stride_px = output.get("stride_px", int, low=1, high=64)
    if input_size % stride_px:
        raise source.refusal("size_px", input_size, f"a multiple of stride_px {stride_px}")
    return Model(
        name=fields.text("name"),
        folder=folder,
        licence=fields.text("licence" if "licence" in fields.values else "license"),
        precision=precision or default,
        file=file,
        sha256=entry.text("sha256"),
        input_size=input_size,
        colour_order=source.get("colour_order", str, choices=COLOUR_ORDERS),
        mean=source.triple("mean", -10.0, 10.0),
        std=source.triple("std", 1e-3, 1e3),
        stride_px=stride_px,
        joints=output.permutation("joints", JOINT_NAMES),
        layout=output.permutation("layout", MAP_GROUPS),
        heatmap_peak=output.get("heatmap_peak", float, low=1e-6, high=1e6),
        unit_m=output.get("unit_m", float, low=1e-6, high=1e3),
        location_frame=output.get("location_frame", str, choices=LOCATION_FRAMES),
        confidence_curve=_curve(output, "confidence_curve"),
        training=fields.get("training", dict),
        precisions=precisions,
        position_std_m=_position_std(output),
        gravity_input=source.text("gravity") if "gravity" in source.values else "",
        **_presence_fields(output),
    )


def write_bundle(
    folder: str | Path,
    files: Mapping[str, str | Path],
    *,
    licence: str,
    input_size: int,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    name: str = "",
    default_precision: str = "",
    colour_order: str = "RGB",
    stride_px: int = 8,
    joints: tuple[str, ...] = JOINT_NAMES,
    layout: tuple[str, ...] = MAP_GROUPS,
    heatmap_peak: float = 1.0,
    unit_m: float = 0.1,
    location_frame: str = "crop_ray",
    confidence_curve: Curve = IDENTITY,
    position_std_m: tuple[float, float] = (0.0, 0.0),
    gravity_input: str = "",
    presence_output: str = "",
    presence_curve: Curve = IDENTITY,
    presence_threshold: float = 0.5,
    training: Mapping[str, Any] | None = None,
) -> Model:
    """Make (or make anew) the bundle in `folder`; the fields are those of Model.

    Args:
        folder: the bundle's folder; its name is the bundle's unless `name` is given.
        files: the network file of each precision; copied into the folder as
            `model.onnx`, `model_fp16.onnx` or `model_int8.onnx` if not yet in it.

    Returns:
        The bundle as `load` reads it back.

    Raises:
        ModelError: a field is refused, as by `load`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    entries = {}
    for precision, source in files.items():
        source = Path(source)
        if source.resolve().parent != folder.resolve():
            stem = "model" if precision == "fp32" else f"model_{precision}"
            source = Path(shutil.copyfile(source, folder / f"{stem}{source.suffix}"))
        entries[precision] = file_entry(source)
    declared: dict[str, Any] = {
        "format": FORMAT,
        "name": name or folder.resolve().name,
        "license": licence,
        "default_precision": default_precision or next(iter(files), ""),
        "files": entries,
        "input": {
            "size_px": input_size,
            "colour_order": colour_order,
            "mean": list(mean),
            "std": list(std),
        },
        "output": {
            "stride_px": stride_px,
            "layout": list(layout),
            "joints": list(joints),
            "heatmap_peak": heatmap_peak,
            "unit_m": unit_m,
            "location_frame": location_frame,
            "confidence_curve": [list(pair) for pair in confidence_curve],
            "position_std_m": list(position_std_m),
        },
        "training": dict(training or {}),
    }
    if gravity_input:
        declared["input"]["gravity"] = gravity_input
    if presence_output:
        declared["output"] |= {
            "presence": presence_output,
            "presence_curve": [list(pair) for pair in presence_curve],
            "presence_threshold": presence_threshold,
        }
    text = json.dumps(declared, indent=2, ensure_ascii=False) + "\n"
    (folder / BUNDLE_FILE).write_text(text, encoding="utf-8")
    return load(folder)


def file_entry(file: Path) -> dict[str, Any]:
    """What a bundle states of a network file in its folder."""
    return {"path": file.name, "sha256": _sha256(file), "size_bytes": file.stat().st_size}


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _verified(folder: Path, entry: Fields) -> Path:
    """The network file of an entry, once it is inside the bundle and intact."""
    path, sha256 = entry.text("path"), entry.text("sha256")
    size_bytes = entry.get("size_bytes", int, low=0, high=1 << 40)
    try:
        file = (folder / path).resolve()
        if folder not in file.parents:
            raise entry.refusal("path", path, f"a file inside {folder}")
        there = file.is_file()
    except (OSError, RuntimeError, ValueError):  # no name of a file; links in a circle
        there = False
    if not there:
        raise entry.refusal("path", path, "an existing file")
    if file.stat().st_size != size_bytes:
        raise entry.refusal("size_bytes", size_bytes, f"the file's {file.stat().st_size}")
    actual = _sha256(file)
    if actual != sha256:
        raise entry.refusal("sha256", sha256, f"the file's {actual}")
    return file


def _position_std(output: Fields) -> tuple[float, float]:
    """The pair, or zeros where a bundle does not state it."""
    if "position_std_m" not in output.values:
        return 0.0, 0.0
    pair = output.get("position_std_m", list)
    if len(pair) != 2 or any(type(v) not in (int, float) or not 0 <= v <= 10 for v in pair):
        raise output.refusal("position_std_m", pair, "[across, along], each 0 to 10")
    return float(pair[0]), float(pair[1])


def _presence_fields(output: Fields) -> dict[str, Any]:
    """The fields of the presence output, if a bundle has it."""
    if "presence" not in output.values:
        return {}
    return {
        "presence_output": output.text("presence"),
        "presence_curve": _curve(output, "presence_curve"),
        "presence_threshold": output.get("presence_threshold", float, low=0.0, high=1.0),
    }


def _curve(output: Fields, key: str) -> Curve:
    pairs = output.get(key, list)
    rising = "at least two [output, probability] pairs that rise, probabilities in 0..1"
    numbers = [v for pair in pairs if type(pair) is list and len(pair) == 2 for v in pair]
    if len(numbers) != 2 * len(pairs) or any(
        type(v) not in (int, float) or abs(v) > 1e9 for v in numbers
    ):
        raise output.refusal(key, pairs, rising)
    curve = np.array(numbers, dtype=float).reshape(-1, 2)
    fits = len(curve) >= 2 and np.isfinite(curve).all() and (np.diff(curve[:, 0]) > 0).all()
    if not fits or (np.diff(curve[:, 1]) < 0).any() or curve[0, 1] < 0 or curve[-1, 1] > 1:
        raise output.refusal(key, pairs, rising)
    return tuple((float(value), float(probability)) for value, probability in curve)
