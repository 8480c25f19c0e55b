"""`vnect_lite` and `vnect_large`: VNect's read-out on MoveNet's trunk, for CPUs and small GPUs."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from vnect_ros.networks.head import LiteHead
from vnect_ros.networks.lift import Lifter, pose_features, shares
from vnect_ros.networks.movenet import MoveNet, MoveNetTrunk
from vnect_ros.skeleton import NUM_JOINTS


class VNectLite(nn.Module):
    """RGB at S×S to VNect's 84 maps at stride 4, and whether there is a person.

    Args:
        variant: of MoveNet: "lightning" or "thunder".
        size: S, edge of the input [px], a multiple of 32.

    Attributes:
        trunk_held: the trunk does not learn.
    """

    stride = 4
    mean, std = MoveNetTrunk.mean, MoveNetTrunk.std

    def __init__(self, variant: str = "lightning", size: int = 192) -> None:
        super().__init__()
        self.size = size
        self.trunk = MoveNetTrunk(variant)
        self.head = LiteHead(self.trunk.channels, size // 32)
        summary = self.head.summary.out_features
        self.lifter = Lifter(summary)
        self.presence = nn.Sequential(
            nn.Linear(NUM_JOINTS + summary, 64), nn.ReLU(), nn.Linear(64, 1)
        )
        self.trunk_held = False

    def start_from(self, movenet: MoveNet) -> None:
        """Take over the weights of a MoveNet of the same variant: trunk and keypoints."""
        self.trunk.load_state_dict(movenet.trunk.state_dict())
        self.head.start_from(movenet.heatmaps)

    def forward(
        self, x: torch.Tensor, gravity: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor] | dict[str, torch.Tensor]:
        """Map [B, 3, S, S] float32 normalised RGB to the maps.

        Args:
            x: the crops.
            gravity: [B, 3] float32 unit vectors in the axes of the crop's central ray (x right,
                y down, z away); zeros, or None: unknown.

        Returns:
            In eval mode maps [B, 84, S/4, S/4] (21 heatmaps, then x, y and z of the 21
            joints in decimetres, each constant over the crop) and presence [B, 1], the
            probability of a person.  In training mode a dict: "logits" [B, 21, S/4, S/4]
            of the heatmaps; "locations" and "delta" [B, 63, S/8, S/8] (decimetres, from the
            pelvis and from the parent); "alone" and "lifted" [B, 63] of the lifter [dm];
            "presence" [B], a logit.
        """
        if gravity is None:
            gravity = x.new_zeros(len(x), 3)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.trunk_held):
            features = self.trunk(x)
        logits, locations, delta, summary = self.head(*features)
        # The lifter's errors do not teach the heatmaps.
        heat = torch.sigmoid(logits.detach().float())
        share, peak = shares(heat)
        coarse = 4.0 * F.avg_pool2d(share, 2)
        located = (coarse.repeat(1, 3, 1, 1) * locations).sum((2, 3))
        alone, lifted = self.lifter(pose_features(share, peak), gravity, located, summary)
        presence = self.presence(torch.cat([peak, summary], dim=1))
        if self.training:
            return {
                "logits": logits,
                "locations": locations,
                "delta": delta,
                "alone": alone,
                "lifted": lifted,
                "presence": presence[:, 0],
            }
        constant = lifted[:, :, None, None].expand(-1, -1, *heat.shape[-2:])
        return torch.cat([heat, constant], dim=1), torch.sigmoid(presence)
