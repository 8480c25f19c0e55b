"""PyTorch: for a GPU that has torch but no TensorRT, and to debug a network.

The bundle's ONNX graph is run as it is, node by node, so that every bundle works
and no pickle is read.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vnect_ros.errors import BackendError, describe
from vnect_ros.inference.base import RuntimeBackend
from vnect_ros.inference.bundles import Model

if TYPE_CHECKING:
    import onnx
    import torch


class TorchBackend(RuntimeBackend):
    """Runs a bundle's ONNX file with torch operators; see `inference.base.Backend`."""

    name = "torch"

    def __init__(self, model: Model, threads: int = 0, device: str = "") -> None:
        """Load the graph and its weights.

        Args:
            threads: of the whole process on the CPU; 0 leaves torch's setting.
            device: of torch, e.g. "cuda:0"; by default a GPU if torch sees one.

        Raises:
            BackendError: torch or onnx is missing, the file has an operator that
                this backend does not know, or the device is not there.
        """
        try:
            import torch
        except ImportError as error:
            raise BackendError(f"torch is not installed: {error}") from error
        if threads > 0:
            torch.set_num_threads(threads)
        where = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            self._device = torch.device(where)
            self._graph: Graph | None = Graph(model.file, self._device)
            self._graph(torch.zeros(1, 3, model.input_size, model.input_size, device=where))
        except BackendError:
            raise
        except Exception as error:  # torch raises RuntimeError and a good many others
            raise BackendError(f"torch refuses {model.file} on {where}: {error}") from error
        super().__init__(model, [self._graph.input], [self._graph.output])
        self.detail = f"torch {torch.__version__}, {model.precision}, {where}"

    def _is_open(self) -> bool:
        return self._graph is not None

    def _run(self, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        import torch

        assert self._graph is not None  # infer has asked
        (image,) = feed.values()
        output = self._graph(torch.from_numpy(image).to(self._device))
        return {self._graph.output: output.cpu().numpy()}

    def close(self) -> None:
        """Give the weights back."""
        self._graph = None


class Graph:
    """An ONNX graph of the operators that our networks consist of.

    Raises:
        BackendError: there is another operator, or an attribute that is not met.
    """

    def __init__(self, file: Path, device: torch.device) -> None:
        try:
            import onnx
            from onnx import numpy_helper
        except ImportError as error:
            raise BackendError(f"the torch backend reads bundles with onnx: {error}") from error
        import torch

        try:
            graph = onnx.load(str(file)).graph
        except Exception as error:  # protobuf's errors share no narrower base
            raise BackendError(f"{file} is no ONNX file: {error}") from error
        self._weights = {
            w.name: torch.from_numpy(numpy_helper.to_array(w).copy()).to(device)
            for w in graph.initializer
        }
        self.input, self.output = graph.input[0].name, graph.output[0].name
        self._steps = [
            (_operator(node), list(node.input), list(node.output)) for node in graph.node
        ]
        last: dict[str, int] = {}
        for number, (_, inputs, _) in enumerate(self._steps):
            last.update(dict.fromkeys(inputs, number))
        self._dead = [
            [n for n in set(inputs) if last[n] == number and n not in self._weights]
            for number, (_, inputs, _) in enumerate(self._steps)
        ]

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """[1, 3, S, S] float32 -> [1, 84, h, w] float32."""
        import torch

        values: dict[str, torch.Tensor] = {self.input: image}
        with torch.inference_mode():
            for (run, inputs, outputs), dead in zip(self._steps, self._dead, strict=True):
                given = [
                    self._weights[n] if n in self._weights else values[n] if n else None
                    for n in inputs
                ]
                results = run(*given)
                if not isinstance(results, (tuple, list)):
                    results = (results,)
                values.update(zip(outputs, results, strict=True))
                for name in dead:
                    values.pop(name, None)
        return values[self.output]


def _operator(node: onnx.NodeProto) -> Callable[..., Any]:
    """What a node does, as a function of its inputs."""
    import torch
    from onnx import TensorProto, helper
    from torch.nn import functional

    a = {x.name: helper.get_attribute_value(x) for x in node.attribute}
    kind = node.op_type
    if kind in ("Conv", "ConvTranspose"):
        return _convolution(node, a)
    if kind == "MaxPool":
        k, s, p = a["kernel_shape"], a.get("strides", [1, 1]), a.get("pads", [0] * 4)
        ceil = bool(a.get("ceil_mode", 0))
        _met(node, p[:2] == p[2:] and a.get("auto_pad", b"NOTSET") == b"NOTSET", a)
        return lambda x: functional.max_pool2d(x, k, s, p[:2], ceil_mode=ceil)
    if kind == "Split":
        axis = a.get("axis", 0)

        def split(x: torch.Tensor, sizes: torch.Tensor | None = None) -> Any:
            if sizes is None:
                return torch.chunk(x, len(node.output), dim=axis)
            return torch.split(x, sizes.tolist(), dim=axis)

        return split
    if kind == "Clip":
        return lambda x, low=None, high=None: torch.clamp(x, low, high)
    if kind == "Slice":
        return _slice
    if kind == "Cast":
        kinds = {TensorProto.FLOAT: torch.float32, TensorProto.FLOAT16: torch.float16}
        _met(node, a["to"] in kinds, a)
        return lambda x: x.to(kinds[a["to"]])
    if kind == "Concat":
        return lambda *several: torch.cat(several, dim=a["axis"])
    if kind in ("ReduceSum", "ReduceMax", "ReduceMean"):
        return _reduction(kind, a)
    if kind == "Gather":
        axis_of = a.get("axis", 0)
        return lambda x, index: x.index_select(axis_of, index.reshape(-1)).reshape(
            *x.shape[:axis_of], *index.shape, *x.shape[axis_of + 1 :]
        )
    if kind == "Gemm":
        return _gemm(a)
    plain: dict[str, Callable[..., Any]] = {
        "Relu": torch.relu,
        "Add": torch.add,
        "Mul": torch.mul,
        "Sub": torch.sub,
        "Div": torch.div,
        "Pow": torch.pow,
        "Sqrt": torch.sqrt,
        "MatMul": torch.matmul,
        "Identity": lambda x: x,
        "Transpose": lambda x: x.permute(a["perm"]),
        "Expand": lambda x, shape: x.expand(torch.broadcast_shapes(x.shape, shape.tolist())),
        "Reshape": _reshape,
        "Flatten": lambda x: x.flatten(a.get("axis", 1)),
        "Squeeze": lambda x, axes: x.squeeze(tuple(axes.tolist())),
        "Unsqueeze": _unsqueeze,
    }
    if kind not in plain:
        raise BackendError(
            describe("operator", kind, "those of fp32 and fp16 bundles (int8 runs elsewhere)")
        )
    return plain[kind]


def _met(node: onnx.NodeProto, condition: bool, attributes: dict[str, Any]) -> None:
    if not condition:
        raise BackendError(f"torch backend: {node.op_type} with {attributes} is not known")


def _convolution(node: onnx.NodeProto, a: dict[str, Any]) -> Callable[..., Any]:
    from torch.nn import functional

    pads, strides = a.get("pads", [0] * 4), a.get("strides", [1, 1])
    dilations, groups = a.get("dilations", [1, 1]), a.get("group", 1)
    plain = pads[:2] == pads[2:] and a.get("auto_pad", b"NOTSET") == b"NOTSET"
    _met(node, plain and not any(a.get("output_padding", [0, 0])) and "output_shape" not in a, a)
    if node.op_type == "Conv":
        return lambda x, w, b=None: functional.conv2d(x, w, b, strides, pads[:2], dilations, groups)
    return lambda x, w, b=None: functional.conv_transpose2d(
        x, w, b, strides, pads[:2], 0, groups, dilations
    )


def _reduction(kind: str, a: dict[str, Any]) -> Callable[..., Any]:
    import torch

    by_kind = {"ReduceSum": torch.sum, "ReduceMax": torch.amax, "ReduceMean": torch.mean}
    kept = bool(a.get("keepdims", 1))

    def reduce(x: torch.Tensor, axes: torch.Tensor | None = None) -> Any:
        several = a.get("axes", range(x.ndim)) if axes is None else axes.tolist()
        return by_kind[kind](x, dim=tuple(several), keepdim=kept)

    return reduce


def _gemm(a: dict[str, Any]) -> Callable[..., Any]:
    alpha, beta = a.get("alpha", 1.0), a.get("beta", 1.0)

    def gemm(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None = None) -> Any:
        product = (x.T if a.get("transA") else x) @ (w.T if a.get("transB") else w)
        return alpha * product if b is None else alpha * product + beta * b

    return gemm


def _reshape(x: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    sizes = [x.shape[i] if n == 0 else n for i, n in enumerate(shape.tolist())]
    return x.reshape(sizes)


def _unsqueeze(x: torch.Tensor, axes: torch.Tensor) -> torch.Tensor:
    dims = x.ndim + len(axes)
    for axis in sorted(n % dims for n in axes.tolist()):
        x = x.unsqueeze(axis)
    return x


def _slice(
    x: torch.Tensor,
    starts: torch.Tensor,
    ends: torch.Tensor,
    axes: torch.Tensor | None = None,
    steps: torch.Tensor | None = None,
) -> torch.Tensor:
    several = range(len(starts)) if axes is None else axes.tolist()
    index = [slice(None)] * x.ndim
    for i, axis in enumerate(several):
        step = 1 if steps is None else int(steps[i])
        index[axis] = slice(int(starts[i]), int(ends[i]), step)
    return x[tuple(index)]
