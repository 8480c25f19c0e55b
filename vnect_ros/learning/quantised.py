"""An exported network as torch computes it, quantisation included, so that it can learn.

The graph of an ONNX file is followed node by node.  Where the int8 form of a network
quantises and dequantises, so does this, and with the same arithmetic: in floats,
rounded to the same grid ("fake quantisation", Jacob et al. 2018, section 3).  What the
network learns is therefore what the file computes.  Gradients pass the rounding
unchanged where a value lies inside the range and not at all outside (straight-through);
the activations' scales learn too (Esser et al. 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from vnect_ros.errors import ModelError, describe
from vnect_ros.halves import restore

if TYPE_CHECKING:
    import onnx

WEIGHT_LEVELS: Final = 127
"""Weights are whole multiples of their channel's scale, -127 to 127 of them."""
_QUANTISED: Final = "_quantized"
"""What ONNX Runtime's quantiser adds to the name of a tensor that it stores in integers."""
_QUANTISE: Final = "QuantizeLinear"
_DEQUANTISE: Final = "DequantizeLinear"


class _FakeQuantise(torch.autograd.Function):
    """Round to a grid of 256 steps of one scale."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, scale: torch.Tensor, zero: int) -> torch.Tensor:
        step = float(scale)
        y = (x * (1.0 / step)).round_().clamp_(-zero, 255 - zero).mul_(step)
        ctx.save_for_backward(x, y, scale)
        ctx.zero = zero
        return y

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        x, y, scale = ctx.saved_tensors
        step = float(scale)
        clamped = (x - y).abs_() > 0.5001 * step
        passed = gradient.masked_fill(clamped, 0.0)
        # y / scale is what a value outside changes by, (y - x) / scale one inside
        of_scale = ((gradient * y).sum() - (passed * x).sum()) / step
        return passed, of_scale, None


def fake_quantise(x: torch.Tensor, scale: torch.Tensor, zero: int) -> torch.Tensor:
    """What is left of a tensor after a uint8 form of it.

    Args:
        x: any shape, float32.
        scale: [] float32, the value of one step.
        zero: the step that stands for 0.
    """
    quantised: torch.Tensor = _FakeQuantise.apply(x, scale, zero)
    return quantised


def channel_scales(weight: torch.Tensor) -> torch.Tensor:
    """[C] the step of each channel of a weight [C, I, ...].

    CPUs without VNNI multiply two neighbouring inputs at once and add the products in 16 bits,
    which hold 255 times 128 of the weights' steps and saturate beyond.  So the last step stands
    for the largest sum of two neighbouring weights of one sign: the file then gives the same on
    every CPU.  Which weights of larger kernels are neighbours, runtimes decide: any two there.
    """
    w = weight.detach().flatten(1)
    if weight.shape[1] == 1:  # depthwise: one input
        largest = w.abs().amax(1)
    elif weight.shape[2:].numel() > 1:
        signed = torch.stack([w.clamp_min(0), -w.clamp_max(0)])
        largest = signed.topk(2, dim=2).values.sum(2).amax(0)
    else:
        w = F.pad(w, (0, w.shape[1] % 2)).unflatten(1, (-1, 2))
        largest = torch.maximum(w.clamp_min(0).sum(2), -w.clamp_max(0).sum(2)).amax(1)
    return largest.clamp_min(1e-4) / WEIGHT_LEVELS  # or a bias of a dead channel overflows


def fake_quantise_weight(weight: torch.Tensor) -> torch.Tensor:
    """What is left of a weight [C, ...] after an int8 form of it, one scale a channel."""
    scales = channel_scales(weight).view(-1, *[1] * (weight.ndim - 1))
    return weight + ((weight / scales).round() * scales - weight).detach()


class ExportedNetwork(nn.Module):
    """The graph of an ONNX file that `learning.export.graph` wrote, for any batch size.

    Args:
        model: of the fp32 or the int8 form; weights stored in halves are restored in it.
        weights: by name, the float32 weights that the int8 form has in integers only.

    Attributes:
        learning: by name, the weights and biases of the quantised layers, weights relative to
            their channel's largest at the start: folded normalisations make channels of very
            different sizes, and an optimiser's step is the same for all.
        log_scales: by name, the logarithms of the activations' scales.
        nodes: of the graph, in the order in which they are computed.

    Raises:
        ModelError: the graph has an operator that is not known here, a weight is missing, or
            two layers share a bias.
    """

    def __init__(
        self, model: onnx.ModelProto, weights: Mapping[str, np.ndarray] | None = None
    ) -> None:
        super().__init__()
        from onnx import numpy_helper

        restore(model)
        self.model = model
        stored = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self.inputs = tuple(i.name for i in model.graph.input)
        self.outputs = tuple(o.name for o in model.graph.output)
        self.learning: dict[str, nn.Parameter] = {}
        self.log_scales: dict[str, nn.Parameter] = {}
        self._units: dict[str, torch.Tensor] = {}
        self._constants: dict[str, np.ndarray] = {}
        self._zeros: dict[str, int] = {}
        self._zero_names: dict[str, str] = {}
        self.nodes = list(model.graph.node)
        for node in self.nodes:
            if node.op_type not in (*_OPERATORS, _QUANTISE, _DEQUANTISE):
                known = ", ".join(sorted(_OPERATORS))
                raise ModelError(describe(f"operator of {node.name}", node.op_type, known))
            if node.op_type == _QUANTISE:
                self._add_scale(node.input[1], stored)
                self._zeros[node.input[1]] = int(stored[node.input[2]])
                self._zero_names[node.input[1]] = node.input[2]
            elif node.op_type == _DEQUANTISE and node.input[0] in stored:
                name = node.input[0].removesuffix(_QUANTISED)
                if name not in (weights or {}):
                    raise ModelError(describe("weights", "none of that name", name))
                values = torch.from_numpy(np.array((weights or {})[name], np.float32))
                self._units[name] = _units(values)
                self.learning[name] = nn.Parameter(values / self._units[name])
                self.register_parameter(name.replace(".", "/"), self.learning[name])
        biased = [(bias, (scale, w)) for scale, w, bias in self._quantised_layers() if bias]
        self._of_bias = dict(biased)
        if len(self._of_bias) < len(biased):
            raise ModelError(describe("biases", "one of several layers", "each layer its own"))
        used = {i for n in self.nodes for i in n.input}
        for name, values in stored.items():
            if name not in used:
                continue
            self._constants[name] = values
            if values.dtype == np.float32 and name not in self.log_scales:
                tensor = torch.from_numpy(np.array(values))
                self.register_buffer("of/" + name.replace(".", "/"), tensor, persistent=False)

    def _add_scale(self, name: str, stored: Mapping[str, np.ndarray]) -> None:
        if name not in self.log_scales:
            scale = torch.from_numpy(np.array(stored[name], np.float32)).log()
            self.log_scales[name] = nn.Parameter(scale.reshape(()))
            self.register_parameter(name.replace(".", "/"), self.log_scales[name])

    def _quantised_layers(self) -> Iterator[tuple[str, str, str]]:
        """Scale of the input, weight and bias ("" if there is none) of the quantised layers."""
        made = {n.output[0]: n for n in self.nodes}
        for node in self.nodes:
            inputs = [made[i] for i in node.input if i in made]
            if node.op_type in (_QUANTISE, _DEQUANTISE) or len(inputs) < 2:
                continue
            own = [n.input[0].removesuffix(_QUANTISED) for n in inputs[1:]]
            if all(name in self.learning for name in own):
                yield inputs[0].input[1], own[0], (own[1:] or [""])[0]

    def read_out(self, weight: str) -> str:
        """Name of the tensor that a layer gives, dequantised where it is quantised.

        Raises:
            ModelError: no layer has this weight.
        """
        given = ""
        for node in self.nodes:
            names = {i.removesuffix(f"_{_DEQUANTISE}_Output") for i in node.input}
            reads = weight in names and node.op_type not in (_QUANTISE, _DEQUANTISE)
            passes = given in node.input and node.op_type in (_QUANTISE, _DEQUANTISE)
            if reads or (given and passes):
                given = node.output[0]
        if not given:
            raise ModelError(describe("network", f"no layer {weight}", "a bundle of vnect_lite"))
        return given

    def raise_floor(self, tensor: str, low: float) -> None:
        """Let the range of a dequantised tensor begin no lower than `low` (below 0)."""
        made = {n.output[0]: n for n in self.nodes}
        node = made.get(tensor)
        if node is None or node.op_type != _DEQUANTISE or node.input[1] not in self.log_scales:
            return
        scale, zero = self.log_scales[node.input[1]], self._zeros[node.input[1]]
        step = float(scale.detach().exp())
        begin, end = max(low, -zero * step), (255 - zero) * step
        with torch.no_grad():
            scale.fill_(math.log((end - begin) / 255.0))
        self._zeros[node.input[1]] = round(-begin / (end - begin) * 255.0)

    def forward(
        self, image: torch.Tensor, gravity: torch.Tensor, wanted: Sequence[str] = ()
    ) -> dict[str, torch.Tensor]:
        """Follow the graph.

        Args:
            image: [B, 3, S, S] float32, prepared.
            gravity: [B, 3] float32; see `networks.lite.VNectLite.forward`.
            wanted: names of tensors; its outputs without.

        Returns:
            The tensors by name.
        """
        wanted = wanted or self.outputs
        values: dict[str, torch.Tensor] = dict(zip(self.inputs, (image, gravity)))
        last = {name: k for k, node in enumerate(self.nodes) for name in node.input}
        for k, node in enumerate(self.nodes):
            values.update(zip(node.output, self.compute(node, values)))
            for name in node.input:
                if last[name] == k and name not in wanted:
                    values.pop(name, None)
        return {name: values[name] for name in wanted}

    def compute(
        self, node: onnx.NodeProto, values: Mapping[str, torch.Tensor]
    ) -> tuple[torch.Tensor, ...]:
        """The outputs of one of `nodes`.

        Args:
            node: a quantising node gives its input on the grid, still as float32.
            values: its inputs by name, those that are no constants.
        """
        if node.op_type == _QUANTISE:
            scale = self.log_scales[node.input[1]].exp()
            return (fake_quantise(values[node.input[0]], scale, self._zeros[node.input[1]]),)
        if node.op_type == _DEQUANTISE:
            return (self._dequantised(node, values),)
        arguments = [self._value(name, values) for name in node.input]
        made = _OPERATORS[node.op_type](*arguments, **_attributes(node))
        return tuple(made) if isinstance(made, (list, tuple)) else (made,)

    def _dequantised(
        self, node: onnx.NodeProto, values: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        if node.input[0] in values:
            return values[node.input[0]]
        name = node.input[0].removesuffix(_QUANTISED)
        if name not in self._of_bias:
            return fake_quantise_weight(self.learnt(name))
        steps = self._bias_steps(name)
        bias = self.learnt(name)
        return bias + ((bias / steps).round() * steps - bias).detach()

    def learnt(self, name: str) -> torch.Tensor:
        """A weight or bias as it is now, before it is rounded."""
        return self.learning[name] * self._units[name]

    def _bias_steps(self, bias: str) -> torch.Tensor:
        """[C] what one step of a bias stands for: one of the products of input and weight."""
        scale, weight = self._of_bias[bias]
        return channel_scales(self.learnt(weight)) * self.log_scales[scale].detach().exp()

    def _value(self, name: str, values: Mapping[str, torch.Tensor]) -> Any:
        """A tensor; an array of a constant that is no float32; None of an input left out."""
        if not name:
            return None
        if name in values:
            return values[name]
        buffer = self._buffers.get("of/" + name.replace(".", "/"))
        return self._constants[name] if buffer is None else buffer

    def stored(self) -> onnx.ModelProto:
        """The int8 form with what was learnt: weights, biases and scales."""
        from onnx import ModelProto

        model = ModelProto()
        model.CopyFrom(self.model)
        arrays: dict[str, np.ndarray] = {
            name: log.detach().exp().numpy() for name, log in self.log_scales.items()
        }
        for name, zero in self._zero_names.items():
            arrays[zero] = np.array(self._zeros[name], np.uint8)
        _replace(model, arrays)
        requantise(model, {name: self.learnt(name).detach() for name in self.learning})
        return model


def requantise(model: onnx.ModelProto, weights: Mapping[str, torch.Tensor]) -> None:
    """Store an int8 form's weights in the steps of `channel_scales`, and biases accordingly.

    Args:
        model: its quantised weights and biases, and their scales, change.
        weights: by name, the float32 values; those that the int8 form has as floats do not count.

    Raises:
        ModelError: a quantised weight is missing.
    """
    from onnx import numpy_helper

    stored = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    made = {n.output[0]: n for n in model.graph.node if n.op_type == _DEQUANTISE}
    arrays: dict[str, np.ndarray] = {}

    def values(name: str) -> torch.Tensor:
        name = name.removesuffix(_QUANTISED)
        if name not in weights:
            raise ModelError(describe("weights", "none of that name", name))
        return weights[name]

    for node in model.graph.node:
        if node.op_type in (_QUANTISE, _DEQUANTISE) or len(node.input) < 2:
            continue
        given = [made[i] for i in node.input if i in made]
        own = [n for n in given[1:] if n.input[0] in stored]
        if not own or stored[own[0].input[0]].dtype != np.int8:
            continue
        axis = _attributes(own[0]).get("axis", 1)
        weight = values(own[0].input[0]).movedim(axis, 0)
        scales = channel_scales(weight)
        steps = (weight / scales.view(-1, *[1] * (weight.ndim - 1))).round()
        arrays[own[0].input[0]] = steps.movedim(0, axis).to(torch.int8).numpy()
        arrays[own[0].input[1]] = scales.numpy()
        for bias in own[1:]:
            fine = scales * float(stored[given[0].input[1]])
            whole = (values(bias.input[0]) / fine).round().clamp(-(2**31), 2**31 - 128)
            arrays[bias.input[0]] = whole.to(torch.int32).numpy()
            arrays[bias.input[1]] = fine.numpy()
    _replace(model, arrays)


def _replace(model: onnx.ModelProto, arrays: Mapping[str, np.ndarray]) -> None:
    """Give initializers other values, in their own shapes."""
    from onnx import numpy_helper

    for tensor in model.graph.initializer:
        if tensor.name in arrays:
            shaped = arrays[tensor.name].reshape(tuple(tensor.dims))
            tensor.CopyFrom(numpy_helper.from_array(shaped, tensor.name))


def _units(values: torch.Tensor) -> torch.Tensor:
    """What a step of the optimiser is relative to: of a weight its channels' largest."""
    if values.ndim == 1:
        return torch.ones(())
    largest = values.abs().flatten(1).amax(1).clamp_min(1e-4)
    return largest.view(-1, *[1] * (values.ndim - 1))


