"""The data sets by name, as the recipe's YAML names them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from vnect_ros.datasets.sample import Sample
from vnect_ros.datasets.shards import Shards, as_sample
from vnect_ros.errors import ConfigError, describe
from vnect_ros.learning.config import SourceConfig, TrainConfig
from vnect_ros.learning.mixture import Mixture, Source


class Rendered:
    """Pre-rendered synthetic people; shards that appear later join at `refresh`.

    Args:
        folder: of shards.
        split: prefix of their names.
        limit: use no more than so many; 0 for all.
    """

    def __init__(self, folder: str, split: str = "train", limit: int = 0) -> None:
        self._shards = Shards(Path(folder), split)
        self._limit = limit

    def refresh(self) -> None:
        """Take in what has been rendered since."""
        self._shards.refresh()

    def __len__(self) -> int:
        return min(len(self._shards), self._limit) if self._limit else len(self._shards)

    def __getitem__(self, i: int) -> Sample:
        return as_sample(self._shards[i])


def _reader(module: str, name: str = "stills") -> Callable[..., Source]:
    """The reader of a data set, imported when it is asked for."""

    def read(**options: Any) -> Source:
        found = import_module(f"vnect_ros.datasets.{module}")
        source: Source = getattr(found, name)(**options)
        return source

    return read


READERS: dict[str, Callable[..., Source]] = {
    "lspet": _reader("lspet", "Lspet"),
    "people": _reader("people", "People"),
    "nobody": _reader("windows", "Nobody"),
    "beside_people": _reader("windows", "BesidePeople"),
    "rendered": Rendered,
    "mpi_inf_3dhp": _reader("mpi_inf_3dhp"),
    "human36m": _reader("human36m"),
    "mpii": _reader("mpii"),
}


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


def of_recipe(config: TrainConfig) -> Mixture:
    """The stream of samples that a recipe names."""
    return Mixture(
        [open_source(s) for s in config.sources],
        [s.share for s in config.sources],
        [replace(config.augmentation, **s.augmentation) for s in config.sources],
        config.size,
        config.seed,
    )
