"""Films a moving body in a room: an H.264 video beside its truth."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from vnect_ros.errors import VnectError
from vnect_ros.skeleton import JOINT_NAMES, PELVIS
from vnect_ros.training.synthetic import moves
from vnect_ros.training.synthetic.appearance import Look
from vnect_ros.training.synthetic.bodies import BodyModel, Shape
from vnect_ros.training.synthetic.generate import hidden
from vnect_ros.training.synthetic.render import (
    Lighting, Person, Renderer, Scene, Solid, View, dress,
)  # fmt: skip
from vnect_ros.training.synthetic.retarget import Style, unit
from vnect_ros.training.synthetic.scenery import CARPET, PLANKS, SHELVES, box


@dataclass(frozen=True)
class Take:
    """A moving body seen by a standing camera."""

    shape: Shape
    joints_world_m: np.ndarray
    """[T, 21, 3] wanted; the truth is what the body makes of it."""
    rate_hz: float
    view: View
    style: Style = Style()


@dataclass(frozen=True)
class Set:
    """What is round the person, and what they wear."""

    look: Look
    solids: Sequence[Solid]
    lighting: Lighting
    backdrop: np.ndarray | None = None


def film(
    model: BodyModel, take: Take, stage: Set, video: Path, truth: Path, fineness: float = 1.25,
    crf: int = 23,
) -> None:  # fmt: skip
    """Render a take into an mp4 and its truth into an npz.

    The truth: stamps_s [T], fps, joints_camera_m [T, 21, 3] float32 (optical
    frame, metres), joints_px [T, 21, 2] float32, occluded [T, 21] bool, K and fx,
    fy, cx, cy, width, height, height_m and person_height_m, joint_names.

    Args:
        fineness: how much finer than the video the frames are drawn before averaging.
        crf: quality of H.264, lower is better.
    """
    width, height = take.view.width, take.view.height
    fine = _finer(take.view, fineness)
    renderer = Renderer(model, fine.width, fine.height)
    writer = _writer(video, width, height, take.rate_hz, crf)
    joints_px, joints_camera, occluded = [], [], []
    try:
        for person, joints in tqdm(acted(model, take, stage.look), total=len(take.joints_world_m)):
            scene = Scene((person,), tuple(stage.solids), stage.lighting, stage.backdrop)
            picture = renderer.draw(scene, fine)
            frame = cv2.resize(picture.colour, (width, height), interpolation=cv2.INTER_AREA)
            assert writer.stdin is not None
            writer.stdin.write(frame.tobytes())
            pixels, camera = take.view.project(joints)
            joints_px.append(pixels)
            joints_camera.append(camera)
            at = fine.project(joints)[0]
            occluded.append(hidden(at, camera, picture, take.shape.height_m))
    finally:
        renderer.release()
        writer.communicate()
    if writer.returncode:
        raise VnectError(f"ffmpeg ended with {writer.returncode} while writing {video}")
    k, count = take.view.k, len(joints_px)
    np.savez_compressed(
        truth, stamps_s=np.arange(count) / take.rate_hz, fps=take.rate_hz,
        joints_camera_m=np.array(joints_camera, np.float32),
        joints_px=np.array(joints_px, np.float32), occluded=np.array(occluded), K=k,
        fx=k[0, 0], fy=k[1, 1], cx=k[0, 2], cy=k[1, 2], width=width, height=height,
        height_m=take.shape.height_m, person_height_m=take.shape.height_m,
        joint_names=np.array(JOINT_NAMES),
    )  # fmt: skip


def acted(model: BodyModel, take: Take, look: Look) -> Iterator[tuple[Person, np.ndarray]]:
    """The dressed body and its [21, 3] joints in the world, frame by frame."""
    turns, joints = moves.settled(model, take.shape, take.joints_world_m, style=take.style)
    for rotations, placed in zip(turns, joints):
        posed, transforms = model.pose(take.shape, rotations)
        place = np.eye(4)
        place[:3, 3] = placed[PELVIS] - posed[PELVIS]
        yield dress(model, take.shape, look, transforms, place), posed + place[:3, 3]


def _finer(view: View, by: float) -> View:
    width, height = round(view.width * by), round(view.height * by)
    k = view.k.copy()
    for row, scale in ((0, width / view.width), (1, height / view.height)):
        k[row] *= scale
        k[row, 2] += 0.5 * scale - 0.5
    return replace(view, k=k, width=width, height=height)


def _writer(video: Path, width: int, height: int, rate_hz: float, crf: int) -> subprocess.Popen:
    command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
               "-s", f"{width}x{height}", "-r", f"{rate_hz:g}", "-i", "-", "-an", "-c:v", "libx264",
               "-preset", "slow", "-crf", str(crf), "-pix_fmt", "yuv420p", "-threads", "1",
               "-movflags", "+faststart", str(video)]  # fmt: skip
    try:
        return subprocess.Popen(command, stdin=subprocess.PIPE)
    except FileNotFoundError as error:
        raise VnectError("filming needs ffmpeg with libx264 (apt: ffmpeg)") from error


def demo_stage() -> Set:
    """The bundled clip's living room and clothes."""

    def rgb(*values: float) -> np.ndarray:
        return np.array(values) / 255.0

    colours = np.array([
        rgb(205, 152, 116), rgb(188, 132, 98), rgb(38, 26, 20), rgb(58, 40, 30),
        rgb(24, 128, 132), rgb(228, 232, 226), rgb(24, 128, 132), rgb(228, 232, 226),
        rgb(52, 66, 104), rgb(74, 92, 134), rgb(236, 236, 232), rgb(190, 80, 50),
        rgb(90, 90, 90), rgb(90, 90, 90),
    ])  # fmt: skip
    look = Look(
        colours=colours, patterns=np.array([0, 0, 1, 1, 6, 0, 0]),
        scales=np.array([20.0, 20.0, 14.0, 14.0, 26.0, 20.0, 20.0]),
        shirt=np.array([-0.97, -0.02, 0.33, 0.04]), trousers=np.array([-0.2, 0.97, 1.0, 0.9]),
        hair=np.array([0.55, -0.85, 0.0, 0.016]), long_hair=False, skirt_length=0.0,
        logo=np.array([0.0, 0.4, 0.05, 0.0]), logo_colour=rgb(240, 240, 240), folds=0.9,
        loose_shirt_m=0.014, loose_trousers_m=0.012, noise_seed=7,
    )  # fmt: skip
    wall, trim = rgb(226, 220, 206), rgb(244, 242, 236)
    wood, dark = rgb(168, 122, 82), rgb(96, 66, 44)
    blue, sand = rgb(92, 112, 140), rgb(198, 180, 150)

    def block(x, y, z, dx, dy, dz, a, b=None, pattern=0, scale=1.0, gloss=0.03, ball=False):
        """A solid by its middle on the floor plan, its underside and its edges [m]."""
        b = a * 0.85 if b is None else b
        casts = max(dx, dy, dz) < 2.5
        where = box([x, y, z + dz / 2], [dx, dy, dz])
        return Solid(where, a, b, pattern, scale, 3.0, gloss, ball, casts)

    solids = [
        block(0, 0, -0.1, 14, 14, 0.1, wood, dark, PLANKS, 1.6, 0.06),
        block(0, 3.35, 0, 9, 0.1, 3.0, wall, wall * 0.96, CARPET, 0.6),
        block(-3.3, 0, 0, 0.1, 9, 3.0, wall * 0.97, wall * 0.93, CARPET, 0.6),
        block(3.3, 0, 0, 0.1, 9, 3.0, rgb(158, 178, 170), rgb(150, 170, 162), CARPET, 0.6),
        block(0, 0, 3.0, 9, 9, 0.1, trim),
        block(0, 3.28, 0, 9, 0.06, 0.12, trim), block(-3.23, 0, 0, 0.06, 9, 0.12, trim),
        block(3.23, 0, 0, 0.06, 9, 0.12, trim),
        block(0.0, 0.9, 0.0, 3.3, 2.6, 0.012, sand, rgb(150, 96, 78), CARPET, 1.4, 0.0),
        # window with a bright sky, a frame and a sill
        block(-1.5, 3.3, 0.95, 1.5, 0.08, 1.35, trim), block(-1.5, 3.27, 1.02, 1.36, 0.08, 1.2, rgb(196, 222, 246)),
        block(-1.5, 3.25, 1.02, 0.05, 0.08, 1.2, trim), block(-1.5, 3.2, 0.9, 1.7, 0.2, 0.05, trim),
        # pictures
        block(0.55, 3.27, 1.35, 0.62, 0.05, 0.82, dark), block(0.55, 3.25, 1.4, 0.52, 0.05, 0.72, rgb(214, 130, 84), rgb(60, 92, 120), 9, 1.1),
        block(3.22, 1.2, 1.3, 0.05, 0.9, 0.65, dark), block(3.2, 1.2, 1.35, 0.05, 0.8, 0.55, rgb(86, 128, 110), rgb(222, 206, 160), CARPET, 0.8),
        # a shelf with books, a sofa with cushions, a table, a plant, a lamp
        block(2.35, 3.05, 0, 1.3, 0.35, 1.9, dark), block(2.35, 2.9, 0.06, 1.2, 0.1, 1.78, rgb(150, 108, 84), rgb(72, 92, 108), SHELVES, 1.6),
        block(-2.75, 1.1, 0.12, 0.9, 2.0, 0.32, blue), block(-3.08, 1.1, 0.42, 0.24, 2.0, 0.45, blue),
        block(-2.75, 0.05, 0.12, 0.9, 0.18, 0.5, blue), block(-2.75, 2.15, 0.12, 0.9, 0.18, 0.5, blue),
        block(-2.9, 0.5, 0.46, 0.2, 0.45, 0.4, rgb(214, 150, 70)), block(-2.9, 1.75, 0.46, 0.2, 0.45, 0.4, rgb(190, 190, 184)),
        block(2.6, 0.6, 0.55, 0.75, 1.0, 0.05, wood), block(2.32, 0.2, 0, 0.06, 0.06, 0.55, dark),
        block(2.32, 1.0, 0, 0.06, 0.06, 0.55, dark), block(2.88, 0.2, 0, 0.06, 0.06, 0.55, dark),
        block(2.88, 1.0, 0, 0.06, 0.06, 0.55, dark), block(2.6, 0.75, 0.6, 0.22, 0.3, 0.04, rgb(180, 60, 54)),
        block(-2.75, 2.85, 0, 0.34, 0.34, 0.4, rgb(176, 98, 68)), block(-2.75, 2.85, 0.45, 0.75, 0.75, 0.95, rgb(58, 104, 58), rgb(92, 140, 74), 7, 1.5, 0.02, True),
        block(1.35, 3.0, 0, 0.28, 0.28, 0.03, dark), block(1.35, 3.0, 0.03, 0.04, 0.04, 1.5, dark),
        block(1.35, 3.0, 1.45, 0.42, 0.42, 0.42, rgb(250, 236, 200), gloss=0.0, ball=True),
    ]  # fmt: skip
    lighting = Lighting(
        sun_direction=unit(np.array([-0.55, -0.75, 1.0])), sun_colour=np.array([0.62, 0.58, 0.5]),
        sky_colour=np.array([0.56, 0.58, 0.62]), ground_colour=np.array([0.36, 0.32, 0.28]),
        lamp_position_m=np.array([1.35, 2.8, 1.9]), lamp_colour=np.array([0.5, 0.42, 0.28]),
        shadow_strength=0.75, exposure=1.0,
    )  # fmt: skip
    return Set(look, solids, lighting)


def film_demo(model: BodyModel, take: Take, folder: Path) -> None:
    """Write demo.mp4 and demo_truth.npz into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    film(model, take, demo_stage(), folder / "demo.mp4", folder / "demo_truth.npz", 1.75, 22)
