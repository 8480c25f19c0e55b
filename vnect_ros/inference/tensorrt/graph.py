"""A bundle's ONNX file as TensorRT wants it: bytes in, symmetric int8.

Every change is arithmetic that ONNX Runtime can run too, so the tests hold the
result against the bundle's own file without a GPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from vnect_ros.errors import BackendError
from vnect_ros.halves import restore
from vnect_ros.inference.base import undeclared
from vnect_ros.inference.model import Model

if TYPE_CHECKING:
    import onnx

INPUT: Final = "pixels"


def prepared(model: Model) -> onnx.ModelProto:
    """The graph of a bundle's precision, with its own normalisation, for the parser.

    Its image is one crop as the pipeline cuts it, [1, S, S, 3] uint8 RGB: a
    quarter of the bytes of the normalised planes go to the GPU, and the CPU does
    not touch them.

    Raises:
        BackendError: `onnx` is missing, or the file cannot be read or has other inputs.
    """
    try:
        import onnx
    except ImportError as error:
        raise BackendError(f"building an engine needs the package onnx: {error}") from error
    try:
        graph = onnx.load(str(model.file))
    except Exception as error:  # protobuf's errors share no narrower base
        raise BackendError(f"{model.file} is no ONNX file: {error}") from error
    restore(graph)
    make_symmetric(graph)
    prepend_normalisation(graph, model)
    return graph


def prepend_normalisation(model: onnx.ModelProto, bundle: Model) -> None:
    """Put the bundle's colour order and normalisation in front of the graph."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    size = bundle.input_size
    others = [i for i in graph.input if i.name == bundle.gravity_input]
    planes = undeclared(bundle, "inputs", [i.name for i in graph.input], bundle.gravity_input)
    scale = (1.0 / (255.0 * np.array(bundle.std))).astype(np.float32).reshape(1, 3, 1, 1)
    offset = (-np.array(bundle.mean) / np.array(bundle.std)).astype(np.float32).reshape(1, 3, 1, 1)
    constants = {"norm_scale": scale, "norm_offset": offset}
    steps = [
        ("Cast", ["pixels"], "norm_float", {"to": TensorProto.FLOAT}),
        ("Transpose", ["norm_float"], "norm_planes", {"perm": [0, 3, 1, 2]}),
    ]
    last = "norm_planes"
    if bundle.colour_order == "BGR":
        constants["norm_order"] = np.array([2, 1, 0], np.int64)
        steps.append(("Gather", [last, "norm_order"], "norm_ordered", {"axis": 1}))
        last = "norm_ordered"
    steps.append(("Mul", [last, "norm_scale"], "norm_scaled", {}))
    steps.append(("Add", ["norm_scaled", "norm_offset"], planes, {}))
    first = [
        helper.make_node(op, inputs, [output], name=f"normalise_{output}", **attributes)
        for op, inputs, output, attributes in steps
    ]
    nodes = [*first, *graph.node]
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in constants.items())
    shape = [1, size, size, 3]
    graph.input.extend([helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape), *others])


def make_symmetric(model: onnx.ModelProto) -> None:
    """Turn uint8 activations with a zero point into int8 without, constants into floats.

    A zero point of 0 clamps below at 0 and so stands for a ReLU that the
    quantisation has swallowed: it is put back.  A graph without quantisation is
    left as it is.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    values = {w.name: w for w in graph.initializer}
    producer = {out: node for node in graph.node for out in node.output}
    changed: dict[str, onnx.TensorProto] = {}
    rectified: set[str] = set()
    constants: dict[str, str] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            node.input[:] = [constants.get(name, name) for name in node.input]
            nodes.append(node)
            continue
        scale_name = node.input[1]
        zero = values.get(node.input[2]) if len(node.input) > 2 else None
        source = values.get(node.input[0])
        if source is not None and source.data_type in (TensorProto.INT32, TensorProto.UINT8):
            shift = 0 if zero is None else int(numpy_helper.to_array(zero).reshape(-1)[0])
            scale = numpy_helper.to_array(values[scale_name])
            constant = (numpy_helper.to_array(source).astype(np.float32) - shift) * scale
            name = f"{node.output[0]}_float"
            changed[name] = numpy_helper.from_array(constant.astype(np.float32), name)
            constants[node.output[0]] = name
            continue
        if zero is not None and zero.data_type == TensorProto.UINT8:
            low, high = _symmetric(node, values, changed)
            if node.op_type == "QuantizeLinear" and low == 0.0 < high:
                _rectify(node, producer, rectified, nodes, helper)
        nodes.append(node)
    used = {name for node in nodes for name in node.input}
    values.update(changed)
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(w for name, w in values.items() if name in used)
    del graph.value_info[:]  # their types have changed


def _symmetric(
    node: onnx.NodeProto,
    values: dict[str, onnx.TensorProto],
    changed: dict[str, onnx.TensorProto],
) -> tuple[float, float]:
    """Give a node symmetric parameters; returns the range it had."""
    from onnx import numpy_helper

    scale = float(numpy_helper.to_array(values[node.input[1]]))
    zero = int(numpy_helper.to_array(values[node.input[2]]))
    low, high = -zero * scale, (255 - zero) * scale
    names = [f"{node.input[1]}_symmetric", f"{node.input[2]}_symmetric"]
    widest = max(-low, high) / 127.0
    changed[names[0]] = numpy_helper.from_array(np.array(widest, np.float32), names[0])
    changed[names[1]] = numpy_helper.from_array(np.array(0, np.int8), names[1])
    node.input[1], node.input[2] = names
    return low, high


def _rectify(node, producer, rectified, nodes, helper) -> None:  # type: ignore[no-untyped-def]
    source = node.input[0]
    if source in producer and producer[source].op_type == "Relu":
        return
    name = f"{source}_rectified"
    if source not in rectified:
        nodes.append(helper.make_node("Relu", [source], [name], name=f"rectify_{source}"))
        rectified.add(source)
    node.input[0] = name
