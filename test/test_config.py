"""Configuration: bounds hold, keys derive from fields, refusals name what is accepted."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from vnect_ros import config, options
from vnect_ros.config import CropConfig, FitConfig, ModelConfig, PipelineConfig
from vnect_ros.errors import ConfigError


def test_every_option_has_a_description_and_a_default_within_its_bounds():
    for section in (PipelineConfig(), ModelConfig(), config.CameraConfig()):
        for key, field in config.options(section).items():
            assert field.metadata["doc"], key
            assert type(field.default) in (bool, int, float, str), key
            low, high = field.metadata["low"], field.metadata["high"]
            if type(field.default) in (int, float):
                assert low is not None and high is not None and low <= field.default <= high, key


def test_keys_are_dotted_and_unique():
    flat = config.flatten(PipelineConfig())
    assert flat["crop.margin"] == CropConfig().margin
    assert flat["fit.person_height"] == FitConfig().person_height
    assert list(flat) == list(config.options(PipelineConfig()))


def test_replace_changes_only_what_it_is_told():
    changed = config.replace(PipelineConfig(), {"crop.margin": 1.3, "fit.max_iterations": 3})
    before, after = config.flatten(PipelineConfig()), config.flatten(changed)
    assert {k for k in before if before[k] != after[k]} == {"crop.margin", "fit.max_iterations"}
    assert config.replace(changed, {}) == changed
    with pytest.raises(dataclasses.FrozenInstanceError):
        changed.crop.margin = 2.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop.margn": 1.0}, "key: got 'crop.margn', accepted: crop.margin, "),
        ({"crop.margin": 0.5}, "crop.margin: got 0.5, accepted: at least 1"),
        ({"crop.momentum": 1.0}, "crop.momentum: got 1.0, accepted: at most 0.99"),
        ({"crop.margin": float("nan")}, "crop.margin: got nan, accepted: a finite number"),
        ({"crop.multi_scale": 1}, "crop.multi_scale: got 1, accepted: true or false"),
        ({"crop.search_scales": 2.5}, "crop.search_scales: got 2.5, accepted: an integer"),
        ({"crop.search_scales": True}, "crop.search_scales: got True, accepted: an integer"),
    ],
)
def test_refusals(changes, message):
    with pytest.raises(ConfigError) as refused:
        config.replace(PipelineConfig(), changes)
    assert str(refused.value).startswith(message)


def test_whole_numbers_are_floats_where_floats_are_wanted():
    margin = config.replace(PipelineConfig(), {"crop.margin": 2}).crop.margin
    assert margin == 2.0 and type(margin) is float


def test_choices():
    @dataclasses.dataclass(frozen=True)
    class Chosen(config.Section):
        mode: str = config.option("a", "One of two", choices=("a", "b"))

    assert Chosen(mode="b").mode == "b"
    with pytest.raises(ConfigError, match="mode: got 'c', accepted: one of a, b"):
        Chosen(mode="c")


@dataclasses.dataclass(frozen=True)
class Inner:
    share: float = 1.0
    names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Outer:
    count: int = 1
    scale: tuple[float, float] = (0.5, 2.0)
    inner: Inner = Inner()
    several: tuple[Inner, ...] = ()
    perhaps: Inner | None = None
    free: dict[str, Any] = dataclasses.field(default_factory=dict)


def test_plain_values_become_nested_dataclasses():
    values = {
        "count": 3, "scale": [1, 2.5], "inner": {"share": 2, "names": ["a"]},
        "several": [{"share": 0.5}, {}], "perhaps": {}, "free": {"any": [1, "b"]},
    }  # fmt: skip
    made = options.from_mapping(Outer, values)
    assert made == Outer(
        3, (1.0, 2.5), Inner(2.0, ("a",)), (Inner(0.5), Inner()), Inner(), {"any": [1, "b"]}
    )
    assert type(made.scale[0]) is float
    assert options.from_mapping(Outer, {"perhaps": None}) == Outer()
    again = {f.name: getattr(made, f.name) for f in dataclasses.fields(made)}
    assert options.from_mapping(Outer, again) == made


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cuont": 1}, "at.cuont: got 1, accepted: one of count, free, inner, "),
        ({"count": 1.5}, "at.count: got 1.5, accepted: an integer"),
        ({"count": "3"}, "at.count: got '3', accepted: an integer"),
        ({"scale": [1.0]}, r"at.scale: got [1.0], accepted: 2 values"),
        ({"scale": 1.0}, "at.scale: got 1.0, accepted: an array"),
        ({"inner": {"share": "much"}}, "at.inner.share: got 'much', accepted: a number"),
        ({"inner": {"names": [3]}}, "at.inner.names: got 3, accepted: a string"),
        ({"several": [{"sahre": 1}]}, "at.several.sahre: got 1, accepted: one of names, share"),
        ({"perhaps": 3}, "at.perhaps: got 3, accepted: an object"),
        ({"free": []}, "at.free: got [], accepted: an object"),
    ],
)
def test_plain_values_of_another_type_are_refused_by_name(values, message):
    with pytest.raises(ConfigError) as refused:
        options.from_mapping(Outer, values, "at.")
    assert str(refused.value).startswith(message)
