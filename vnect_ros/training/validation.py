"""Figures on held-out data during training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from vnect_ros.training import metrics
from vnect_ros.training.augment import plain
from vnect_ros.training.config import TrainConfig
from vnect_ros.training.mixture import Source, collate
from vnect_ros.training.team import Team

_BATCH = 16


def validate(network: nn.Module, held_out: Sequence[tuple[str, Source]], config: TrainConfig,
             team: Team) -> dict[str, float]:  # fmt: skip
    """Measure a network on held-out sets; the processes share the work.

    Args:
        network: in eval mode.
        held_out: name and set; each is used whole, unaugmented.
        config: the recipe (size and precision).
        team: the processes.

    Returns:
        "<set> pck02" and "<set> pck05" (12 limb joints), "<set> pck02_14" and
        "<set> pck05_14", and where there is 3D truth "<set> mpjpe_mm" and "<set> pck3d".
    """
    from vnect_ros.training.loop import normalise

    row: dict[str, float] = {}
    device = next(network.parameters()).device
    for name, source in held_out:
        mine = range(team.rank, len(source), team.size)
        kept: list[dict[str, np.ndarray]] = []
        for start in range(0, len(mine), _BATCH):
            samples = [plain(source[i], config.size) for i in mine[start : start + _BATCH]]
            batch = collate(samples)
            image = torch.from_numpy(batch.pop("image")).to(device)
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16):  # noqa: E501
                maps = network(normalise(image, network))
            pixels, locations, _ = metrics.read_maps(maps.cpu(), config.size / maps.shape[-1])
            kept.append(batch | {"pixels": pixels, "locations": locations})
        parts = [p for member in team.gather(kept) for p in member]
        if not parts:
            continue
        every = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
        true, seen = every["joints_px"], every["visible"]
        for label, share in (("pck02", 0.2), ("pck05", 0.5)):
            row[f"{name} {label}"] = metrics.pck(every["pixels"], true, seen, share)
            row[f"{name} {label}_14"] = metrics.pck(every["pixels"], true, seen, share, tuple(range(14)))  # noqa: E501
        if (every["weight_3d"] > 0).any():
            args = every["locations"], every["joints_m"], every["weight_3d"]
            row[f"{name} mpjpe_mm"] = 1000.0 * metrics.mpjpe_m(*args)
            row[f"{name} pck3d"] = metrics.pck3d(*args)
    return row


def table(rows: Sequence[dict[str, float]]) -> str:
    """Lay validation rows out in columns."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[f"{row[n]:.3f}".rstrip("0").rstrip(".") if n in row else "" for n in names] for row in rows]  # noqa: E501
    widths = [max(len(n), *(len(c[i]) for c in cells)) for i, n in enumerate(names)]
    lines = [names, *cells]
    return "\n".join("  ".join(v.rjust(w) for v, w in zip(line, widths)) for line in lines)
