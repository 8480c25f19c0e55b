"""Options: values with a type, bounds and a description, checked in one place.

Sections of `config`, recipes of a training and the fields of a bundle are all
checked by `check`.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import field
from typing import Any, get_args, get_origin, get_type_hints

from vnect_ros.errors import ConfigError, describe

_KINDS = {
    bool: "true or false", int: "an integer", float: "a number", str: "a string",
    list: "an array", dict: "an object",
}  # fmt: skip


def check(
    name: str,
    value: Any,
    kind: type,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] | None = None,
    error: type[Exception] = ConfigError,
) -> Any:
    """A value of that type, within inclusive bounds or out of the choices.

    Whole numbers pass for floats, which must be finite.

    Raises:
        error: the value is refused; the message has the name and what is accepted.
    """
    given: type = type(value)
    if kind is float and given is int and abs(value) < 1 << 53:
        value, given = float(value), float
    accepted = ""
    if given is not kind:
        accepted = _KINDS.get(kind, kind.__name__)
    elif kind is float and not math.isfinite(value):
        accepted = "a finite number"
    elif choices is not None and value not in choices:
        accepted = ("one of " if len(choices) > 1 else "") + ", ".join(map(str, choices))
    elif low is not None and value < low:
        accepted = f"at least {low:g}"
    elif high is not None and value > high:
        accepted = f"at most {high:g}"
    if accepted:
        raise error(describe(name, value, accepted))
    return value


def option(
    default: Any,
    doc: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
    live: bool = True,
) -> Any:
    """A dataclass field with its description, inclusive bounds and liveness."""
    metadata = {"doc": doc, "low": low, "high": high, "choices": choices, "live": live}
    return field(default=default, metadata=metadata)


class Section:
    """A group of options; checks every value when it is made."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for f in dataclasses.fields(self):  # type: ignore[arg-type]
            if f.metadata:
                limits = {k: f.metadata[k] for k in ("low", "high", "choices")}
                value = check(f.name, getattr(self, f.name), hints[f.name], **limits)
                object.__setattr__(self, f.name, value)


def from_mapping(kind: type, values: Mapping[str, Any], prefix: str = "") -> Any:
    """A dataclass out of plain values, as YAML and JSON have them; its fields may nest.

    Args:
        prefix: of the keys in messages.

    Raises:
        ConfigError: a key is unknown (the valid ones are named), or a value is not of
            its field's type.
    """
    hints = get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]
    for key in values:
        if key not in names:
            accepted = "one of " + ", ".join(sorted(names))
            raise ConfigError(describe(f"{prefix}{key}", values[key], accepted))
    return kind(**{k: _converted(f"{prefix}{k}", hints[k], v) for k, v in values.items()})


def _converted(name: str, hint: Any, value: Any) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):  # of something and None
        (plain,) = (kind for kind in inner if kind is not type(None))
        return None if value is None else _converted(name, plain, value)
    if dataclasses.is_dataclass(hint):
        if type(value) is hint:
            return value
        return from_mapping(typing.cast(type, hint), check(name, value, dict), f"{name}.")
    if origin is tuple:
        values = check(name, list(value) if isinstance(value, tuple) else value, list)
        kinds = inner[:1] * len(values) if inner[-1:] == (...,) else inner
        if len(kinds) != len(values):
            raise ConfigError(describe(name, value, f"{len(kinds)} values"))
        return tuple(_converted(name, k, v) for k, v in zip(kinds, values, strict=True))
    return check(name, value, origin or hint)


def options(config: Any, prefix: str = "") -> dict[str, dataclasses.Field[Any]]:
    """Every option of a dataclass tree by its dotted key, in order of definition."""
    found: dict[str, dataclasses.Field[Any]] = {}
    for f in dataclasses.fields(config):
        key = f"{prefix}{f.name}"
        if f.metadata:
            found[key] = f
        else:
            found.update(options(getattr(config, f.name), f"{key}."))
    return found


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Every value of a dataclass tree by its dotted key."""
    values: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        key = f"{prefix}{f.name}"
        values.update({key: value} if f.metadata else flatten(value, f"{key}."))
    return values


def from_texts(config: Any, texts: Mapping[str, str]) -> dict[str, Any]:
    """Values of a command line by dotted key, in the types of the options.

    A text that does not read as its option's type, or an unknown key, stays as it
    is: `replace` names what is accepted.
    """
    defaults = flatten(config)
    return {key: _from_text(text, type(defaults.get(key, ""))) for key, text in texts.items()}


def _from_text(text: str, kind: type) -> Any:
    if kind is bool:
        return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
    try:
        return kind(text)
    except ValueError:
        return text


def replace(config: Any, changes: Mapping[str, Any]) -> Any:
    """A copy of a dataclass tree with the dotted keys of `changes` set.

    Raises:
        ConfigError: a key is unknown (the valid ones are named) or a value refused.
    """
    unknown = sorted(set(changes) - set(flatten(config)))
    if unknown:
        raise ConfigError(describe("key", unknown[0], ", ".join(flatten(config))))
    direct: dict[str, Any] = {}
    nested: dict[str, dict[str, Any]] = {}
    for key, value in changes.items():
        head, _, rest = key.partition(".")
        if rest:
            nested.setdefault(head, {})[rest] = value
        else:
            direct[head] = value
    for head, inner in nested.items():
        try:
            direct[head] = replace(getattr(config, head), inner)
        except ConfigError as error:
            raise ConfigError(f"{head}.{error}") from None
    return dataclasses.replace(config, **direct)
