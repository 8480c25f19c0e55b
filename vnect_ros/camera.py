"""The camera: pinhole, lens distortion, pixels and rays.

Three kinds of coordinates are told apart.  A *pixel* is a point of the image as
the camera delivers it, distorted, x right, y down, the centre of the top left
pixel at (0, 0).  An *ideal* pixel is where an undistorted pinhole with the same
fx, fy, cx, cy would see the point.  Points and rays are in the camera's optical
frame (REP-103: x right, y down, z forward), metres.

OpenCV does the distortion's mathematics; the names of the models are those of
sensor_msgs/CameraInfo (REP-104, image_pipeline).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

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
class Camera:
    """Intrinsics of the image at hand; immutable and hashable.

    Raises:
        CameraError: a value that cannot describe a camera; the message names it.
    """

    width: int
    height: int
    fx: float
    """Focal length [px]."""
    fy: float
    cx: float
    """Principal point [px]."""
    cy: float
    model: str = "plumb_bob"
    """Distortion model, one of MODELS."""
    distortion: tuple[float, ...] = ()
    """Coefficients in OpenCV's order (k1, k2, p1, p2, k3, ... or k1..k4); empty is none."""
    calibrated: bool = True
    """False where the intrinsics are a guess: metric scale and depth are then guesses too."""

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            value = getattr(self, name)
            if isinstance(value, bool) or int(value) != value or value < 1:
                raise CameraError(describe(name, value, "a positive whole number of pixels"))
            object.__setattr__(self, name, int(value))
        for name in ("fx", "fy"):
            value = _number(name, getattr(self, name))
            if value <= 0.0:
                raise CameraError(describe(name, value, "a positive focal length [px]"))
            object.__setattr__(self, name, value)
        for name in ("cx", "cy"):
            object.__setattr__(self, name, _number(name, getattr(self, name)))
        model = _ALIASES.get(self.model, self.model)
        if model not in MODELS:
            raise CameraError(describe("distortion_model", self.model, ", ".join(MODELS)))
        object.__setattr__(self, "model", model)
        coefficients = tuple(_number("distortion", d) for d in self.distortion)
        if len(coefficients) not in _COUNTS[model]:
            counts = ", ".join(map(str, _COUNTS[model]))
            raise CameraError(
                describe("distortion", coefficients, f"{counts} coefficients for {model}")
            )
        object.__setattr__(self, "distortion", coefficients)

    @classmethod
    def from_field_of_view(cls, width: int, height: int, vertical_fov_deg: float) -> Camera:
        """A guess for a camera without calibration: square pixels, centred, no distortion.

        Args:
            vertical_fov_deg: the angle the image's height spans [deg], within (0, 180).
        """
        fov = _number("vertical_fov", vertical_fov_deg)
        if not 0.0 < fov < 180.0:
            raise CameraError(describe("vertical_fov", fov, "between 0 and 180 degrees"))
        if height < 1 or width < 1:
            raise CameraError(describe("size", (width, height), "positive numbers of pixels"))
        focal = height / 2.0 / math.tan(math.radians(fov) / 2.0)
        return cls(
            width, height, focal, focal, (width - 1) / 2.0, (height - 1) / 2.0, calibrated=False
        )

    @classmethod
    def from_info(
        cls,
        width: int,
        height: int,
        k: Sequence[float],
        d: Sequence[float] = (),
        model: str = "plumb_bob",
        *,
        binning: tuple[int, int] = (0, 0),
        roi: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> Camera:
        """The camera of the image that a sensor_msgs/CameraInfo goes with.

        Args:
            width, height: of the full resolution that was calibrated [px].
            k: the nine numbers of K, row by row, at full resolution.
            d, model: distortion coefficients and the model's name.
            binning: pixels combined into one, (x, y); 0 means 1.
            roi: x_offset, y_offset, width, height at full resolution; width and
                height 0 mean all of it.

        Returns:
            The camera of the delivered image: cut to the roi, then binned.

        Raises:
            CameraError: K is zero (an uncalibrated driver), or any value is unfit.
        """
        k = [_number("K", value) for value in k]
        if len(k) != 9:
            raise CameraError(describe("K", k, "9 numbers"))
        if not is_calibrated(k):
            raise CameraError(
                describe("K", k, "focal lengths above 0 (the camera is uncalibrated)")
            )
        bx, by = (max(int(b), 1) for b in binning)
        left, top, roi_width, roi_height = (int(r) for r in roi)
        if left < 0 or top < 0 or roi_width < 0 or roi_height < 0:
            raise CameraError(describe("roi", tuple(roi), "numbers from 0"))
        if roi_width == 0 or roi_height == 0:
            left, top, roi_width, roi_height = 0, 0, width, height
        if left + roi_width > width or top + roi_height > height:
            raise CameraError(describe("roi", tuple(roi), f"a window within {width}x{height}"))
        return cls(
            roi_width // bx,
            roi_height // by,
            k[0] / bx,
            k[4] / by,
            (k[2] - left + 0.5) / bx - 0.5,
            (k[5] - top + 0.5) / by - 0.5,
            model,
            tuple(d),
        )

    def scaled(self, width: int, height: int) -> Camera:
        """The same camera delivering its whole view at another resolution."""
        sx, sy = width / self.width, height / self.height
        return Camera(
            width,
            height,
            self.fx * sx,
            self.fy * sy,
            (self.cx + 0.5) * sx - 0.5,
            (self.cy + 0.5) * sy - 0.5,
            self.model,
            self.distortion,
            self.calibrated,
        )

    @cached_property
    def matrix(self) -> np.ndarray:
        """[3, 3] float64: K."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def is_distorted(self) -> bool:
        """Whether pixels and ideal pixels differ at all."""
        return self.model == "equidistant" or any(self.distortion)

    def project(self, points_m: np.ndarray) -> np.ndarray:
        """Pixels [..., 2] (distorted) of points [..., 3]; NaN for points not in front."""
        return self.distort(self.project_ideal(points_m))

    def project_ideal(self, points_m: np.ndarray) -> np.ndarray:
        """Ideal pixels [..., 2] of points [..., 3] [m]; NaN for points not in front."""
        points = np.asarray(points_m, dtype=np.float64)
        z = points[..., 2:]
        ahead = z > 1e-6
        unit = points[..., :2] / np.where(ahead, z, 1.0)
        return np.where(ahead, self._pixels_from_unit(unit), np.nan)

    def undistort(self, pixels_px: np.ndarray) -> np.ndarray:
        """Ideal pixels [..., 2] of image pixels [..., 2].

        A pixel farther out than the lens model can image is taken to its rim.
        NaN stays NaN.
        """
        pixels = np.asarray(pixels_px, dtype=np.float64)
        if not self.is_distorted:
            return pixels.copy()
        flat = self._unit_from_pixels(pixels.reshape(-1, 2))
        known = np.isfinite(flat).all(axis=1)
        bent = _within(flat[known], self._rim[1] * (1.0 - 1e-6))
        straight = np.full_like(flat, np.nan)
        if len(bent):
            straight[known] = _within(self._straighten(bent), self._rim[0])
        return self._pixels_from_unit(straight).reshape(pixels.shape)

    def distort(self, ideal_px: np.ndarray) -> np.ndarray:
        """Image pixels [..., 2] of ideal pixels [..., 2]; the inverse of `undistort`.

        Beyond the rim of what the lens model can image, the rim.  NaN stays NaN.
        """
        ideal = np.asarray(ideal_px, dtype=np.float64)
        if not self.is_distorted:
            return ideal.copy()
        flat = self._unit_from_pixels(ideal.reshape(-1, 2))
        known = np.isfinite(flat).all(axis=1)
        bent = np.full_like(flat, np.nan)
        if known.any():
            bent[known] = self._bend(_within(flat[known], self._rim[0]))
        return self._pixels_from_unit(bent).reshape(ideal.shape)

    def ray(self, pixels_px: np.ndarray) -> np.ndarray:
        """Unit vectors [..., 3] of the optical frame that image pixels [..., 2] look along."""
        unit = self._unit_from_pixels(self.undistort(pixels_px))
        ray = np.concatenate([unit, np.ones_like(unit[..., :1])], axis=-1)
        return ray / np.linalg.norm(ray, axis=-1, keepdims=True)

    def rotation_camera_from_crop(self, centre_px: np.ndarray) -> np.ndarray:
        """[3, 3]: axes of the virtual camera that looks through a crop's centre [2] (px).

        The shortest rotation that takes the optical axis onto the ray through
        the centre.  Networks see a person as that virtual camera does, so what
        they say in its axes is rotated by this matrix into the camera's.
        """
        return shortest_rotation(np.array([0.0, 0.0, 1.0]), self.ray(centre_px))

    def _pixels_from_unit(self, unit: np.ndarray) -> np.ndarray:
        return unit * (self.fx, self.fy) + (self.cx, self.cy)

    def _unit_from_pixels(self, pixels: np.ndarray) -> np.ndarray:
        return (pixels - (self.cx, self.cy)) / (self.fx, self.fy)

    def _bend(self, unit: np.ndarray) -> np.ndarray:
        """Distort [N, 2] points of the plane z = 1."""
        if self.model == "equidistant":
            source = np.ascontiguousarray(unit).reshape(-1, 1, 2)
            bent = cv2.fisheye.distortPoints(source, np.eye(3), self._coefficients)
        else:
            source = np.concatenate([unit, np.ones((len(unit), 1))], axis=1)
            zero = np.zeros(3)
            bent, _ = cv2.projectPoints(source, zero, zero, np.eye(3), self._coefficients)
        return bent.reshape(-1, 2)

    def _straighten(self, bent: np.ndarray) -> np.ndarray:
        """Undistort [N, 2] points: OpenCV's guess, polished by Newton steps.

        OpenCV's fixed-point iteration stalls near the rim of wide lenses.
        """
        source = np.ascontiguousarray(bent).reshape(-1, 1, 2)
        if self.model == "equidistant":
            unit = cv2.fisheye.undistortPoints(source, np.eye(3), self._coefficients)
        else:
            unit = cv2.undistortPoints(source, np.eye(3), self._coefficients)
        unit = unit.reshape(-1, 2)
        astray = ~np.isfinite(unit).all(axis=1) | (np.linalg.norm(unit, axis=1) > self._rim[0])
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
            unit = _within(unit - np.stack([dx, dy], axis=1), self._rim[0])
        return unit

    def _along_table(self, bent: np.ndarray) -> np.ndarray:
        """Undistort by the radial table alone: a safe first guess near the rim."""
        radius = np.linalg.norm(bent, axis=1, keepdims=True)
        straight = np.interp(radius, self._table[1], self._table[0])
        return bent * straight / np.maximum(radius, 1e-12)

    @cached_property
    def _coefficients(self) -> np.ndarray:
        count = 4 if self.model == "equidistant" else max(len(self.distortion), 5)
        padded = np.zeros(count)
        padded[: len(self.distortion)] = self.distortion
        return padded

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        """Radii on the plane z = 1 and where the radial terms take them, up to the rim."""
        angle = np.linspace(0.0, math.atan(_MAX_RADIUS), 2000)
        radius = np.tan(angle)
        d = self._coefficients
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

    @cached_property
    def _rim(self) -> tuple[float, float]:
        """Largest radius the lens model images, straight and bent (tangential terms aside)."""
        radius, bent = self._table
        return float(radius[-1]), float(bent[-1])


def is_calibrated(k: Sequence[float]) -> bool:
    """Whether the nine numbers of K are those of a calibrated camera (REP-104: else zero)."""
    return len(k) == 9 and k[0] > 0.0 and k[4] > 0.0


def shortest_rotation(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """[3, 3]: the rotation by the smallest angle that takes one unit vector onto another."""
    axis = np.cross(source, target)
    cosine = float(np.dot(source, target))
    if cosine < -1.0 + 1e-12:
        other = np.eye(3)[int(np.argmin(np.abs(source)))]
        axis = np.cross(source, other)
        axis /= np.linalg.norm(axis)
        return 2.0 * np.outer(axis, axis) - np.eye(3)
    skew = np.array([[0.0, -axis[2], axis[1]], [axis[2], 0.0, -axis[0]], [-axis[1], axis[0], 0.0]])
    return np.eye(3) + skew + skew @ skew / (1.0 + cosine)


def _number(name: str, value: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise CameraError(describe(name, value, "a finite number"))
    return number


def _within(points: np.ndarray, radius: float) -> np.ndarray:
    """[N, 2] points, those outside the circle pulled onto it."""
    norm = np.linalg.norm(points, axis=1, keepdims=True)
    return points * np.minimum(1.0, radius / np.maximum(norm, 1e-12))
