"""Figures on held-out data during training, by the rules and metrics of the evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from vnect_ros.evaluation import metrics, pck
from vnect_ros.learning.augmentation import plain
from vnect_ros.learning.batches import normalise
from vnect_ros.learning.config import TrainConfig
from vnect_ros.learning.distributed import Distributed
from vnect_ros.learning.mixture import Source, collate
from vnect_ros.learning.targets import DECIMETRES_PER_METRE
from vnect_ros.perception.reading import read
from vnect_ros.records import Maps
from vnect_ros.skeleton import LIMBS, NUM_JOINTS, PELVIS

_BATCH = 16
_SURE = 0.9
"""Weight of a joint from which on its position counts as annotated."""
_ALL_BUT_ROOT = tuple(j for j in range(NUM_JOINTS) if j != PELVIS)


def read_output(output: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A network's output [B, 84, h, w] float32, read as the pipeline reads maps.

    Args:
        size: edge of the input [px].

    Returns:
        [B, 21, 2] pixels of the input and [B, 21, 3] root-relative metres.
    """
    stride = size / output.shape[-1]
    found = []
    for maps in output:
        locations_m = maps[NUM_JOINTS:].reshape(3, NUM_JOINTS, *maps.shape[1:])
        of_one = Maps(maps[:NUM_JOINTS], locations_m / DECIMETRES_PER_METRE, stride)
        found.append(read(of_one, ((0.0, 0.0), (1.0, 1.0))))
    return np.stack([r.pixels_px for r in found]), np.stack([r.root_relative_m for r in found])


def validate(
    network: nn.Module,
    held_out: Sequence[tuple[str, Source]],
    config: TrainConfig,
    distributed: Distributed,
) -> dict[str, float]:
    """Measure a network on held-out sets; the processes share the work.

    Args:
        network: in eval mode.
        held_out: name and set; each is used whole, unaugmented.
        config: the recipe (size and precision).
        distributed: the processes.

    Returns:
        "<set> pck02" and "<set> pck05" over the 12 limb joints, of crops whose torso
        is annotated; for LSPET these are of all crops, as `evaluate` counts, and the
        former "pck02_strict" and "pck05_strict".  Where there is 3D truth also
        "<set> mpjpe_mm", "<set> pa_mpjpe_mm" and "<set> pck3d"; of a network that says
        whether it sees a person "<set> present", the share of crops in which it does.
    """
    row: dict[str, float] = {}
    device = next(network.parameters()).device
    for name, source in held_out:
        mine = range(distributed.rank, len(source), distributed.size)
        kept: list[dict[str, np.ndarray]] = []
        for start in range(0, len(mine), _BATCH):
            samples = [plain(source[i], config.size) for i in mine[start : start + _BATCH]]
            batch = collate(samples)
            image = torch.from_numpy(batch.pop("image")).to(device)
            with (
                torch.no_grad(),
                torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16),
            ):
                output = network(normalise(image, network))
            maps, presence = output if isinstance(output, tuple) else (output, None)
            pixels, locations = read_output(maps.float().cpu().numpy(), config.size)
            kept.append(batch | {"pixels": pixels, "locations": locations})
            if presence is not None:
                kept[-1]["presence"] = presence.float().cpu().numpy()[:, 0]
        parts = [p for member in distributed.gather(kept) for p in member]
        if not parts:
            continue
        every = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
        if "presence" in every:
            row[f"{name} present"] = float((every["presence"] > 0.5).mean())
        if not every["present"].any():
            continue
        row |= {
            f"{name} {k}": v for k, v in _pck(every, source, config.size, distributed.size).items()
        }
        if (every["weight_3d"] > 0).any():
            row |= {f"{name} {k}": v for k, v in _locations(every).items()}
    return row


def _pck(
    every: dict[str, np.ndarray], source: Source, size: int, processes: int
) -> dict[str, float]:
    keys = ("pck02", "pck05")
    truth = pck.annotation(every["joints_px"], every["visible"] >= _SURE)
    strict = {k: pck.pck(every["pixels"], truth)[f"{k}_strict"] for k in keys}
    joints14 = getattr(source, "joints14", None)
    if joints14 is None:
        return strict
    # the processes took every so-many-th sample: bring them back into order
    rows = np.concatenate([np.arange(r, len(joints14), processes) for r in range(processes)])
    scale = size / source.image(0).shape[0]  # type: ignore[attr-defined]
    found = pck.pck((every["pixels"] + 0.5) / scale - 0.5, joints14[rows])
    return {k: found[k] for k in keys} | {f"{k}_strict": v for k, v in strict.items()}


def _locations(every: dict[str, np.ndarray]) -> dict[str, float]:
    known = every["weight_3d"] > 0
    known[:, PELVIS] = True  # all is relative to it
    truth = np.where(known[..., None], every["joints_m"], np.nan)
    found = every["locations"]
    return {
        "mpjpe_mm": 1000.0 * metrics.mpjpe(found, truth, _ALL_BUT_ROOT),
        "pa_mpjpe_mm": 1000.0 * metrics.pa_mpjpe(found, truth, LIMBS),
        "pck3d": metrics.pck3d(metrics.joint_errors(found, truth)),
    }


def table(rows: Sequence[dict[str, float]]) -> str:
    """Lay validation rows out in columns."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [
        [f"{row[n]:.3f}".rstrip("0").rstrip(".") if n in row else "" for n in names] for row in rows
    ]
    widths = [max(len(n), *(len(c[i]) for c in cells)) for i, n in enumerate(names)]
    lines = [names, *cells]
    return "\n".join("  ".join(v.rjust(w) for v, w in zip(line, widths)) for line in lines)
