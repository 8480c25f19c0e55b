"""The job for a lent GPU, run on the CPU for two steps: data in, weights out, in parts."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

import training_fixtures as made  # noqa: E402

from vnect_ros.datasets.shards import LABELS, ShardWriter  # noqa: E402
from vnect_ros.errors import VnectError  # noqa: E402
from vnect_ros.learning import checkpoints, job  # noqa: E402
from vnect_ros.learning.sources import Rendered  # noqa: E402
from vnect_ros.skeleton import NUM_JOINTS  # noqa: E402

ROOT = Path(__file__).parent.parent
RECIPE = """
network: vnect_lite
network_options: {width: 16}
size: 64
batch: 2
steps: 2
bfloat16: true
fast_depthwise: false
device: cuda
loaders: 1
sources:
  - kind: lspet
    options: {folder: "${DATA}/lspet", images: "${DATA}/lspet/images"}
  - kind: rendered
    options: {folder: "${SYNTHETIC}"}
    augmentation: {colour: 0.2}
"""


def write_shards(folder: Path, count: int = 6) -> None:
    rng = np.random.default_rng(0)
    writer = ShardWriter(folder, "train", size=4)
    for seed in range(count):
        joints_m = made.body(rng)
        joints_px = joints_m[:, :2] * 40 + 48
        label = {key: np.zeros(shape, dtype) for key, (shape, dtype) in LABELS.items()}
        label |= {
            "joints_px": joints_px,
            "joints_m": joints_m,
            "visible": np.ones(NUM_JOINTS),
            "weight_3d": np.ones(NUM_JOINTS),
            "k_crop": np.diag([300.0, 300.0, 1.0]),
            "seed": seed,
        }
        writer.add(label | {"image": made.picture(joints_px, 96, 96, seed)})
    writer.flush()


def script():
    spec = importlib.util.spec_from_file_location("train_gpu", ROOT / "scripts" / "train_gpu.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pack_run_join(tmp_path, capsys):
    folder = made.write_lspet(tmp_path / "lspet", 12)
    tool = script()
    parts, out = str(tmp_path / "parts"), tmp_path / "out"
    assert tool.main(["pack", str(folder), "--out", parts, "--limit-mib", "0.01"]) == 0
    files = sorted(Path(parts).glob("*.part"))
    assert len(files) > 1 and max(f.stat().st_size for f in files) <= 0.01 * 2**20
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    write_shards(out / "synthetic")
    given = ["run", str(recipe), "--parts", parts, "--out", str(out)]
    assert tool.main([*given, "--device", "cpu", "--renderers", "0"]) == 0
    joined = tmp_path / "new.pt"
    assert tool.main(["join", "--parts", str(out / "weights"), "--out", str(joined)]) == 0
    before, _ = checkpoints.load(out / "run" / "latest.pt")
    after, meta = checkpoints.load(joined)
    assert meta["step"] == 2
    for name, value in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], value, rtol=1e-3, atol=1e-6)


def test_weights_of_any_size_come_in_parts(tmp_path):
    data = np.random.default_rng(0).bytes(100_000)
    files = job.write_parts(data, tmp_path, "weights", 0.03, {"step": 7})
    assert len(files) == 4
    assert job.read_parts(tmp_path) == (data, {"step": 7})
    files[2].write_bytes(b"x")
    with pytest.raises(VnectError, match="weights_002"):
        job.read_parts(tmp_path)


def test_a_renderer_that_fails_says_why(tmp_path):
    renderers = job.Renderers(tmp_path, 1, ["--no-such-option"])
    try:
        with pytest.raises(VnectError, match="no-such-option"):
            renderers.wait_for_shard(60.0)
    finally:
        renderers.close()


def test_rendered_samples_and_those_that_come_later(tmp_path):
    write_shards(tmp_path)
    data = Rendered(str(tmp_path))
    assert len(data) == 6 and data[0].focal_px == 300.0 and data[0].image.shape == (96, 96, 3)
    writer = ShardWriter(tmp_path, "train", size=4, first=2)
    writer.add({**{k: np.zeros(s, t) for k, (s, t) in LABELS.items()}, "image": data[0].image})
    writer.flush()
    data.refresh()
    assert len(data) == 7
