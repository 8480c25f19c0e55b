"""The losses of the paper (section 4.1), per batch.

Heatmaps: squared error.  Location and offset maps: the error weighted by the
joint's true heatmap, H ⊙ (X − X*), so that only the surroundings of the joint
learn.  The per-cell penalty there is Huber's: squared near zero, linear for
errors above `huber_dm`, because teacher labels contain outliers; a large
`huber_dm` gives the paper's squared error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from vnect_ros.learning import targets
from vnect_ros.skeleton import JOINT_NAMES, MIRROR

JOINTS = 21
_LEFT = [k for k, name in enumerate(JOINT_NAMES) if name.startswith("left_")]
_RIGHT = [MIRROR[k] for k in _LEFT]
_CLEARLY_FACING = 0.4
_OF_SIDES = ("facing", "apparent", "sides")


@dataclass(frozen=True)
class LossWeights:
    """What each term counts."""

    heatmap: float = 1.0
    location: float = 0.15
    offset: float = 0.15
    early8: float = 0.5
    """Intermediate supervision from the last stage before the read-out; tapers to 0."""
    early16: float = 0.5
    """Intermediate supervision from the stage before that; tapers to 0."""
    opposite: float = 2.0
    """What the difference of a left and its right heatmap counts besides their own errors."""
    side: float = 1.0
    """Side maps of the limbs, apparent and true."""
    facing: float = 4.0
    """Which way the trunk faces."""
    sigma_px: float = 9.0
    """Of the heatmaps [px of the input]."""
    huber_dm: float = 1.0


def heatmap_loss(predicted: torch.Tensor, true: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Sum of squares a map, averaged over all joints; unknown ones count 0.

    Args:
        predicted: [B, 21, h, w].
        true: [B, 21, h, w].
        weight: [B, 21].
    """
    return ((predicted - true).square().sum((2, 3)) * weight).mean()


