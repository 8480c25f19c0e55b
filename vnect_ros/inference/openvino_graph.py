"""What a network need not compute, taken out of its graph before OpenVINO compiles it.

Maps that are the same in every cell, as those of a network whose lifter gives one place a
joint, are an output of their own and not spread over the cells.
"""

from __future__ import annotations

from typing import Any, Final

from vnect_ros.skeleton import NUM_JOINTS

VERSION: Final = 1
"""Changes when compiled networks that were kept before must not be taken."""
_PART: Final = "#"


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
