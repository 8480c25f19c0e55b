"""The camera: pinhole, lens distortion, pixels and rays.

Three kinds of coordinates are told apart.  A *pixel* is a point of the image as
the camera delivers it, distorted, x right, y down, the centre of the top left
pixel at (0, 0).  An *ideal* pixel is where an undistorted pinhole with the same
fx, fy, cx, cy would see the point.  Points and rays are in the camera's optical
frame (REP-103: x right, y down, z forward), metres.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from vnect_ros import plausibility
from vnect_ros.errors import CameraError, describe
from vnect_ros.lens import Lens


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
    """Distortion model, one of `lens.MODELS`."""
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
        lens = Lens(self.model, tuple(self.distortion))
        object.__setattr__(self, "model", lens.model)
        object.__setattr__(self, "distortion", lens.coefficients)

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
        rectified: bool = False,
        p: Sequence[float] = (),
    ) -> Camera:
        """The camera of the image that a sensor_msgs/CameraInfo goes with.

        Args:
            width, height: of the full resolution that was calibrated [px].
            k: the nine numbers of K, row by row, at full resolution.
            d, model: distortion coefficients and the model's name.
            binning: pixels combined into one, (x, y); 0 means 1.
            roi: x_offset, y_offset, width, height at full resolution; width and
                height 0 mean all of it.
            rectified: the image is undistorted already, as image_proc's: P
                describes it, K, d and the model do not.
            p: the twelve numbers of P, row by row; needed where `rectified`.  The
                baseline in its last column is left out: points are in the frame
                of this camera.

        Returns:
            The camera of the delivered image: cut to the roi, then binned.

        Raises:
            CameraError: K (or P) is zero (an uncalibrated driver), a value is
                unfit, or no real camera has such intrinsics (`plausibility`).
        """
        name, stated = ("P", p) if rectified else ("K", k)
        matrix = [_number(name, value) for value in stated]
        columns = 4 if rectified else 3
        if len(matrix) != 3 * columns:
            raise CameraError(describe(name, matrix, f"{3 * columns} numbers"))
        fx, skew, cx, fy, cy = (matrix[i] for i in (0, 1, 2, columns + 1, columns + 2))
        if fx == fy == 0.0:
            raise CameraError(f"{name} is zero (the camera is uncalibrated)")
        if fx <= 0.0 or fy <= 0.0:
            raise CameraError(
                describe(name, matrix, "focal lengths above 0 (the camera is uncalibrated)")
            )
        lens = Lens() if rectified else Lens.stated(model, d)
        plausibility.check_matrix(name, (width, height), (fx, fy), (cx, cy), skew, lens)
        bx, by = (max(int(b), 1) for b in binning)
        left, top, roi_width, roi_height = (int(r) for r in roi)
        if left < 0 or top < 0 or roi_width < 0 or roi_height < 0:
            raise CameraError(describe("roi", tuple(roi), "numbers from 0"))
        if roi_width == 0 or roi_height == 0:
            left, top, roi_width, roi_height = 0, 0, width, height
        if left + roi_width > width or top + roi_height > height:
            raise CameraError(describe("roi", tuple(roi), f"a window within {width}x{height}"))
        camera = cls(
            roi_width // bx,
            roi_height // by,
            fx / bx,
            fy / by,
            (cx - left + 0.5) / bx - 0.5,
            (cy - top + 0.5) / by - 0.5,
            lens.model,
            lens.coefficients,
        )
        corners = camera._unit_from_pixels(np.array([[0, 0], [camera.width, camera.height]]) - 0.5)
        plausibility.check_lens(lens, corners, (camera.fx, camera.fy))
        return camera

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

    def fitted(self, width: int, height: int) -> Camera:
        """The camera of its images scaled to fit another size, centred, the rest black."""
        if (self.width, self.height) == (width, height):
            return self
        within, left, top = fit(self.width, self.height, width, height)
        scaled = self.scaled(*within)
        return replace(scaled, width=width, height=height, cx=scaled.cx + left, cy=scaled.cy + top)

    def for_image(self, width: int, height: int) -> Camera:
        """The camera of images of that size, if they can show its whole view.

        Raises:
            CameraError: the aspect is another: such images are cut in a way that
                the intrinsics do not tell.
        """
        if abs(self.width * height - self.height * width) > max(self.width, self.height):
            size = f"{self.width}x{self.height}"
            raise CameraError(describe("camera size", size, f"the aspect of {width}x{height}"))
        return self if (self.width, self.height) == (width, height) else self.scaled(width, height)

    @cached_property
    def matrix(self) -> np.ndarray:
        """[3, 3] float64: K."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @cached_property
    def lens(self) -> Lens:
        """Model and coefficients, on the plane z = 1."""
        return Lens(self.model, self.distortion)

    @property
    def is_distorted(self) -> bool:
        """Whether pixels and ideal pixels differ at all."""
        return self.lens.bends

    def project(self, points_m: np.ndarray) -> np.ndarray:
        """Pixels [..., 2] (distorted) of points [..., 3]; NaN for points not in front."""
        return self.distort(self.project_ideal(points_m))

    def project_ideal(self, points_m: np.ndarray) -> np.ndarray:
        """Ideal pixels [..., 2] of points [..., 3] [m]; NaN for points not in front."""
        points = np.asarray(points_m, dtype=np.float64)
        z = points[..., 2:]
        ahead = z > 1e-6
        if np.count_nonzero(ahead) == ahead.size:
            return self._pixels_from_unit(points[..., :2] / z)
        unit = points[..., :2] / np.where(ahead, z, 1.0)
        return np.where(ahead, self._pixels_from_unit(unit), np.nan)

    def undistort(self, pixels_px: np.ndarray) -> np.ndarray:
        """Ideal pixels [..., 2] of image pixels [..., 2].

        A pixel farther out than the lens model can image is taken to its rim.
        NaN stays NaN.
        """
        pixels = np.asarray(pixels_px, dtype=np.float64)
        return self._pixels_from_unit(self.rays(pixels)) if self.is_distorted else pixels.copy()

    def rays(self, pixels_px: np.ndarray) -> np.ndarray:
        """Points [..., 2] on the plane z = 1 that image pixels [..., 2] show; as `undistort`."""
        unit = self._unit_from_pixels(np.asarray(pixels_px, dtype=np.float64))
        if not self.is_distorted:
            return unit
        return self.lens.straighten(unit.reshape(-1, 2)).reshape(unit.shape)

    def distort(self, ideal_px: np.ndarray) -> np.ndarray:
        """Image pixels [..., 2] of ideal pixels [..., 2]; the inverse of `undistort`.

        Beyond the rim of what the lens model can image, the rim.  NaN stays NaN.
        """
        ideal = np.asarray(ideal_px, dtype=np.float64)
        if not self.is_distorted:
            return ideal.copy()
        unit = self.lens.bend(self._unit_from_pixels(ideal.reshape(-1, 2)))
        return self._pixels_from_unit(unit).reshape(ideal.shape)

    def ray(self, pixels_px: np.ndarray) -> np.ndarray:
        """Unit vectors [..., 3] of the optical frame that image pixels [..., 2] look along."""
        unit = self.rays(pixels_px)
        ray = np.concatenate([unit, np.ones_like(unit[..., :1])], axis=-1)
        return ray / np.linalg.norm(ray, axis=-1, keepdims=True)

    def rotation_camera_from_crop(self, centre_px: np.ndarray) -> np.ndarray:
        """[3, 3]: axes of the virtual camera that looks through a crop's centre [2] (px).

        The shortest rotation that takes the optical axis onto the ray through
        the centre.  Networks see a person as that virtual camera does, so what
        they say in its axes is rotated by this matrix into the camera's.
        """
        x, y = self.rays(centre_px).tolist()
        length = math.sqrt(x * x + y * y + 1.0)
        ray = np.array([x / length, y / length, 1.0 / length])
        return shortest_rotation(np.array([0.0, 0.0, 1.0]), ray)

    def _pixels_from_unit(self, unit: np.ndarray) -> np.ndarray:
        return unit * self._focal_px + self._centre_px

    def _unit_from_pixels(self, pixels: np.ndarray) -> np.ndarray:
        return (pixels - self._centre_px) / self._focal_px

    @cached_property
    def _focal_px(self) -> np.ndarray:
        return np.array([self.fx, self.fy])

    @cached_property
    def _centre_px(self) -> np.ndarray:
        return np.array([self.cx, self.cy])


