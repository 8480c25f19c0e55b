"""The shipped network before images that show nobody: nobody is made of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the shipped model needs a runtime")
from vnect_ros import inference
from vnect_ros.camera import Camera
from vnect_ros.config import PipelineConfig
from vnect_ros.inference import bundles
from vnect_ros.pipeline import Pipeline
from vnect_ros.records import Frame, State

WIDTH, HEIGHT = 320, 240
CAMERA = Camera.from_field_of_view(WIDTH, HEIGHT, 54.0)


@pytest.fixture(scope="module")
def backend():
    if "vnect_lite" not in bundles.available():
        pytest.skip("no model is shipped with this checkout")
    made = inference.create(bundles.load("vnect_lite"), "onnxruntime", threads=1)
    yield made
    made.close()


def black(random):
    return np.zeros((HEIGHT, WIDTH, 3), np.uint8)


def overexposed(random):
    return np.full((HEIGHT, WIDTH, 3), 255, np.uint8)


def noise(random):
    return random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def blobs(random):
    coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def stripes(random):
    phase = random.uniform(0.0, 6.0)
    wave = 127.5 + 127.5 * np.sin(np.arange(WIDTH) / 9.0 + phase)
    return np.broadcast_to(wave[None, :, None], (HEIGHT, WIDTH, 3)).astype(np.uint8)


@pytest.mark.parametrize("scenery", [black, overexposed, noise, blobs, stripes])
def test_nobody_is_seen_where_nobody_is(backend, scenery):
    pipeline = Pipeline(PipelineConfig(), backend)
    random = np.random.default_rng(1)
    states = []
    for i in range(15):
        poses = pipeline.step(Frame(scenery(random), CAMERA, i / 30.0))
        states += [pose.state for pose in poses]
    assert State.MEASURED not in states
