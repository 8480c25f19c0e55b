"""`vnect_lite`: VNect's read-out on an EfficientNet-Lite trunk, for CPUs."""

from __future__ import annotations

import torch
from torch import nn

from vnect_ros.networks.backbones import EfficientNetLite
from vnect_ros.networks.head import LiteHead
from vnect_ros.networks.lift import Lifter, SoftMaxima, with_locations


class VNectLite(nn.Module):
    """RGB at 224×224 (any multiple of 32) to VNect's 84 maps at stride 8.

    Args:
        backbone: "lite0", "lite1" or "lite2".
        last_stage: use the trunk's 320-channel last block.
        width: channels inside the head.
        lift: let the whole pose decide on the locations, see `networks.lift`.
    """

    stride = 8
    mean = 127.0 / 255.0
    std = 128.0 / 255.0
    """The input is (value / 255 - mean) / std, RGB, as the ImageNet weights have it."""

    def __init__(
        self, backbone: str = "lite0", last_stage: bool = True, width: int = 128, lift: bool = False
    ) -> None:
        super().__init__()
        self.trunk = EfficientNetLite(backbone, last_stage)
        self.head = LiteHead(self.trunk.channels, width)
        self.read = SoftMaxima()
        self.lifter = Lifter() if lift else None

    def forward(self, x: torch.Tensor) -> torch.Tensor | dict[str, torch.Tensor]:
        """Map [B, 3, S, S] float32 normalised RGB to the maps.

        Returns:
            In eval mode [B, 84, S/8, S/8]: 21 heatmaps, then x, y and z of the 21
            joints in decimetres.  In training mode a dict of "maps" (the same, before
            any lifting: the lifter learns behind a trained network),
            "delta" [B, 63, S/8, S/8] (decimetres from the parent) and the
            intermediate predictions "early8" and "early16" [B, 84, …] and "apparent8",
            "sides8" and so on [B, 4, …] at those strides; "facing" [B].
        """
        maps = self.head(*self.trunk(x))
        if self.training or self.lifter is None:
            return maps
        return with_locations(maps, self.lifter(self.read(maps)))
