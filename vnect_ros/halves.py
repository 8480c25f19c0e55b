"""Weights that fp16 holds exactly, stored in half the bytes.

A bundle's float32 arithmetic does not need float32 weights on disk: the export rounds a
network's weights to fp16 first, and stores each as fp16 with a cast behind it, which
runtimes fold when they load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import onnx

_FEWEST: Final = 1024
"""Elements below which a tensor is not worth a node."""
_SUFFIX: Final = "_half"


def store_in_half(model: onnx.ModelProto) -> None:
    """Turn every float32 initializer whose values fp16 holds exactly into fp16 and a cast."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    kept, casts = [], []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type == TensorProto.FLOAT and values.size >= _FEWEST:
            with np.errstate(over="ignore"):
                half = values.astype(np.float16)
            if np.array_equal(half.astype(np.float32), values):
                name = tensor.name + _SUFFIX
                cast = ([name], [tensor.name], f"{tensor.name}_as_float")
                casts.append(helper.make_node("Cast", *cast, to=TensorProto.FLOAT))
                tensor = numpy_helper.from_array(half, name)
        kept.append(tensor)
    nodes = [*casts, *graph.node]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)


def restore(model: onnx.ModelProto) -> None:
    """Undo `store_in_half`, for readers that want weights as initializers."""
    from onnx import TensorProto, numpy_helper

    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        tensor = stored.get(node.input[0]) if node.op_type == "Cast" else None
        if tensor is None or tensor.data_type != TensorProto.FLOAT16:
            nodes.append(node)
            continue
        values = numpy_helper.to_array(stored.pop(tensor.name)).astype(np.float32)
        stored[node.output[0]] = numpy_helper.from_array(values, node.output[0])
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(stored.values())
