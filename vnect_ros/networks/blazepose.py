"""BlazePose's landmark network ("full"), without its segmentation.

Published in MediaPipe (Apache-2.0; Bazarevsky et al., 2020) as a TensorFlow Lite file, off
which the architecture is read.  An encoder of inverted bottlenecks ends at stride 32; a
decoder adds four of its levels up to heatmaps at stride 4; a second branch leads from
the encoder's end down to 2×2 cells, where the landmarks in space are read.  Batch norms
are folded into the convolutions.  `networks.weights.blazepose` fills it from the file.

A trunk that was tried beside MoveNet's; docs/training.md has the comparison.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn
from torch.nn import functional as F

LANDMARKS: Final = 39
INPUT_SIZE: Final = 256
# kernel, stride, channels inside, channels out; a level ends where the decoder takes it
_LEVELS: Final = (
    ((3, 2, 64, 24), (3, 1, 144, 24)),
    ((5, 2, 144, 32), (5, 1, 192, 32)),
    ((3, 2, 192, 64), (3, 1, 384, 64), (3, 1, 384, 64), (5, 1, 384, 88), (5, 1, 528, 88),
     (5, 1, 528, 88)),
    ((5, 2, 528, 144), (5, 1, 864, 144), (5, 1, 864, 144), (5, 1, 864, 144)),
)  # fmt: skip
_DEEP: Final = 864
_DECODER: Final = 48
_BRANCH: Final = 288


def _conv(c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups)


class Bottleneck(nn.Module):
    """Expand 1×1, depthwise, project 1×1, add."""

    def __init__(self, c_in: int, middle: int, c_out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.expand = _conv(c_in, middle)
        self.depthwise = _conv(middle, middle, kernel, stride, groups=middle)
        self.project = _conv(middle, c_out)
        self.skips = stride == 1 and c_in == c_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, c_in, H, W] to [B, c_out, H / stride, W / stride]."""
        y = F.relu6(self.depthwise(F.relu6(self.expand(x))))
        y = self.project(y)
        return x + y if self.skips else y


class Separable(nn.Module):
    """Depthwise 3×3, then 1×1, each with its activation."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.depthwise = _conv(c_in, c_in, 3, groups=c_in)
        self.pointwise = _conv(c_in, c_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, c_in, H, W] to [B, c_out, H, W]."""
        return F.relu6(self.pointwise(F.relu6(self.depthwise(x))))


class Residual(nn.Module):
    """Depthwise 3×3 and 1×1, added to the input or, at stride 2, to its maxima."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            channels, channels, 3, stride, 1 if stride == 1 else 0, groups=channels
        )
        self.pointwise = _conv(channels, channels)
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, channels, H, W] to [B, channels, H / stride, W / stride]."""
        skip = x if self.stride == 1 else F.max_pool2d(x, 2)
        padded = x if self.stride == 1 else F.pad(x, (0, 1, 0, 1))
        y = self.pointwise(F.relu6(self.depthwise(padded)))
        return F.relu6(skip + y)


class BlazePose(nn.Module):
    """[B, 3, 256, 256] RGB, value / 255, to heatmaps and landmarks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, 24, 3, 2)
        self.stem_depthwise = _conv(24, 24, 3, groups=24)
        self.stem_project = _conv(24, 16)
        c_in = 16
        self.levels, self.laterals = nn.ModuleList(), nn.ModuleList()
        for blocks in _LEVELS:
            level = nn.Sequential()
            for kernel, stride, middle, c_out in blocks:
                level.append(Bottleneck(c_in, middle, c_out, kernel, stride))
                c_in = c_out
            self.levels.append(level)
            if len(self.laterals) < len(_LEVELS) - 1:
                self.laterals.append(Separable(c_in, _DECODER))
        self.top = _conv(c_in, _DEEP)
        self.top_depthwise = _conv(_DEEP, _DEEP, 3, groups=_DEEP)
        self.coarsest = Separable(_DEEP, _DECODER)
        self.heatmaps = _conv(_DECODER, LANDMARKS)
        self.branch = nn.Sequential(Separable(_DEEP, _BRANCH))
        for residuals in (4, 5):
            self.branch.append(Residual(_BRANCH, 2))
            for _ in range(residuals):
                self.branch.append(Residual(_BRANCH, 1))
        self.landmarks = nn.Conv2d(_BRANCH, 5 * LANDMARKS, 2)
        self.world = nn.Conv2d(_BRANCH, 3 * LANDMARKS, 2)
        self.presence = nn.Conv2d(_BRANCH, 1, 2)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run the network.

        Returns:
            "heatmaps" [B, 39, 64, 64], logits; "landmarks" [B, 39, 5]: x, y, z in pixels of the
            input, visibility and presence logits; "world" [B, 39, 3] metres from the hips'
            middle (x right, y down, z away); "presence" [B], a logit.
        """
        x = F.relu6(self.stem_depthwise(F.relu6(self.stem(x))))
        x = self.stem_project(x)
        kept = []
        for level in self.levels:
            x = level(x)
            kept.append(x)
        deep = F.relu6(self.top_depthwise(F.relu6(self.top(x))))
        fine = self.coarsest(deep)
        for lateral, level in zip(reversed(self.laterals), reversed(kept[:-1])):
            fine = F.interpolate(fine, scale_factor=2.0, mode="bilinear") + lateral(level)
        end = self.branch(deep)
        return {
            "heatmaps": self.heatmaps(fine),
            "landmarks": self.landmarks(end).view(-1, LANDMARKS, 5),
            "world": self.world(end).view(-1, LANDMARKS, 3),
            "presence": self.presence(end).flatten(),
        }
