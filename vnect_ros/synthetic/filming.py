"""Films a moving body in a room: an H.264 video beside its truth."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from vnect_ros.errors import VnectError
from vnect_ros.skeleton import JOINT_NAMES, PELVIS
from vnect_ros.synthetic import motion_synthesis
from vnect_ros.synthetic.appearance import Look
from vnect_ros.synthetic.bodies import BodyModel, Shape
from vnect_ros.synthetic.render import Renderer
from vnect_ros.synthetic.retarget import Style
from vnect_ros.synthetic.scene import Person, Picture, Scene, Set, View, dress
from vnect_ros.synthetic.visibility import hidden


@dataclass(frozen=True)
class Take:
    """A moving body seen by a standing camera."""

    shape: Shape
    joints_world_m: np.ndarray
    """[T, 21, 3] wanted; the truth is what the body makes of it."""
    rate_hz: float
    view: View
    style: Style | None = None


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
    empty = renderer.draw(Scene((), tuple(stage.solids), stage.lighting, stage.backdrop), fine)
    writer = _writer(video, width, height, take.rate_hz, crf)
    joints_px, joints_camera, occluded = [], [], []
    try:
        for person, joints in tqdm(acted(model, take, stage.look), total=len(take.joints_world_m)):
            picture = _over(empty, renderer, person, stage, fine)
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
    turns, joints = motion_synthesis.settled(
        model, take.shape, take.joints_world_m, style=take.style
    )
    for rotations, placed in zip(turns, joints):
        posed, transforms = model.pose(take.shape, rotations)
        place = np.eye(4)
        place[:3, 3] = placed[PELVIS] - posed[PELVIS]
        yield dress(model, take.shape, look, transforms, place), posed + place[:3, 3]


def _over(empty: Picture, renderer: Renderer, person: Person, stage: Set, view: View) -> Picture:
    """The empty stage with the person in it: only what they and their shadow change is drawn."""
    points = person.layers[0][1].astype(np.float64)
    sun = stage.lighting.sun_direction
    fallen = points - sun * (points[:, 2:] / max(sun[2], 0.05))
    reach = np.linalg.norm(fallen[:, :2] - points[:, :2], axis=1) < 6.0
    pixels, camera = view.project(np.concatenate([points, fallen[reach]]))
    scene = Scene((person,), tuple(stage.solids), stage.lighting, stage.backdrop)
    if (camera[:, 2] < 0.2).any():
        return renderer.draw(scene, view)
    size = np.array([view.width, view.height])
    low = np.clip(np.floor(pixels.min(axis=0)) - 12, 0, size - 1).astype(int)
    high = np.clip(np.ceil(pixels.max(axis=0)) + 12, low + 1, size).astype(int)
    drawn = renderer.draw(scene, view, (*low.tolist(), *(high - low).tolist()))
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    whole = replace(
        empty, colour=empty.colour.copy(), part=empty.part.copy(), depth_m=empty.depth_m.copy()
    )
    for name in ("colour", "part", "depth_m"):
        getattr(whole, name)[window] = getattr(drawn, name)[window]
    return whole


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
