"""Batch normalisation multiplied into the convolution before it, for deployment."""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


def fold_batch_norm(network: Network) -> Network:
    """A copy in eval mode whose convolutions have absorbed their normalisation.

    Works on networks that name a convolution `X` and its normalisation `X_bn`,
    or `bn…` with the name of the convolution's layer (VNect's `bn5c_branch2a`
    behind `res5c_branch2a`).  Others come back as they were, in eval mode.
    """
    folded = copy.deepcopy(network).eval()
    for name, norm in list(folded.named_children()):
        if not isinstance(norm, nn.BatchNorm2d):
            continue
        is_suffixed = name.endswith("_bn")
        source = name[: -len("_bn")] if is_suffixed else "res" + name[len("bn") :]
        conv = getattr(folded, source)
        fused = fuse_conv_bn_eval(conv, norm, transpose=isinstance(conv, nn.ConvTranspose2d))
        setattr(folded, source, fused)
        if is_suffixed:
            delattr(folded, name)
        else:
            setattr(folded, name, nn.Identity())
    if getattr(folded, "batch_norm", False):
        folded.batch_norm = False
    return folded
