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
LIMBS: Final = 4
"""Side maps: upper arms, forearms, thighs, shins."""
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
    """Reads maps and limbs' sides from the features, and adds them to the features.

    Which of two legs is the left one is not seen at the foot: it takes which of the two
    it is in the picture, and whether the person shows face or back.  Neither alone says
    anything of the side, so a network is slow to find both at once.  Here each is read
    (and supervised) by itself, and their product is the side.  What is believed goes on
    among the features, and the layers behind carry it along the body (as the stages of
    Wei et al., Convolutional Pose Machines, 2016).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.read = nn.Conv2d(channels, MAPS, 1)
        self.apparent = nn.Conv2d(channels, LIMBS, 1)
        self.sides = nn.Conv2d(channels, LIMBS, 1)
        self.add = nn.Conv2d(MAPS + 2 * LIMBS, channels, 1)
        for layer in (self.read, self.apparent, self.sides, self.add):
            nn.init.normal_(layer.weight, std=0.002)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor, facing: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Believe something of features [B, C, h, w], with facing [B, 1, 1, 1].

        Returns:
            The next features; maps [B, 84, h, w]; apparent sides [B, 4, h, w], 1 along the
            limbs that would be left ones if the person faced the camera, -1 along the
            others; sides [B, 4, h, w], 1 along the left limbs, -1 along the right ones.
        """
        maps, apparent = self.read(x), self.apparent(x)
        sides = apparent * facing + self.sides(x)
        believed = torch.cat([maps, apparent, sides], dim=1)
        return F.relu6(x + self.add(believed)), maps, apparent, sides


class Facing(nn.Module):
    """Whether the person shows face or back: one number, from where it is best seen."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.say = nn.Conv2d(channels, 1, 1)
        self.look = nn.Conv2d(channels, 1, 1)
        nn.init.normal_(self.look.weight, std=0.002)
        nn.init.ones_(self.look.bias)  # type: ignore[arg-type]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features [B, C, h, w] to [B, 1, 1, 1]: 1 facing the camera, -1 from behind."""
        share = F.relu6(self.look(x)) + _EPS
        return (share * self.say(x)).sum((2, 3), True) / share.sum((2, 3), True)


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
        self.facing = Facing(width)
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
        self.place16, self.place8 = Place(width, 4.0), Place(width, 4.0)
        self.place_delta, self.place_maps = Place(3 * JOINTS, 30.0), Place(MAPS, 30.0)
        for name in ("delta", "predict"):
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
        facing = self.facing(p16)
        p16, early16, apparent16, sides16 = self.belief16(p16, facing)
        p16 = self.context16(p16)
        p8 = F.relu6(self.place8(self.lateral8(c8) + self.up8(p16)))
        p8 = self.join8(p8)
        p8, early8, apparent8, sides8 = self.belief8(p8, facing)
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
            "facing": facing[:, 0, 0, 0],
            "apparent16": apparent16,
            "apparent8": apparent8,
            "sides16": sides16,
            "sides8": sides8,
        }
