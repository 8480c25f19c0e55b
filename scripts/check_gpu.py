#!/usr/bin/env python3
"""Check the TensorRT backend on the GPU of this machine, and time it.

    scripts/check_gpu.py [BUNDLE ...] [--images DIR] [--json gpu.json]

For every bundle (default: all installed ones, and the paper's ResNet-50 network
with random weights) and every precision it builds the engine, loads it from the
cache again, runs it on pictures of people, holds the result against ONNX Runtime
on the CPU, and times it at batch 1: with and without a CUDA graph, and the copy
in, the network and the copy back apart.  Exit status 0: all within tolerance;
1: something is not; 2: there is no GPU or no TensorRT.

Needs: NVIDIA's TensorRT 10.3 or newer with its Python bindings, cuda-bindings,
onnx, onnxruntime, opencv and this checkout.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from vnect_ros.cli import _common
from vnect_ros.cli._pictures import pictures
from vnect_ros.errors import BackendError, VnectError
from vnect_ros.inference import bundles, create
from vnect_ros.inference.cache import Cache
from vnect_ros.inference.tensorrt import graph, loader, probe
from vnect_ros.inference.tensorrt.backend import TensorRTBackend
from vnect_ros.learning.export.compare import difference
from vnect_ros.perception.reading import read

TOLERANCE = {"fp32": (0.5, 5.0), "fp16": (0.5, 5.0), "int8": (2.0, 15.0)}
"""Mean joint distance from ONNX Runtime's result of the same file: px, mm."""
SYMMETRIC_NOTE = "int8 engines are symmetric, the CPU's int8 is not: they differ by rounding"


def main() -> int:
    """Check and time; returns the exit status."""
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("bundles", nargs="*", help="folders or names (default: all, and vnect_r50)")
    p.add_argument("--images", help="folder of pictures of one person each (default: the clip)")
    p.add_argument("--count", type=int, default=50, help="pictures (default: 50)")
    p.add_argument("--repeats", type=int, default=300, help="timed runs (default: 300)")
    p.add_argument("--json", help="write the table to this file")
    p.set_defaults(video=_common.demo_clip())
    args = p.parse_args()
    try:
        gpu, runtime = probe.device(), loader.load()
    except BackendError as error:
        print(f"check_gpu: {error}", file=sys.stderr)
        return 2
    print(f"{gpu.name}, compute {gpu.compute_capability}, driver {gpu.driver}")
    print(f"{loader.name()} {runtime.__version__}, {platform.machine()} {platform.node()}")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for folder, trained in bundle_folders(args, Path(scratch)):
            for precision in bundles.load(folder).precisions:
                try:
                    row = check(bundles.load(folder, precision), trained, args, Path(scratch))
                except VnectError as error:
                    row = {"model": folder.name, "precision": precision, "error": str(error)}
                rows.append(row)
                print(json.dumps(row), flush=True)
    print(table(rows))
    print(SYMMETRIC_NOTE)
    if args.json:
        content = {"gpu": vars(gpu), "tensorrt": runtime.__version__, "rows": rows}
        Path(args.json).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0 if rows and all(row.get("ok") for row in rows) else 1


def bundle_folders(args: argparse.Namespace, scratch: Path) -> list[tuple[Path, bool]]:
    """The folders to check, and whether their weights are trained."""
    from vnect_ros.cli import _backend_table as shared

    names = args.bundles or [*bundles.available(), shared.R50]
    return shared.bundle_folders(list(dict.fromkeys(names)), args, scratch)


def check(
    model: bundles.Model, trained: bool, args: argparse.Namespace, scratch: Path
) -> dict[str, Any]:
    """One row: built, loaded again, compared, timed."""
    crops = pictures(args, model.input_size)
    cache = Cache(scratch / "engines")
    begin = time.perf_counter()
    TensorRTBackend(model, cache=cache).close()
    built_s = time.perf_counter() - begin
    begin = time.perf_counter()
    backend = TensorRTBackend(model, cache=cache)
    loaded_s = time.perf_counter() - begin
    row: dict[str, Any] = {
        "model": model.name,
        "precision": model.precision,
        "build_s": built_s,
        "load_s": loaded_s,
        "detail": backend.detail,
    }
    row.update(compare(backend, model, crops, trained))
    row["graph"] = timed(backend, crops, args.repeats)
    row.update(apart(backend, crops, args.repeats))
    backend.close()
    single = TensorRTBackend(model, cache=cache, use_graph=False)
    row["launches"] = timed(single, crops, args.repeats)
    single.close()
    return row


