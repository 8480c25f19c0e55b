"""Films moving bodies in a scene: an H.264 video beside its truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from vnect_ros.recordings.writer import VideoWriter
from vnect_ros.skeleton import JOINT_NAMES, PELVIS
from vnect_ros.synthetic import motion_synthesis
from vnect_ros.synthetic.appearance import Look
from vnect_ros.synthetic.bodies import BodyModel, Shape
from vnect_ros.synthetic.render import Renderer
from vnect_ros.synthetic.retarget import Style
from vnect_ros.synthetic.scene import Person, Picture, Scene, View, dress
from vnect_ros.synthetic.visibility import hidden


@dataclass(frozen=True)
class Actor:
    """A moving body and its clothes."""

    shape: Shape
    joints_world_m: np.ndarray
    """[T, 21, 3] wanted; the truth is what the body makes of it."""
    look: Look
    style: Style | None = None


@dataclass(frozen=True)
class Shot:
    """Who does what where, and the camera that sees it."""

    actors: Sequence[Actor]
    place: Scene
    """Without people."""
    view: View | Sequence[View]
    """One for all frames, or one a frame of a camera that moves."""
    rate_hz: float

    def views(self) -> list[View]:
        """[T] the view of each frame."""
        count = len(self.actors[0].joints_world_m)
        return [self.view] * count if isinstance(self.view, View) else list(self.view)


@dataclass(frozen=True)
class Truth:
    """What is known of one frame."""

    joints_px: np.ndarray
    """[P, 21, 2]; NaN behind the camera."""
    joints_camera_m: np.ndarray
    """[P, 21, 3]."""
    occluded: np.ndarray
    """[P, 21] bool: something is in front, or the joint is outside the picture."""


def film(
    model: BodyModel, shot: Shot, video: Path, truth: Path, fineness: float = 1.25, crf: int = 23
) -> None:
    """Render a shot into an mp4 and its truth into a npz.

    The truth of a clip of one person by a standing camera: `stamps_s` [T], `fps`,
    `joints_camera_m` [T, 21, 3] float32 (optical frame, metres), `joints_px` [T, 21, 2]
    float32, `occluded` [T, 21] bool, `K` and `fx`, `fy`, `cx`, `cy`, `width`, `height`,
    `height_m` and `joint_names`.  Of several people the arrays have an axis of people
    behind that of time, and `height_m` is [P].  `transform_camera_from_world` [T, 4, 4] tells
    how the camera stands over the floor, which is z = 0 of the world.

    Args:
        fineness: how much finer than the video the frames are drawn before averaging.
        crf: quality of H.264, lower is better.
    """
    views = shot.views()
    camera = views[0].camera
    rows = []
    with VideoWriter(video, shot.rate_hz, crf) as writer:
        for frame, known in tqdm(drawn(model, shot, fineness), total=len(views)):
            writer.write(frame)
            rows.append(known)
    person: slice | int = 0 if len(shot.actors) == 1 else slice(None)
    heights = np.array([actor.shape.height_m for actor in shot.actors])
    np.savez_compressed(
        truth, stamps_s=np.arange(len(rows)) / shot.rate_hz, fps=shot.rate_hz,
        joints_camera_m=np.array([r.joints_camera_m[person] for r in rows], np.float32),
        joints_px=np.array([r.joints_px[person] for r in rows], np.float32),
        occluded=np.array([r.occluded[person] for r in rows]), K=camera.matrix,
        fx=camera.fx, fy=camera.fy, cx=camera.cx, cy=camera.cy,
        width=camera.width, height=camera.height, height_m=heights[person],
        transform_camera_from_world=np.array([v.transform_camera_from_world for v in views]),
        joint_names=np.array(JOINT_NAMES),
    )  # fmt: skip


def drawn(model: BodyModel, shot: Shot, fineness: float) -> Iterator[tuple[np.ndarray, Truth]]:
    """Each frame [H, W, 3] uint8 RGB of a shot, and its truth."""
    acted = [_acted(model, actor) for actor in shot.actors]
    still = isinstance(shot.view, View)
    empty: Picture | None = None
    renderer: Renderer | None = None
    try:
        for view, *played in zip(shot.views(), *acted):
            camera = view.camera
            fine = view.through(
                camera.scaled(round(camera.width * fineness), round(camera.height * fineness))
            )
            if renderer is None:
                renderer = Renderer(model, fine.camera.width, fine.camera.height)
            people = [person for person, _ in played]
            if not still or len(people) > 1:
                picture = renderer.draw(shot.place.with_people(people), fine)
            else:
                empty = empty or renderer.draw(shot.place, fine)
                picture = _over(empty, renderer, people[0], shot.place, fine)
            size = (camera.width, camera.height)
            frame = cv2.resize(picture.colour, size, interpolation=cv2.INTER_AREA)
            yield frame, _truth(shot.actors, [joints for _, joints in played], view, fine, picture)
    finally:
        if renderer is not None:
            renderer.release()


def _truth(
    actors: Sequence[Actor], joints_m: Sequence[np.ndarray], view: View, fine: View, of: Picture
) -> Truth:
    pixels, points = view.project(np.stack(joints_m))
    at = fine.project(np.stack(joints_m))[0]
    covered = [hidden(at[i], points[i], of, actor.shape.height_m) for i, actor in enumerate(actors)]
    return Truth(pixels, points, np.stack(covered))


def _acted(model: BodyModel, actor: Actor) -> Iterator[tuple[Person, np.ndarray]]:
    """The dressed body and its [21, 3] joints in the world, frame by frame."""
    turns, joints = motion_synthesis.settled(
        model, actor.shape, actor.joints_world_m, style=actor.style
    )
    for rotations, placed in zip(turns, joints):
        posed, transforms = model.pose(actor.shape, rotations)
        place = np.eye(4)
        place[:3, 3] = placed[PELVIS] - posed[PELVIS]
        yield dress(model, actor.shape, actor.look, transforms, place), posed + place[:3, 3]


def _over(empty: Picture, renderer: Renderer, person: Person, place: Scene, view: View) -> Picture:
    """The empty place with a person in it: only what they and their shadow change is drawn."""
    points = person.layers[0][1].astype(np.float64)
    sun = place.lighting.sun_direction
    fallen = points - sun * (points[:, 2:] / max(sun[2], 0.05))
    reach = np.linalg.norm(fallen[:, :2] - points[:, :2], axis=1) < 6.0
    pixels, camera = view.project(np.concatenate([points, fallen[reach]]))
    scene = place.with_people([person])
    if (camera[:, 2] < 0.2).any():
        return renderer.draw(scene, view)
    size = np.array([view.camera.width, view.camera.height])
    low = np.clip(np.floor(pixels.min(axis=0)) - 12, 0, size - 1).astype(int)
    high = np.clip(np.ceil(pixels.max(axis=0)) + 12, low + 1, size).astype(int)
    part = renderer.draw(scene, view, (*low.tolist(), *(high - low).tolist()))
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    whole = replace(
        empty, colour=empty.colour.copy(), part=empty.part.copy(), depth_m=empty.depth_m.copy()
    )
    for name in ("colour", "part", "depth_m"):
        getattr(whole, name)[window] = getattr(part, name)[window]
    return whole