def weights_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """The float32 initializers by name."""
    from onnx import TensorProto, numpy_helper

    return {
        t.name: numpy_helper.to_array(t)
        for t in model.graph.initializer
        if t.data_type == TensorProto.FLOAT
    }


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    from onnx import helper

    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _axes(axes: np.ndarray) -> tuple[int, ...]:
    return tuple(int(a) for a in np.ravel(axes))


def _conv(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None, *,
    pads: Sequence[int], strides: Sequence[int], group: int, **_: Any,
) -> torch.Tensor:  # fmt: skip
    top, left, bottom, right = pads
    if (top, left) == (bottom, right):
        return F.conv2d(x, weight, bias, tuple(strides), (top, left), 1, group)
    return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, tuple(strides), 0, 1, group)


def _gemm(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, *, transB: int = 0, **_: Any
) -> torch.Tensor:
    return F.linear(x, weight if transB else weight.T, bias)


def _clip(x: torch.Tensor, low: Any, high: Any) -> torch.Tensor:
    return x.clamp(float(low), float(high))


def _resize(x: torch.Tensor, _roi: None, scales: torch.Tensor, **_: Any) -> torch.Tensor:
    return F.interpolate(x, scale_factor=float(scales[2]), mode="bilinear", align_corners=False)


def _gather(x: torch.Tensor, index: np.ndarray, *, axis: int) -> torch.Tensor:
    return x.select(axis, int(index))


