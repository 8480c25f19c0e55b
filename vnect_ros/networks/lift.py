"""3D from the whole pose: a small network behind the maps.

Where each joint is seen says most of how deep it is, if one knows how people move;
that can be learnt from poses alone, millions of them, without an image (`PoseLifter`).
What the picture itself says of depth and facing corrects that (`Correction`).  Both
take the direction of gravity where it is known, since a camera's pitch cannot be seen
in the joints' places.  The location maps are then constant over the crop.

Not in the paper; docs/training.md has what it gains.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn
from torch.nn import functional as F

from vnect_ros.skeleton import NUM_JOINTS

FEATURES: Final = 3 * NUM_JOINTS
_EPS: Final = 1e-3


def shares(heatmaps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of the cells for a soft maximum of each map.

    The weight of a cell is (heat / peak)^4: steep enough to follow one maximum,
    smooth enough to lie between the cells.

    Returns:
        [B, 21, h, w] of sum 1 a map, and the peaks [B, 21].
    """
    peak = heatmaps.amax((2, 3), keepdim=True)
    share = heatmaps / (peak + _EPS)
    share = share * share
    share = share * share
    return share / (share.sum((2, 3), keepdim=True) + _EPS), peak[:, :, 0, 0]


def pose_features(share: torch.Tensor, peak: torch.Tensor) -> torch.Tensor:
    """[B, 63]: x of the 21 joints, y, peaks; x and y run from -1 to 1 over the crop."""
    h, w = share.shape[-2:]
    across = ((torch.arange(w, device=share.device) + 0.5) * (2.0 / w) - 1.0).to(share.dtype)
    down = ((torch.arange(h, device=share.device) + 0.5) * (2.0 / h) - 1.0).to(share.dtype)
    x = (share * across).sum((2, 3))
    y = (share * down[:, None]).sum((2, 3))
    return torch.cat([x, y, peak], dim=1)


class Perceptron(nn.Module):
    """A residual multilayer perceptron.

    Args:
        inputs, outputs: numbers that go in and come out.
        width: units of each layer.
        blocks: residual blocks of two layers each.
        dropout: share of the units left out in training.
    """

    def __init__(
        self, inputs: int, outputs: int, width: int, blocks: int, dropout: float = 0.05
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.first = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.second = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.leave = nn.Linear(width, outputs)
        self.dropout = dropout

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, inputs] to [B, outputs]."""
        x = F.relu(self.enter(x))
        for first, second in zip(self.first, self.second):
            y = F.dropout(F.relu(first(x)), self.dropout, self.training)
            x = F.relu(x + F.dropout(second(y), self.dropout, self.training))
        out: torch.Tensor = self.leave(x)
        return out


class Lifter(nn.Module):
    """Places, peaks, gravity and what the picture shows to the joints' locations.

    Args:
        summary: length of the vector that summarises the picture.
    """

    def __init__(self, summary: int = 128) -> None:
        super().__init__()
        self.pose = Perceptron(FEATURES + 3, 3 * NUM_JOINTS, 512, 2)
        self.correction = Perceptron(
            2 * 3 * NUM_JOINTS + FEATURES + 3 + summary, 3 * NUM_JOINTS, 384, 2
        )
        nn.init.zeros_(self.correction.leave.weight)
        nn.init.zeros_(self.correction.leave.bias)

    def forward(
        self, features: torch.Tensor, gravity: torch.Tensor, located: torch.Tensor,
        summary: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
        """Locations from poses alone, and with the picture.

        Args:
            features: [B, 63] of `pose_features`.
            gravity: [B, 3] unit vector in the axes of the crop's central ray; zeros: unknown.
            located: [B, 63] what the location maps say at the joints [dm].
            summary: [B, E] of the head.

        Returns:
            Twice [B, 63], x, y, z of the joints [dm]: of the pose alone, and corrected.
        """
        given = torch.cat([features, gravity], dim=1)
        alone = self.pose(given)
        known = torch.cat([alone.detach() * 0.1, located * 0.1, given, summary], dim=1)
        return alone, alone + self.correction(known)
