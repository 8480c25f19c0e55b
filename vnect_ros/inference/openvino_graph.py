"""What a network need not do, taken out of its graph before OpenVINO compiles it.

The image comes as the crop is, eight bits a colour, and is normalised in the order of memory
that the first convolution wants.  Maps that are the same in every cell, as those of a network
whose lifter gives one place a joint, are an output of their own and not spread over the cells.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from vnect_ros.inference.model import Model
from vnect_ros.skeleton import NUM_JOINTS

VERSION: Final = 1
"""Changes when compiled networks that were kept before must not be taken."""
_PART: Final = "#"


def whole(name: str) -> str:
    """The output that a part of it is named after; the name itself of what is no part."""
    return name.rpartition(_PART)[0] or name


def trimmed(network: Any, model: Model) -> Any:
    """The network with an image [1, S, S, 3] uint8 RGB, and with maps in parts where possible.

    Args:
        network: openvino.Model as it was read.
        model: whose network that is.

    Returns:
        openvino.Model.  Outputs that are parts of another, along its channels, are called as
        `whole` wants it and are in order; a part [1, C, 1, 1] is the same in every cell.
    """
    from openvino import Model as Network

    inputs = [_image(p, model) if _is_image(p) else p for p in network.get_parameters()]
    outputs = [part for result in network.get_results() for part in _parts(result)]
    return Network(outputs, inputs, network.get_friendly_name())


def _is_image(parameter: Any) -> bool:
    rank = parameter.get_output_partial_shape(0).rank
    return rank.is_static and rank.get_length() == 4


def _image(parameter: Any, model: Model) -> Any:
    """The uint8 image in place of the float32 planes that the network takes."""
    from openvino import opset13 as op

    (name,) = parameter.output(0).get_names()
    image = op.parameter([1, model.input_size, model.input_size, 3], np.uint8, name)
    image.output(0).get_tensor().set_names({name})
    scale, offset = model.normalisation
    values = op.convert(image, np.float32)
    if model.colour_order == "BGR":
        values = op.gather(values, np.array([2, 1, 0]), np.array(3))
    values = op.add(op.multiply(values, scale), offset)
    planes = op.transpose(values, np.array([0, 3, 1, 2]))
    for target in parameter.output(0).get_target_inputs():
        target.replace_source_output(planes.output(0))
    return image


def _parts(result: Any) -> list[Any]:
    """A network's output, or its parts where one of them is the same in every cell."""
    from openvino import opset13 as op

    source = result.input_value(0)
    (name, *_) = source.get_names()
    inputs = [i.get_source_output() for i in source.get_node().inputs()]
    if not _is_concatenation(source) or not any(map(_is_spread, inputs)):
        return [result]
    parts = []
    for k, part in enumerate(inputs):
        if _is_spread(part):
            part = part.get_node().input_value(0)
        parts.append(op.result(part))
        parts[-1].output(0).get_tensor().set_names({f"{name}{_PART}{k}"})
    return parts


def _is_concatenation(output: Any) -> bool:
    """Whether maps are put together here along their channels, group by group."""
    node = output.get_node()
    return node.get_type_name() == "Concat" and node.get_attributes()["axis"] in (1, -3) and all(
        i.get_partial_shape().rank.get_length() == 4
        and i.get_partial_shape()[1].is_static
        and i.get_partial_shape()[1].get_length() % NUM_JOINTS == 0
        for i in node.inputs()
    )  # fmt: skip


def _is_spread(output: Any) -> bool:
    """Whether one value a channel is spread over the cells here."""
    if output.get_node().get_type_name() != "Broadcast":
        return False
    shape = output.get_node().input_value(0).get_partial_shape()
    return shape.is_static and list(shape)[2:] == [1, 1] and len(shape) == 4
