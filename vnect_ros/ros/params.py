"""The node's parameters: one for each option of `NodeConfig`, under the same name.

`python -m vnect_ros.ros.params` writes `config/vnect.yaml`.
"""

from __future__ import annotations

import dataclasses
import textwrap
from typing import Any, get_type_hints

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from vnect_ros.config import NodeConfig, flatten, options, replace
from vnect_ros.errors import ConfigError, describe

FOREIGN = ("use_sim_time", "start_type_description_service", "qos_overrides.")
"""Beginnings of parameters that rclpy itself declares."""
_KINDS = {float: Parameter.Type.DOUBLE, int: Parameter.Type.INTEGER}


def descriptor(key: str) -> ParameterDescriptor:
    """What `ros2 param describe` shows of an option: text, range, when it may change."""
    field = options(NodeConfig())[key]
    low, high, choices, live = (field.metadata[k] for k in ("low", "high", "choices", "live"))
    described = ParameterDescriptor(name=key, description=field.metadata["doc"])
    constraints = [] if live else ["Read when the node configures."]
    if choices:
        constraints.insert(0, "One of " + ", ".join(choices) + ".")
    described.additional_constraints = " ".join(constraints)
    if low is not None and high is not None:
        if isinstance(field.default, float):
            described.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        else:
            described.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
    return described


def declare(node: Node) -> NodeConfig:
    """Declare every option as a parameter, and read what the user set.

    Raises:
        ConfigError: a parameter is unknown (the valid ones are named) or refused.
    """
    defaults = flatten(NodeConfig())
    given: dict[str, Parameter] = getattr(node, "_parameter_overrides", {})
    for name in given:
        if name not in defaults and not name.startswith(FOREIGN):
            raise ConfigError(describe("parameter", name, ", ".join(defaults)))
    given.update({parameter.name: parameter for parameter in as_declared(list(given.values()))})
    values = {}
    for key, default in defaults.items():
        try:
            values[key] = node.declare_parameter(key, default, descriptor(key)).value
        except ParameterException as error:
            raise ConfigError(f"{key}: {error}") from error
    config: NodeConfig = replace(NodeConfig(), values)
    return config


def as_declared(parameters: list[Parameter]) -> list[Parameter]:
    """The parameters in their options' types: YAML's 2 where 2.0 is meant, true for "true"."""
    defaults = flatten(NodeConfig())
    declared = []
    for parameter in parameters:
        default, value = defaults.get(parameter.name), parameter.value
        if isinstance(default, float) and type(value) is int:
            parameter = Parameter(parameter.name, Parameter.Type.DOUBLE, float(value))
        elif isinstance(default, str) and isinstance(value, bool):
            parameter = Parameter(parameter.name, Parameter.Type.STRING, str(value).lower())
        declared.append(parameter)
    return declared


def changed(
    config: NodeConfig, parameters: list[Parameter], configured: bool
) -> tuple[NodeConfig, SetParametersResult]:
    """The configuration with parameters set, or as it was and why they are refused.

    Args:
        configured: whether the node is configured: then only live options may change.
    """
    known = options(config)
    before = flatten(config)
    changes: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.name in known:
            changes[parameter.name] = parameter.value
    try:
        for key, value in changes.items():
            if configured and value != before[key] and not known[key].metadata["live"]:
                accepted = f"{before[key]!r} until the node is cleaned up and configures again"
                raise ConfigError(describe(key, value, accepted))
        return replace(config, changes), SetParametersResult(successful=True)
    except ConfigError as error:
        return config, SetParametersResult(successful=False, reason=str(error))


def yaml() -> str:
    """Every parameter with its default, as the text of a parameter file."""
    lines = [
        "# Every parameter of the node with its default.  Copy the file, keep the lines you",
        "# change, and start with `params_file:=FILE`.  Written by",
        "# `python -m vnect_ros.ros.params > config/vnect.yaml`; a test holds the two together.",
        "/**:",
        "  ros__parameters:",
    ]
    hints = get_type_hints(NodeConfig)
    section = ""
    for key, field in options(NodeConfig()).items():
        head, _, name = key.rpartition(".")
        indent = "      " if head else "    "
        if head and head != section:
            doc = " ".join((hints[head].__doc__ or "").split())
            lines += ["", *(f"    # {line}" for line in textwrap.wrap(doc, 86)), f"    {head}:"]
        elif not head and section:
            lines.append("")
        section = head
        lines += [f"{indent}# {line}" for line in textwrap.wrap(_comment(field), 84)]
        lines.append(f"{indent}{name}: {_scalar(field.default)}")
    return "\n".join(lines) + "\n"


def _comment(field: dataclasses.Field[Any]) -> str:
    low, high, choices, live = (field.metadata[k] for k in ("low", "high", "choices", "live"))
    text = field.metadata["doc"] + "."
    if choices:
        text += " One of " + ", ".join(choices) + "."
    if low is not None and high is not None:
        text += f" {low:g} to {high:g}."
    return text if live else text + " Read when the node configures."


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


if __name__ == "__main__":
    print(yaml(), end="")
