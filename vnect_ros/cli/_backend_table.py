"""The table of `benchmark --backends`: every runtime and precision that works here.

Each row is measured in a process of its own, so that its memory is its own and
a runtime that crashes takes only its row along.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from vnect_ros.cli import _common
from vnect_ros.errors import BackendError, ModelError, VnectError
from vnect_ros.inference import AUTO, bundles, create
from vnect_ros.perception.reading import Reading, read

R50: Final = "vnect_r50"
"""Name of the paper's network with random weights, where no bundle has trained ones."""
WARM_UP: Final = 5
CHILD_TIMEOUT_S: Final = 600.0
FIELDS: Final = ("pixels_px", "root_relative_m", "confidence", "peaks")
"""What a child writes of each reading."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the table; `--threads` and `--json` are the benchmark's own."""
    group = parser.add_argument_group("table of the backends")
    group.add_argument(
        "--backends", action="store_true", help="time every runtime and precision that works here"
    )
    group.add_argument(
        "--bundles", default="", metavar="NAMES",
        help=f"comma-separated bundles (default: all installed ones, and {R50}: the paper's "
        "network, with random weights unless a bundle of that name is installed)",
    )  # fmt: skip
    group.add_argument(
        "--images", metavar="DIR",
        help="pictures of one person each (default: frames of VIDEO, around the person)",
    )  # fmt: skip
    group.add_argument("--count", type=int, default=50, help="pictures to run (default: 50)")
    group.add_argument("--rounds", type=int, default=2, help="times each is run (default: 2)")
    group.add_argument("--no-baselines", action="store_true", help="leave the BlazePose rows out")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure and print the table; returns what `--json` writes.

    Raises:
        VnectError: a bundle or the pictures cannot be had.
    """
    threads = args.threads or 2
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        names = [n for n in args.bundles.split(",") if n] or [*bundles.available(), R50]
        for folder, trained in bundle_folders(list(dict.fromkeys(names)), args, place):
            found += _rows_of(folder, trained, args, threads, place)
        if not args.no_baselines:
            found += _baselines(args, threads)
    header = ("model", "precision", "backend", "median ms", "p95 ms", "MiB", "px", "mm", "note")
    print(f"{threads} threads, batch 1; px and mm: mean distance of the joints from fp32's")
    print(_common.table(header, [_printed(row) for row in found]))
    return {"threads": threads, "rows": found}


def _printed(row: dict[str, Any]) -> list[str]:
    def number(key: str, digits: int) -> str:
        value = row.get(key)
        return "-" if value is None or value != value else f"{value:.{digits}f}"

    return [
        row["model"], row["precision"], row["backend"], number("median_ms", 1),
        number("p95_ms", 1), number("memory_mib", 0), number("mean_px", 2),
        number("mean_mm", 1), row.get("note", "")[:60],
    ]  # fmt: skip


def bundle_folders(
    names: Sequence[str], args: argparse.Namespace, place: Path
) -> list[tuple[Path, bool]]:
    """The folder of each bundle, and whether its weights are trained."""
    folders = []
    for name in names:
        try:
            folders.append((bundles.locate(name), True))
        except ModelError:
            if name != R50:
                raise
            made = _random_r50(args, place / R50)
            if made is not None:
                folders.append((made, False))
    return folders


def _random_r50(args: argparse.Namespace, out: Path) -> Path | None:
    """The paper's network in every precision: its speed does not depend on its weights."""
    try:
        import onnxscript  # noqa: F401
        import torch
    except ImportError:
        return None
    from vnect_ros.cli._pictures import pictures
    from vnect_ros.learning.export.bundle import VNECT, export_bundle
    from vnect_ros.networks.vnect import VNect

    torch.manual_seed(0)
    export_bundle(
        VNect(), out, fields=VNECT, licence="none: random weights",
        crops=pictures(args, 368)[:8], precisions=bundles.PRECISIONS,
    )  # fmt: skip
    return out


