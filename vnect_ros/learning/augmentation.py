"""Random changes of a sample: rotation, scale, shift, mirror, colour, occlusion.

All randomness comes from the generator passed in, so a sample is a function of
its seed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from vnect_ros.camera import shortest_rotation
from vnect_ros.datasets.sample import Sample, inside, mirrored


@dataclass(frozen=True)
class Augmentation:
    """How far samples are changed; the defaults are the recipe's."""

    rotation_deg: float = 35.0
    """Standard deviation of the common rotations, cut at twice this [deg]."""
    upside_down: float = 0.06
    """Share of samples turned by any angle instead."""
    scale: tuple[float, float] = (0.75, 1.4)
    shift: float = 0.08
    """Largest shift as a share of the crop."""
    mirror: float = 0.5
    colour: float = 0.8
    """Share of samples whose brightness, contrast, hue and so on change."""
    occlusion: float = 0.35
    """Share of samples with one to three things in front of the person."""
    fill: float = 0.7
    """Share of samples whose unknown surroundings are filled, not left black."""


def random_affine(rng: np.random.Generator, how: Augmentation, size: int, out: int) -> np.ndarray:
    """Draw the 2×3 matrix from a `size` crop to an `out` crop (pixel centres).

    Returns:
        [2, 3] float64: x_out = A x_in + b.
    """
    if rng.random() < how.upside_down:
        angle = rng.uniform(-np.pi, np.pi)
    else:
        angle = np.deg2rad(how.rotation_deg) * np.clip(rng.normal(), -2, 2)
        if rng.random() < 0.4:
            angle *= 0.1
    scale = np.exp(rng.uniform(*np.log(how.scale))) * out / size
    shift = rng.uniform(-how.shift, how.shift, 2) * out
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    linear = np.array([[c, -s], [s, c]])
    centre_in, centre_out = (size - 1) / 2.0, (out - 1) / 2.0
    offset = centre_out + shift - linear @ np.array([centre_in, centre_in])
    return np.column_stack([linear, offset])


def warp_joints(sample: Sample, affine: np.ndarray, out: int) -> tuple[np.ndarray, ...]:
    """Carry the joints through the affine map.

    A rotation in the image plane turns the locations about the viewing ray by the
    same angle; a shift turns them about the axis across it, as the ray through the
    crop's centre moves (where the focal length is known).  A joint that leaves the
    crop is known to be nowhere in it; one that comes into it from beyond the picture's
    edge is not seen there.

    Returns:
        joints_px [21, 2], visible [21], joints_m [21, 3], gravity [3], all float32.
    """
    joints_px = sample.joints_px @ affine[:, :2].T + affine[:, 2]
    appears = inside(joints_px, out) & ~inside(sample.joints_px, sample.image.shape[0])
    turn = affine[:, :2] / np.sqrt(np.linalg.det(affine[:, :2]))
    vectors = np.concatenate([sample.joints_m, sample.gravity[None]])
    vectors = vectors @ _towards_new_centre(sample, affine, out).T
    vectors[:, :2] = vectors[:, :2] @ turn.T
    return (
        joints_px.astype(np.float32),
        (sample.visible * ~appears).astype(np.float32),
        vectors[:-1].astype(np.float32),
        vectors[-1].astype(np.float32),
    )


def _towards_new_centre(sample: Sample, affine: np.ndarray, out: int) -> np.ndarray:
    """Rotation [3, 3] from the old crop-ray frame into that of the shifted crop."""
    if sample.focal_px <= 0:
        return np.eye(3)
    new_centre = np.linalg.solve(affine[:, :2], np.full(2, (out - 1) / 2.0) - affine[:, 2])
    shift = new_centre - (np.array(sample.image.shape[1::-1]) - 1) / 2.0
    ray = np.array([*(shift / sample.focal_px), 1.0])
    return shortest_rotation(ray / np.linalg.norm(ray), np.array([0.0, 0.0, 1.0]))


