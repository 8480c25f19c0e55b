"""MoveNet's network: MobileNetV2 with a feature pyramid, and its keypoint heads.

Google published MoveNet SinglePose (Apache-2.0) as files without a paper; the
architecture is read off them.  The encoder is MobileNetV2 (Sandler et al., 2018),
a feature pyramid joins four of its levels at stride 4, and four small heads read the
centre of the person, keypoints by regression from it, keypoint heatmaps and offsets.
All of it is plain convolutions whose batch norms are folded into them.

The layers pad as TensorFlow does (`SAME`): at stride 2 one pixel more to the right and
below.  `networks.weights.movenet` fills a network from the ONNX files.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn
from torch.nn import functional as F

VARIANTS: Final = {"lightning": 1.0, "thunder": 1.75}
"""Width multiplier of MobileNetV2 by variant; the pyramid is the same in both."""

KEYPOINTS: Final = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
"""MoveNet's keypoints, in COCO's order."""

# repeats, stride, expansion, channels out at width 1
_STAGES: Final = (
    (1, 1, 1, 16),
    (2, 2, 6, 24),
    (3, 2, 6, 32),
    (4, 2, 6, 64),
    (3, 1, 6, 96),
    (3, 2, 6, 160),
    (1, 1, 6, 320),
)
_TOP: Final = 1280
PYRAMID: Final = (24, 24, 32, 64)
"""Channels of the pyramid at strides 4, 4, 8 and 16, from its end back to its start."""


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's `SAME`, for inputs of even size."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1,
        bias: bool = True,
    ) -> None:  # fmt: skip
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(c_in, c_out, kernel, stride, padding, groups=groups, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, c_in, H, W] to [B, c_out, H / stride, W / stride]."""
        if self.stride[0] == 2:
            if x.requires_grad and self.groups > 1:
                # PyTorch's gradient of it is 20 times slower on a CPU in bfloat16.
                every = F.conv2d(x, self.weight, self.bias, 1, 1, 1, self.groups)
                return every[..., 1::2, 1::2]
            x = F.pad(x, (0, 1, 0, 1))
        return super().forward(x)


