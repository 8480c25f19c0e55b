"""Depth from the whole pose: a small network behind the maps lifts 2D to 3D.

Where each joint is seen says most of how deep it is, if one knows how people
move; that can be learnt from poses alone, millions of them, without an image.
The location maps of the convolutions say the rest, so they are an input.  In
goes what the maps say (of each joint the place, the peak, and the location read
there), out come the location maps.

Not in the paper; docs/training.md has what it gains.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn
from torch.nn import functional as F

JOINTS: Final = 21
FEATURES: Final = 6 * JOINTS
_EPS: Final = 1e-3


class SoftMaxima(nn.Module):
    """Reads maps at the soft maxima of their heatmaps.

    The weight of a cell is (heat / peak)^4: steep enough to follow one maximum,
    smooth enough to lie between the cells.
    """

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Features of maps [B, 84, h, w].

        Returns:
            [B, 126]: x of the 21 joints, y, peaks, then the 63 locations [m].  x and y
            run from -1 to 1 over the crop.
        """
        h, w = maps.shape[-2:]
        heat = F.relu(maps[:, :JOINTS])
        peak = heat.amax((2, 3), keepdim=True)
        share = heat / (peak + _EPS)
        share = share * share
        share = share * share
        share = share / (share.sum((2, 3), keepdim=True) + _EPS)
        across = ((torch.arange(w, device=maps.device) + 0.5) * (2.0 / w) - 1.0).to(maps.dtype)
        down = ((torch.arange(h, device=maps.device) + 0.5) * (2.0 / h) - 1.0).to(maps.dtype)
        x = (share * across).sum((2, 3))
        y = (share * down[:, None]).sum((2, 3))
        located = [
            (share * maps[:, k * JOINTS : (k + 1) * JOINTS]).sum((2, 3)) * 0.1 for k in (1, 2, 3)
        ]
        return torch.cat([x, y, peak[:, :, 0, 0], *located], dim=1)


class Lifter(nn.Module):
    """Features of a pose to the locations of its joints: a residual multilayer perceptron.

    Args:
        width: units of each layer.
        blocks: residual blocks of two layers each.
        dropout: share of the units left out in training.
    """

    def __init__(self, width: int = 384, blocks: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        self.enter = nn.Linear(FEATURES, width)
        self.first = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.second = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.leave = nn.Linear(width, 3 * JOINTS)
        self.dropout = dropout

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map [B, 126] features of `SoftMaxima` to [B, 63]: x, y, z of the joints [dm]."""
        x = F.relu(self.enter(features))
        for first, second in zip(self.first, self.second):
            y = F.dropout(F.relu(first(x)), self.dropout, self.training)
            x = F.relu(x + F.dropout(second(y), self.dropout, self.training))
        located: torch.Tensor = self.leave(x)
        return located


def with_locations(maps: torch.Tensor, locations_dm: torch.Tensor) -> torch.Tensor:
    """Maps [B, 84, h, w] with every location map constant at its joint's [B, 63] value."""
    h, w = maps.shape[-2:]
    constant = locations_dm[:, :, None, None].expand(-1, -1, h, w)
    return torch.cat([maps[:, :JOINTS], constant], dim=1)
