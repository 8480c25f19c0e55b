"""Fields of a JSON object, each checked as it is read."""

from __future__ import annotations

from typing import Any

from vnect_ros.errors import ModelError, describe
from vnect_ros.options import check


class Fields:
    """The fields of one JSON object; a ModelError names the field by its dotted key."""

    def __init__(self, where: str, values: object, prefix: str = "") -> None:
        if not isinstance(values, dict):
            raise ModelError(describe(f"{where}: {prefix or 'content'}", values, "an object"))
        self.where, self.values, self.prefix = where, values, prefix

    def refusal(self, key: str, value: object, accepted: str) -> ModelError:
        """The error to raise for a field."""
        return ModelError(describe(f"{self.where}: {self.prefix}{key}", value, accepted))

    def get(self, key: str, kind: type, **limits: Any) -> Any:
        """A field of that type, within the limits of `options.check`."""
        name = f"{self.where}: {self.prefix}{key}"
        return check(name, self.values.get(key), kind, error=ModelError, **limits)

    def inner(self, key: str) -> Fields:
        """A field that is an object."""
        return Fields(self.where, self.get(key, dict), f"{self.prefix}{key}.")

    def text(self, key: str) -> str:
        """A string that is not empty."""
        value: str = self.get(key, str)
        if not value:
            raise self.refusal(key, value, "a string that is not empty")
        return value

    def triple(self, key: str, low: float, high: float) -> tuple[float, float, float]:
        """Three numbers, each within inclusive bounds."""
        values = self.get(key, list)
        numbers = [v for v in values if type(v) in (int, float) and low <= v <= high]
        if len(values) != 3 or len(numbers) != 3:
            raise self.refusal(key, values, f"three numbers, each {low:g} to {high:g}")
        return float(numbers[0]), float(numbers[1]), float(numbers[2])

    def permutation(self, key: str, accepted: tuple[str, ...]) -> tuple[str, ...]:
        """All the accepted strings, each once, in any order."""
        values = self.get(key, list)
        if len(values) != len(accepted) or {str(v) for v in values} != set(accepted):
            raise self.refusal(key, values, "each once: " + ", ".join(accepted))
        return tuple(values)
