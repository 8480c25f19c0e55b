"""Weights of `vnect_lite` taken back from the ONNX file that was exported from them.

So that a training can go on from a shipped bundle: batch norm comes back folded
(scale 1, the shift its bias), and the early read-outs, which no export holds, keep
their initial weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vnect_ros.networks.backbones import StillBatchNorm
from vnect_ros.networks.head import Place
from vnect_ros.networks.lite import VNectLite


def _convolutions(network: VNectLite) -> Iterator[tuple[str, nn.Module, StillBatchNorm | None]]:
    """Every convolution with its name and norm, in the order in which they are applied."""
    trunk, head = network.trunk, network.head
    yield "stem", trunk._conv_stem, trunk._bn0
    for number, block in enumerate(trunk._blocks):
        if block.expands:
            yield f"block {number} expand", block._expand_conv, block._bn0
        yield f"block {number} depthwise", block._depthwise_conv, block._bn1
        yield f"block {number} project", block._project_conv, block._bn2
    for name in (
        "lateral32", "lateral16", "up16", "join16", "lateral8", "up8",
        "join8.spread", "join8.mix", "delta", "read",
        "refine.0.spread", "refine.0.mix", "refine.1.spread", "refine.1.mix", "predict",
    ):  # fmt: skip
        yield name, head.get_submodule(name), None


def load_onnx(network: VNectLite, file: str | Path) -> None:
    """Fill a network with the weights of its float32 export.

    Raises:
        ValueError: The file is not an export of this network.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(file)).graph
    held = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    left = [n for n in graph.node if n.op_type in ("Conv", "ConvTranspose")]
    with torch.no_grad():
        for name, conv, norm in _convolutions(network):
            kind = "ConvTranspose" if isinstance(conv, nn.ConvTranspose2d) else "Conv"
            expected = tuple(conv.weight.shape)  # type: ignore[union-attr, arg-type]
            # parallel branches may change places in the file, equal shapes do not
            node = next(
                (
                    n
                    for n in left
                    if n.op_type == kind
                    and n.input[1] in held
                    and held[n.input[1]].shape == expected
                ),
                None,
            )
            if node is None:
                raise ValueError(_refusal(file, f"no {name}", f"one of {expected} in float32"))
            left.remove(node)
            weight = held[node.input[1]]
            conv.weight.copy_(torch.from_numpy(weight.copy()))  # type: ignore[union-attr, operator]
            bias = held[node.input[2]] if len(node.input) > 2 else None
            if norm is not None:
                norm.weight.fill_(1.0)
                norm.running_mean.zero_()
                norm.running_var.fill_(1.0 - norm.eps)
                norm.bias.zero_()
            target = norm.bias if norm is not None else conv.bias
            if bias is not None and target is not None:
                target.copy_(torch.from_numpy(bias.copy()))  # type: ignore[operator]
        _load_places(network, graph, held)


def _load_places(network: VNectLite, graph, held: dict[str, np.ndarray]) -> None:  # type: ignore[no-untyped-def]
    """The maps added by place are linear in x and y: solve for their slopes."""
    head = network.head
    places = [head.place16, head.place8, head.place_delta, head.place_maps]
    added = [
        held[name]
        for node in graph.node
        if node.op_type == "Add"
        for name in node.input
        if name in held and held[name].ndim >= 3 and held[name].shape[-1] > 1
    ]
    for place in places:
        channels = place.weight.shape[1]
        fitting = [a for a in added if a.shape[-3] == channels]
        if not fitting:
            nn.init.zeros_(place.weight)  # an older export, or one that learned nothing here
            continue
        added = added[next(i for i, a in enumerate(added) if a is fitting[0]) + 1 :]
        place.weight.copy_(_slopes(place, fitting[0]))


def _slopes(place: Place, added: np.ndarray) -> torch.Tensor:
    flat = added.reshape(added.shape[-3], -1)
    probe = Place(2, place.reach)
    with torch.no_grad():
        probe.weight.copy_(torch.eye(2))
        grid = probe(torch.zeros(1, 2, *added.shape[-2:])).reshape(2, -1).numpy()
    return torch.from_numpy(np.linalg.lstsq(grid.T, flat.T, rcond=None)[0].astype(np.float32))


def _refusal(file: str | Path, got: str, accepted: str) -> str:
    return f"{file}: got {got}, accepted: {accepted}"