def known_area(image: np.ndarray) -> tuple[int, int, int, int]:
    """Find the rectangle outside of which a crop is black.

    Returns:
        x0, y0, x1, y1 [px], the end exclusive.
    """
    # an order of magnitude quicker than reductions along the axes
    bright = np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2]) > 24
    height, width = bright.shape
    rows = np.flatnonzero(np.count_nonzero(bright, axis=1) > 0.02 * width)
    columns = np.flatnonzero(np.count_nonzero(bright, axis=0) > 0.02 * height)
    if rows.size == 0 or columns.size == 0:
        return 0, 0, image.shape[1], image.shape[0]
    x0, y0, x1, y1 = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    trim = 2  # JPEG smears the edge
    x0, y0 = (x0 + trim if x0 else 0), (y0 + trim if y0 else 0)
    x1 = x1 - trim if x1 < image.shape[1] else x1
    y1 = y1 - trim if y1 < image.shape[0] else y1
    if x1 - x0 <= trim or y1 - y0 <= trim:  # a dark picture with a line of light
        return 0, 0, image.shape[1], image.shape[0]
    return x0, y0, x1, y1


def _background(rng: np.random.Generator, out: int, other: np.ndarray | None) -> np.ndarray:
    """What to show where nothing is known: colour, gradient, noise, another image."""
    kind = rng.random()
    if kind < 0.45 and other is not None:
        ox, oy = rng.integers(0, other.shape[1] // 2), rng.integers(0, other.shape[0] // 2)
        part = other[oy : oy + other.shape[0] // 2, ox : ox + other.shape[1] // 2]
        part = cv2.GaussianBlur(part, (0, 0), float(rng.uniform(1.0, 6.0)))
        return cv2.resize(part, (out, out), interpolation=cv2.INTER_LINEAR)
    if kind < 0.7:
        corners = rng.integers(0, 256, (2, 2, 3)).astype(np.uint8)
        return cv2.resize(corners, (out, out), interpolation=cv2.INTER_LINEAR)
    if kind < 0.85:
        coarse = int(rng.integers(4, 40))
        noise = rng.integers(0, 256, (coarse, coarse, 3)).astype(np.uint8)
        return cv2.resize(noise, (out, out), interpolation=cv2.INTER_LINEAR)
    return np.full((out, out, 3), rng.integers(0, 256, 3).astype(np.uint8))


def warp_image(
    rng: np.random.Generator,
    how: Augmentation,
    image: np.ndarray,
    affine: np.ndarray,
    out: int,
    other: np.ndarray | None,
) -> np.ndarray:
    """Warp the known part of a crop over a filled or black canvas [out, out, 3]."""
    x0, y0, x1, y1 = known_area(image)
    part = image[y0:y1, x0:x1]
    shifted = affine.copy()
    shifted[:, 2] += affine[:, :2] @ np.array([x0, y0], np.float64)
    scale = np.sqrt(np.linalg.det(affine[:, :2]))
    flags = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
    if rng.random() >= how.fill:
        return cv2.warpAffine(part, shifted, (out, out), flags=flags)
    if rng.random() < 0.12:
        return cv2.warpAffine(
            part, shifted, (out, out), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
    canvas = _background(rng, out, other)
    return cv2.warpAffine(
        part, shifted, (out, out), dst=canvas, flags=flags, borderMode=cv2.BORDER_TRANSPARENT
    )


def change_colour(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Change brightness, contrast, gamma, colour balance, noise and sharpness."""
    ramp = np.linspace(0, 1, 256)
    table = np.empty((256, 3))
    contrast, brightness = rng.uniform(0.6, 1.5), rng.uniform(-0.18, 0.18)
    gamma = np.exp(rng.uniform(-0.45, 0.45))
    balance = np.exp(rng.normal(0, 0.09, 3))
    for c in range(3):
        table[:, c] = np.clip((ramp**gamma - 0.5) * contrast + 0.5 + brightness, 0, 1) * balance[c]
    image = cv2.LUT(image, (np.clip(table, 0, 1) * 255).astype(np.uint8)[None])
    if rng.random() < 0.3:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
        share = rng.uniform(0.3, 1.0)
        image = cv2.addWeighted(image, 1 - share, np.repeat(grey, 3, axis=2), share, 0)
    if rng.random() < 0.15:
        image = image[..., rng.permutation(3)]
    kind = rng.random()
    if kind < 0.12:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 1.8)))
    elif kind < 0.2:
        length = int(rng.integers(3, 9))
        kernel = np.zeros((length, length), np.float32)
        angle = rng.uniform(0, np.pi)
        half = (length - 1) / 2
        for t in np.linspace(-half, half, 2 * length):
            kernel[round(half + t * np.sin(angle)), round(half + t * np.cos(angle))] = 1
        image = cv2.filter2D(image, -1, kernel / kernel.sum())
    elif kind < 0.32:
        noise = rng.normal(0, rng.uniform(3, 14), image.shape).astype(np.float32)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    elif kind < 0.42:
        quality = int(rng.integers(15, 60))
        coded = cv2.imencode(
            ".jpg", np.ascontiguousarray(image), [cv2.IMWRITE_JPEG_QUALITY, quality]
        )[1]
        image = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(image)


def occlude(rng: np.random.Generator, image: np.ndarray, other: np.ndarray | None) -> np.ndarray:
    """Put one to three plain, noisy or picture-filled shapes into the image."""
    size = image.shape[0]
    image = image.copy()
    for _ in range(int(rng.integers(1, 4))):
        w, h = (int(v) for v in size * np.exp(rng.uniform(np.log(0.06), np.log(0.32), 2)))
        x, y = int(rng.integers(-w // 2, size - w // 2)), int(rng.integers(-h // 2, size - h // 2))
        x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, size), min(y + h, size)
        if x1 <= x0 or y1 <= y0:
            continue
        kind = rng.random()
        if kind < 0.4 and other is not None and min(other.shape[:2]) >= size:
            patch = other[y0:y1, x0:x1]
        elif kind < 0.7:
            patch = rng.integers(0, 256, (y1 - y0, x1 - x0, 3)).astype(np.uint8)
            patch = cv2.GaussianBlur(patch, (0, 0), float(rng.uniform(0.5, 4)))
        else:
            patch = np.full((y1 - y0, x1 - x0, 3), rng.integers(0, 256, 3).astype(np.uint8))
        if rng.random() < 0.5:
            mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
            cv2.ellipse(
                mask,
                ((x1 - x0) // 2, (y1 - y0) // 2),
                ((x1 - x0) // 2, (y1 - y0) // 2),
                float(rng.uniform(0, 180)),
                0,
                360,
                255,
                -1,
            )
            image[y0:y1, x0:x1][mask > 0] = patch[mask > 0]
        else:
            image[y0:y1, x0:x1] = patch
    return image


def augment(
    rng: np.random.Generator,
    how: Augmentation,
    sample: Sample,
    out: int,
    other: np.ndarray | None = None,
) -> Sample:
    """Change a sample at random into an `out`×`out` one.

    Args:
        rng: all randomness.
        how: the ranges.
        sample: of any size.
        out: edge of the result [px].
        other: another image [S, S, 3] uint8 to take backgrounds and occluders from.
    """
    affine = random_affine(rng, how, sample.image.shape[0], out)
    image = warp_image(rng, how, sample.image, affine, out, other)
    joints_px, visible, joints_m, gravity = warp_joints(sample, affine, out)
    if rng.random() < how.occlusion:
        image = occlude(rng, image, other)
    if rng.random() < how.colour:
        image = change_colour(rng, image)
    result = Sample(
        image, joints_px, visible, joints_m, sample.weight_3d, 0.0, gravity, sample.present
    )
    return mirrored(result) if rng.random() < how.mirror else result


def plain(sample: Sample, out: int) -> Sample:
    """Resize a sample to `out`×`out`; only joints inside it count, as in every evaluation."""
    seen = sample.visible * inside(sample.joints_px, sample.image.shape[0])
    sample = replace(sample, visible=seen.astype(np.float32))
    size = sample.image.shape[0]
    if size == out:
        return sample
    k = out / size
    affine = np.array([[k, 0, (k - 1) / 2], [0, k, (k - 1) / 2]])
    image = cv2.resize(
        sample.image, (out, out), interpolation=cv2.INTER_AREA if k < 1 else cv2.INTER_LINEAR
    )
    joints_px, visible, joints_m, gravity = warp_joints(sample, affine, out)
    return Sample(
        image, joints_px, visible, joints_m, sample.weight_3d, sample.focal_px * k, gravity,
        sample.present,
    )  # fmt: skip