def opposite_loss(
    predicted: torch.Tensor, true: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Squared error of left minus right heatmaps, averaged over all joints.

    Equal maps for a left joint and its right one are where a training stays for long:
    half of the squared error, with nothing learnt of the sides.  This term makes that
    place steeper; what minimises the sum stays the same.

    Args:
        predicted: [B, 21, h, w].
        true: [B, 21, h, w].
        weight: [B, 21].
    """
    error = (predicted - true)[:, _LEFT] - (predicted - true)[:, _RIGHT]
    known = torch.minimum(weight[:, _LEFT], weight[:, _RIGHT])
    return 0.5 * (error.square().sum((2, 3)) * known).sum(1).mean() / JOINTS


def side_losses(
    output: dict[str, torch.Tensor], batch: dict[str, torch.Tensor], size: int, sigma_px: float
) -> dict[str, torch.Tensor]:
    """What the network says of left and right (see `networks.head.Belief`).

    Args:
        output: facing [B]; side maps [B, 4, h, w] named "apparent…" and "sides…".
        batch: joints_px [B, 21, 2] and visible [B, 21].
        size: edge of the input [px].
        sigma_px: how wide a limb is [px of the input].

    Returns:
        Squared errors by name; of maps by the area of the limbs, averaged over limbs.
    """
    joints_px, visible = batch["joints_px"], batch["visible"]
    facing, told = targets.facing(joints_px, visible)
    truth_of: dict[int, tuple[torch.Tensor, ...]] = {}
    errors = {}
    for name, found in output.items():
        if name == "facing":
            errors[name] = ((found.float() - facing).square() * told).mean()
            continue
        cells = found.shape[-1]
        if cells not in truth_of:
            stride = size / cells
            sigma = max(sigma_px, 0.75 * stride)
            truth_of[cells] = targets.limb_sides(joints_px, visible, cells, stride, sigma)
        sides, area, known = truth_of[cells]
        if name.startswith("apparent"):
            # side-on there is no apparent side
            known = known * (told * (facing.abs() / _CLEARLY_FACING).clamp(0.0, 1.0))[:, None]
            sides = sides * facing.sign()[:, None, None, None]
        # where nobody is, errors are measured by the area of a small person's limbs
        error = (found.float() - sides).square().sum((2, 3)) / area.clamp_min(0.01 * cells**2)
        errors[name] = (error * known).mean()
    return errors


def location_loss(
    predicted: torch.Tensor,
    true_dm: torch.Tensor,
    heat: torch.Tensor,
    weight: torch.Tensor,
    huber_dm: float,
) -> torch.Tensor:
    """Heatmap-weighted error of x, y, z maps, averaged over all joints.

    Args:
        predicted: [B, 63, h, w] decimetres.
        true_dm: [B, 63].
        heat: [B, 21, h, w] true heatmaps.
        weight: [B, 21].
        huber_dm: where the penalty turns from squared to linear [dm].
    """
    b, _, h, w = predicted.shape
    error = predicted.view(b, 3, JOINTS, h, w) - true_dm.view(b, 3, JOINTS, 1, 1)
    size = error.abs()
    penalty = torch.where(size < huber_dm, 0.5 * size * size / huber_dm, size - 0.5 * huber_dm)
    share = heat / heat.sum((2, 3), keepdim=True).clamp_min(1e-3)
    return ((penalty.sum(1) * share).sum((2, 3)) * weight).mean()


def _named(output: dict[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """The predictions by name; a list of early ones gets the two early weights in order."""
    for name, maps in output.items():
        if name == "intermediate":
            yield from zip(("early16", "early8"), maps)
        else:
            yield name, maps


def total_loss(
    output: dict[str, Any],
    batch: dict[str, torch.Tensor],
    size: int,
    weights: LossWeights,
    progress: float,
) -> tuple[torch.Tensor, dict[str, float]]:
    """All terms for one batch.

    Args:
        output: of the network in training mode; keys "maps", "delta" (optional) and
            intermediate predictions: "early8", "early16", or a list "intermediate";
            what `side_losses` takes (optional).
        batch: joints_px [B, 21, 2], visible [B, 21], joints_m [B, 21, 3], weight_3d [B, 21].
        size: edge of the input [px].
        weights: what each term counts.
        progress: 0 at the start of training, 1 at its end; the early terms taper with it.

    Returns:
        The loss to minimise, and the value of each term for the log.
    """
    locations = targets.locations_dm(batch["joints_m"])
    heat_of: dict[int, torch.Tensor] = {}
    terms: dict[str, torch.Tensor] = {}
    loss = torch.zeros((), device=batch["visible"].device)
    of_sides = {k: v for k, v in output.items() if k.startswith(_OF_SIDES)}
    for name, error in side_losses(of_sides, batch, size, weights.sigma_px).items():
        terms[name] = error
        loss = loss + (weights.facing if name == "facing" else weights.side) * error
    for name, maps in _named({k: v for k, v in output.items() if k not in of_sides}):
        maps = maps.float()
        cells = maps.shape[-1]
        if cells not in heat_of:
            stride = size / cells
            sigma = max(weights.sigma_px, 0.75 * stride)
            heat_of[cells] = targets.heatmaps(batch["joints_px"], cells, stride, sigma)
        heat = heat_of[cells]
        inside = (heat.amax((2, 3)) > 0.3).float()
        if name == "delta":
            weight = targets.offset_weights(batch["weight_3d"]) * inside
            true = targets.offsets_dm(batch["joints_m"])
            terms[name] = location_loss(maps, true, heat, weight, weights.huber_dm)
            loss = loss + weights.offset * terms[name]
            continue
        terms[name + "_heat"] = heatmap_loss(maps[:, :JOINTS], heat, batch["visible"])
        terms[name + "_opposite"] = opposite_loss(maps[:, :JOINTS], heat, batch["visible"])
        terms[name + "_loc"] = location_loss(
            maps[:, JOINTS:], locations, heat, batch["weight_3d"] * inside, weights.huber_dm
        )
        part = (
            weights.heatmap * (terms[name + "_heat"] + weights.opposite * terms[name + "_opposite"])
            + weights.location * terms[name + "_loc"]
        )
        share = 1.0
        if name != "maps":
            share = (weights.early16 if name == "early16" else weights.early8) * (1.0 - progress)
        loss = loss + share * part
    return loss, {k: float(v.detach()) for k, v in terms.items()}
