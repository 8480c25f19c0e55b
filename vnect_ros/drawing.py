"""Pictures of a pose: over the image, and from the side in space.  OpenCV only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from vnect_ros.records import Crop, State
from vnect_ros.skeleton import BONES, INDEX, PELVIS, SIDE

COLOURS = {"right": (235, 90, 60), "left": (60, 150, 245), "centre": (120, 205, 90)}
"""RGB of the limbs, by the person's own sides."""
STATE_COLOURS = {State.MEASURED: (120, 205, 90), State.PREDICTED: (250, 200, 60)}
_LOST_COLOUR = (220, 60, 60)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_VIEW_YAW = np.radians(35.0)
_VIEW_PITCH = np.radians(-12.0)
_FLOOR_STEP_M = 0.5


class Drawable(Protocol):
    """What of a `records.Pose` is drawn."""

    @property
    def state(self) -> State:
        """What the pose rests on; LOST is not drawn."""
        ...

    @property
    def joints_px(self) -> np.ndarray:
        """[21, 2] in the image [px]."""
        ...

    @property
    def confidence(self) -> np.ndarray:
        """[21] in [0, 1]."""
        ...

    @property
    def joints_camera_m(self) -> np.ndarray:
        """[21, 3] in the camera's optical frame [m]."""
        ...

    @property
    def residual_px(self) -> float:
        """Of the fit [px]."""
        ...

    @property
    def crop(self) -> Crop | None:
        """The window that the network saw."""
        ...


@dataclass(frozen=True)
class Picture:
    """The same without the rest: what can be drawn of a received skeleton."""

    state: State
    joints_px: np.ndarray
    """[21, 2] in the image."""
    confidence: np.ndarray
    """[21]; joints of confidence 0 are left out."""
    joints_camera_m: np.ndarray
    """[21, 3] in the camera's optical frame [m]."""
    residual_px: float
    crop: Crop | None = None


def everybody(
    image: np.ndarray, people: Sequence[tuple[Drawable, np.ndarray | None]]
) -> np.ndarray:
    """The image with all of them; where they are several, each label is at its person.

    Args:
        image: [H, W, 3] uint8 RGB; left as it is.
        people: poses, and where the fitted joints are in the image; see `overlay`.

    Returns:
        [H, W, 3] uint8 RGB.
    """
    image = image.copy()
    for pose, fitted_px in people:
        at_px = _above(pose) if len(people) > 1 else None
        if len(people) == 1 or at_px is not None:  # where somebody is lost is not known
            image = overlay(image, pose, fitted_px, at_px)
    return image


