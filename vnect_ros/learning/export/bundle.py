"""A trained network as a bundle: its files, their check against torch, its model card."""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vnect_ros.errors import ModelError, describe
from vnect_ros.inference import bundles, create
from vnect_ros.inference.model import Model
from vnect_ros.learning.export import graph
from vnect_ros.learning.export.compare import Difference, difference
from vnect_ros.perception.reading import Reading, read

if TYPE_CHECKING:
    from torch import nn

TOLERANCE: Final = 5e-4
"""Of the fp32 file's output against torch's, relative to the largest value (at least 1).

Mostly they agree to 1e-6; where a heatmap is all but empty, its place is a matter of that noise,
and the lifter follows it by up to 2e-4.
"""

VNECT: Final = {
    "input_size": 368,
    "colour_order": "BGR",
    "mean": (0.4, 0.4, 0.4),
    "std": (1.0, 1.0, 1.0),
    "location_frame": "camera",
}
"""What the authors' network is fed and how it is read; for `write_bundle`."""


def fields_of(network: nn.Module) -> dict[str, Any]:
    """What a network of ours is fed, for `write_bundle`: VNect's, or its own mean and std."""
    from vnect_ros.networks.lite import VNectLite
    from vnect_ros.networks.vnect import VNect

    if isinstance(network, VNect):
        return dict(VNECT)
    mean, std = getattr(network, "mean", 0.5), getattr(network, "std", 0.5)
    fields = {"input_size": 224, "colour_order": "RGB", "mean": (mean,) * 3, "std": (std,) * 3}
    if isinstance(network, VNectLite):
        fields |= {
            "input_size": network.size,
            "stride_px": network.stride,
            "gravity_input": graph.GRAVITY,
            "presence_output": graph.PRESENCE,
        }
    return fields


@dataclass(frozen=True)
class Row:
    """One precision of a bundle, as the export's table shows it."""

    precision: str
    size_mib: float
    median_ms: float
    """Of one inference with ONNX Runtime on this machine; NaN without crops."""
    largest_error: float
    """Largest difference of an output value from torch's."""
    joints: Difference
    """Against torch."""

    def as_dict(self) -> dict[str, Any]:
        """The fields by name, for JSON."""
        plain = {k: v for k, v in vars(self).items() if k != "joints"}
        return {**plain, "joints": self.joints.as_dict()}


def export_bundle(
    network: nn.Module,
    out: str | Path,
    *,
    fields: Mapping[str, Any],
    licence: str,
    crops: Sequence[np.ndarray] = (),
    precisions: Sequence[str] = ("fp32",),
    calibration: str = "minmax",
    training: Mapping[str, Any] | None = None,
    card: Mapping[str, Any] | None = None,
    card_text: str = "",
) -> tuple[Model, list[Row]]:
    """Write a bundle and hold each of its files against torch.

    Args:
        network: as `graph.export_onnx` takes it.
        out: the bundle's folder.
        fields: of `bundles.write_bundle`; input_size, mean and std at least.
        crops: [S, S, 3] uint8 RGB images of people.  The int8 ranges come from
            every other one, the table from the rest.
        precisions: of "fp32", "fp16", "int8"; fp32 is always written.
        calibration: of `graph.to_int8`.
        training: for the bundle's file: how the weights came to be.
        card: {heading: text or {key: value}} for MODEL_CARD.md.
        card_text: Markdown that follows them.

    Raises:
        ModelError: a precision is unknown, int8 lacks crops, or the fp32 file's
            output differs from torch's by more than TOLERANCE.
    """
    unknown = [p for p in precisions if p not in bundles.PRECISIONS]
    if unknown:
        raise ModelError(describe("precisions", unknown[0], ", ".join(bundles.PRECISIONS)))
    if "int8" in precisions and len(crops) < 2:
        raise ModelError(describe("images", len(crops), "at least 2, to calibrate int8"))
    out = Path(out)
    network = _rounded(network)
    with tempfile.TemporaryDirectory() as scratch:
        files = {"fp32": Path(scratch) / "model.onnx"}
        graph.export_onnx(network, int(fields["input_size"]), files["fp32"])

        def bundle() -> Model:
            return bundles.write_bundle(
                out, files, licence=licence, training=training or {}, **fields
            )

        default = fields.get("default_precision")
        fields = {k: v for k, v in fields.items() if k != "default_precision"}
        model = bundle()
        if "fp16" in precisions:
            files["fp16"] = Path(scratch) / "model_fp16.onnx"
            graph.to_fp16(files["fp32"], files["fp16"])
        if "int8" in precisions:
            files["int8"] = Path(scratch) / "model_int8.onnx"
            prepared = model.prepare
            graph.to_int8(
                files["fp32"], files["int8"], lambda: map(prepared, crops[::2]),
                calibration=calibration,
            )  # fmt: skip
        if default:
            fields["default_precision"] = default
        for file in files.values():
            graph.store_compactly(file)
        model = bundle()
    rows = check(network, model, crops[1::2] if len(crops) > 1 else crops)
    text = model_card(model, rows, card or {}, card_text)
    (out / "MODEL_CARD.md").write_text(text, encoding="utf-8")
    return model, rows


