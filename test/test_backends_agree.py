"""Every shipped bundle gives the same joints on every CPU backend, on pictures of people."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from vnect_ros import inference
from vnect_ros.cli import _pictures
from vnect_ros.config import DecodeConfig
from vnect_ros.inference import bundles
from vnect_ros.learning.export.compare import difference, person_crops
from vnect_ros.perception.reading import read

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).resolve().parents[1]
BUNDLES = sorted(p.parent for p in (ROOT / "models").glob("*/bundle.json"))
LIMITS = {"fp32": (0.5, 5.0), "fp16": (0.5, 5.0), "int8": (1.2, 12.0)}
"""Mean distance of a joint from the fp32 file in ONNX Runtime: px of a crop of 192 px, mm."""
RUNTIMES = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            importlib.util.find_spec(name) is None, reason=f"{name} is not installed"
        ),
    )
    for name in ("onnxruntime", "openvino")
]


def pictures(size: int) -> list[np.ndarray]:
    """50 crops of the bundled clip, and 50 photographs where a folder of them lies beside."""
    crops = []
    clip = ROOT / "assets" / "demo.mp4"
    if clip.is_file():
        crops += _pictures.clip_crops(size, 50)
    photographs = ROOT.parent / "shared" / "data" / "lspet" / "lspet_224.tar"
    if photographs.is_file():
        crops += photographs_of(photographs, size, 50)
    return crops


def photographs_of(archive: Path, size: int, count: int) -> list[np.ndarray]:
    import tarfile
    import tempfile

    with tarfile.open(archive) as tar, tempfile.TemporaryDirectory() as scratch:
        members = [m for i, m in enumerate(tar.getmembers()) if i % 20 == 7][:count]
        for member in members:
            content = tar.extractfile(member)
            (Path(scratch) / Path(member.name).name).write_bytes(content.read())
        return person_crops(scratch, size, count)


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda p: p.name)
def bundle(request):
    pytest.importorskip("onnxruntime", reason="the reference is ONNX Runtime")
    model = bundles.load(request.param, "fp32")
    crops = pictures(model.input_size)
    if not crops:
        pytest.skip("there are no pictures: neither assets/demo.mp4 nor a folder of photographs")
    reference = inference.create(model, "onnxruntime", threads=1)
    readings = [read(reference.infer([crop])[0], model.confidence_curve) for crop in crops]
    least = DecodeConfig().min_confidence
    seen = sum(int((r.confidence >= least).sum()) for r in readings)
    assert seen > 5 * len(crops), "it sees nobody"
    return request.param, crops, readings


@pytest.mark.parametrize("precision", bundles.PRECISIONS)
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_joints_are_the_same(bundle, runtime, precision) -> None:
    folder, crops, expected = bundle
    if precision not in bundles.load(folder).precisions:
        pytest.skip(f"{folder.name} ships no {precision}")
    model = bundles.load(folder, precision)
    backend = inference.create(model, runtime, threads=1)
    got = [read(backend.infer([crop])[0], model.confidence_curve) for crop in crops]
    backend.close()
    far = difference(expected, got)
    px, mm = LIMITS[precision]
    assert far.joints > 5 * len(crops)
    assert far.mean_px * 192 / model.input_size <= px and far.mean_mm <= mm, far
