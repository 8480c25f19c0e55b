"""The recipe of a training: one frozen dataclass, read from YAML."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vnect_ros import options
from vnect_ros.errors import ConfigError, describe
from vnect_ros.learning.augmentation import Augmentation
from vnect_ros.learning.losses import LossWeights


@dataclass(frozen=True)
class SourceConfig:
    """One data set and its part in the mixture."""

    kind: str
    """A reader of `sources.READERS`."""
    share: float = 1.0
    """Of the samples of a batch, relative to the other sources."""
    options: dict[str, Any] = field(default_factory=dict)
    """What the reader takes (folders and so on)."""
    augmentation: dict[str, Any] = field(default_factory=dict)
    """What differs from the recipe's augmentation for this set."""

    def __post_init__(self) -> None:
        options.from_mapping(Augmentation, self.augmentation, "sources.augmentation.")


@dataclass(frozen=True)
class PoseConfig:
    """Poses without images, for the lifter (`learning.poses`)."""

    motion: str = ""
    """npz of motion clips; "" for poses from joint angles alone."""
    count: int = 20000
    """Poses to draw from."""
    batch: int = 256
    """Views of them a step."""
    start_from: str = ""
    """Float32 ONNX file of a bundle whose lifter of poses to start from; "" for none."""
    first_steps: int = 0
    """Steps from poses alone before the first image: a hundred times as quick as with images."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything a training depends on; the defaults are the recipe's."""

    network: str = "vnect_lite"
    network_options: dict[str, Any] = field(default_factory=dict)
    movenet: str = ""
    """ONNX file of the MoveNet whose trunk and keypoints to start from; "" for none."""
    start_from: str = ""
    """Checkpoint whose averaged weights to start from, or the float32 ONNX file of a
    bundle on MoveNet's trunk; "" for none."""
    trunk_held: float = 0.0
    """Share of the training, from its start, in which the trunk does not learn."""
    held_blocks: int = 0
    """So many blocks from the trunk's start never learn: half of a step's time is theirs."""
    size: int = 192
    """Edge of the input [px]."""
    poses: PoseConfig | None = None
    """What the lifter learns from besides images."""
    sources: tuple[SourceConfig, ...] = ()
    validation: tuple[SourceConfig, ...] = ()
    batch: int = 32
    """Samples a step, over all processes."""
    steps: int = 0
    """Length of the training; 0 takes it from `budget_minutes`."""
    budget_minutes: float = 0.0
    """Length of the training on the clock [min], where `steps` is 0."""
    rate: float = 1.2e-3
    """Peak learning rate."""
    trunk_rate_share: float = 0.05
    """Learning rate of the trunk relative to the head's."""
    final_rate_share: float = 0.01
    """Learning rate at the end, relative to the peak."""
    warm_up_steps: int = 100
    weight_decay: float = 0.02
    clip_norm: float = 20.0
    average_decay: float = 0.998
    """Of the exponential moving average of the weights."""
    bfloat16: bool = True
    device: str = "cpu"
    processes: int = 1
    """Processes that share each batch, one thread each (CPU)."""
    loaders: int = 0
    """Processes that make the batches (for a GPU); 0: a thread beside the training."""
    seed: int = 1
    validate_minutes: float = 8.0
    checkpoint_minutes: float = 5.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    losses: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        for name in ("batch", "processes", "size"):
            if getattr(self, name) < 1:
                raise ConfigError(describe(name, getattr(self, name), "at least 1"))
        if self.steps <= 0 and self.budget_minutes <= 0:
            raise ConfigError(describe("steps", self.steps, "positive, unless budget_minutes is"))
        if self.batch % self.processes:
            raise ConfigError(describe("batch", self.batch, "a multiple of processes"))
        grid = 16 if self.network == "vnect" else 32
        if self.size % grid:
            raise ConfigError(describe("size", self.size, f"a multiple of {grid}"))


def from_mapping(values: Mapping[str, Any]) -> TrainConfig:
    """Build a recipe from plain values.

    Raises:
        ConfigError: An unknown key or a value out of its range.
    """
    made: TrainConfig = options.from_mapping(TrainConfig, values)
    return made


_PLACE = re.compile(r"\$\{(\w+)\}")


def _fill(value: Any, places: Mapping[str, str], where: str = "") -> Any:
    """Replace `${NAME}` in every string by the place of that name."""
    if isinstance(value, Mapping):
        return {k: _fill(v, places, f"{where}{k}.") for k, v in value.items()}
    if isinstance(value, list):
        return [_fill(v, places, where) for v in value]
    if not isinstance(value, str):
        return value
    for name in _PLACE.findall(value):
        if name not in places:
            accepted = f"with --data {name}=PATH or the environment variable {name}"
            raise ConfigError(describe(where.rstrip("."), value, accepted))
    return _PLACE.sub(lambda m: places[m.group(1)], value)


def load(file: str | Path, places: Mapping[str, str] | None = None) -> TrainConfig:
    """Read a recipe from a YAML file.

    Args:
        file: the recipe.
        places: what `${NAME}` in the recipe stands for, besides environment variables.

    Raises:
        ConfigError: not readable, an unknown key, a value out of its range, or a
            name without a place.
    """
    import yaml

    try:
        values = yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"recipe {file}: {error}") from error
    if not isinstance(values, Mapping):
        raise ConfigError(describe(f"recipe {file}", values, "a mapping of options"))
    return from_mapping(_fill(values, {**os.environ, **(places or {})}))


def to_mapping(config: TrainConfig) -> dict[str, Any]:
    """The recipe as plain values, as it is kept in checkpoints."""
    return dataclasses.asdict(config)
