"""Weights by their authors' names, put into our network: all of them, and only those."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from vnect_ros.errors import ModelError, describe
from vnect_ros.networks.vnect import VNect

_NORM: Final = "bn5c_branch2a"
_SCALE: Final = "scale5c_branch2a"


def from_caffe(layers: Mapping[str, Sequence[np.ndarray]], ignore: Collection[str] = ()) -> VNect:
    """The network with the blobs of a caffemodel.

    Args:
        layers: of `caffe.read_caffemodel`.
        ignore: layers of the file that the network may do without.

    Raises:
        ModelError: a layer is missing, has other blobs, or is left over.
    """
    wanted: dict[str, Sequence[np.ndarray]] = {k: layers.get(k, ()) for k in (_NORM, _SCALE)}
    state: dict[str, np.ndarray] = {}
    network = VNect()
    for name, module in _convolutions(network):
        blobs = wanted[name] = layers.get(name, ())
        _count(name, blobs, 1 if module.bias is None else 2)
        state[f"{name}.weight"] = blobs[0]
        if module.bias is not None:
            state[f"{name}.bias"] = blobs[1]
    _count(_NORM, wanted[_NORM], 3)
    _count(_SCALE, wanted[_SCALE], 2)
    mean, variance, total = wanted[_NORM]
    # Caffe keeps running sums; the third blob is the weight they have gathered.
    factor = float(total.reshape(-1)[0]) if total.size == 1 else float("nan")
    if not np.isfinite(factor) or factor <= 0.0:
        raise ModelError(describe(f"{_NORM}: moving-average factor", total.tolist(), "above 0"))
    state[f"{_NORM}.running_mean"] = mean / np.float32(factor)
    state[f"{_NORM}.running_var"] = variance / np.float32(factor)
    state[f"{_NORM}.weight"], state[f"{_NORM}.bias"] = wanted[_SCALE]
    _nothing_left(layers, [*wanted, *ignore])
    return _filled(network, state)


def check_prototxt(settings: Mapping[str, Any]) -> None:
    """Hold the convolutions of a prototxt against the network's.

    Args:
        settings: of `caffe.read_prototxt`.

    Raises:
        ModelError: a layer is missing, or has another size, stride, padding or bias.
    """
    for name, module in _convolutions(VNect()):
        if name not in settings:
            raise ModelError(f"prototxt: layer {name} is missing")
        theirs = settings[name]
        got = {
            "num_output": theirs.num_output,
            "kernel_size": sorted(set(theirs.kernel_size)),  # once, or once an axis
            "stride": sorted(set(theirs.stride)) or [1],
            "pad": sorted(set(theirs.pad)) or [0],
            "bias_term": theirs.bias_term,
        }
        ours = {
            "num_output": module.out_channels,
            "kernel_size": [module.kernel_size[0]],
            "stride": [module.stride[0]],
            "pad": [int(module.padding[0])],
            "bias_term": module.bias is not None,
        }
        if got != ours:
            raise ModelError(describe(f"prototxt: layer {name}", got, str(ours)))


def _convolutions(network: VNect) -> list[tuple[str, nn.Conv2d | nn.ConvTranspose2d]]:
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    return [(name, m) for name, m in network.named_modules() if isinstance(m, kinds)]


def _count(layer: str, blobs: Sequence[np.ndarray], expected: int) -> None:
    if len(blobs) != expected:
        raise ModelError(describe(f"layer {layer}: blobs", len(blobs), str(expected)))


def _nothing_left(given: Collection[str], used: Collection[str]) -> None:
    left = sorted(set(given) - set(used))
    if left:
        raise ModelError(
            f"the file has weights that the network does not: {', '.join(left[:8])}"
            f"{' and more' if len(left) > 8 else ''}; --ignore NAME leaves one out on purpose"
        )


def _filled(network: VNect, state: Mapping[str, np.ndarray]) -> VNect:
    own = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    for name, tensor in own.items():
        values, shape = state[name], tuple(tensor.shape)
        if len(shape) == 1 and values.size == shape[0] == values.shape[-1]:
            values = values.reshape(shape)  # old files write vectors as 1 x 1 x 1 x N
        if values.shape != shape:
            raise ModelError(describe(f"{name}: shape", values.shape, str(shape)))
        if not np.isfinite(values).all():
            raise ModelError(describe(name, "NaN or infinity", "finite numbers"))
        tensor.copy_(torch.from_numpy(np.array(values, np.float32)))
    return network.eval()
