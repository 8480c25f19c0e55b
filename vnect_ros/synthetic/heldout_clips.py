"""Held-out moving clips: captured motion that no training saw, other bodies, clothes and rooms.

Six videos of 8 s (640x480, 30 Hz); in three of them something stands before the person.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vnect_ros.skeleton import PELVIS
from vnect_ros.synthetic import motion_synthesis, scenery
from vnect_ros.synthetic.acts import path, sitting, walking
from vnect_ros.synthetic.appearance import sample_look
from vnect_ros.synthetic.bodies import BodyModel, Shape, sample_phenotypes
from vnect_ros.synthetic.cameras import ideal_camera, look_at
from vnect_ros.synthetic.filming import Actor, Shot
from vnect_ros.synthetic.motion import heading
from vnect_ros.synthetic.poses import sample_style
from vnect_ros.synthetic.retarget import about
from vnect_ros.synthetic.scene import Scene, Solid, View

RATE_HZ, FRAMES = 30.0, 240
NAMES = ("window", "signals", "traffic", "walk", "sit", "ball")
OCCLUDED = ("traffic", "walk", "ball")
"""Clips with something before the person."""


def spliced(first_m: np.ndarray, second_m: np.ndarray, fade: int = 15) -> np.ndarray:
    """[T, 21, 3] one motion after the other, facing alike, blended over `fade` frames."""
    turn = about([0, 0, 1], heading(first_m[-fade // 2]) - heading(second_m[fade // 2]))
    second = (second_m - second_m[:, PELVIS : PELVIS + 1]) @ turn.T
    first = first_m - first_m[:, PELVIS : PELVIS + 1]
    share = motion_synthesis.ease(np.arange(fade) / (fade - 1.0))[:, None, None]
    middle = (1 - share) * first[-fade:] + share * second[:fade]
    return np.concatenate([first[:-fade], middle, second[fade:]])


def acted_motion(
    name: str, model: BodyModel, shape: Shape, motion: dict[str, np.ndarray]
) -> np.ndarray:
    """[240, 21, 3] the body's joints in the world, for one of NAMES."""
    stamps = np.arange(FRAMES) / RATE_HZ
    if name == "walk":
        x_y = path([(0, -1.2, 0.9), (1.6, 0.2, -0.1), (2.8, 1.2, 0.4), (4.0, 1.0, 1.6),
                    (5.2, -0.2, 2.0), (6.4, -1.1, 1.2), (8.0, -0.4, -0.2)], stamps)  # fmt: skip
        return walking(model, shape, motion["test__walking_extra__walking_17"], x_y, RATE_HZ)
    if name == "sit":
        return sitting(model, shape, stamps)
    source = {
        "window": lambda: motion["test__washwindow__washwindow_1"][100:340],
        "signals": lambda: motion["train__basketball_signal__basketball_signal_5"][200:440],
        "traffic": lambda: motion["train__directing_traffic__directing_traffic_4"][300:540],
        "ball": lambda: spliced(
            motion["test__basketball__basketball_1"], motion["test__soccer__soccer_1"]
        )[:FRAMES],
    }[name]()
    # towards the camera at the start, a quarter turned away
    source = source @ about([0, 0, 1], heading(source[0]) - 0.5)
    joints = motion_synthesis.walked(motion_synthesis.on_body(model, shape, source), shape)
    return motion_synthesis.locked(joints, RATE_HZ, shape)


def framed(rng: np.random.Generator, joints_m: np.ndarray) -> View:
    """A standing camera that keeps the whole motion in its picture."""
    camera = ideal_camera(640, 480, rng.uniform(42, 62))
    low, high = joints_m.min(axis=(0, 1)), joints_m.max(axis=(0, 1))
    target = (low + high) / 2.0
    level, angle = rng.uniform(0.9, 1.9), rng.uniform(-0.5, 0.5)
    for far in np.arange(2.2, 9.0, 0.1):
        eye = np.array([target[0] + far * np.sin(angle), target[1] - far * np.cos(angle), level])
        view = View(camera, look_at(eye, target))
        pixels, points = view.project(joints_m)
        edge = np.array([24.0, 18.0])
        inside = (pixels > edge) & (pixels < [640, 480] - edge)
        if (points[..., 2] > 0.5).all() and inside.all():
            break
    return view


def surroundings(
    name: str, rng: np.random.Generator, view: View, joints_m: np.ndarray
) -> tuple[list[Solid], np.ndarray | None]:
    """What stands about the person of a clip, and what is behind it all."""
    eye = view.eye_m
    solids: list[Solid] = []
    backdrop = None
    if name == "signals":
        backdrop = scenery.backdrop(rng, 640, ())[:480]
    elif name == "ball":
        solids, backdrop = scenery.outdoors(rng, 0.0), scenery.sky(rng, 640)[:480]
    else:
        solids = scenery.room(rng, 0.0, eye)
    if name in OCCLUDED:
        middle = joints_m[:, PELVIS].mean(axis=0)
        at = eye + 0.62 * (middle - eye)
        wide = 0.14 * np.linalg.norm(middle - eye)
        tall = 2.4 if name == "walk" else 0.55 * eye[2] + 0.15
        shape = scenery.box([at[0] + 0.2, at[1], tall / 2], [wide, 0.2, tall], 0.3)
        solids.append(Solid(shape, scenery.wall_colour(rng), scenery.wall_colour(rng), 4, 2.0))
    # the shadow map follows the person: what stands still would gain and lose its shadow
    return [replace(solid, casts=False) for solid in solids], backdrop


def heldout_shot(name: str, model: BodyModel, motion: dict[str, np.ndarray]) -> Shot:
    """The clip of that name.

    Args:
        motion: held-out captured motion, of `motion.load_motion`.
    """
    rng = np.random.default_rng([NAMES.index(name), 424243])
    phenotypes, height = sample_phenotypes(rng, held_out=True)
    shape = model.shape(phenotypes, height)
    joints = acted_motion(name, model, shape, motion)
    view = framed(rng, joints)
    solids, backdrop = surroundings(name, rng, view, joints)
    look = sample_look(rng, phenotypes["gender"], held_out=True)
    place = Scene((), tuple(solids), scenery.sample_lighting(rng), backdrop)
    return Shot((Actor(shape, joints, look, sample_style(rng)),), place, view, RATE_HZ)
