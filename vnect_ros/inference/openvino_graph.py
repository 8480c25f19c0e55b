"""What a network need not compute, taken out of its graph before OpenVINO compiles it.

- Maps that are the same in every cell, as those of a network whose lifter gives one place a
  joint, are an output of their own and not spread over the cells.
- A depthwise convolution of which every other row and column is kept goes in steps of two.
"""

from __future__ import annotations

from typing import Any, Final

from vnect_ros.skeleton import NUM_JOINTS

VERSION: Final = 2
"""Changes when compiled networks that were kept before must not be taken."""
_PART: Final = "#"
_BY_CELL: Final = frozenset(
    (
        "Add",
        "Clamp",
        "Convert",
        "FakeQuantize",
        "Maximum",
        "Minimum",
        "Multiply",
        "Relu",
        "Subtract",
    )
)
"""Operations that give each cell what follows from that cell alone, if the rest is one number a
channel."""


def whole(name: str) -> str:
    """The output that a part of it is named after; the name itself of what is no part."""
    return name.rpartition(_PART)[0] or name


def trimmed(network: Any) -> Any:
    """The network without needless work; what is left is computed as before.

    Args:
        network: openvino.Model as it was read.

    Returns:
        openvino.Model.  Outputs that are parts of another, along its channels, are called as
        `whole` wants it and are in order; a part [1, C, 1, 1] is the same in every cell.
    """
    from openvino import Model

    for node in network.get_ordered_ops():
        _halve(node)
    network.validate_nodes_and_infer_types()
    outputs = [part for result in network.get_results() for part in _parts(result)]
    return Model(outputs, network.get_parameters(), network.get_friendly_name())


def _parts(result: Any) -> list[Any]:
    """A network's output, or its parts where one of them is the same in every cell."""
    from openvino import opset13

    source = result.input_value(0)
    inputs = source.get_node().input_values()
    if not _is_concatenation(source) or not any(map(_is_spread, inputs)):
        return [result]
    parts = []
    for k, part in enumerate(inputs):
        values = part.get_node().input_value(0) if _is_spread(part) else part
        parts.append(opset13.result(values))
        parts[-1].output(0).get_tensor().set_names({f"{source.get_any_name()}{_PART}{k}"})
    return parts


def _is_concatenation(output: Any) -> bool:
    """Whether maps are put together here along their channels, group by group."""
    node = output.get_node()
    if node.get_type_name() != "Concat" or node.get_attributes()["axis"] not in (1, -3):
        return False
    shapes = [i.get_partial_shape() for i in node.input_values()]
    return all(s.is_static and len(s) == 4 and s.to_shape()[1] % NUM_JOINTS == 0 for s in shapes)


def _is_spread(output: Any) -> bool:
    """Whether one value a channel is spread over the cells here."""
    if output.get_node().get_type_name() != "Broadcast":
        return False
    shape = output.get_node().input_value(0).get_partial_shape()
    return shape.is_static and len(shape) == 4 and list(shape.to_shape())[2:] == [1, 1]


def _halve(last: Any) -> None:
    """Let the convolution take the steps that slices of both axes take after it."""
    from openvino import opset13

    first = _source(last.input_value(0), "Slice") if _is_every_other(last, 3) else None
    if first is None or not _is_every_other(first, 2):
        return
    whole = _source(first.input_value(0), "GroupConvolution")
    if whole is None or not _is_centred(whole):
        return
    halved = opset13.group_convolution(
        whole.input_value(0), whole.input_value(1), [2, 2], [0, 0], [1, 1], [1, 1]
    )
    halved.set_friendly_name(whole.get_friendly_name())
    _replace(whole, halved.output(0))
    for needless in (first, last):
        _replace(needless, needless.input_value(0))


def _replace(node: Any, output: Any) -> None:
    """Give another output to all that take this node's."""
    for target in node.output(0).get_target_inputs():
        target.replace_source_output(output)


def _source(output: Any, wanted: str) -> Any:
    """The node of a type that cells come from one by one; None where others see them on the way."""
    node = output.get_node()
    while node.get_type_name() in _BY_CELL and _serves_one(node):
        for other in node.input_values()[1:]:
            shape = other.get_partial_shape()
            if shape.is_dynamic or any(size != 1 for size in list(shape.to_shape())[-2:]):
                return None
        node = node.input_value(0).get_node()
    return node if node.get_type_name() == wanted and _serves_one(node) else None


def _serves_one(node: Any) -> bool:
    """Whether one other node alone looks at the values of this one."""
    targets = [target.get_node() for target in node.output(0).get_target_inputs()]
    return sum(target.get_type_name() != "ShapeOf" for target in targets) == 1


def _is_every_other(node: Any, axis: int) -> bool:
    """Whether a node takes each second one of an axis, from the second on to the end."""
    if node.get_type_name() != "Slice" or node.get_input_size() != 5:
        return False
    given = [value.get_node() for value in node.input_values()[1:]]
    if any(one.get_type_name() != "Constant" for one in given):
        return False
    start, stop, step, axes = (one.data.ravel().tolist() for one in given)
    size = node.input_value(0).get_partial_shape()[axis]
    return (start, step, axes) == ([1], [2], [axis]) and size.is_static and (
        size.get_length() % 2 == 0 and stop[0] >= size.get_length()
    )  # fmt: skip


def _is_centred(node: Any) -> bool:
    """Whether a convolution 3x3 looks at each cell and those about it."""
    shape, wanted = node.input_value(1).get_partial_shape(), node.get_attributes()
    same = ("strides", "dilations", "pads_begin", "pads_end")
    return (
        shape.is_static
        and list(shape.to_shape())[-2:] == [3, 3]
        and all(list(wanted[name]) == [1, 1] for name in same)
        and wanted["auto_pad"] == "explicit"
    )
