"""The read-out of VNect: parent-relative maps, bone-length maps, 84 maps.

From features at stride 8 the head first predicts Δx, Δy, Δz, the offset of each
joint from its parent; the bone-length maps √(Δx² + Δy² + Δz²) follow from them
inside the network; both join the features for the final heatmaps and location
maps (Mehta et al. 2017, section 4.1).
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn
from torch.nn import functional as F

from vnect_ros.networks.depthwise import depthwise_conv

JOINTS: Final = 21
MAPS: Final = 4 * JOINTS
_EPS: Final = 1e-4


def bone_length_maps(delta: torch.Tensor) -> torch.Tensor:
    """Lengths [B, 21, h, w] of offsets [B, 63, h, w] (21 each of x, y, z)."""
    x, y, z = delta[:, :JOINTS], delta[:, JOINTS : 2 * JOINTS], delta[:, 2 * JOINTS :]
    return torch.sqrt(x * x + y * y + z * z + _EPS)


class Place(nn.Module):
    """Adds what the place in the crop alone says: a linear map of x and y.

    A joint's x and y relative to the pelvis follow closely from where in the crop it
    is seen, which convolutions do not know.  For an input of fixed size the sum is
    with a constant.  Starts as nothing.

    Args:
        channels: of the features.
        reach: x and y run from -reach to reach; the larger, the faster this part learns.
    """

    def __init__(self, channels: int, reach: float) -> None:
        super().__init__()
        self.reach = reach
        self.weight = nn.Parameter(torch.zeros(2, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h, w = x.shape[-2:]
        across = ((torch.arange(w, device=x.device) + 0.5) * (2.0 / w) - 1.0) * self.reach
        down = ((torch.arange(h, device=x.device) + 0.5) * (2.0 / h) - 1.0) * self.reach
        right, below = self.weight[:, None, :, None, None]
        return x + (right * across + below * down[:, None]).to(x.dtype)


class Mix(nn.Module):
    """Depthwise 5×5, then 1×1, added to the input: context at little cost."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert self.spread.bias is not None
        y = F.relu6(depthwise_conv(x, self.spread.weight, self.spread.bias, 1))
        return F.relu6(x + self.mix(y))


class Belief(nn.Module):
    """Adds what is believed of all joints so far to the features.

    Which of two legs is the left one is seen at the hips, the chest and the face, not at
    the foot: with the maps read so far among the features, the layers behind can carry
    that along the body (as the stages of Wei et al., Convolutional Pose Machines, 2016).
    Starts as nothing.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.add = nn.Conv2d(MAPS, channels, 1)
        nn.init.zeros_(self.add.weight)
        nn.init.zeros_(self.add.bias)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        return F.relu6(x + self.add(maps))


class LiteHead(nn.Module):
    """Join the features of three strides and read the maps, three times over.

    The maps read at stride 16 and first at stride 8 are inputs of what follows.

    Args:
        channels: of the features at strides 8, 16 and 32.
        width: channels inside the head.
    """

    def __init__(self, channels: tuple[int, int, int], width: int = 128) -> None:
        super().__init__()
        self.lateral8 = nn.Conv2d(channels[0], width, 1)
        self.lateral16 = nn.Conv2d(channels[1], width, 1)
        self.lateral32 = nn.Conv2d(channels[2], width, 1)
        self.context32 = nn.Sequential(Mix(width), Mix(width))
        self.up16 = nn.ConvTranspose2d(width, width, 4, 2, 1, bias=False)
        self.join16 = nn.Conv2d(width, width, 3, padding=1)
        self.belief16 = Belief(width)
        self.context16 = nn.Sequential(Mix(width), Mix(width), Mix(width), Mix(width))
        self.up8 = nn.ConvTranspose2d(width, width, 4, 2, 1, bias=False)
        self.join8 = Mix(width)
        self.belief8 = Belief(width)
        self.delta = nn.Conv2d(width, 3 * JOINTS, 1)
        self.read = nn.Conv2d(width + MAPS, width, 1)
        self.refine = nn.Sequential(Mix(width), Mix(width))
        self.predict = nn.Conv2d(width, MAPS, 1)
        self.early16 = nn.Conv2d(width, MAPS, 1)
        self.early8 = nn.Conv2d(width, MAPS, 1)
        self.place16, self.place8 = Place(width, 4.0), Place(width, 4.0)
        self.place_delta, self.place_maps = Place(3 * JOINTS, 30.0), Place(MAPS, 30.0)
        for name in ("delta", "predict", "early16", "early8"):
            layer = getattr(self, name)
            nn.init.normal_(layer.weight, std=0.002)
            nn.init.zeros_(layer.bias)
        for mix in (*self.context32, *self.context16):
            nn.init.zeros_(mix.mix.weight)
            nn.init.zeros_(mix.mix.bias)

    def forward(
        self, c8: torch.Tensor, c16: torch.Tensor, c32: torch.Tensor
    ) -> torch.Tensor | dict[str, torch.Tensor]:
        """Map the features to [B, 84, h, w] (training: a dict, see `VNectLite`)."""
        p32 = self.context32(F.relu6(self.lateral32(c32)))
        p16 = F.relu6(self.place16(self.lateral16(c16) + self.up16(p32)))
        p16 = F.relu6(self.join16(p16))
        early16 = self.early16(p16)
        p16 = self.context16(self.belief16(p16, early16))
        p8 = F.relu6(self.place8(self.lateral8(c8) + self.up8(p16)))
        p8 = self.join8(p8)
        early8 = self.early8(p8)
        p8 = self.belief8(p8, early8)
        delta = self.place_delta(self.delta(p8))
        joined = torch.cat([p8, delta, bone_length_maps(delta)], dim=1)
        maps = self.place_maps(self.predict(self.refine(F.relu6(self.read(joined)))))
        if not self.training:
            return maps
        return {
            "maps": maps,
            "delta": delta,
            "early16": early16,
            "early8": early8,
        }
