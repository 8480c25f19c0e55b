"""A backend without a network: it draws the maps of joints that a function gives it.

Tests drive the pipeline with it, in their own process under the name "fake"
(`conftest.py`).  On a `coordinate_card` it knows which window it is shown, so that
a known person can be seen through any crop.  `standing_bundle` is for processes
that a test starts: a real network whose maps are always those of one person.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from vnect_ros.config import CropConfig
from vnect_ros.errors import BackendError
from vnect_ros.inference import bundles
from vnect_ros.inference.model import Model
from vnect_ros.records import Crop, Maps
from vnect_ros.skeleton import JOINT_NAMES, NUM_JOINTS

SIGMA_CELLS = 1.2
"""Standard deviation of the drawn joints [cells]."""
CARD_STEP_PX = 8
"""Pixels of a coordinate card that one grey level stands for: cards reach 2000 px."""


@dataclass(frozen=True)
class Seen:
    """What the network would see in one crop."""

    pixels_px: np.ndarray
    """[21, 2] of the input."""
    root_relative_m: np.ndarray
    """[21, 3] in the axes of the bundle's location_frame, the network's body size."""
    peaks: np.ndarray
    """[21] heights of the heatmaps' maxima; 0 for a joint that is not seen."""


class FakeBackend:
    """Draws maps of what `look` sees in each crop; see `inference.base.Backend`."""

    name = "fake"
    detail = ""

    def __init__(
        self, model: Model, look: Callable[[np.ndarray], Seen] | None = None, threads: int = 0
    ) -> None:
        """Take the function that sees joints in a crop [S, S, 3].

        Without one a person who stands in the middle is seen in every crop.
        """
        self.model = model
        self._look = look or (lambda image: standing(model))
        self._open = True

    def infer(
        self, images: Sequence[np.ndarray], gravities: Sequence[np.ndarray] | None = None
    ) -> list[Maps]:
        """Draw the maps of each crop; the way through the model's layout is the real one."""
        if not self._open:
            raise BackendError("fake: the backend is closed")
        return [self.draw(image) for image in images]

    def draw(self, image: np.ndarray) -> Maps:
        """The maps of one crop."""
        self.model.prepare(image)
        return self.model.maps(output_of(self.model, self._look(image)))

    def close(self) -> None:
        """Refuse further crops."""
        self._open = False


def output_of(model: Model, seen: Seen) -> np.ndarray:
    """[1, 84, h, w] float32: a network's output for that view, in the bundle's layout."""
    cells = (seen.pixels_px + 0.5) / model.stride_px - 0.5
    axis = np.arange(model.map_size)
    across = np.exp(-(((axis - cells[:, :1]) / SIGMA_CELLS) ** 2) / 2.0)
    down = np.exp(-(((axis - cells[:, 1:]) / SIGMA_CELLS) ** 2) / 2.0)
    heat = seen.peaks[:, None, None] * down[:, :, None] * across[:, None, :]
    groups = {"heatmap": heat * model.heatmap_peak}
    for name, values in zip("xyz", seen.root_relative_m.T / model.unit_m):
        groups[name] = np.broadcast_to(values[:, None, None], heat.shape)
    order = [JOINT_NAMES.index(name) for name in model.joints]
    output = np.concatenate([groups[name][order] for name in model.layout])
    return output[None].astype(np.float32)


STANDING_M = np.array(
    [
        (0.0, -0.68, 0.0), (0.0, -0.47, 0.0),
        (-0.18, -0.44, 0.0), (-0.22, -0.17, 0.0), (-0.24, 0.07, -0.05),
        (0.18, -0.44, 0.0), (0.22, -0.17, 0.0), (0.24, 0.07, -0.05),
        (-0.10, 0.02, 0.0), (-0.11, 0.45, 0.0), (-0.11, 0.84, 0.03),
        (0.10, 0.02, 0.0), (0.11, 0.45, 0.0), (0.11, 0.84, 0.03),
        (0.0, 0.0, 0.0), (0.0, -0.22, 0.0), (0.0, -0.56, -0.02),
        (-0.24, 0.15, -0.08), (0.24, 0.15, -0.08),
        (-0.12, 0.90, -0.12), (0.12, 0.90, -0.12),
    ]
)  # fmt: skip
"""[21, 3] root-relative [m]: a person who stands and faces the camera."""


def standing(model: Model) -> Seen:
    """The standing person in the middle of a crop, as large as tracking frames one."""
    flat = STANDING_M[:, :2]
    middle = (flat.min(axis=0) + flat.max(axis=0)) / 2.0
    scale = model.input_size / CropConfig().margin / (flat.max(axis=0) - flat.min(axis=0)).max()
    pixels = (flat - middle) * scale + (model.input_size - 1.0) / 2.0
    return Seen(pixels, STANDING_M.copy(), np.ones(NUM_JOINTS))


def standing_bundle(folder: Path, input_size: int = 224) -> Model:
    """A bundle whose ONNX network gives the maps of `standing` for every crop."""
    onnx = pytest.importorskip("onnx", reason="a network is written")
    from onnx import TensorProto, helper, numpy_helper

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "model.onnx"
    file.write_bytes(b"to be written")
    fields = {"licence": "CC0-1.0", "input_size": input_size, "mean": (0.5,) * 3}
    model = bundles.write_bundle(folder, {"fp32": file}, std=(0.25,) * 3, **fields)
    maps = output_of(model, standing(model))
    constants = {"person": maps, "nothing": np.float32(0.0)}
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"]),
        helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
        helper.make_node("Add", ["person", "zero"], ["maps"]),
    ]
    graph = helper.make_graph(
        nodes,
        "standing",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, input_size, input_size])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, maps.shape)],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    network = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(network, str(file))
    return bundles.write_bundle(folder, {"fp32": file}, std=(0.25,) * 3, **fields)


def coordinate_card(width: int, height: int) -> np.ndarray:
    """[H, W, 3] uint8 image whose colours say where each pixel is.

    Dithered, so that a fit over many pixels tells more than the grey levels.
    """
    dither = np.random.default_rng(0).uniform(-0.5, 0.5, (2, height, width))
    x = np.arange(width) / CARD_STEP_PX + 1.0 + dither[0]
    y = np.arange(height)[:, None] / CARD_STEP_PX + 1.0 + dither[1]
    planes = np.stack([x, y, np.full((height, width), 255.0)], axis=2)
    return planes.round().clip(0, 255).astype(np.uint8)


def read_card(image: np.ndarray) -> Crop | None:
    """The window of a coordinate card that a crop [S, S, 3] shows, to a fraction of a pixel."""
    size = image.shape[0]
    rows, columns = (2 * i for i in np.nonzero(image[::2, ::2, 2] == 255))
    if len(rows) < 16:
        return None
    red, green = ((image[rows, columns, c] - 1.0) * CARD_STEP_PX for c in (0, 1))
    ones = np.ones(len(rows))
    (scale_x, left), *_ = np.linalg.lstsq(np.stack([columns + 0.5, ones], 1), red + 0.5, rcond=None)
    (scale_y, top), *_ = np.linalg.lstsq(np.stack([rows + 0.5, ones], 1), green + 0.5, rcond=None)
    return Crop(float(left), float(top), float(scale_x + scale_y) / 2.0 * size, size)
