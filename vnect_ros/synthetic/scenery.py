"""Rooms, grounds, backdrops, occluders and light."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

from vnect_ros.synthetic.appearance import cloth_colour
from vnect_ros.synthetic.retarget import about, unit
from vnect_ros.synthetic.scene import Lighting, Solid

TILES, PLANKS, BRICKS, CARPET, STRIPES, CHEQUERS, GRASS, FADE, BLOCKS, SHELVES = range(1, 11)


def box(
    centre: ArrayLike, size: ArrayLike, turn: float = 0.0, tilt: np.ndarray | None = None
) -> np.ndarray:
    """[4, 4] transform of the unit cube: centre [m], edges [m], turn about z [rad]."""
    transform = np.eye(4)
    rotation = about([0, 0, 1], turn) if tilt is None else tilt
    transform[:3, :3] = rotation @ np.diag(size)
    transform[:3, 3] = centre
    return transform


def wall_colour(rng: np.random.Generator) -> np.ndarray:
    """[3] mostly pale and weakly coloured; now and then anything."""
    if rng.random() < 0.3:
        return cloth_colour(rng)
    return np.clip(rng.uniform(0.35, 0.97) + rng.normal(0, 0.05, 3), 0, 1)


def sample_lighting(rng: np.random.Generator) -> Lighting:
    """Daylight, studio, spot, dusk or coloured light from any side."""
    direction = unit(np.array([*rng.normal(size=2), rng.uniform(0.15, 1.6)]))
    kind = rng.choice(["sun", "soft", "spot", "dim", "coloured"], p=[0.32, 0.33, 0.12, 0.1, 0.13])
    warm = np.array([1.0, rng.uniform(0.86, 1.0), rng.uniform(0.7, 1.02)])
    sun, sky = rng.uniform(0.7, 1.5) * warm, rng.uniform(0.25, 0.55)
    if kind == "soft":
        sun, sky = rng.uniform(0.1, 0.5) * warm, rng.uniform(0.6, 0.95)
    elif kind == "spot":
        sun, sky = rng.uniform(1.2, 2.4) * warm, rng.uniform(0.08, 0.25)
    elif kind == "dim":
        sun, sky = rng.uniform(0.1, 0.4) * warm, rng.uniform(0.12, 0.3)
    elif kind == "coloured":
        sun = rng.uniform(0.4, 1.2) * rng.uniform(0.3, 1.0, 3)
    sky_colour = sky * np.clip(1 + rng.normal(0, 0.08, 3), 0.6, 1.4)
    ground = sky * rng.uniform(0.25, 0.9) * np.clip(1 + rng.normal(0, 0.12, 3), 0.5, 1.5)
    lamp = rng.uniform(0, 2.5) * rng.uniform(0.5, 1, 3) * (rng.random() < 0.35)
    return Lighting(
        direction, sun, sky_colour, ground,
        rng.normal(0, 1.5, 3) + [0, 0, 2.2], lamp,
        float(rng.uniform(0.5, 0.95)), float(rng.uniform(0.8, 1.25)),
    )  # fmt: skip


def room(rng: np.random.Generator, floor_z: float, eye_m: np.ndarray) -> list[Solid]:
    """A room round the person and the camera: floor, walls, ceiling, furniture."""
    reach = max(2.2, float(np.abs(eye_m[:2]).max()) + 0.4)
    half = reach + rng.uniform(0.3, 4.0, 2)
    tall = max(rng.uniform(2.3, 4.5), eye_m[2] - floor_z + 0.3)
    turn = rng.uniform(-np.pi, np.pi)
    spin = about([0, 0, 1], turn)
    half = np.maximum(half, np.abs(spin.T[:2, :2] @ eye_m[:2]) + 0.3)
    solids = [_floor(rng, floor_z)]
    wall: dict[str, Any] = {
        "colour_a": wall_colour(rng), "colour_b": wall_colour(rng),
        "scale": float(rng.uniform(0.4, 2.5)),
        "pattern": int(rng.choice([0, 0, 0, BRICKS, STRIPES, CARPET, TILES, FADE, BLOCKS])),
        "offset": float(rng.uniform(0, 50)), "casts": False,
    }  # fmt: skip
    for axis in (0, 1):
        for sign in (-1, 1):
            centre, size = np.zeros(3), np.zeros(3)
            centre[axis], centre[2] = sign * half[axis], floor_z + tall / 2
            size[axis], size[1 - axis], size[2] = 0.1, 2 * half[1 - axis], tall
            if rng.random() < 0.3:
                wall = {**wall, "colour_a": wall_colour(rng)}
            solids.append(Solid(box(spin @ centre, size, turn), **wall))
            for _ in range(rng.integers(0, 4)):  # windows, doors, pictures
                inset, panel = centre.copy(), size.copy()
                inset[axis] -= sign * 0.06
                panel[1 - axis], panel[2] = rng.uniform(0.4, 1.8), rng.uniform(0.4, 1.6)
                inset[1 - axis] = rng.uniform(-half[1 - axis], half[1 - axis]) * 0.9
                inset[2] = floor_z + rng.uniform(0.3, 0.7) * tall
                panel[axis] = 0.06
                solids.append(_solid(rng, box(spin @ inset, panel, turn)))
    solids.append(
        Solid(box([0, 0, floor_z + tall + 0.05], [2 * half[0] + 9, 2 * half[1] + 9, 0.1], turn),
              wall_colour(rng), wall_colour(rng), int(rng.choice([0, 0, TILES])), casts=False)
    )  # fmt: skip
    return solids + furniture(rng, floor_z, half * 0.95, spin, int(rng.integers(0, 9)))


def _floor(rng: np.random.Generator, floor_z: float, outdoors: bool = False) -> Solid:
    choice = [GRASS, GRASS, CARPET, TILES, BRICKS, 0] if outdoors else [
        TILES, PLANKS, PLANKS, CARPET, 0, CHEQUERS, BRICKS]  # fmt: skip
    pattern = int(rng.choice(choice))
    a, b = wall_colour(rng) * rng.uniform(0.4, 1), wall_colour(rng) * rng.uniform(0.4, 1)
    if pattern == PLANKS:
        a = np.array([0.62, 0.43, 0.27]) * rng.uniform(0.5, 1.4)
        b = a * rng.uniform(0.5, 0.8)
    elif pattern == GRASS:
        a, b = np.array([0.24, 0.36, 0.12]), np.array([0.45, 0.52, 0.25]) * rng.uniform(0.6, 1.3)
    return Solid(
        box([0, 0, floor_z - 0.05], [70, 70, 0.1], rng.uniform(0, 3)), np.clip(a, 0, 1),
        np.clip(b, 0, 1), pattern, float(rng.uniform(0.5, 3.5)), float(rng.uniform(0, 50)),
        float(rng.choice([0.0, 0.02, 0.15])), casts=False,
    )  # fmt: skip


def _solid(rng: np.random.Generator, transform: np.ndarray, ball: bool = False) -> Solid:
    return Solid(
        transform, wall_colour(rng) if rng.random() < 0.6 else cloth_colour(rng), wall_colour(rng),
        int(rng.integers(0, 11)), float(np.exp(rng.uniform(-0.7, 2.0))),
        float(rng.uniform(0, 50)), float(rng.choice([0.0, 0.05, 0.2])), ball,
    )  # fmt: skip


def furniture(
    rng: np.random.Generator, floor_z: float, half: np.ndarray, spin: np.ndarray, count: int
) -> list[Solid]:
    """Boxes and balls that stand about, clear of the person at the origin."""
    solids = []
    for _ in range(count):
        place = rng.uniform(-half, half)
        if np.linalg.norm(place) < 1.3:
            continue
        ball = bool(rng.random() < 0.12)
        size = np.exp(rng.normal(-0.5, 0.5, 3))
        if ball:
            size[:] = size[0] * 0.7
        at = spin @ np.array([*place, 0.0]) + [0, 0, floor_z + size[2] / 2]
        solids.append(_solid(rng, box(at, size, rng.uniform(-np.pi, np.pi)), ball))
    return solids


def outdoors(rng: np.random.Generator, floor_z: float) -> list[Solid]:
    """Ground, houses and bushes far off; the sky is the backdrop."""
    solids = [_floor(rng, floor_z, outdoors=True)]
    for _ in range(rng.integers(3, 14)):
        angle, far = rng.uniform(-np.pi, np.pi), rng.uniform(7, 28)
        ball = bool(rng.random() < 0.4)
        size = np.exp(rng.normal(1.1, 0.6, 3))
        size[2] *= rng.uniform(0.6, 1.6)
        at = [far * np.cos(angle), far * np.sin(angle), floor_z + (0.3 if ball else 0.5) * size[2]]
        solid = _solid(rng, box(at, size, rng.uniform(-np.pi, np.pi)), ball)
        if ball:
            green = np.array([0.2, 0.32, 0.12]) * rng.uniform(0.5, 1.5)
            solid = Solid(
                solid.transform_world_from_model, green, green * 1.6, GRASS, 1.0, ball=True
            )
        solids.append(solid)
    return solids


def sky(rng: np.random.Generator, size: int) -> np.ndarray:
    """[S, S, 3] uint8 a sky with clouds."""
    top = np.array([0.35, 0.55, 0.9]) * rng.uniform(0.4, 1.1)
    low = np.clip(rng.uniform(0.6, 1.0) + rng.normal(0, 0.05, 3), 0, 1)
    t = np.linspace(0, 1, size)[:, None, None]
    cloud = clouds(rng, size, 3)[..., None] * rng.uniform(0, 0.8)
    picture = (1 - t) * top + t * low
    return (np.clip(picture + cloud * (1 - picture), 0, 1) * 255).astype(np.uint8)


def clouds(rng: np.random.Generator, size: int, octaves: int) -> np.ndarray:
    """[S, S] float smooth noise in [0, 1]."""
    total = np.zeros((size, size), np.float32)
    for k in range(octaves):
        cells = int(rng.integers(2, 5)) * 2**k
        grid = rng.random((cells, cells)).astype(np.float32)
        total += cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC) / 2**k
    return np.clip((total - total.min()) / (np.ptp(total) + 1e-6), 0, 1)


def backdrop(rng: np.random.Generator, size: int, strips: Sequence[np.ndarray]) -> np.ndarray:
    """[S, S, 3] uint8 a flat picture behind the person.

    Args:
        strips: [h, w, 3] uint8 pieces of photographs without people, or none.
    """
    kinds = ["plain", "studio", "gradient", "noise", "stripes", "shapes", "photo"]
    shares = np.array([0.12, 0.1, 0.1, 0.1, 0.08, 0.14, 0.36 if len(strips) else 0.0])
    kind = rng.choice(kinds, p=shares / shares.sum())
    a, b = wall_colour(rng), wall_colour(rng)
    if kind == "studio":
        a = np.full(3, rng.choice([1.0, 0.97, 0.9, 0.7, 0.5, 0.2, 0.05]))
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size)), -1)
    if kind == "photo":
        return _photo(rng, size, strips)
    if kind in ("plain", "studio"):
        share = 0.12 * rng.random() * np.linalg.norm(grid, axis=-1)
    elif kind == "gradient":
        share = 0.5 + 0.5 * grid @ unit(rng.normal(size=2))
    elif kind == "noise":
        share = clouds(rng, size, int(rng.integers(1, 7)))
    elif kind == "stripes":
        share = np.sin(grid @ unit(rng.normal(size=2)) * rng.uniform(8, 90)) > rng.uniform(
            -0.6, 0.6
        )
    else:
        picture = np.empty((size, size, 3), np.uint8)
        picture[:] = (a * 255).astype(np.uint8)
        for _ in range(rng.integers(4, 40)):
            colour = [int(255 * c) for c in wall_colour(rng)]
            corner = rng.integers(-size // 4, size, 2)
            other = corner + rng.integers(5, size // 2, 2)
            if rng.random() < 0.6:
                cv2.rectangle(picture, corner.tolist(), other.tolist(), colour, -1)
            else:
                cv2.ellipse(picture, corner.tolist(), (other - corner).tolist(),
                            float(rng.uniform(0, 180)), 0, 360, colour, -1)  # fmt: skip
        blur = int(rng.choice([1, 3, 7]))
        return cv2.GaussianBlur(picture, (blur, blur), 0)
    share = np.clip(np.asarray(share, float), 0, 1)[..., None]
    return (np.clip((1 - share) * a + share * b, 0, 1) * 255).astype(np.uint8)


def _photo(rng: np.random.Generator, size: int, strips: Sequence[np.ndarray]) -> np.ndarray:
    """[S, S, 3] strips of photographs, stretched, mirrored and laid side by side."""
    count = int(rng.integers(1, 4))
    upright = rng.random() < 0.5
    pieces = []
    for _ in range(count):
        strip = strips[int(rng.integers(len(strips)))]
        edge = -(-size // count)
        shape = (edge, size) if upright else (size, edge)
        if rng.random() < 0.5:
            strip = strip[:, ::-1]
        pieces.append(cv2.resize(strip, shape, interpolation=cv2.INTER_LINEAR))
    picture = np.concatenate(pieces, axis=1 if upright else 0)[:size, :size]
    blur = 2 * int(rng.integers(0, 4)) + 1
    return cv2.GaussianBlur(np.ascontiguousarray(picture), (blur, blur), 0)


def occluders(rng: np.random.Generator, eye_m: np.ndarray, joints_m: np.ndarray) -> list[Solid]:
    """One or two things between the camera and the person, at a limb or at the legs."""
    solids = []
    for _ in range(rng.integers(1, 3)):
        target = joints_m[rng.integers(len(joints_m))] + rng.normal(0, 0.12, 3)
        share = rng.uniform(0.5, 0.85)
        at = eye_m + share * (target - eye_m)
        size = np.exp(rng.normal(-1.5, 0.55, 3)) * np.linalg.norm(target - eye_m) * 0.35
        if rng.random() < 0.3:
            size[rng.integers(3)] *= 6
        ball = bool(rng.random() < 0.2)
        turn = about(rng.normal(size=3), rng.uniform(0, np.pi))
        solids.append(_solid(rng, box(at, size, tilt=turn), ball))
    return solids
