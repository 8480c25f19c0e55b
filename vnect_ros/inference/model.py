"""What a bundle declares of its network, and the two conversions that follow from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vnect_ros.errors import ModelError, describe
from vnect_ros.records import Maps
from vnect_ros.skeleton import JOINT_NAMES, NUM_JOINTS

MAP_GROUPS = ("heatmap", "x", "y", "z")

Curve = tuple[tuple[float, float], ...]
"""Rising (output, probability) pairs, straight in between."""
IDENTITY: Curve = ((0.0, 0.0), (1.0, 1.0))


@dataclass(frozen=True)
class Model:
    """What a bundle declares, and the two conversions that follow from it."""

    name: str
    folder: Path
    licence: str
    """Of the weights: an SPDX expression or a name."""
    precision: str
    """The one that was loaded: "fp32", "fp16" or "int8"."""
    file: Path
    """The network of that precision, its checksum verified."""
    sha256: str
    input_size: int
    """Edge of the square input [px]."""
    colour_order: str
    """Order of the input's channels: "RGB" or "BGR"."""
    mean: tuple[float, float, float]
    """Subtracted from value / 255, in the order of the input's channels."""
    std: tuple[float, float, float]
    """Divided by after that, likewise."""
    stride_px: int
    """Input pixels a cell of the maps stands for."""
    joints: tuple[str, ...]
    """Names of the 21 channels of each group, in the network's order."""
    layout: tuple[str, ...]
    """Order of the four groups of channels."""
    heatmap_peak: float
    """Value of the heatmap at a joint that is surely seen."""
    unit_m: float
    """Metres one unit of the location maps stands for."""
    location_frame: str
    """Axes of the location maps: "crop_ray" (of a camera that looks through the
    centre of the crop) or "camera" (of the camera itself)."""
    confidence_curve: Curve
    """Rising (heatmap peak, probability that the joint is right) pairs."""
    training: Mapping[str, Any]
    """How the weights came to be: free-form, for people."""
    precisions: tuple[str, ...]
    """Those the bundle has files for."""
    position_std_m: tuple[float, float] = (0.0, 0.0)
    """Standard deviation of a fitted joint across and along the viewing direction that
    no single sequence shows: the network's lasting errors, measured on held-out clips."""
    gravity_input: str = ""
    """Name of the input [1, 3] that takes the direction of gravity; "" if there is none."""
    presence_output: str = ""
    """Name of the output for the presence of a person, one number; "" if there is none."""
    presence_curve: Curve = IDENTITY
    """Rising (that number, probability of a person) pairs."""
    presence_threshold: float = 0.5
    """Probability from which a crop counts as one of a person who was not tracked before."""

    @property
    def guesses_hidden_joints(self) -> bool:
        """Whether the locations of a joint out of sight are its likely ones, from the others.

        A lifter, which takes gravity, gives that; location maps are undefined away from a joint.
        """
        return bool(self.gravity_input)

    @property
    def map_size(self) -> int:
        """Edge of the maps [cells]."""
        return self.input_size // self.stride_px

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """The network's input for one crop.

        Args:
            image: [S, S, 3] uint8 RGB, S = input_size.

        Returns:
            [1, 3, S, S] float32, contiguous.

        Raises:
            ModelError: the image has another shape or type.
        """
        shape = (self.input_size, self.input_size, 3)
        if image.shape != shape or image.dtype != np.uint8:
            got = f"{image.dtype} {image.shape}"
            raise ModelError(describe(f"{self.name}: image", got, f"uint8 {shape}"))
        if self.colour_order == "BGR":
            image = image[:, :, ::-1]
        scale = 1.0 / (255.0 * np.array(self.std))
        offset = -np.array(self.mean) / np.array(self.std)
        planes = image.transpose(2, 0, 1)[None]
        prepared = np.empty(planes.shape, np.float32)
        np.multiply(planes, scale.astype(np.float32)[:, None, None], out=prepared)
        prepared += offset.astype(np.float32)[:, None, None]
        return prepared

    def maps(
        self, output: np.ndarray | Sequence[np.ndarray], presence: np.ndarray | None = None
    ) -> Maps:
        """Read the network's output.

        Args:
            output: [1, 84, h, w] floats, h = w = map_size; or its parts along the channels,
                each of whole groups: one that is the same in every cell may be [1, C, 1, 1].
            presence: the presence output, one number, of a bundle that declares it.

        Returns:
            The maps; of what is the same in every cell a view, not to be written to.

        Raises:
            ModelError: an output has another shape, or is not finite.
        """
        groups = self._groups([output] if isinstance(output, np.ndarray) else output)
        heatmap, *xyz = (groups[self.layout.index(name)] for name in MAP_GROUPS)
        if len({group.shape for group in xyz}) > 1:
            xyz = [self._spread(group) for group in xyz]
        heatmap = self._spread(heatmap)
        if self.heatmap_peak != 1.0:
            heatmap = heatmap / np.float32(self.heatmap_peak)
        return Maps(
            heatmaps=heatmap,
            locations_m=self._spread(np.array(xyz) * np.float32(self.unit_m)),
            stride_px=float(self.stride_px),
            presence=self._presence(presence),
        )

    def _spread(self, maps: np.ndarray) -> np.ndarray:
        """Maps [..., h, w] of those or of [..., 1, 1], as a view."""
        cells = (self.map_size, self.map_size)
        return maps if maps.shape[-2:] == cells else np.broadcast_to(maps, maps.shape[:-2] + cells)

    def _groups(self, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The four groups of maps in the network's order, our joints in each.

        [21, h, w] float32, or [21, 1, 1] of what is the same in every cell.
        """
        cells = (self.map_size, self.map_size)
        known = all(
            p.ndim == 4 and p.shape[0] == 1 and p.shape[1] % NUM_JOINTS == 0
            and p.shape[2:] in (cells, (1, 1))
            for p in parts
        )  # fmt: skip
        if not known or sum(p.shape[1] for p in parts) != 4 * NUM_JOINTS:
            got = parts[0].shape if len(parts) == 1 else [part.shape for part in parts]
            accepted = str((1, 4 * NUM_JOINTS, *cells))
            raise ModelError(describe(f"{self.name}: output", got, accepted))
        if not all(np.isfinite(part).all() for part in parts):
            raise ModelError(describe(f"{self.name}: output", "NaN or infinity", "finite numbers"))
        groups = [
            group.astype(np.float32, copy=False)
            for part in parts
            for group in part.reshape(-1, NUM_JOINTS, *part.shape[2:])
        ]
        if self.joints != JOINT_NAMES:
            order = [self.joints.index(name) for name in JOINT_NAMES]
            groups = [group[order] for group in groups]
        return groups

    def _presence(self, output: np.ndarray | None) -> float:
        """The probability of a person; NaN without that output."""
        if output is None:
            return math.nan
        if output.size != 1 or not np.isfinite(output).all():
            got = f"{output.shape} {output.ravel()[:3]}"
            raise ModelError(describe(f"{self.name}: presence", got, "one finite number"))
        return float(np.interp(output.item(), *self._presence_points))

    @cached_property
    def _presence_points(self) -> np.ndarray:
        return np.transpose(self.presence_curve)
