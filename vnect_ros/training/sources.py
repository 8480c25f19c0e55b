"""The data sets by name, as the recipe's YAML names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vnect_ros.errors import ConfigError, describe
from vnect_ros.training.config import SourceConfig
from vnect_ros.training.mixture import Source


def _lspet(**options: Any) -> Source:
    from vnect_ros.training.lspet import Lspet

    return Lspet(**options)


READERS: dict[str, Callable[..., Source]] = {"lspet": _lspet}


def open_source(config: SourceConfig) -> Source:
    """Open the data set a recipe names.

    Raises:
        ConfigError: There is no reader of that kind, or it refuses the options.
    """
    if config.kind not in READERS:
        raise ConfigError(describe("kind", config.kind, ", ".join(READERS)))
    try:
        return READERS[config.kind](**config.options)
    except TypeError as error:
        raise ConfigError(f"sources.options of {config.kind}: {error}") from error
