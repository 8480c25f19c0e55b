"""The losses of the paper (section 4.1), per batch, and those of what it does not have.

Heatmaps: squared error, or cross-entropy where the network gives logits.  Location and
offset maps: the error weighted by the joint's true heatmap, H ⊙ (X − X*), so that only
the surroundings of the joint learn.  The per-cell penalty there is Huber's: squared near
zero, linear for errors above `huber_dm`, because teacher labels contain outliers; a large
`huber_dm` gives the paper's squared error.  Lifted joints: the distance, likewise linear.
Presence: cross-entropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from vnect_ros.learning import targets
from vnect_ros.skeleton import NUM_JOINTS


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
    lifted: float = 0.3
    """Distance of the lifter's joints [dm], of poses alone and with the picture."""
    presence: float = 0.5
    """Whether there is a person."""
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
    error = predicted.view(b, 3, NUM_JOINTS, h, w) - true_dm.view(b, 3, NUM_JOINTS, 1, 1)
    size = error.abs()
    penalty = torch.where(size < huber_dm, 0.5 * size * size / huber_dm, size - 0.5 * huber_dm)
    share = heat / heat.sum((2, 3), keepdim=True).clamp_min(1e-3)
    return ((penalty.sum(1) * share).sum((2, 3)) * weight).mean()


def lifted_loss(
    predicted_dm: torch.Tensor, true_dm: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Mean distance of the joints [dm], rounded off near zero.

    Args:
        predicted_dm, true_dm: [B, 63] x, y, z of the joints.
        weight: [B, 21].
    """
    error = (predicted_dm - true_dm).unflatten(1, (3, NUM_JOINTS))
    distance = (error.square().sum(1) + 1e-2).sqrt()
    return (distance * weight).sum() / weight.sum().clamp_min(1.0)


class _Truth:
    """The true maps of a batch, drawn once for each size."""

    def __init__(self, batch: dict[str, torch.Tensor], size: int, weights: LossWeights) -> None:
        self.batch, self.size, self.weights = batch, size, weights
        self.locations = targets.locations_dm(batch["joints_m"])
        self.offsets = targets.offsets_dm(batch["joints_m"])
        self._heat: dict[int, torch.Tensor] = {}

    def heat(self, cells: int) -> torch.Tensor:
        """[B, 21, cells, cells]."""
        if cells not in self._heat:
            stride = self.size / cells
            sigma = max(self.weights.sigma_px, 0.75 * stride)
            self._heat[cells] = targets.heatmaps(self.batch["joints_px"], cells, stride, sigma)
        return self._heat[cells]

    def location_error(self, maps: torch.Tensor, offsets: bool = False) -> torch.Tensor:
        """Of location or offset maps [B, 63, h, w], where the joint is in the picture."""
        heat, weight = self.heat(maps.shape[-1]), self.batch["weight_3d"]
        if offsets:
            weight = targets.offset_weights(weight)
        weight = weight * (heat.amax((2, 3)) > 0.3)
        true = self.offsets if offsets else self.locations
        return location_loss(maps.float(), true, heat, weight, self.weights.huber_dm)


def total_loss(
    output: dict[str, Any],
    batch: dict[str, torch.Tensor],
    size: int,
    weights: LossWeights,
    progress: float,
) -> tuple[torch.Tensor, dict[str, float]]:
    """All terms for one batch.

    Args:
        output: of `VNectLite` or `VNect` in training mode.
        batch: joints_px [B, 21, 2], visible [B, 21], joints_m [B, 21, 3], weight_3d [B, 21]
            and present [B].
        size: edge of the input [px].
        weights: what each term counts.
        progress: 0 at the start of training, 1 at its end; the early terms taper with it.

    Returns:
        The loss to minimise, and the value of each term for the log.
    """
    truth = _Truth(batch, size, weights)
    terms = {"delta": (weights.offset, truth.location_error(output["delta"], offsets=True))}
    if "logits" in output:
        terms |= _of_lite(output, truth)
    else:
        early = zip((weights.early16, weights.early8), output.get("intermediate", ()))
        shares = [(f"early{k}", (1.0 - progress) * w, m) for k, (w, m) in enumerate(early)]
        for name, share, maps in [("maps", 1.0, output["maps"]), *shares]:
            terms |= _of_maps(name, share, maps, truth)
    loss = torch.stack([weight * value for weight, value in terms.values()]).sum()
    return loss, {k: float(v.detach()) for k, (_, v) in terms.items()}


def _of_maps(
    name: str, share: float, maps: torch.Tensor, truth: _Truth
) -> dict[str, tuple[float, torch.Tensor]]:
    """Heatmaps and location maps [B, 84, h, w] of VNect: weights and values."""
    heat, location = maps[:, :NUM_JOINTS].float(), maps[:, NUM_JOINTS:]
    error = heatmap_loss(heat, truth.heat(maps.shape[-1]), truth.batch["visible"])
    return {
        f"{name}_heat": (share * truth.weights.heatmap, error),
        f"{name}_loc": (share * truth.weights.location, truth.location_error(location)),
    }


def _of_lite(
    output: dict[str, torch.Tensor], truth: _Truth
) -> dict[str, tuple[float, torch.Tensor]]:
    """What `VNectLite` gives besides the offset maps: weights and values."""
    weights, batch = truth.weights, truth.batch
    logits = output["logits"].float()
    entropy = F.binary_cross_entropy_with_logits(
        logits, truth.heat(logits.shape[-1]), reduction="none"
    )
    present = F.binary_cross_entropy_with_logits(output["presence"].float(), batch["present"])
    located = batch["weight_3d"]
    return {
        "heat": (weights.heatmap, (entropy.sum((2, 3)) * batch["visible"]).mean()),
        "loc": (weights.location, truth.location_error(output["locations"])),
        "alone": (weights.lifted, lifted_loss(output["alone"].float(), truth.locations, located)),
        "lifted": (weights.lifted, lifted_loss(output["lifted"].float(), truth.locations, located)),
        "presence": (weights.presence, present),
    }
