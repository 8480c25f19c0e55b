"""What cameras and their surroundings do to a picture after it was drawn."""

from __future__ import annotations

import functools

import cv2
import numpy as np

from vnect_ros.camera import Camera
from vnect_ros.records import Crop


def beyond_black(image: np.ndarray, crop: Crop, camera: Camera) -> np.ndarray:
    """The crop [S, S, 3] with what lies outside the camera's image black."""
    size = len(image)
    diagonal = crop.image_from_input(np.stack([np.arange(size)] * 2, axis=1))
    x, y = ((diagonal[:, i] > -0.5) & (diagonal[:, i] < edge - 0.5)
            for i, edge in enumerate((camera.width, camera.height)))  # fmt: skip
    return image * (y[:, None] & x)[..., None]


def degrade(rng: np.random.Generator, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What cameras do: blur, low resolution, noise, colour, JPEG, and things before the lens.

    Returns:
        [S, S, 3] uint8 and [S, S] bool where something was pasted over.
    """
    size = len(image)
    covered = np.zeros((size, size), bool)
    picture: np.ndarray = image.astype(np.float32)
    if rng.random() < 0.08:
        for _ in range(rng.integers(1, 4)):
            low = rng.integers(0, size - 10, 2)
            high = np.minimum(low + rng.integers(8, size // 3, 2), size)
            colour = rng.integers(0, 256, 3)
            grain = rng.normal(0, rng.uniform(0, 40), (high[1] - low[1], high[0] - low[0], 1))
            picture[low[1] : high[1], low[0] : high[0]] = np.clip(colour + grain, 0, 255)
            covered[low[1] : high[1], low[0] : high[0]] = True
    if rng.random() < 0.12:
        picture = _motion_blur(rng, picture)
    if rng.random() < 0.25:
        small = int(size / (1.0 + rng.beta(1, 2) * 2.2))
        way = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA]))
        picture = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(picture, (size, size), interpolation=way)
    elif rng.random() < 0.25:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.8))
    if rng.random() < 0.5:
        picture = picture * rng.uniform(0.85, 1.15, 3) + rng.normal(0, 6, 3)
    if rng.random() < 0.3:
        gamma = np.exp(rng.normal(0, 0.2))
        picture = 255.0 * (np.clip(picture, 0, 255) / 255.0) ** gamma
    if rng.random() < 0.07:
        picture[:] = picture.mean(axis=2, keepdims=True)
    if rng.random() < 0.6:
        sigma = abs(rng.normal(0, 5))
        at = rng.integers(0, 64, 2)
        picture = picture + sigma * _grain(size)[at[0] :, at[1] :][:size, :size]
    result = np.clip(picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        quality = int(rng.integers(25, 95))
        data = cv2.imencode(".jpg", result, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        result = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return result, covered


@functools.lru_cache(maxsize=2)
def _grain(size: int) -> np.ndarray:
    """[S + 64, S + 64, 3] normal noise to cut from: drawing it anew costs more than it gives."""
    return np.random.default_rng(1).standard_normal((size + 64, size + 64, 3), dtype=np.float32)


def _motion_blur(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    reach = (length - 1) / 2.0
    along = np.linspace(-reach, reach, 4 * length)
    x, y = (np.round(reach + along * f(angle)).astype(int) for f in (np.cos, np.sin))
    kernel[y, x] = 1.0
    return cv2.filter2D(picture, -1, kernel / kernel.sum())