class InvertedResidual(nn.Module):
    """MobileNetV2's block: expand 1×1, depthwise 3×3, project 1×1, add."""

    def __init__(self, c_in: int, c_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = c_in * expansion
        self.expand = SameConv(c_in, middle) if expansion > 1 else nn.Identity()
        self.depthwise = SameConv(middle, middle, 3, stride, groups=middle)
        self.project = SameConv(middle, c_out)
        self.skips = stride == 1 and c_in == c_out
        self.expands = expansion > 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, c_in, H, W] to [B, c_out, H / stride, W / stride]."""
        y = F.relu6(self.expand(x)) if self.expands else x
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.skips else y


class Merge(nn.Module):
    """One step of the pyramid: enlarge the coarse features twice, add the finer, smooth."""

    def __init__(self, c_fine: int, c_coarse: int, c_out: int) -> None:
        super().__init__()
        self.lateral = SameConv(c_fine, c_coarse)
        self.depthwise = SameConv(c_coarse, c_coarse, 3, groups=c_coarse, bias=False)
        self.pointwise = SameConv(c_coarse, c_out)

    def forward(self, coarse: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        """Map [B, c_coarse, H, W] and [B, c_fine, 2 H, 2 W] to [B, c_out, 2 H, 2 W]."""
        up = F.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
        return F.relu(self.pointwise(self.depthwise(up + self.lateral(fine))))


class MoveNetTrunk(nn.Module):
    """MobileNetV2 and the feature pyramid.

    Args:
        variant: one of `VARIANTS`.

    Attributes:
        channels: of the features that `forward` gives, in their order.
        held_blocks: so many blocks from the start, and the stem, do not learn.
    """

    mean = 0.5
    std = 0.5
    """The input is (value / 255 - mean) / std, RGB."""

    def __init__(self, variant: str = "lightning") -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant: got {variant!r}, accepted: {', '.join(VARIANTS)}")
        self.variant = variant
        self.held_blocks = 0
        width = VARIANTS[variant]
        c_in = _rounded(32 * width)
        self.stem = SameConv(3, c_in, 3, 2)
        self.blocks = nn.ModuleList()
        stride, taps = 2, dict[int, int]()
        for repeats, stage_stride, expansion, channels in _STAGES:
            c_out = _rounded(channels * width)
            stride *= stage_stride
            for repeat in range(repeats):
                step = stage_stride if repeat == 0 else 1
                self.blocks.append(InvertedResidual(c_in, c_out, step, expansion))
                c_in = c_out
            taps.setdefault(stride, len(self.blocks) - 1)
        self.taps = (taps[4], taps[8], taps[16])
        levels = [self.blocks[k].project.out_channels for k in self.taps]
        self.top = SameConv(c_in, _TOP)
        self.coarsest = SameConv(_TOP, PYRAMID[3])
        self.merges = nn.ModuleList(
            Merge(fine, coarse, out)
            for fine, coarse, out in zip(levels[::-1], PYRAMID[:0:-1], PYRAMID[2::-1])
        )
        self.channels = (PYRAMID[0], PYRAMID[1], levels[2], c_in)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Map [B, 3, S, S] normalised RGB, S a multiple of 32, to features.

        Returns:
            The pyramid's [B, 24, S/4, S/4] and [B, 24, S/8, S/8], the encoder's
            [B, C, S/16, S/16] and its end [B, C, S/32, S/32].
        """
        learns = torch.is_grad_enabled()
        with torch.set_grad_enabled(learns and not self.held_blocks):
            x = F.relu6(self.stem(x))
        levels = []
        for number, block in enumerate(self.blocks):
            with torch.set_grad_enabled(learns and number >= self.held_blocks):
                x = block(x)
            if number in self.taps:
                levels.append(x)
        p32 = self.coarsest(F.relu6(self.top(x)))
        p16 = self.merges[0](p32, levels[2])
        p8 = self.merges[1](p16, levels[1])
        return self.merges[2](p8, levels[0]), p8, levels[2], x


class KeypointHead(nn.Module):
    """One of MoveNet's heads: depthwise 3×3, 1×1 to 96, 1×1 to the maps."""

    def __init__(self, maps: int, channels: int = PYRAMID[0], width: int = 96) -> None:
        super().__init__()
        self.depthwise = SameConv(channels, channels, 3, groups=channels, bias=False)
        self.pointwise = SameConv(channels, width)
        self.maps = SameConv(width, maps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, channels, H, W] features to [B, maps, H, W]."""
        return self.maps(F.relu(self.pointwise(self.depthwise(x))))


class MoveNet(nn.Module):
    """MoveNet SinglePose without its decoding.

    Args:
        variant: one of `VARIANTS`.
    """

    def __init__(self, variant: str = "lightning") -> None:
        super().__init__()
        self.trunk = MoveNetTrunk(variant)
        self.heatmaps = KeypointHead(len(KEYPOINTS))
        self.regression = KeypointHead(2 * len(KEYPOINTS))
        self.centre = KeypointHead(1)
        self.offsets = KeypointHead(2 * len(KEYPOINTS))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Map [B, 3, S, S] normalised RGB to maps at stride 4.

        Returns:
            "heatmaps" [B, 17, …] and "centre" [B, 1, …], logits; "regression" [B, 34, …],
            from the centre to each keypoint, y then x, in cells; "offsets" [B, 34, …], of each
            keypoint within its cell, y then x.
        """
        fine = self.trunk(x)[0]
        return {
            name: getattr(self, name)(fine)
            for name in ("heatmaps", "regression", "centre", "offsets")
        }


def _rounded(channels: float) -> int:
    """The nearest multiple of 8 that is not more than a tenth smaller."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