def shortest_rotation(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """[3, 3]: the rotation by the smallest angle that takes one unit vector onto another."""
    (a, b, c), (d, e, f) = source.tolist(), target.tolist()
    cosine = a * d + b * e + c * f
    if cosine < -1.0 + 1e-12:
        other = np.eye(3)[int(np.argmin(np.abs(source)))]
        axis = np.cross(source, other)
        axis /= np.linalg.norm(axis)
        return 2.0 * np.outer(axis, axis) - np.eye(3)
    # Rodrigues' formula; with the few numbers of this NumPy would take ten times as long.
    x, y, z, k = b * f - c * e, c * d - a * f, a * e - b * d, 1.0 / (1.0 + cosine)
    return np.array(
        [
            [1.0 - k * (y * y + z * z), k * x * y - z, k * x * z + y],
            [k * x * y + z, 1.0 - k * (x * x + z * z), k * y * z - x],
            [k * x * z - y, k * y * z + x, 1.0 - k * (x * x + y * y)],
        ]
    )


def _number(name: str, value: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise CameraError(describe(name, value, "a finite number"))
    return number


def fit(
    width: int, height: int, outer_width: int, outer_height: int
) -> tuple[tuple[int, int], int, int]:
    """Width and height of an image scaled to fit another size, and its left and top there."""
    scale = min(outer_width / width, outer_height / height)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    return inner, (outer_width - inner[0]) // 2, (outer_height - inner[1]) // 2
