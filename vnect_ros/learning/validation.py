"""Figures on held-out data during training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from vnect_ros.datasets import lspet
from vnect_ros.learning import metrics
from vnect_ros.learning.augmentation import plain
from vnect_ros.learning.batches import normalise
from vnect_ros.learning.config import TrainConfig
from vnect_ros.learning.distributed import Team
from vnect_ros.learning.mixture import Source, collate

_BATCH = 16


def validate(
    network: nn.Module, held_out: Sequence[tuple[str, Source]], config: TrainConfig, team: Team
) -> dict[str, float]:
    """Measure a network on held-out sets; the processes share the work.

    Args:
        network: in eval mode.
        held_out: name and set; each is used whole, unaugmented.
        config: the recipe (size and precision).
        team: the processes.

    Returns:
        "<set> pck02" and "<set> pck05" over the 12 limb joints, of crops whose torso
        is annotated; for LSPET these are of all crops, as `evaluate` counts, and the
        former "pck02_strict" and "pck05_strict".  Where there is 3D truth also
        "<set> mpjpe_mm" and "<set> pck3d".
    """
    row: dict[str, float] = {}
    device = next(network.parameters()).device
    for name, source in held_out:
        mine = range(team.rank, len(source), team.size)
        kept: list[dict[str, np.ndarray]] = []
        for start in range(0, len(mine), _BATCH):
            samples = [plain(source[i], config.size) for i in mine[start : start + _BATCH]]
            batch = collate(samples)
            image = torch.from_numpy(batch.pop("image")).to(device)
            with (
                torch.no_grad(),
                torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16),
            ):
                maps = network(normalise(image, network))
            pixels, locations, _ = metrics.read_maps(maps.cpu(), config.size / maps.shape[-1])
            size = np.full(len(pixels), config.size)
            kept.append(batch | {"pixels": pixels, "locations": locations, "size": size})
        parts = [p for member in team.gather(kept) for p in member]
        if not parts:
            continue
        every = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
        row |= {f"{name} {k}": v for k, v in _pck(every, source, team.size).items()}
        if (every["weight_3d"] > 0).any():
            args = every["locations"], every["joints_m"], every["weight_3d"]
            row[f"{name} mpjpe_mm"] = 1000.0 * metrics.mpjpe_m(*args)
            row[f"{name} pck3d"] = metrics.pck3d(*args)
    return row


def _pck(every: dict[str, np.ndarray], source: Source, processes: int) -> dict[str, float]:
    true, seen, found = every["joints_px"], every["visible"], every["pixels"]
    strict = {f"pck0{a}": metrics.pck(found, true, seen, a / 10) for a in (2, 5)}
    joints14 = getattr(source, "joints14", None)
    if joints14 is None:
        return strict
    # the processes took every so-many-th sample: bring them back into order
    rows = np.concatenate([np.arange(r, len(joints14), processes) for r in range(processes)])
    scale = every["size"][0] / source.image(0).shape[0]  # type: ignore[attr-defined]
    at = (found + 0.5) / scale - 0.5
    plain = lspet.pck(at, joints14[rows])
    return {k: plain[k] for k in ("pck02", "pck05")} | {f"{k}_strict": v for k, v in strict.items()}


def table(rows: Sequence[dict[str, float]]) -> str:
    """Lay validation rows out in columns."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [
        [f"{row[n]:.3f}".rstrip("0").rstrip(".") if n in row else "" for n in names] for row in rows
    ]
    widths = [max(len(n), *(len(c[i]) for c in cells)) for i, n in enumerate(names)]
    lines = [names, *cells]
    return "\n".join("  ".join(v.rjust(w) for v, w in zip(line, widths)) for line in lines)
