"""Shards: what is written comes back, in order, and grows while it is read."""

import numpy as np
import pytest

from vnect_ros.datasets.shards import LABELS, Shards, ShardWriter
from vnect_ros.errors import ConfigError


def make_sample(seed: int) -> dict:
    rng = np.random.default_rng(seed)
    sample = {k: np.asarray(rng.normal(size=shape) * 9, t) for k, (shape, t) in LABELS.items()}
    ramp = np.linspace(0, 200, 64)[None, :, None] + np.array([0, 20, 55])
    sample["image"] = np.broadcast_to(ramp, (64, 64, 3)).astype(np.uint8)
    return sample


def test_round_trip_over_several_shards(tmp_path):
    samples = [make_sample(i) for i in range(7)]
    writer = ShardWriter(tmp_path, "train", size=3)
    for sample in samples:
        writer.add(sample)
    writer.flush()
    shards = Shards(tmp_path, "train")
    assert len(shards) == 7
    assert len(list(tmp_path.glob("*.npz"))) == 3
    for i, sample in enumerate(samples):
        read = shards[i]
        for key in LABELS:
            np.testing.assert_array_equal(read[key], sample[key])
        difference = read["image"].astype(int) - sample["image"]
        assert np.abs(difference).max() < 12, "JPEG loses little, and colours keep their order"
    np.testing.assert_array_equal(shards[-1]["joints_px"], samples[-1]["joints_px"])
    np.testing.assert_array_equal(shards.label("seed"), [s["seed"] for s in samples])


def test_later_shards_are_taken_in(tmp_path):
    writer = ShardWriter(tmp_path, "train", size=2)
    for i in range(2):
        writer.add(make_sample(i))
    shards = Shards(tmp_path, "train")
    writer.add(make_sample(2))
    assert shards.refresh() == 2, "a shard that is not full yet is not to be seen"
    writer.flush()
    assert shards.refresh() == 3
    np.testing.assert_array_equal(shards[2]["joints_m"], make_sample(2)["joints_m"])


def test_refusals(tmp_path):
    with pytest.raises(ConfigError, match="train_0000"):
        Shards(tmp_path, "train")
    with pytest.raises(ConfigError, match="joints_m"):
        sample = make_sample(0)
        del sample["joints_m"]
        ShardWriter(tmp_path, "train").add(sample)
    writer = ShardWriter(tmp_path, "train", size=1)
    writer.add(make_sample(0))
    with pytest.raises(IndexError):
        Shards(tmp_path, "train")[1]
