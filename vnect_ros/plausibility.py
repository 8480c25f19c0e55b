"""Bounds on stated intrinsics: what no camera has is a mistake of whoever states it.

Drivers and simulators publish K of another resolution, state a binning that K
has already, or leave zeros in it.  Such a K moves a person by metres and looks
like any other, so what lies outside of these bounds is refused.  They are wide:
lenses from 12 to 140 degrees (fisheyes to 240), a principal point in the middle
two fifths of the image, distortion that can be undone in half of the image.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from vnect_ros.errors import CameraError, describe
from vnect_ros.lens import Lens

MIN_FOV_DEG = 12.0
"""Smallest angle that the longer side of an image spans."""
MAX_FOV_DEG = 140.0
"""Largest one of a pinhole (distortion aside)."""
MAX_FISHEYE_FOV_DEG = 240.0
"""Largest angle that the shorter side of a fisheye's image spans: its circle is in it."""
PIXEL_ASPECT = (0.4, 2.5)
"""Bounds of fx / fy."""
CENTRE = (0.3, 0.7)
"""Bounds of the principal point, as a share of the image's width and height."""
OTHER_SIZE = 0.2
"""A principal point that lies off the middle by this share of it, in width and height
alike, is that of an image of another size."""
MAX_SKEW = 0.01
"""Largest skew as a share of fx; the camera model has none."""
MIN_SEEN = 0.5
"""Share of the image in which the distortion must be one that can be undone."""
MIN_STRAIGHT = 0.7
"""Smallest ratio of a point's radius without the distortion to that with it."""
TOLERANCE_PX = 1.0


def check_matrix(
    name: str,
    size: tuple[int, int],
    focal_px: tuple[float, float],
    centre_px: tuple[float, float],
    skew: float,
    lens: Lens,
) -> None:
    """Refuse focal lengths and a principal point that no camera of that image size has.

    Args:
        name: of the matrix, "K" or "P".
        size: width, height of the full resolution [px].

    Raises:
        CameraError: the value and its bounds are named.
    """
    width, height = size
    if min(size) < 1:
        raise CameraError(describe("size", f"{width}x{height}", "positive numbers of pixels"))
    image = f"of an image of {width}x{height}"
    if abs(skew) > MAX_SKEW * focal_px[0]:
        raise CameraError(describe(f"{name}: skew", skew, "0"))
    aspect = focal_px[0] / focal_px[1]
    if not PIXEL_ASPECT[0] <= aspect <= PIXEL_ASPECT[1]:
        accepted = f"fx / fy from {PIXEL_ASPECT[0]:g} to {PIXEL_ASPECT[1]:g}"
        raise CameraError(describe(f"{name}: focal lengths", focal_px, accepted))
    share = [(c + 0.5) / n for c, n in zip(centre_px, size)]
    off = [2.0 * s - 1.0 for s in share]
    other_size = min(map(abs, off)) > OTHER_SIZE and abs(off[0] - off[1]) < 0.1
    if other_size or not all(CENTRE[0] <= s <= CENTRE[1] for s in share):
        accepted = f"near the middle {image} (is {name} of another size, or binned already?)"
        raise CameraError(describe(f"{name}: principal point", centre_px, accepted))
    half = [n / 2.0 / f for n, f in zip(size, focal_px)]
    if lens.model == "equidistant":
        longer_deg = math.degrees(2.0 * max(half))
        too_wide = math.degrees(2.0 * min(half)) > MAX_FISHEYE_FOV_DEG
        most = f"{MAX_FISHEYE_FOV_DEG:g} of a fisheye's shorter side"
    else:
        longer_deg = math.degrees(2.0 * math.atan(max(half)))
        too_wide, most = longer_deg > MAX_FOV_DEG, f"{MAX_FOV_DEG:g}"
    if too_wide or longer_deg < MIN_FOV_DEG:
        field = f"{name}: focal lengths"
        got = f"({focal_px[0]:g}, {focal_px[1]:g}), {longer_deg:.1f} degrees"
        raise CameraError(describe(field, got, f"{MIN_FOV_DEG:g} to {most} degrees {image}"))


def check_lens(lens: Lens, corners: np.ndarray, focal_px: tuple[float, float]) -> None:
    """Refuse a distortion that cannot be undone within the image, or is no lens's.

    Args:
        corners: [2, 2] top left and bottom right corner of the image on the plane z = 1.

    Raises:
        CameraError: the coefficients are named.
    """
    fault = _fault(lens, tuple(corners.ravel().tolist()), focal_px) if lens.bends else ""
    if fault:
        raise CameraError(describe("distortion", lens.coefficients, fault))


@lru_cache(maxsize=16)  # asked for every image, and the same
def _fault(lens: Lens, corners: tuple[float, ...], focal_px: tuple[float, float]) -> str:
    """What is accepted in place of the coefficients; "" where they will do."""
    left, top, right, bottom = corners
    grid = np.meshgrid(np.linspace(left, right, 17), np.linspace(top, bottom, 13))
    bent = np.stack(grid, axis=-1).reshape(-1, 2)
    with np.errstate(all="ignore"):
        straight = lens.straighten(bent)
        off_px = np.linalg.norm((lens.bend(straight) - bent) * focal_px, axis=1)
    radius = np.linalg.norm(bent, axis=1)
    beyond = (radius > lens.rim[1]) & (not lens.folds)  # farther off the axis than is told apart
    undone = off_px < TOLERANCE_PX
    if (undone | beyond).mean() < MIN_SEEN:
        return f"coefficients that can be undone in {MIN_SEEN:.0%} of the image"
    off_axis = undone & (radius > 1e-6)
    ratio = np.linalg.norm(straight[off_axis], axis=1) / radius[off_axis]
    if len(ratio) and ratio.min() < MIN_STRAIGHT:
        return f"coefficients that move no point outwards by more than {1 - MIN_STRAIGHT:.0%}"
    return ""
