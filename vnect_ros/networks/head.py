"""VNect's read-out on MoveNet's features: heatmaps, parent-relative and location maps.

The heatmaps come from MoveNet's own keypoint head at stride 4, one row a joint.  At
stride 8 the head predicts Δx, Δy, Δz, the offset of each joint from its parent, from the
pyramid and from the encoder's richer features at stride 16; the bone-length maps
√(Δx² + Δy² + Δz²) follow from them inside the network; both join the
features for the location maps (Mehta et al. 2017, section 4.1).  The encoder's end,
where a network knows which way the whole person faces, joins them too, and is
summarised in one vector a picture.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from vnect_ros.networks.movenet import KEYPOINTS, KeypointHead, SameConv
from vnect_ros.skeleton import JOINT_NAMES, NUM_JOINTS

MAPS: Final = 4 * NUM_JOINTS
_EPS: Final = 1e-4
_NEAREST: Final = {
    "head_top": ("left_ear", "right_ear"), "head": ("left_ear", "right_ear"),
    "neck": ("left_shoulder", "right_shoulder"), "pelvis": ("left_hip", "right_hip"),
    "spine": ("left_hip", "right_hip"),
    "right_hand": ("right_wrist",), "left_hand": ("left_wrist",),
    "right_toe": ("right_ankle",), "left_toe": ("left_ankle",),
}  # fmt: skip
"""The keypoints that a joint's heatmap starts from, where MoveNet has none of its name."""


def bone_length_maps(delta: torch.Tensor) -> torch.Tensor:
    """Lengths [B, 21, h, w] of offsets [B, 63, h, w] (21 each of x, y, z)."""
    x, y, z = delta.split(NUM_JOINTS, dim=1)
    return torch.sqrt(x * x + y * y + z * z + _EPS)


class Readout(NamedTuple):
    """What the head gives."""

    logits: torch.Tensor
    """[B, 21, h, w] of the heatmaps, stride 4."""
    locations: torch.Tensor
    """[B, 63, h/2, w/2] x, y, z of the 21 joints [dm], stride 8."""
    delta: torch.Tensor
    """[B, 63, h/2, w/2] the same relative to the parents."""
    summary: torch.Tensor
    """[B, E] what the whole picture shows."""


class LiteHead(nn.Module):
    """Joins the features of four strides.

    Args:
        channels: of the features at strides 4, 8, 16 and 32 (`MoveNetTrunk.channels`).
        cells: edge of the features at stride 32.
        width: channels inside.
        context: channels kept of the encoder's end, and of its features at stride 16.
        summary: length of the vector that summarises the picture.
    """

    def __init__(
        self, channels: tuple[int, int, int, int], cells: int, width: int = 96, context: int = 64,
        summary: int = 128,
    ) -> None:  # fmt: skip
        super().__init__()
        self.heatmaps = KeypointHead(NUM_JOINTS, channels[0])
        self.context = SameConv(channels[3], context)
        self.middle = SameConv(channels[2], context)
        self.summary = nn.Linear(context * cells * cells, summary)
        self.join = SameConv(channels[1] + 2 * context, width)
        self.spread = SameConv(width, width, 3, groups=width)
        self.mix = SameConv(width, width)
        self.delta = SameConv(width, 3 * NUM_JOINTS)
        self.read = SameConv(width + MAPS, width)
        self.locations = SameConv(width, 3 * NUM_JOINTS)

    def forward(
        self, p4: torch.Tensor, p8: torch.Tensor, c16: torch.Tensor, deep: torch.Tensor
    ) -> Readout:
        """Read the features of `MoveNetTrunk`."""
        context = F.relu6(self.context(deep))
        summary = F.relu(self.summary(context.flatten(1)))
        middle = F.relu6(self.middle(c16))
        wide = [
            F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
            for x, scale in ((context, 4.0), (middle, 2.0))
        ]
        x = F.relu6(self.join(torch.cat([p8, *wide], dim=1)))
        x = F.relu6(x + self.mix(F.relu6(self.spread(x))))
        delta = self.delta(x)
        joined = torch.cat([x, delta, bone_length_maps(delta)], dim=1)
        locations = self.locations(F.relu6(self.read(joined)))
        return Readout(self.heatmaps(p4), locations, delta, summary)

    def start_from(self, keypoints: KeypointHead) -> None:
        """Take over MoveNet's heatmap head: each joint its keypoint's row, or the nearest ones'."""
        own = self.heatmaps
        with torch.no_grad():
            own.depthwise.weight.copy_(keypoints.depthwise.weight)
            own.pointwise.load_state_dict(keypoints.pointwise.state_dict())
            for row, name in enumerate(JOINT_NAMES):
                rows = [KEYPOINTS.index(k) for k in _NEAREST.get(name, (name,))]
                for kept, given in zip(own.maps.parameters(), keypoints.maps.parameters()):
                    kept[row] = given[rows].mean(dim=0)