def replace_int8(source: Model, file: Path, out: str | Path, training: Mapping[str, Any]) -> Model:
    """Write a bundle anew with another int8 file; the other files keep their bytes.

    Args:
        source: any precision of the bundle.
        file: the new int8 file.
        out: the new bundle's folder; the bundle's own to replace it.
        training: how the file came to be, for the bundle's "training".

    Returns:
        The new bundle's int8.
    """
    out = Path(out)
    declared = json.loads((source.folder / bundles.BUNDLE_FILE).read_text(encoding="utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    if out.resolve() != source.folder.resolve():
        for there in source.folder.iterdir():
            shutil.copyfile(there, out / there.name)
    name = declared["files"].get("int8", {}).get("path", "model_int8.onnx")
    shutil.copyfile(file, out / name)
    declared["files"]["int8"] = bundles.file_entry(out / name)
    declared["training"]["int8"] = dict(training)
    text = json.dumps(declared, indent=2, ensure_ascii=False) + "\n"
    (out / bundles.BUNDLE_FILE).write_text(text, encoding="utf-8")
    return bundles.load(out, "int8")


def replace_table(card: str, rows: Sequence[Row]) -> str:
    """A model card with another table of its files; without one, as it is."""
    lines = card.split("\n")
    header = table([]).split("\n")[0]
    if header not in lines:
        return card
    start = end = lines.index(header)
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    return "\n".join([*lines[:start], table(rows), *lines[end:]])


def _rounded(network: nn.Module) -> nn.Module:
    """A copy whose weights fp16 holds exactly, where nothing is folded into them later.

    It halves the files (`halves`); the difference is far below that of bfloat16, in
    which these networks learn.
    """
    from vnect_ros.networks.lite import VNectLite

    if not isinstance(network, VNectLite):
        return network
    network = copy.deepcopy(network).cpu().float()
    state = {k: v.half().float() if v.is_floating_point() else v
             for k, v in network.state_dict().items()}  # fmt: skip
    network.load_state_dict(state)
    return network


def check(network: nn.Module, model: Model, crops: Sequence[np.ndarray]) -> list[Row]:
    """Run every precision of a bundle beside torch.

    Raises:
        ModelError: the fp32 file's output differs by more than TOLERANCE.
    """
    import torch

    network = network.cpu().float().eval()
    if not crops:
        edge = model.input_size
        noise = np.random.default_rng(0).integers(0, 256, (edge, edge, 3))
        crops = [noise.astype(np.uint8)]
    truth, expected = [], []
    with torch.no_grad():
        for crop in crops:
            output = network(torch.from_numpy(model.prepare(crop)))
            truth.append((output[0] if isinstance(output, tuple) else output).numpy())
            expected.append(read(model.maps(truth[-1]), model.confidence_curve))
    rows = []
    for precision in model.precisions:
        row = _row(bundles.load(model.folder, precision), crops, truth, expected)
        rows.append(row)
        allowed = TOLERANCE * max(1.0, *(float(np.abs(t).max()) for t in truth))
        if precision == "fp32" and not row.largest_error <= allowed:
            accepted = f"at most {allowed:.2g}"
            raise ModelError(describe("ONNX against torch", row.largest_error, accepted))
    return rows


def _row(
    model: Model,
    crops: Sequence[np.ndarray],
    truth: Sequence[np.ndarray],
    expected: Sequence[Reading],
) -> Row:
    backend = create(model, "onnxruntime")
    readings, seconds, largest = [], [], 0.0
    plain = bundles.load(model.folder, model.precision)
    for crop, output in zip(crops, truth, strict=True):
        start = time.perf_counter()
        (maps,) = backend.infer([crop])
        seconds.append(time.perf_counter() - start)
        readings.append(read(maps, model.confidence_curve))
        wanted = plain.maps(output)
        heat = np.abs(maps.heatmaps - wanted.heatmaps).max() * model.heatmap_peak
        far = np.abs(maps.locations_m - wanted.locations_m).max() / model.unit_m
        largest = max(largest, float(heat), float(far))
    backend.close()
    return Row(
        precision=model.precision,
        size_mib=model.file.stat().st_size / 2**20,
        median_ms=float(np.median(seconds[len(seconds) > 1 :])) * 1e3,
        largest_error=largest,
        joints=difference(expected, readings),
    )


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| precision | size [MiB] | ONNX Runtime [ms] | largest error "
        "| joints px mean / p95 | joints mm mean / p95 |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        j = row.joints
        lines.append(
            f"| {row.precision} | {row.size_mib:.1f} | {row.median_ms:.1f} "
            f"| {row.largest_error:.2g} | {j.mean_px:.2f} / {j.p95_px:.2f} "
            f"| {j.mean_mm:.1f} / {j.p95_mm:.1f} |"
        )
    return "\n".join(lines)


def _short(values: Sequence[float]) -> str:
    return "[" + ", ".join(f"{v:.4g}" for v in values) + "]"


def model_card(model: Model, rows: Sequence[Row], card: Mapping[str, Any], middle: str = "") -> str:
    """MODEL_CARD.md: what the bundle is, what it was made from, how its files differ."""
    parts = [
        f"# {model.name}",
        "",
        f"- Licence of the weights: {model.licence}",
        f"- Input: {model.input_size} x {model.input_size} {model.colour_order}, "
        f"(value / 255 - {_short(model.mean)}) / {_short(model.std)}",
        f"- Output: 21 heatmaps, then x, y and z maps at stride {model.stride_px}; "
        f"one unit is {model.unit_m} m; axes: {model.location_frame}",
        f"- Default precision: {bundles.load(model.folder).precision}",
    ]
    for heading, content in card.items():
        parts += ["", f"## {heading}", ""]
        if isinstance(content, Mapping):
            parts += [f"- {key}: {value}" for key, value in content.items()]
        else:
            parts.append(str(content))
    if middle:
        parts += ["", middle.strip()]
    joints = rows[0].joints.joints if rows else 0
    parts += [
        "",
        "## Files",
        "",
        f"Against the network in torch, over {joints} joints that it sees "
        "(images that did not set the int8 ranges):",
        "",
        table(rows),
        "",
    ]
    return "\n".join(parts)
