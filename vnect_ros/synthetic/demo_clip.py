"""The bundled clip, and the small set of motion for the tests.

Both come from captured walking (free for all uses) and from our own crouch and wave.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vnect_ros.skeleton import JOINT_NAMES
from vnect_ros.synthetic import motion_synthesis
from vnect_ros.synthetic.acts import path, sitting, walking
from vnect_ros.synthetic.bodies import body_model
from vnect_ros.synthetic.cameras import ideal_camera, look_at
from vnect_ros.synthetic.demo_scene import demo_look, demo_scene
from vnect_ros.synthetic.filming import Actor, Shot
from vnect_ros.synthetic.motion import heading
from vnect_ros.synthetic.retarget import Style, about
from vnect_ros.synthetic.scene import View

WALK = "train__walking_extra__walking_33"
"""The captured walk that the clip's person walks."""


def demo_shot(motion: dict[str, np.ndarray], rate_hz: float = 30.0) -> Shot:
    """The bundled clip: 640x480, 1.5 m high, 15.5 s."""
    model = body_model()
    shape = model.shape(_DEMO_BODY, 1.72)
    stamps = np.arange(int(15.5 * rate_hz)) / rate_hz
    x_y = path([
        (0.0, -1.45, 1.9), (1.0, -1.05, 0.9), (2.0, -0.35, -0.1), (3.0, -0.05, -0.6),
        (7.7, -0.05, -0.6), (8.7, 0.55, -0.5), (9.6, 1.25, 0.05), (10.5, 1.2, 1.0),
        (11.4, 0.45, 1.7), (12.3, -0.5, 1.4), (13.2, -0.75, 0.5), (14.1, -0.4, -0.15),
        (15.0, -0.15, -0.4), (15.6, -0.13, -0.42),
    ], stamps)  # fmt: skip
    wave = motion_synthesis.pulse(stamps, 3.1, 3.7, 5.0, 5.6)
    crouch = 0.52 * motion_synthesis.pulse(stamps, 5.4, 6.3, 6.7, 7.6)
    hold = motion_synthesis.pulse(stamps, 2.3, 3.1, 7.6, 8.5) + motion_synthesis.ease(
        (stamps - 14.0) / 0.8
    )
    joints = walking(model, shape, motion[WALK], x_y, rate_hz, crouch, wave, hold)
    transform = look_at(np.array([0.0, -3.9, 1.5]), np.array([0.0, 0.0, 0.95]))
    actor = Actor(shape, joints, demo_look(), Style(curl=(0.12, 0.2)))
    return Shot((actor,), demo_scene(), View(ideal_camera(640, 480, 41.0), transform), rate_hz)


_DEMO_BODY = {
    "age": 0.7, "gender": 0.75, "muscle": 0.55, "weight": 0.45, "height": 0.5,
    "proportions": 0.7, "african": 0.3, "asian": 0.4, "caucasian": 0.3,
}  # fmt: skip


def motion_for_tests(motion: dict[str, np.ndarray], rate_hz: float = 30.0) -> dict[str, Any]:
    """Four motions of 6 s on three bodies, for tests: arrays by name.

    Each NAME has joints_NAME [180, 21, 3] float32 in the camera's optical frame
    [m], k_NAME [3, 3] for 640x480, and height_NAME [m]; stamps_s serves all.
    """
    model = body_model()
    stamps = np.arange(180) / rate_hz
    result: dict[str, Any] = {
        "stamps_s": stamps, "joint_names": np.array(JOINT_NAMES), "image_size": np.array([640, 480])
    }  # fmt: skip
    transform = look_at(np.array([0.0, -3.8, 1.4]), np.array([0.0, 0.0, 0.9]))
    view = View(ideal_camera(640, 480, 50.0), transform)
    bodies = {
        "walk": ({"gender": 0.9, "age": 0.7}, 1.63), "wave_crouch": (_DEMO_BODY, 1.72),
        "signals": ({"gender": 0.1, "age": 0.8, "weight": 0.7}, 1.85),
        "sit": ({"gender": 0.2, "age": 0.7, "weight": 0.4}, 1.76),
    }  # fmt: skip
    for name, (phenotypes, height) in bodies.items():
        shape = model.shape(phenotypes, height)
        if name == "walk":
            x_y = path([(0, -1.0, 1.6), (1.5, -0.3, 0.3), (2.6, 0.6, 0.2), (3.6, 0.9, 1.1),
                        (4.8, 0.0, 1.7), (6, -0.8, 1.0)], stamps)  # fmt: skip
            joints = walking(model, shape, motion[WALK], x_y, rate_hz)
        elif name == "wave_crouch":
            x_y = path([(0, 0.3, 0.6), (0.6, 0.2, 0.2), (1.2, 0.15, 0.1), (6, 0.15, 0.1)], stamps)
            wave = motion_synthesis.pulse(stamps, 1.0, 1.5, 2.6, 3.2)
            crouch = 0.5 * motion_synthesis.pulse(stamps, 3.2, 4.1, 4.5, 5.4)
            hold = np.full(len(stamps), 0.6)
            joints = walking(model, shape, motion[WALK], x_y, rate_hz, crouch, wave, hold)
        elif name == "signals":
            source = motion["train__basketball_signal__basketball_signal_2"][120:300]
            source = source @ about([0, 0, 1], heading(source[0]) + 0.4)
            joints = motion_synthesis.walked(motion_synthesis.on_body(model, shape, source), shape)
            joints = motion_synthesis.locked(joints, rate_hz, shape)
        else:
            joints = sitting(model, shape, stamps)
        joints = motion_synthesis.settled(model, shape, joints)[1]
        result[f"joints_{name}"] = view.project(joints)[1].astype(np.float32)
        result[f"k_{name}"], result[f"height_{name}"] = view.camera.matrix, shape.height_m
    return result