def compare(
    backend: TensorRTBackend, model: bundles.Model, crops: list[np.ndarray], trained: bool
) -> dict[str, Any]:
    """Distances from ONNX Runtime's result of the same file."""
    reference = create(model, "onnxruntime")
    ours, theirs, largest, scale = [], [], 0.0, 1.0
    for crop in crops:
        (got,), (expected,) = backend.infer([crop]), reference.infer([crop])
        for a, b in (
            (got.heatmaps, expected.heatmaps),
            (got.locations_m / model.unit_m, expected.locations_m / model.unit_m),
        ):
            largest = max(largest, float(np.abs(a - b).max()))
            scale = max(scale, float(np.abs(b).max()))
        ours.append(read(got, model.confidence_curve))
        theirs.append(read(expected, model.confidence_curve))
    reference.close()
    joints = difference(theirs, ours)
    px, mm = TOLERANCE[model.precision]
    if trained and joints.joints:
        fits = joints.mean_px <= px and joints.mean_mm <= mm
    else:  # random weights see nobody: hold the maps themselves
        fits = largest <= scale * {"fp32": 1e-3, "fp16": 3e-2, "int8": 0.3}[model.precision]
    return {"largest_error": largest, "largest_value": scale, **joints.as_dict(), "ok": fits}


def timed(backend: TensorRTBackend, crops: list[np.ndarray], repeats: int) -> dict[str, float]:
    """Median and p95 of `infer`, from the crop in memory to the maps in memory [ms]."""
    for i in range(20):
        backend.infer([crops[i % len(crops)]])
    taken = []
    for i in range(repeats):
        begin = time.perf_counter()
        backend.infer([crops[i % len(crops)]])
        taken.append((time.perf_counter() - begin) * 1e3)
    return {"median_ms": float(np.median(taken)), "p95_ms": float(np.percentile(taken, 95))}


def apart(backend: TensorRTBackend, crops: list[np.ndarray], repeats: int) -> dict[str, float]:
    """Medians of the copy in, the network and the copy back, by CUDA events [ms]."""
    runner = backend._runner
    assert runner is not None
    cuda, stream = runner.cuda, runner.stream
    events = [runner.check(cuda.cudaEventCreate(), "making an event") for _ in range(4)]
    steps = (runner.copy_in, runner.execute, runner.copy_out)
    taken = []
    for i in range(repeats):
        np.copyto(runner.inputs[graph.INPUT], crops[i % len(crops)][None])
        runner.check(cuda.cudaEventRecord(events[0], stream), "recording an event")
        for step, event in zip(steps, events[1:], strict=True):
            step()
            runner.check(cuda.cudaEventRecord(event, stream), "recording an event")
        runner.wait()
        taken.append(
            [
                runner.check(cuda.cudaEventElapsedTime(events[j], events[j + 1]), "timing")
                for j in range(3)
            ]
        )
    for event in events:
        cuda.cudaEventDestroy(event)
    medians = np.median(np.array(taken, float), axis=0)
    return dict(zip(("copy_in_ms", "network_ms", "copy_out_ms"), map(float, medians), strict=True))


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table for the README."""
    lines = [
        "| model | precision | graph ms (p95) | launches ms (p95) | copy in | network | copy back "
        "| px | mm | build s | load s | |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "error" in row:
            lines.append(f"| {row['model']} | {row['precision']} | {row['error']} |" + " |" * 9)
            continue
        graph, single = row["graph"], row["launches"]
        lines.append(
            f"| {row['model']} | {row['precision']} "
            f"| {graph['median_ms']:.2f} ({graph['p95_ms']:.2f}) "
            f"| {single['median_ms']:.2f} ({single['p95_ms']:.2f}) "
            f"| {row['copy_in_ms']:.3f} | {row['network_ms']:.2f} | {row['copy_out_ms']:.3f} "
            f"| {row['mean_px']:.2f} | {row['mean_mm']:.1f} "
            f"| {row['build_s']:.0f} | {row['load_s']:.1f} | {'ok' if row['ok'] else 'OFF'} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
