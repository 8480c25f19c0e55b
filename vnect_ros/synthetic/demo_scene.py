"""The bundled clips' scene: a living room in soft daylight, and plain clothes."""

from __future__ import annotations

import numpy as np

from vnect_ros.synthetic.appearance import Look
from vnect_ros.synthetic.retarget import unit
from vnect_ros.synthetic.scene import Lighting, Scene, Solid
from vnect_ros.synthetic.scenery import CARPET, PLANKS, SHELVES, box


def _rgb(*values: float) -> np.ndarray:
    return np.array(values) / 255.0


def demo_look() -> Look:
    """Plain clothes."""
    rgb = _rgb
    colours = np.array([
        rgb(205, 152, 116), rgb(188, 132, 98), rgb(38, 26, 20), rgb(58, 40, 30),
        rgb(24, 128, 132), rgb(228, 232, 226), rgb(24, 128, 132), rgb(228, 232, 226),
        rgb(52, 66, 104), rgb(74, 92, 134), rgb(236, 236, 232), rgb(190, 80, 50),
        rgb(90, 90, 90), rgb(90, 90, 90),
    ])  # fmt: skip
    return Look(
        colours=colours, patterns=np.array([0, 0, 1, 1, 6, 0, 0]),
        scales=np.array([20.0, 20.0, 14.0, 14.0, 26.0, 20.0, 20.0]),
        shirt=np.array([-0.97, -0.02, 0.33, 0.04]), trousers=np.array([-0.2, 0.97, 1.0, 0.9]),
        hair=np.array([0.55, -0.85, 0.0, 0.016]), long_hair=False, skirt_length=0.0,
        logo=np.array([0.0, 0.4, 0.05, 0.0]), logo_colour=rgb(240, 240, 240), folds=0.9,
        loose_shirt_m=0.014, loose_trousers_m=0.012, noise_seed=7,
    )  # fmt: skip


def demo_scene() -> Scene:
    """The room, empty."""
    rgb = _rgb
    wall, trim = rgb(226, 220, 206), rgb(244, 242, 236)
    wood, dark = rgb(168, 122, 82), rgb(96, 66, 44)
    blue, sand = rgb(92, 112, 140), rgb(198, 180, 150)

    def block(
        x: float,
        y: float,
        z: float,
        dx: float,
        dy: float,
        dz: float,
        a: np.ndarray,
        b: np.ndarray | None = None,
        pattern: int = 0,
        scale: float = 1.0,
        gloss: float = 0.03,
        ball: bool = False,
    ) -> Solid:
        """A solid by its middle on the floor plan, its underside and its edges [m]."""
        b = a * 0.85 if b is None else b
        where = box([x, y, z + dz / 2], [dx, dy, dz])
        return Solid(where, a, b, pattern, scale, 3.0, gloss, ball, False)

    solids = [
        block(0, 0, -0.1, 14, 14, 0.1, wood, dark, PLANKS, 1.6, 0.06),
        block(0, 3.35, 0, 9, 0.1, 3.0, wall, wall * 0.96, CARPET, 0.6),
        block(-3.3, 0, 0, 0.1, 9, 3.0, wall * 0.97, wall * 0.93, CARPET, 0.6),
        block(3.3, 0, 0, 0.1, 9, 3.0, rgb(158, 178, 170), rgb(150, 170, 162), CARPET, 0.6),
        block(0, 0, 3.0, 9, 9, 0.1, trim),
        block(0, 3.28, 0, 9, 0.06, 0.12, trim),
        block(-3.23, 0, 0, 0.06, 9, 0.12, trim),
        block(3.23, 0, 0, 0.06, 9, 0.12, trim),
        block(0.0, 0.9, 0.0, 3.3, 2.6, 0.012, sand, rgb(150, 96, 78), CARPET, 1.4, 0.0),
        # window with a bright sky, a frame and a sill
        block(-1.5, 3.3, 0.95, 1.5, 0.08, 1.35, trim),
        block(-1.5, 3.27, 1.02, 1.36, 0.08, 1.2, rgb(196, 222, 246)),
        block(-1.5, 3.25, 1.02, 0.05, 0.08, 1.2, trim),
        block(-1.5, 3.2, 0.9, 1.7, 0.2, 0.05, trim),
        # pictures
        block(0.55, 3.27, 1.35, 0.62, 0.05, 0.82, dark),
        block(0.55, 3.25, 1.4, 0.52, 0.05, 0.72, rgb(214, 130, 84), rgb(60, 92, 120), 9, 1.1),
        block(3.22, 1.2, 1.3, 0.05, 0.9, 0.65, dark),
        block(3.2, 1.2, 1.35, 0.05, 0.8, 0.55, rgb(86, 128, 110), rgb(222, 206, 160), CARPET, 0.8),
        # a shelf with books, a sofa with cushions, a table, a plant, a lamp
        block(2.35, 3.05, 0, 1.3, 0.35, 1.9, dark),
        block(2.35, 2.9, 0.06, 1.2, 0.1, 1.78, rgb(150, 108, 84), rgb(72, 92, 108), SHELVES, 1.6),
        block(-2.75, 1.1, 0.12, 0.9, 2.0, 0.32, blue),
        block(-3.08, 1.1, 0.42, 0.24, 2.0, 0.45, blue),
        block(-2.75, 0.05, 0.12, 0.9, 0.18, 0.5, blue),
        block(-2.75, 2.15, 0.12, 0.9, 0.18, 0.5, blue),
        block(-2.9, 0.5, 0.46, 0.2, 0.45, 0.4, rgb(214, 150, 70)),
        block(-2.9, 1.75, 0.46, 0.2, 0.45, 0.4, rgb(190, 190, 184)),
        block(2.6, 0.6, 0.55, 0.75, 1.0, 0.05, wood),
        block(2.32, 0.2, 0, 0.06, 0.06, 0.55, dark),
        block(2.32, 1.0, 0, 0.06, 0.06, 0.55, dark),
        block(2.88, 0.2, 0, 0.06, 0.06, 0.55, dark),
        block(2.88, 1.0, 0, 0.06, 0.06, 0.55, dark),
        block(2.6, 0.75, 0.6, 0.22, 0.3, 0.04, rgb(180, 60, 54)),
        block(-2.75, 2.85, 0, 0.34, 0.34, 0.4, rgb(176, 98, 68)),
        block(
            -2.75,
            2.85,
            0.45,
            0.75,
            0.75,
            0.95,
            rgb(58, 104, 58),
            rgb(92, 140, 74),
            7,
            1.5,
            0.02,
            True,
        ),
        block(1.35, 3.0, 0, 0.28, 0.28, 0.03, dark),
        block(1.35, 3.0, 0.03, 0.04, 0.04, 1.5, dark),
        block(1.35, 3.0, 1.45, 0.42, 0.42, 0.42, rgb(250, 236, 200), gloss=0.0, ball=True),
    ]
    lighting = Lighting(
        sun_direction=unit(np.array([-0.55, -0.75, 1.0])), sun_colour=np.array([0.62, 0.58, 0.5]),
        sky_colour=np.array([0.56, 0.58, 0.62]), ground_colour=np.array([0.36, 0.32, 0.28]),
        lamp_position_m=np.array([1.35, 2.8, 1.9]), lamp_colour=np.array([0.5, 0.42, 0.28]),
        shadow_strength=0.75, exposure=1.0,
    )  # fmt: skip
    return Scene((), tuple(solids), lighting)
