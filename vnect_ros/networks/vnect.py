"""VNect's network (Mehta et al., SIGGRAPH 2017): ResNet-50 to res4f, then its own head.

Layers carry the names of the authors' Caffe model, so that its weights map one
to one (`vnect_ros.cli.import_weights`).  Padding, pooling and the epsilon of
the one batch normalisation are Caffe's, not TensorFlow's.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional

INPUT_SIZE: Final = 368
NUM_JOINTS: Final = 21
MAPS: Final = 4 * NUM_JOINTS
DELTAS: Final = 3 * NUM_JOINTS

STAGES: Final = ((2, "abc", 64, 256, 1), (3, "abcd", 128, 512, 2), (4, "abcdef", 256, 1024, 2))
"""Stage, blocks, inner channels, outer channels, stride of the first block."""

INTERMEDIATE: Final = ("res4d", "res5a")
"""Where the training looks at the network before its end (paper, section 4.1)."""

_BN_EPSILON: Final = 1e-5


class VNect(nn.Module):
    """[B, 3, S, S] BGR, value / 255 - 0.4 -> [B, 84, S/8, S/8] float32.

    The 84 maps are 21 heatmaps, then 21 each of x, y and z, in decimetres
    relative to the pelvis.  S is a multiple of 16; the authors' is 368.

    In training mode `forward` returns a dict: "maps" [B, 84, h, w], "delta"
    [B, 63, h, w] (x, y, z of each joint relative to its parent) and
    "intermediate", a list of [B, 84, h, w], earliest first.

    Args:
        batch_norm: normalise after every convolution of the backbone and the
            head, for training from scratch.  `fold.fold_batch_norm` turns such
            a network into the published form, whose convolutions have biases.
        supervision: make the heads of the intermediate losses.
    """

    def __init__(self, batch_norm: bool = False, supervision: bool = False) -> None:
        super().__init__()
        self.batch_norm = batch_norm
        self._conv("conv1", 3, 64, 7, 2)
        width = 64
        for stage, blocks, inner, outer, stride in STAGES:
            for block in blocks:
                name = f"res{stage}{block}_branch"
                first = stride if block == "a" else 1
                if block == "a":
                    self._conv(f"{name}1", width, outer, 1, first)
                self._conv(f"{name}2a", width, inner, 1, first)
                self._conv(f"{name}2b", inner, inner, 3)
                self._conv(f"{name}2c", inner, outer, 1)
                width = outer
        self._conv("res5a_branch1_new", 1024, 1024, 1)
        self._conv("res5a_branch2a_new", 1024, 512, 1)
        self._conv("res5a_branch2b_new", 512, 512, 3)
        self._conv("res5a_branch2c_new", 512, 1024, 1)
        self._conv("res5b_branch2a_new", 1024, 256, 1)
        self._conv("res5b_branch2b_new", 256, 128, 3)
        self._conv("res5b_branch2c_new", 128, 256, 1)
        self.res5c_branch1a = nn.ConvTranspose2d(256, DELTAS, 4, 2, 1, bias=False)
        self.res5c_branch2a = nn.ConvTranspose2d(256, 128, 4, 2, 1, bias=False)
        self.bn5c_branch2a = nn.BatchNorm2d(128, eps=_BN_EPSILON)
        self._conv("res5c_branch2b", 128 + DELTAS + NUM_JOINTS, 128, 3)
        self.res5c_branch2c = nn.Conv2d(128, MAPS, 1, bias=False)
        self.intermediate = nn.ModuleDict()
        if supervision:
            for name in INTERMEDIATE:
                self.intermediate[name] = nn.Conv2d(1024, MAPS, 1)
        self._initialise()

    def _conv(self, name: str, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=not self.batch_norm)
        self.add_module(name, conv)
        if self.batch_norm:
            self.add_module(f"{name}_bn", nn.BatchNorm2d(outputs, eps=_BN_EPSILON))

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in (self.res5c_branch1a, self.res5c_branch2c, *self.intermediate.values()):
            nn.init.normal_(module.weight, std=0.01)

    def _apply_conv(self, name: str, x: torch.Tensor) -> torch.Tensor:
        x = self.get_submodule(name)(x)
        return self.get_submodule(f"{name}_bn")(x) if self.batch_norm else x

    def _relu(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self._apply_conv(name, x))

    def _residual(self, block: str, x: torch.Tensor, project: bool, new: str = "") -> torch.Tensor:
        """One bottleneck: three convolutions and the sum with their input."""
        inner = self._relu(f"{block}_branch2a{new}", x)
        inner = self._relu(f"{block}_branch2b{new}", inner)
        inner = self._apply_conv(f"{block}_branch2c{new}", inner)
        skip = self._apply_conv(f"{block}_branch1{new}", x) if project else x
        return functional.relu(inner + skip)

    def forward(self, image: torch.Tensor) -> torch.Tensor | dict[str, Any]:
        """Map [B, 3, S, S] images to [B, 84, S / 8, S / 8].

        While training: "maps", "delta" and "intermediate", what each head gives.
        """
        seen: dict[str, torch.Tensor] = {}
        # Caffe rounds the pooled size up and pads nothing.
        x = functional.max_pool2d(self._relu("conv1", image), 3, 2, ceil_mode=True)
        for stage, blocks, *_ in STAGES:
            for block in blocks:
                x = self._residual(f"res{stage}{block}", x, project=block == "a")
                seen[f"res{stage}{block}"] = x
        seen["res5a"] = x = self._residual("res5a", x, project=True, new="_new")
        for name in ("res5b_branch2a_new", "res5b_branch2b_new", "res5b_branch2c_new"):
            x = self._relu(name, x)
        delta = self.res5c_branch1a(x)
        features = functional.relu(self.bn5c_branch2a(self.res5c_branch2a(x)))
        features = torch.cat((features, delta, self.bone_lengths(delta)), dim=1)
        maps = self.res5c_branch2c(self._relu("res5c_branch2b", features))
        if not self.training:
            return maps
        early = [
            functional.interpolate(
                head(seen[name]), size=maps.shape[-2:], mode="bilinear", align_corners=False
            )
            for name, head in self.intermediate.items()
        ]
        return {"maps": maps, "delta": delta, "intermediate": early}

    def bone_lengths(self, delta: torch.Tensor) -> torch.Tensor:
        """[B, 63, h, w] x, y, z maps -> [B, 21, h, w] their Euclidean length.

        The square and the root are taken in float32 whatever the network's precision.
        """
        x, y, z = delta.float().split(NUM_JOINTS, dim=1)
        squared = x * x + y * y + z * z
        if self.training:
            squared = squared + 1e-12  # the root's slope at 0 is infinite
        return squared.sqrt().to(delta.dtype)