def overlay(
    image: np.ndarray,
    pose: Drawable | None,
    fitted_px: np.ndarray | None = None,
    label_px: np.ndarray | None = None,
) -> np.ndarray:
    """The image with the detections, and the fitted skeleton if its pixels are given.

    Args:
        image: [H, W, 3] uint8 RGB; left as it is.
        pose: None where there is nothing to tell of this image.
        fitted_px: [21, 2] the fitted joints in the image: drawn as thin grey
            lines under the coloured detections.
        label_px: [2] left end of the label in the image; None: in the corner.

    Returns:
        [H, W, 3] uint8 RGB.
    """
    canvas = image.copy()
    if pose is None:
        return canvas
    width = max(canvas.shape[0] // 180, 1)
    if pose.crop is not None:
        corner = np.array([pose.crop.left_px, pose.crop.top_px])
        low, high = _cell(corner), _cell(corner + pose.crop.size_px)
        cv2.rectangle(canvas, low, high, (200, 200, 200), 1, cv2.LINE_AA)
    if pose.state is not State.LOST:
        if fitted_px is not None:
            bones(canvas, fitted_px, colour=(230, 230, 230))
        seen = pose.confidence > 0.0
        bones(canvas, pose.joints_px, seen, width)
        joints(canvas, pose.joints_px, seen, width + 1)
    _label(canvas, pose, label_px)
    return canvas


def view_3d(poses: Sequence[Drawable], size: tuple[int, int]) -> np.ndarray:
    """The fitted skeletons from above their side, on a floor grid under the lowest joint.

    Args:
        size: (width, height) of the picture [px].

    Returns:
        [height, width, 3] uint8 RGB.
    """
    width, height = size
    canvas = np.full((height, width, 3), 28, np.uint8)
    if not poses:
        return canvas
    tracked_m = [pose.joints_camera_m for pose in poses if pose.state is not State.LOST]
    shown_m = np.array([joints_m for joints_m in tracked_m if np.isfinite(joints_m).all()])
    if not len(shown_m):
        cv2.putText(canvas, "nobody", (12, 28), _FONT, 0.6, (160, 160, 160), 1, cv2.LINE_AA)
        return canvas
    pelvises = shown_m[:, PELVIS]
    centre = (pelvises.min(axis=0) + pelvises.max(axis=0)) / 2.0
    apart_m = float(np.linalg.norm(pelvises - centre, axis=1).max())
    scale = height / (2.6 + 2.0 * apart_m)

    def flat(points: np.ndarray) -> np.ndarray:
        turned = (points - centre) @ _VIEW_ROTATION.T
        return turned[..., :2] * scale + (width / 2.0, height * 0.47)

    floor, reach = shown_m[..., 1].max(), 3 + math.ceil(apart_m / _FLOOR_STEP_M)
    lines = np.arange(-reach, reach + 1) * _FLOOR_STEP_M
    for line in lines:
        for ends in ([(line, lines[0]), (line, lines[-1])], [(lines[0], line), (lines[-1], line)]):
            points = np.array([(centre[0] + x, floor, centre[2] + z) for x, z in ends])
            low, high = flat(points)
            cv2.line(canvas, _cell(low), _cell(high), (70, 70, 70), 1, cv2.LINE_AA)
    for joints_m in shown_m[np.argsort(-pelvises[:, 2])]:
        points = flat(joints_m)
        far_first = np.argsort([-(joints_m[a, 2] + joints_m[b, 2]) for a, b in BONES])
        bones(canvas, points, width=3, order=far_first.tolist())
        joints(canvas, points, radius=4)
    x, y, z = pelvises[pelvises[:, 2].argmin()]
    who = "pelvis" if len(shown_m) == 1 else f"{len(shown_m)} people, nearest"
    text = f"{who} {x:+.2f} {y:+.2f} {z:.2f} m"
    cv2.putText(canvas, text, (12, 28), _FONT, 0.5, (210, 210, 210), 1, cv2.LINE_AA)
    return canvas


def side_by_side(
    image: np.ndarray, people: Sequence[tuple[Drawable, np.ndarray | None]]
) -> np.ndarray:
    """`everybody` beside the view in space: [H, W + H', 3] uint8 RGB, even edges."""
    height = image.shape[0]
    view = view_3d([pose for pose, _ in people], (max(height * 3 // 4, 160), height))
    both = np.concatenate([everybody(image, people), view], axis=1)
    return np.ascontiguousarray(both[: height // 2 * 2, : both.shape[1] // 2 * 2])


def _view_rotation() -> np.ndarray:
    """[3, 3]: from the camera's axes to those of an onlooker to the side and above."""
    cy, sy = np.cos(_VIEW_YAW), np.sin(_VIEW_YAW)
    cp, sp = np.cos(_VIEW_PITCH), np.sin(_VIEW_PITCH)
    yaw = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    pitch = np.array([[1.0, 0.0, 0.0], [0.0, cp, sp], [0.0, -sp, cp]])
    return pitch @ yaw


_VIEW_ROTATION = _view_rotation()


def _cell(point: np.ndarray) -> tuple[int, int]:
    x, y = np.clip(np.rint(point), -32000, 32000)
    return int(x), int(y)


def bones(
    canvas: np.ndarray,
    points_px: np.ndarray,
    seen: np.ndarray | None = None,
    width: int = 1,
    colour: tuple[int, int, int] | None = None,
    order: Sequence[int] | None = None,
) -> None:
    """Draw the lines between joints that are both seen, in the colours of their sides.

    Args:
        canvas: [H, W, 3] uint8 RGB, drawn on.
        points_px: [21, 2]; NaN is not drawn.
        seen: [21] bool; None takes all.
        colour: one for all of them.
        order: of the bones; later ones cover earlier ones.
    """
    known = _known(points_px, seen)
    for bone in range(len(BONES)) if order is None else order:
        parent, child = BONES[bone]
        if known[parent] and known[child]:
            ends = _cell(points_px[parent]), _cell(points_px[child])
            cv2.line(canvas, *ends, colour or COLOURS[SIDE[child]], width, cv2.LINE_AA)


def joints(
    canvas: np.ndarray,
    points_px: np.ndarray,
    seen: np.ndarray | None = None,
    radius: int = 2,
    rings: np.ndarray | None = None,
) -> None:
    """Draw a disc on every joint that is seen, in the colour of its side; see `bones`.

    Args:
        rings: [21] bool: joints that get a ring instead.
    """
    for joint in np.flatnonzero(_known(points_px, seen)):
        filled = rings is None or not rings[joint]
        at, colour = _cell(points_px[joint]), COLOURS[SIDE[joint]]
        cv2.circle(canvas, at, radius, colour, -1 if filled else 1, cv2.LINE_AA)


def sheet(tiles: Sequence[np.ndarray], columns: int = 8) -> np.ndarray:
    """[H, W, 3] uint8 RGB: tiles of one size side by side, row by row, the rest black."""
    padded = [*tiles, *[np.zeros_like(tiles[0])] * (-len(tiles) % columns)]
    rows = [np.concatenate(padded[i : i + columns], axis=1) for i in range(0, len(padded), columns)]
    return np.concatenate(rows)


def _known(points_px: np.ndarray, seen: np.ndarray | None) -> np.ndarray:
    finite: np.ndarray = np.isfinite(points_px).all(axis=1)
    return finite if seen is None else finite & seen


def _above(pose: Drawable) -> np.ndarray | None:
    """[2] over the person's joints in the image [px]; None where they are not known."""
    known = pose.joints_px[_known(pose.joints_px, None)]
    if pose.state is State.LOST or not len(known):
        return None
    top: np.ndarray = known.min(axis=0)
    return top - (0.0, 8.0)


def _label(canvas: np.ndarray, pose: Drawable, at_px: np.ndarray | None) -> None:
    text = pose.state.value
    if pose.state is not State.LOST:
        distance = pose.joints_camera_m[INDEX["pelvis"], 2]
        text += f"  {distance:.2f} m"
    if pose.state is State.MEASURED:
        text += f"  residual {pose.residual_px:.1f} px"
    scale = max(canvas.shape[0] / 900.0, 0.35)
    corner, width = (round(16 * scale), round(40 * scale)), max(round(2 * scale), 1)
    if at_px is not None:
        corner = _cell(np.maximum(at_px, corner))
    colour = STATE_COLOURS.get(pose.state, _LOST_COLOUR)
    cv2.putText(canvas, text, corner, _FONT, scale, (0, 0, 0), 3 * width, cv2.LINE_AA)
    cv2.putText(canvas, text, corner, _FONT, scale, colour, width, cv2.LINE_AA)
