"""Lens distortion on the plane z = 1: straight points and where the lens bends them to.

OpenCV does the distortion's mathematics; the names of the models are those of
sensor_msgs/CameraInfo (REP-104, image_pipeline).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import cv2
import numpy as np

from vnect_ros.errors import CameraError, describe

MODELS = ("plumb_bob", "rational_polynomial", "equidistant")
"""Accepted distortion models; "fisheye" is read as "equidistant", "" as "plumb_bob"."""

_ALIASES = {"": "plumb_bob", "fisheye": "equidistant", "none": "plumb_bob"}
_COUNTS = {
    "plumb_bob": (0, 4, 5, 8, 12, 14),
    "rational_polynomial": (0, 4, 5, 8, 12, 14),
    "equidistant": (0, 4),
}
_MAX_RADIUS = 12.0
"""Largest tangent of the angle to the optical axis that is told apart (85 degrees)."""


@dataclass(frozen=True)
class Lens:
    """A distortion model and its coefficients; immutable and hashable.

    Raises:
        CameraError: an unknown model, or coefficients that do not fit it.
    """

    model: str = "plumb_bob"
    """One of MODELS."""
    coefficients: tuple[float, ...] = ()
    """In OpenCV's order (k1, k2, p1, p2, k3, ... or k1..k4); empty is none."""

    def __post_init__(self) -> None:
        model = _ALIASES.get(self.model, self.model)
        if model not in MODELS:
            raise CameraError(describe("distortion_model", self.model, ", ".join(MODELS)))
        object.__setattr__(self, "model", model)
        try:
            values = tuple(float(value) for value in self.coefficients)
        except (TypeError, ValueError):
            values = (math.nan,)
        if not all(math.isfinite(value) for value in values):
            raise CameraError(describe("distortion", self.coefficients, "finite numbers"))
        if len(values) not in _COUNTS[model]:
            counts = ", ".join(map(str, _COUNTS[model]))
            raise CameraError(describe("distortion", values, f"{counts} coefficients for {model}"))
        object.__setattr__(self, "coefficients", values)

    @classmethod
    def stated(cls, model: str, d: Sequence[float]) -> Lens:
        """The lens that a CameraInfo or a calibration file states.

        Zeros behind the last coefficient of a model are padding.  All zero is no
        distortion whatever the model's name, as image_geometry reads it.

        Raises:
            CameraError: an unknown model, or coefficients that do not fit it.
        """
        values = list(d)
        if not any(values):
            return cls()
        counts = _COUNTS.get(_ALIASES.get(model, model), (len(values),))
        while values[-1] == 0.0 and len(values) not in counts:
            values.pop()
        whole = next((count for count in counts if count >= len(values)), len(values))
        return cls(model, (*values, *[0.0] * (whole - len(values))))

    @property
    def bends(self) -> bool:
        """Whether straight and bent points differ at all."""
        return self.model == "equidistant" or any(self.coefficients)

    @cached_property
    def rim(self) -> tuple[float, float]:
        """Largest radius the lens model images, straight and bent (tangential terms aside)."""
        radius, bent = self._table
        return float(radius[-1]), float(bent[-1])

    @property
    def folds(self) -> bool:
        """Whether the radial terms turn back before 85 degrees off the optical axis."""
        return self.rim[0] < _MAX_RADIUS * (1.0 - 1e-9)

    def bend(self, straight: np.ndarray) -> np.ndarray:
        """[N, 2] bent points of straight ones [N, 2]; the inverse of `straighten`.

        Beyond the rim of what the lens model can image, the rim.  NaN stays NaN.
        """
        known = np.isfinite(straight).all(axis=1)
        if known.all():
            return self._bend(_within(straight, self.rim[0]))
        bent = np.full_like(straight, np.nan)
        if known.any():
            bent[known] = self._bend(_within(straight[known], self.rim[0]))
        return bent

    def straighten(self, bent: np.ndarray) -> np.ndarray:
        """[N, 2] straight points of bent ones [N, 2].

        A point farther out than the lens model can image is taken to its rim.
        NaN stays NaN.
        """
        straight = np.full_like(bent, np.nan)
        known = np.isfinite(bent).all(axis=1)
        if known.any():
            inside = _within(bent[known], self.rim[1] * (1.0 - 1e-6))
            straight[known] = _within(self._straighten(inside), self.rim[0])
        return straight

    def _bend(self, unit: np.ndarray) -> np.ndarray:
        if self.model == "equidistant":
            source = np.ascontiguousarray(unit).reshape(-1, 1, 2)
            bent = cv2.fisheye.distortPoints(source, _PLANE, self._padded)
        else:
            source = np.ones((len(unit), 3))
            source[:, :2] = unit
            bent, _ = cv2.projectPoints(source, _ORIGIN, _ORIGIN, _PLANE, self._padded)
        return bent.reshape(-1, 2)

    def _straighten(self, bent: np.ndarray) -> np.ndarray:
        """OpenCV's guess, polished by Newton steps.

        OpenCV's fixed-point iteration stalls near the rim of wide lenses.
        """
        source = np.ascontiguousarray(bent).reshape(-1, 1, 2)
        if self.model == "equidistant":
            unit = cv2.fisheye.undistortPoints(source, _PLANE, self._padded)
        else:
            unit = cv2.undistortPoints(source, _PLANE, self._padded)
        unit = unit.reshape(-1, 2)
        # Not above, so that NaN is astray too.
        astray = ~((unit * unit).sum(axis=1) <= self.rim[0] ** 2)
        if astray.any():
            unit[astray] = self._along_table(bent[astray])
        step = 1e-6
        for _ in range(6):
            here = self._bend(unit)
            error = here - bent
            if np.abs(error).max() < 1e-10:
                break
            along_x = (self._bend(unit + (step, 0.0)) - here) / step
            along_y = (self._bend(unit + (0.0, step)) - here) / step
            det = along_x[:, 0] * along_y[:, 1] - along_x[:, 1] * along_y[:, 0]
            det = np.where(np.abs(det) < 1e-4, np.copysign(1e-4, det), det)
            dx = (along_y[:, 1] * error[:, 0] - along_y[:, 0] * error[:, 1]) / det
            dy = (along_x[:, 0] * error[:, 1] - along_x[:, 1] * error[:, 0]) / det
            unit = _within(unit - np.stack([dx, dy], axis=1), self.rim[0])
        return unit

    def _along_table(self, bent: np.ndarray) -> np.ndarray:
        """Straighten by the radial table alone: a safe first guess near the rim."""
        radius = np.linalg.norm(bent, axis=1, keepdims=True)
        straight = np.interp(radius, self._table[1], self._table[0])
        return bent * straight / np.maximum(radius, 1e-12)

    @cached_property
    def _padded(self) -> np.ndarray:
        count = 4 if self.model == "equidistant" else max(len(self.coefficients), 5)
        padded = np.zeros(count)
        padded[: len(self.coefficients)] = self.coefficients
        return padded

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        """Straight radii and where the radial terms take them, up to the rim."""
        angle = np.linspace(0.0, math.atan(_MAX_RADIUS), 2000)
        radius = np.tan(angle)
        d = self._padded
        if self.model == "equidistant":
            square = angle**2
            bent = angle * (
                1.0 + square * (d[0] + square * (d[1] + square * (d[2] + square * d[3])))
            )
        else:
            square = radius**2
            bent = radius * (1.0 + square * (d[0] + square * (d[1] + square * d[4])))
            if len(d) >= 8:
                bent = bent / (1.0 + square * (d[5] + square * (d[6] + square * d[7])))
        rising = (np.diff(bent) > 0.0) & np.isfinite(bent[1:])
        end = len(rising) if rising.all() else int(np.argmin(rising))
        end = max(end, 1)
        return radius[: end + 1], bent[: end + 1]


def _within(points: np.ndarray, radius: float) -> np.ndarray:
    """[N, 2] points, those outside the circle pulled onto it."""
    squares = (points * points).sum(axis=1)
    if squares.max() <= radius * radius:
        return points
    return points * np.minimum(1.0, radius / np.maximum(np.sqrt(squares), 1e-12))[:, None]


_PLANE: Final = np.eye(3)
"""The camera matrix of points on the plane z = 1."""
_ORIGIN: Final = np.zeros(3)
