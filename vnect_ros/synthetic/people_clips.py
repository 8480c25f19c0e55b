"""Clips of two to six people: crossing, hiding each other, entering, leaving; by moving cameras.

Four held-out videos of 8 s (640x480, 30 Hz) and the bundled one.  World frame: metres,
z up, the floor at 0; the camera is at negative y and looks along +y.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from vnect_ros.skeleton import PELVIS
from vnect_ros.synthetic import motion_synthesis, scenery
from vnect_ros.synthetic.acts import path, walking
from vnect_ros.synthetic.appearance import sample_look
from vnect_ros.synthetic.bodies import BodyModel, Shape, body_model, sample_phenotypes
from vnect_ros.synthetic.cameras import ideal_camera, look_at
from vnect_ros.synthetic.demo_clip import WALK
from vnect_ros.synthetic.demo_scene import demo_scene
from vnect_ros.synthetic.filming import Actor, Shot
from vnect_ros.synthetic.motion import heading
from vnect_ros.synthetic.poses import sample_style
from vnect_ros.synthetic.retarget import about
from vnect_ros.synthetic.scene import Scene, Solid, View

RATE_HZ: Final = 30.0
STAMPS_S: Final = np.arange(240) / RATE_HZ
HELD_OUT_WALK: Final = "test__walking_extra__walking_17"
SIGNALS: Final = "train__directing_traffic__directing_traffic_4"
"""Held out as well; who does not walk makes these signs."""
CHILD_M: Final = 1.5
"""Who is smaller counts as a child."""
FREE_M: Final = 0.9
"""Furniture stays this far from where people walk."""

Knots = Sequence[tuple[float, float, float]]
"""(time [s], x, y) on the floor [m]."""


@dataclass(frozen=True)
class Plan:
    """Where everybody and the camera go."""

    adults: Sequence[Knots]
    """One knot: somebody who stays there and makes signs."""
    children: Sequence[Knots] = ()
    eye: Knots = ((0.0, 0.0, -4.6),)
    level_m: float = 1.4
    """Height of the camera over the floor."""
    target: Knots = ((0.0, 0.0, 0.6),)
    """What the camera looks at, 0.85 m over the floor."""
    fov_y_deg: float = 50.0


PLANS: Final = {
    # one before the other, twice
    "cross": Plan([
        [(0, -1.6, 0.0), (3.7, 1.5, -0.1), (4.3, 1.5, 0.2), (8, -1.5, 0.2)],
        [(0, 1.8, 1.4), (3.7, -1.5, 1.6), (4.3, -1.5, 1.3), (8, 1.5, 1.4)],
    ]),
    # a child behind and before adults; the camera drives past them
    "family": Plan(
        [
            [(0, -1.0, 1.3), (2.6, 0.3, 1.2), (5, 0.7, 0.9), (8, -0.2, 0.2)],
            [(0, 1.3, 0.1)],
        ],
        [[(0, 1.9, 1.2), (2.5, 0.4, 2.1), (4.5, -0.8, 1.0), (8, -1.5, -0.2)]],
        eye=[(0, -1.5, -4.6), (4, 0.0, -4.0), (8, 1.4, -4.4)],
        level_m=1.0,
        target=[(0, -0.2, 0.6), (8, 0.1, 0.5)],
    ),
    # through the picture's edges, one of them there and back
    "enter": Plan([
        [(0, -4.2, 0.6), (4.2, -0.6, 0.3), (8, 4.2, 0.6)],
        [(0, 1.2, 0.2), (1.5, 2.2, 0.3), (3.0, 3.9, 0.5), (4.2, 4.0, 0.8), (6.5, 1.9, 1.4),
         (8, 0.6, 1.6)],
        [(0, -0.2, 2.2)],
        [(0, 5.0, 2.8), (2.2, 4.6, 2.7), (5.5, 1.4, 2.8), (8, -1.2, 3.2)],
    ]),
    # six at once, the camera turns
    "crowd": Plan(
        [
            [(0, -2.2, 0.0), (4, 0.4, -0.2), (8, 2.2, 0.2)],
            [(0, 2.4, 0.9), (4, -0.2, 0.8), (8, -2.4, 0.7)],
            [(0, -1.3, 1.7)],
            [(0, 1.0, 2.6), (4, 2.4, 2.2), (8, 1.1, 1.3)],
            [(0, -0.4, 3.2), (4, -2.4, 3.0), (8, -0.8, 2.5)],
        ],
        [[(0, 0.3, 1.6), (4, 1.5, 1.6), (8, 0.1, 1.9)]],
        eye=[(0, 0.4, -5.0), (8, -0.4, -4.6)],
        level_m=1.6,
        target=[(0, -0.3, 0.9), (4, 0.3, 0.9), (8, -0.1, 0.9)],
        fov_y_deg=52.0,
    ),
}  # fmt: skip
"""The held-out clips by name."""
BUNDLED: Final = Plan(
    [
        [(0, -1.7, 0.1), (3.4, 1.2, 0.0), (4.6, 1.4, 0.9), (8, -1.2, 1.3)],
        [(0, 1.6, 1.3), (3.6, -1.2, 1.4), (4.8, -1.4, 0.6), (8, 1.3, 0.0)],
    ],
    [[(0, 0.2, 0.75), (2.0, 0.2, 0.7), (4.6, 0.3, 0.3), (6.0, -0.2, 0.7), (8, 0.1, 0.7)]],
    eye=[(0, 0.0, -4.3)],
    level_m=1.45,
    fov_y_deg=46.0,
)  # fmt: skip
"""The bundled clip of three people."""


def heldout_people_shot(name: str, model: BodyModel, motion: dict[str, np.ndarray]) -> Shot:
    """The clip of that name.

    Args:
        motion: held-out captured motion, of `motion.load_motion`.
    """
    plan = PLANS[name]
    rng = np.random.default_rng([list(PLANS).index(name), 535353])
    actors = _actors(rng, plan, model, motion, HELD_OUT_WALK, held_out=True)
    view = views(plan)
    furthest = np.abs([v.eye_m for v in view]).max(axis=0)
    solids = _clear(scenery.room(rng, 0.0, furthest), actors, view)
    return Shot(actors, Scene((), tuple(solids), scenery.sample_lighting(rng)), view, RATE_HZ)


def bundled_people_shot(motion: dict[str, np.ndarray]) -> Shot:
    """The bundled clip: three people in the room of the other one."""
    model, rng = body_model(), np.random.default_rng(30)
    actors = _actors(rng, BUNDLED, model, motion, WALK, held_out=False)
    return Shot(actors, demo_scene(), views(BUNDLED)[0], RATE_HZ)


def views(plan: Plan) -> list[View]:
    """[T] the camera of each frame."""
    camera = ideal_camera(640, 480, plan.fov_y_deg)
    eyes, targets = path_of(plan.eye), path_of(plan.target)
    return [
        View(camera, look_at(np.array([*eye, plan.level_m]), np.array([*target, 0.85])))
        for eye, target in zip(eyes, targets)
    ]


def path_of(knots: Knots) -> np.ndarray:
    """[T, 2] the way through the knots; a single one is stayed at."""
    if len(knots) == 1:
        return np.tile(np.array(knots[0][1:]), (len(STAMPS_S), 1))
    return path(list(knots), STAMPS_S)


def _actors(
    rng: np.random.Generator, plan: Plan, model: BodyModel, motion: dict[str, np.ndarray],
    walk: str, held_out: bool,
) -> list[Actor]:  # fmt: skip
    actors = []
    for child, everybody in ((False, plan.adults), (True, plan.children)):
        for knots in everybody:
            phenotypes, height = _body(rng, child, held_out)
            shape = model.shape(phenotypes, height)
            joints = (
                _signing(model, shape, motion[SIGNALS], np.array(knots[0][1:]))
                if len(knots) == 1
                else walking(model, shape, motion[walk], path_of(knots), RATE_HZ)
            )
            look = sample_look(rng, phenotypes["gender"], held_out)
            actors.append(Actor(shape, joints, look, sample_style(rng)))
    return actors


def _body(rng: np.random.Generator, child: bool, held_out: bool) -> tuple[dict[str, float], float]:
    """Phenotypes and height [m] of a random child or adult."""
    while True:
        phenotypes, height = sample_phenotypes(rng, held_out)
        if (height < CHILD_M) == child:
            return phenotypes, height


def _signing(
    model: BodyModel, shape: Shape, source_m: np.ndarray, place_m: np.ndarray
) -> np.ndarray:
    """[T, 21, 3] a body that stays at a place and directs traffic, facing the camera."""
    source = source_m[300 : 300 + len(STAMPS_S)]
    source = source @ about([0, 0, 1], heading(source[0]) - 0.3)
    joints = motion_synthesis.walked(motion_synthesis.on_body(model, shape, source), shape)
    joints = motion_synthesis.locked(joints, RATE_HZ, shape)
    joints[..., :2] += place_m - joints[:, PELVIS, :2].mean(axis=0)
    return joints


def _clear(solids: Sequence[Solid], actors: Sequence[Actor], view: Sequence[View]) -> list[Solid]:
    """The solids without furniture where people walk or before the camera.

    None casts a shadow, which would come and go with the people that the shadow map follows.
    """
    ways = [actor.joints_world_m[:, PELVIS, :2] for actor in actors]
    taken = np.concatenate([*ways, [v.eye_m[:2] for v in view]])
    kept = []
    for solid in solids:
        transform = solid.transform_world_from_model
        flat = transform[2, 3] < 0.0 or transform[2, 3] > 2.2  # the floor, the ceiling
        if flat or _distance_m(taken, transform).min() > FREE_M:
            kept.append(replace(solid, casts=False))
    return kept


def _distance_m(points_m: np.ndarray, transform_world_from_cube: np.ndarray) -> np.ndarray:
    """[N] how far points [N, 2] of the floor are from an upright box, seen from above."""
    axes, middle = transform_world_from_cube[:2, :2], transform_world_from_cube[:2, 3]
    inside = (points_m - middle) @ np.linalg.inv(axes).T
    beyond = np.maximum(np.abs(inside) - 0.5, 0.0) * np.linalg.norm(axes, axis=0)
    distance: np.ndarray = np.linalg.norm(beyond, axis=1)
    return distance
