"""What a bundle declares of its network, and the two conversions that follow from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
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

    def maps(self, output: np.ndarray, presence: np.ndarray | None = None) -> Maps:
        """Read the network's output.

        Args:
            output: [1, 84, h, w] floats, h = w = map_size.
            presence: the presence output, one number, of a bundle that declares it.

        Raises:
            ModelError: an output has another shape, or is not finite.
        """
        shape = (1, 4 * NUM_JOINTS, self.map_size, self.map_size)
        if output.shape != shape:
            raise ModelError(describe(f"{self.name}: output", output.shape, str(shape)))
        if not np.isfinite(output).all():
            raise ModelError(describe(f"{self.name}: output", "NaN or infinity", "finite numbers"))
        groups = output.reshape(4, NUM_JOINTS, *shape[2:]).astype(np.float32, copy=False)
        if self.joints != JOINT_NAMES:
            groups = groups[:, [self.joints.index(name) for name in JOINT_NAMES]]
        heatmap, *xyz = (self.layout.index(name) for name in MAP_GROUPS)
        return Maps(
            heatmaps=groups[heatmap] / np.float32(self.heatmap_peak),
            locations_m=groups[xyz] * np.float32(self.unit_m),
            stride_px=float(self.stride_px),
            presence=self._presence(presence),
        )

    def _presence(self, output: np.ndarray | None) -> float:
        """The probability of a person; NaN without that output."""
        if output is None:
            return math.nan
        if output.size != 1 or not np.isfinite(output).all():
            got = f"{output.shape} {output.ravel()[:3]}"
            raise ModelError(describe(f"{self.name}: presence", got, "one finite number"))
        return float(np.interp(output.item(), *np.transpose(self.presence_curve)))
