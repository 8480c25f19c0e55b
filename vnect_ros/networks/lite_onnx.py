"""Weights of `vnect_lite` taken back from the ONNX file that was exported from them.

So that a training can go on from a shipped bundle.  An export keeps the names of the
head's and the lifter's layers.  It loses those of the trunk, whose weights come back
with batch norm folded (scale 1, the shift its bias); but the trunk is one chain, so the
order of its convolutions in the file is the order in which they are applied.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import nn

from vnect_ros.networks.backbones import StillBatchNorm
from vnect_ros.networks.head import Place
from vnect_ros.networks.lite import VNectLite

if TYPE_CHECKING:
    import onnx

_FIRST: Final = (
    "lateral8", "lateral16", "lateral32", "up16", "join16", "up8", "join8",
    "delta", "read", "refine", "predict",
)  # fmt: skip
"""Layers that the head always had; of the others a file holds all or none."""


def load_onnx(network: VNectLite, file: str | Path) -> tuple[str, ...]:
    """Fill a network with the weights of its float32 export.

    A lifter in the file is left aside if the network has none.

    Returns:
        The layers that the file lacks; they keep the weights they have.  That may be
        the lifter, and in older files what the head got later (its context and beliefs),
        which adds next to nothing as it is initialised.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not an export of this network.
    """
    export = _Export(file)
    head, lifter = network.head, network.lifter
    newer = [
        f"head.{name}"
        for name, layer in head.named_children()
        if name not in _FIRST and not isinstance(layer, Place)
    ]
    lacking = [name for name in newer if not export.has(name)]
    if 0 < len(lacking) < len(newer):
        raise ValueError(_refusal(file, f"no {lacking[0]}", "all layers of the head"))
    if lifter is not None and not export.has("lifter"):
        lacking.append("lifter")

    trunk = list(_trunk_layers(network))
    if len(export.trunk) != len(trunk):
        raise ValueError(_refusal(file, f"trunk of {len(export.trunk)} layers", str(len(trunk))))
    with torch.no_grad():
        for node, (name, conv, norm) in zip(export.trunk, trunk):
            norm.weight.fill_(1.0)
            norm.running_mean.zero_()
            norm.running_var.fill_(1.0 - norm.eps)
            export.copy(node, name, conv.weight, norm.bias)
        for name, layer in network.named_modules():
            is_ours = name.startswith(("head.", "lifter."))
            if not is_ours or name.startswith(tuple(lacking)):
                continue
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                export.copy(export.node(name), name, layer.weight, layer.bias)
        for place, tensor in (
            (head.place16, export.sum_with("head.up16")),
            (head.place8, export.sum_with("head.up8")),
            (head.place_delta, export.node("head.delta").output[0]),
            (head.place_maps, export.node("head.predict").output[0]),
        ):
            _fill_place(place, export.added_to(tensor))
    return tuple(lacking)


def _trunk_layers(network: VNectLite) -> Iterator[tuple[str, nn.Conv2d, StillBatchNorm]]:
    """Every convolution of the trunk, named, with its norm, in the order of their use."""
    trunk = network.trunk
    yield "trunk._conv_stem", trunk._conv_stem, trunk._bn0
    for number, block in enumerate(trunk._blocks):
        name = f"trunk._blocks.{number}"
        if block.expands:
            yield f"{name}._expand_conv", block._expand_conv, block._bn0
        yield f"{name}._depthwise_conv", block._depthwise_conv, block._bn1
        yield f"{name}._project_conv", block._project_conv, block._bn2


class _Export:
    """An exported graph: its layers by the names of their modules."""

    def __init__(self, file: str | Path) -> None:
        import onnx
        from google.protobuf.message import DecodeError
        from onnx import numpy_helper

        self.file = file
        try:
            self.graph = onnx.load(str(file)).graph
        except DecodeError as error:
            raise ValueError(_refusal(file, "no ONNX", "a float32 export")) from error
        self.held = {i.name: numpy_helper.to_array(i) for i in self.graph.initializer}
        layers = [
            n for n in self.graph.node
            if n.op_type in ("Conv", "ConvTranspose", "Gemm") and n.input[1] in self.held
        ]  # fmt: skip
        self.named = {
            n.input[1][: -len(".weight")]: n
            for n in layers
            if n.input[1].startswith(("head.", "lifter.")) and n.input[1].endswith(".weight")
        }
        self.trunk = [n for n in layers if not n.input[1].startswith(("head.", "lifter."))]

    def has(self, name: str) -> bool:
        """Whether the file has this layer, or one inside it."""
        return any(n == name or n.startswith(f"{name}.") for n in self.named)

    def node(self, name: str) -> onnx.NodeProto:
        """The node of a layer; ValueError if there is none."""
        if name not in self.named:
            raise ValueError(_refusal(self.file, f"no {name}", "a float32 export of this network"))
        return self.named[name]

    def copy(self, node: onnx.NodeProto, name: str, weight: Any, bias: Any) -> None:
        """Fill a layer with a node's weight and bias.

        The bias is the one that the node reads, whatever its name: the exporter stores
        equal small tensors once, and drops a bias of zeros.
        """
        for target, source in zip((weight, bias), (*node.input[1:], "")):
            if target is None:
                continue
            values, expected = self.held.get(source), tuple(target.shape)
            if not source:
                target.zero_()
            elif values is None or values.shape != expected or values.dtype != np.float32:
                got = "no constant" if values is None else f"{values.shape} {values.dtype}"
                raise ValueError(_refusal(self.file, f"{name} {got}", f"{expected} float32"))
            else:
                target.copy_(torch.from_numpy(values.copy()))

    def sum_with(self, name: str) -> str:
        """Name of the tensor that is the sum of a layer's output and something."""
        output = self.node(name).output[0]
        for node in self.graph.node:
            if node.op_type == "Add" and output in node.input:
                return str(node.output[0])
        raise ValueError(_refusal(self.file, f"{name} alone", f"a sum with {name}"))

    def added_to(self, tensor: str) -> np.ndarray | None:
        """The constant [..., C, h, w] that is added to a tensor; None if there is none."""
        for node in self.graph.node:
            if node.op_type == "Add" and tensor in node.input:
                for other in node.input:
                    if other in self.held:
                        return self.held[other]
        return None


def _fill_place(place: Place, added: np.ndarray | None) -> None:
    """Solve for the slopes of a map that is linear in x and y (none: it learned nothing)."""
    if added is None:
        nn.init.zeros_(place.weight)
        return
    flat = added.reshape(added.shape[-3], -1).astype(np.float64)
    probe = Place(2, place.reach)
    probe.weight.copy_(torch.eye(2))
    grid = probe(torch.zeros(1, 2, *added.shape[-2:])).reshape(2, -1).double().numpy()
    slopes = np.linalg.lstsq(grid.T, flat.T, rcond=None)[0]
    place.weight.copy_(torch.from_numpy(slopes.astype(np.float32)))


def _refusal(file: str | Path, got: str, accepted: str) -> str:
    return f"{file}: got {got}, accepted: {accepted}"
