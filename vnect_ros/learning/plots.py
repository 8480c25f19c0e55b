"""Curves of a training's log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_log(file: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of losses and rows of validation figures of a `log.jsonl`."""
    steps, figures = [], []
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if "validation" in row:
            figures.append(row["validation"])
        else:
            steps.append(row)
    return steps, figures


def plot(folder: str | Path) -> Path:
    """Draw losses and validation figures of a training to `curves.png`.

    Args:
        folder: of the training, with its `log.jsonl`.

    Returns:
        The picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder = Path(folder)
    steps, figures = read_log(folder / "log.jsonl")
    shares = sorted({k for row in figures for k in row if "pck" in k})
    lengths = sorted({k for row in figures for k in row if "mpjpe" in k})
    panels = 2 + bool(lengths)
    figure, axes = pyplot.subplots(1, panels, figsize=(6 * panels, 4.5), constrained_layout=True)
    left, middle = axes[0], axes[1]
    names = [
        k for k in (steps[-1] if steps else {}) if k.startswith(("maps", "early", "delta", "loss"))
    ]
    for name in names:
        left.plot(
            [r["step"] for r in steps if name in r],
            [r[name] for r in steps if name in r],
            label=name,
        )
    left.set(xlabel="step", ylabel="loss", yscale="log", title="losses (moving mean)")
    for axis, group, title in ((middle, shares, "PCK"), (axes[-1], lengths, "MPJPE [mm]")):
        for name in group:
            rows = [r for r in figures if name in r]
            axis.plot([r["step"] for r in rows], [r[name] for r in rows], marker="o", label=name)
        if group:
            axis.set(xlabel="step", title=title)
    for axis in axes:
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize="small")
    target = folder / "curves.png"
    figure.savefig(target, dpi=100)
    pyplot.close(figure)
    return target