def _unsqueeze(x: torch.Tensor, axes: np.ndarray) -> torch.Tensor:
    for axis in sorted(_axes(axes)):
        x = x.unsqueeze(axis)
    return x


def _average(x: torch.Tensor, *, kernel_shape: Sequence[int], **_: Any) -> torch.Tensor:
    return F.avg_pool2d(x, tuple(kernel_shape))


_OPERATORS: Final[dict[str, Callable[..., Any]]] = {
    "Add": torch.add,
    "AveragePool": _average,
    "Clip": _clip,
    "Concat": lambda *x, axis: torch.cat(x, axis),
    "Conv": _conv,
    "Div": torch.div,
    "Expand": lambda x, shape: x.expand([-1 if n == 1 else n for n in _axes(shape)]),
    "Gather": _gather,
    "Gemm": _gemm,
    "Mul": torch.mul,
    "ReduceMax": lambda x, axes, keepdims, **_: x.amax(_axes(axes), bool(keepdims)),
    "ReduceSum": lambda x, axes, keepdims, **_: x.sum(_axes(axes), bool(keepdims)),
    "Relu": F.relu,
    "Reshape": lambda x, shape, **_: x.reshape(len(x), *_axes(shape)[1:]),
    "Resize": _resize,
    "Sigmoid": torch.sigmoid,
    "Split": lambda x, axis, num_outputs: x.chunk(num_outputs, axis),
    "Sqrt": torch.sqrt,
    "Tile": lambda x, repeats: x.repeat(_axes(repeats)),
    "Unsqueeze": _unsqueeze,
}
"""The operators of an exported `VNectLite`.  The first axis of a shape is the batch."""