def _rows_of(
    folder: Path, trained: bool, args: argparse.Namespace, threads: int, place: Path
) -> list[dict[str, Any]]:
    from vnect_ros.cli._pictures import pictures
    from vnect_ros.learning.export.compare import difference

    model = bundles.load(folder)
    crops = pictures(args, model.input_size)
    np.save(place / "crops.npy", np.stack(crops))
    rows: list[dict[str, Any]] = []
    reference: list[Reading] = []
    for precision in model.precisions:
        for backend in ("onnxruntime", *(n for n in AUTO if n != "onnxruntime")):
            row, readings = _apart(folder, precision, backend, args.rounds, threads, place)
            row = {"model": model.name, **row}
            reference = reference or readings
            if trained and readings and precision + backend != model.precisions[0] + "onnxruntime":
                row.update(difference(reference, readings).as_dict())
            if not trained:
                row["note"] = row.get("note") or "random weights"
            rows.append(row)
    return rows


def _apart(
    folder: Path, precision: str, backend: str, rounds: int, threads: int, place: Path
) -> tuple[dict[str, Any], list[Reading]]:
    """One row from a child process, and the joints it read."""
    out = place / "out.npz"
    out.unlink(missing_ok=True)
    command = [
        sys.executable, "-m", __name__, str(folder), precision, backend,
        str(place / "crops.npy"), str(rounds), str(threads), str(out),
    ]  # fmt: skip
    row: dict[str, Any] = {"precision": precision, "backend": backend}
    try:
        child = subprocess.run(
            command, capture_output=True, text=True, timeout=CHILD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return {**row, "note": f"no answer within {CHILD_TIMEOUT_S:g} s"}, []
    if child.returncode != 0 or not out.is_file():
        said = (child.stderr.strip().splitlines() or [f"status {child.returncode}"])[-1]
        return {**row, "note": said}, []
    row.update(json.loads(child.stdout.strip().splitlines()[-1]))
    with np.load(out) as found:
        readings = [Reading(*four) for four in zip(*(found[name] for name in FIELDS), strict=True)]
    return row, readings


def _baselines(args: argparse.Namespace, threads: int) -> list[dict[str, Any]]:
    """BlazePose's landmark networks on the same pictures, where they are installed."""
    from vnect_ros.cli._pictures import pictures
    from vnect_ros.evaluation import baselines

    try:
        readers = baselines.open_baselines(threads=threads)
    except BackendError as error:
        print(f"no baselines: {error}", file=sys.stderr)
        return []
    crops = pictures(args, baselines.INPUT_SIZE)
    rows = []
    for reader in readers:
        timed = _timed(reader.read, crops, args.rounds)
        rows.append({"model": reader.name, "precision": "fp16", "backend": "LiteRT", **timed})
    return rows


def _timed(infer: Any, crops: Sequence[np.ndarray], rounds: int) -> dict[str, float]:
    for crop in crops[:WARM_UP]:
        infer(crop)
    taken_s = []
    for _ in range(rounds):
        for crop in crops:
            begin = time.perf_counter()
            infer(crop)
            taken_s.append(time.perf_counter() - begin)
    return {
        "median_ms": float(np.median(taken_s)) * 1e3,
        "p95_ms": float(np.percentile(taken_s, 95)) * 1e3,
    }


def main(argv: list[str] | None = None) -> int:
    """The child: bundle, precision, backend, crops, rounds, threads, file to write."""
    from vnect_ros.cli import _soak

    folder, precision, name, file, rounds, threads, out = sys.argv[1:] if argv is None else argv
    try:
        backend = create(bundles.load(folder, precision), name, threads=int(threads))
        crops = list(np.load(file))
        row: dict[str, Any] = _timed(lambda crop: backend.infer([crop]), crops, int(rounds))
        row["memory_mib"] = _soak.resident_mib()
        row["detail"] = backend.detail
        readings = [read(backend.infer([c])[0], backend.model.confidence_curve) for c in crops]
        backend.close()
    except VnectError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    columns: dict[str, Any] = {name: [getattr(r, name) for r in readings] for name in FIELDS}
    np.savez(out, **columns)
    print(json.dumps(row))
    return 0


if __name__ == "__main__":
    sys.exit(main())
