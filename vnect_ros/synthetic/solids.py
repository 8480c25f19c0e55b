"""Triangles of the cube and the ball that scenery is built of."""

from __future__ import annotations

import numpy as np


def ball(rings: int = 10, sides: int = 16) -> np.ndarray:
    """[N, 6] triangles of a ball of radius 0.5 with normals."""
    polar = np.linspace(0, np.pi, rings + 1)
    turn = np.linspace(0, 2 * np.pi, sides + 1)
    grid = np.stack(
        [
            np.sin(polar)[:, None] * np.cos(turn),
            np.sin(polar)[:, None] * np.sin(turn),
            np.cos(polar)[:, None] * np.ones_like(turn),
        ],
        axis=-1,
    )
    a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]
    normals = np.stack([a, b, c, a, c, d], axis=2).reshape(-1, 3)
    return np.concatenate([0.5 * normals, normals], axis=1).astype(np.float32)


def cube() -> np.ndarray:
    """[36, 6] triangles of the cube ±0.5 with normals."""
    rows = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            n = np.zeros(3)
            n[axis] = sign
            u, v = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
            corners = [0.5 * (n + s * u + t * v) for s, t in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            rows += [np.concatenate([corners[i], n]) for i in (0, 1, 2, 0, 2, 3)]
    return np.array(rows, np.float32)
