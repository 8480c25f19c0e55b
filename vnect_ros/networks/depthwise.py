"""Depthwise convolution with a backward pass that is fast on a CPU in bfloat16.

PyTorch's own backward of it falls to a reference loop (see `depthwise_cpu.cpp`)
and takes 80 % of a training step.  `enable()` compiles the replacement once, with
the machine's C++ compiler; without it everything works, only slower.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

_extension: Any = None


def enable() -> str:
    """Compile and use the fast backward pass.

    Returns:
        "" if it is in use, else why it is not.
    """
    global _extension
    if _extension is not None:
        return ""
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    try:
        from torch.utils.cpp_extension import load

        _extension = load(
            "vnect_depthwise_cpu",
            [str(Path(__file__).with_name("depthwise_cpu.cpp"))],
            extra_cflags=["-O3", "-march=native", "-ffast-math"],
        )
    except (ImportError, OSError, RuntimeError) as error:
        return f"fast depthwise backward unavailable: {error}"
    return ""


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, stride: int
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        kernel = weight.shape[-1]
        w = weight.to(x.dtype)
        return F.conv2d(x, w, bias.to(x.dtype), stride, kernel // 2, 1, weight.shape[0])

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        channels, _, kernel, _ = weight.shape
        grad = grads[0].contiguous(memory_format=torch.channels_last)
        grad_nhwc = grad.permute(0, 2, 3, 1)
        x_nhwc = x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
        grad_x = None
        if ctx.needs_input_grad[0]:
            if ctx.stride == 1:
                flipped = weight.flip((2, 3)).to(grad.dtype)
                grad_x = F.conv2d(grad, flipped, None, 1, kernel // 2, 1, channels)
            else:
                taps = weight.detach().float().reshape(channels, -1).t().contiguous()
                grad_x = _extension.input_gradient(
                    grad_nhwc, taps, x.shape[2], x.shape[3], kernel, ctx.stride
                ).permute(0, 3, 1, 2)
        taps = _extension.weight_gradient(x_nhwc, grad_nhwc, kernel, ctx.stride)
        grad_w = taps.t().reshape(weight.shape).to(weight.dtype)
        return grad_x, grad_w, grad.sum((0, 2, 3), dtype=torch.float32), None


def depthwise_conv(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, stride: int
) -> torch.Tensor:
    """Convolve each channel with its own k×k kernel, padding k // 2.

    Args:
        x: [B, C, H, W].
        weight: [C, 1, k, k], k odd.
        bias: [C].
        stride: 1 or 2.
    """
    fast = (
        _extension is not None
        and torch.is_grad_enabled()
        and x.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and x.shape[1] % 16 == 0
        and weight.shape[-1] in (3, 5)
    )
    if fast:
        x = x.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
        return _Depthwise.apply(x, weight, bias, stride)
    return F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2, 1, weight.shape[0])
