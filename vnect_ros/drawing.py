"""Pictures of a pose: over the image, and from the side in space.  OpenCV only."""

from __future__ import annotations

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
    def state(self) -> State: ...
    @property
    def joints_px(self) -> np.ndarray: ...
    @property
    def confidence(self) -> np.ndarray: ...
    @property
    def joints_camera_m(self) -> np.ndarray: ...
    @property
    def residual_px(self) -> float: ...
    @property
    def crop(self) -> Crop | None: ...


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


def overlay(
    image: np.ndarray, pose: Drawable | None, fitted_px: np.ndarray | None = None
) -> np.ndarray:
    """The image with the detections, and the fitted skeleton if its pixels are given.

    Args:
        image: [H, W, 3] uint8 RGB; left as it is.
        pose: None where there is nothing to tell of this image.
        fitted_px: [21, 2] the fitted joints in the image: drawn as thin grey
            lines under the coloured detections.

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
            _bones(canvas, fitted_px, np.ones(len(fitted_px)), 1, (230, 230, 230))
        _bones(canvas, pose.joints_px, pose.confidence, width, None)
        for joint, point in enumerate(pose.joints_px):
            if pose.confidence[joint] > 0.0 and np.isfinite(point).all():
                cv2.circle(canvas, _cell(point), width + 1, COLOURS[SIDE[joint]], -1, cv2.LINE_AA)
    _label(canvas, pose)
    return canvas


def view_3d(pose: Drawable | None, size: tuple[int, int]) -> np.ndarray:
    """The fitted skeleton from above its side, on a floor grid under its lowest joint.

    Args:
        size: (width, height) of the picture [px].

    Returns:
        [height, width, 3] uint8 RGB.
    """
    width, height = size
    canvas = np.full((height, width, 3), 28, np.uint8)
    if pose is None:
        return canvas
    joints = pose.joints_camera_m
    if pose.state is State.LOST or not np.isfinite(joints).all():
        cv2.putText(canvas, "nobody", (12, 28), _FONT, 0.6, (160, 160, 160), 1, cv2.LINE_AA)
        return canvas
    centre = joints[PELVIS]
    scale = height / 2.6

    def flat(points: np.ndarray) -> np.ndarray:
        turned = (points - centre) @ _VIEW_ROTATION.T
        return turned[..., :2] * scale + (width / 2.0, height * 0.47)

    floor = joints[:, 1].max()
    lines = np.arange(-3, 4) * _FLOOR_STEP_M
    for line in lines:
        for ends in ([(line, lines[0]), (line, lines[-1])], [(lines[0], line), (lines[-1], line)]):
            points = np.array([(centre[0] + x, floor, centre[2] + z) for x, z in ends])
            low, high = flat(points)
            cv2.line(canvas, _cell(low), _cell(high), (70, 70, 70), 1, cv2.LINE_AA)
    points = flat(joints)
    order = np.argsort([-(joints[a, 2] + joints[b, 2]) for a, b in BONES])
    for bone in order:
        a, b = BONES[bone]
        colour = COLOURS[SIDE[b]]
        cv2.line(canvas, _cell(points[a]), _cell(points[b]), colour, 3, cv2.LINE_AA)
    for joint, point in enumerate(points):
        cv2.circle(canvas, _cell(point), 4, COLOURS[SIDE[joint]], -1, cv2.LINE_AA)
    x, y, z = centre
    text = f"pelvis {x:+.2f} {y:+.2f} {z:.2f} m"
    cv2.putText(canvas, text, (12, 28), _FONT, 0.5, (210, 210, 210), 1, cv2.LINE_AA)
    return canvas


def side_by_side(
    image: np.ndarray, pose: Drawable | None, fitted_px: np.ndarray | None = None
) -> np.ndarray:
    """The overlay beside the view in space: [H, W + H', 3] uint8 RGB, even edges."""
    height = image.shape[0]
    left = overlay(image, pose, fitted_px)
    both = np.concatenate([left, view_3d(pose, (max(height * 3 // 4, 160), height))], axis=1)
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


def _bones(
    canvas: np.ndarray,
    points: np.ndarray,
    confidence: np.ndarray,
    width: int,
    colour: tuple[int, int, int] | None,
) -> None:
    """Lines between joints that are both seen."""
    for parent, child in BONES:
        ends = points[[parent, child]]
        if confidence[parent] > 0.0 and confidence[child] > 0.0 and np.isfinite(ends).all():
            shade = colour or COLOURS[SIDE[child]]
            cv2.line(canvas, _cell(ends[0]), _cell(ends[1]), shade, width, cv2.LINE_AA)


def _label(canvas: np.ndarray, pose: Drawable) -> None:
    text = pose.state.value
    if pose.state is not State.LOST:
        distance = pose.joints_camera_m[INDEX["pelvis"], 2]
        text += f"  {distance:.2f} m"
    if pose.state is State.MEASURED:
        text += f"  residual {pose.residual_px:.1f} px"
    scale = max(canvas.shape[0] / 900.0, 0.35)
    corner, width = (round(16 * scale), round(40 * scale)), max(round(2 * scale), 1)
    colour = STATE_COLOURS.get(pose.state, _LOST_COLOUR)
    cv2.putText(canvas, text, corner, _FONT, scale, (0, 0, 0), 3 * width, cv2.LINE_AA)
    cv2.putText(canvas, text, corner, _FONT, scale, colour, width, cv2.LINE_AA)
