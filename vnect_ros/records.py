"""What flows between the modules: Frame, Crop, Maps, Joints and Pose.

Frames: "image" is the full camera image in pixels, x right, y down, the centre
of the top left pixel at (0, 0).  "input" is the network's square input in
pixels, likewise.  "camera" is the camera's optical frame (REP-103: x right,
y down, z forward), metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Any

import numpy as np

from vnect_ros.camera import Camera
from vnect_ros.errors import ImageError, describe
from vnect_ros.skeleton import NUM_JOINTS


@dataclass(frozen=True)
class Plane:
    """The floor in the camera's optical frame: all points p with normal . p = offset_m."""

    normal: np.ndarray
    """[3] float64 unit vector that points up, away from the floor."""
    offset_m: float
    """Negative where the camera is above the floor: minus its height [m]."""
    transform_ground_from_camera: np.ndarray | None = None
    """[4, 4] float64: where the camera is in a frame whose z = 0 is the floor.  It shows
    which feet stand where the camera moves and that frame does not; None: neither moves."""

    @classmethod
    def of_ground(cls, transform_ground_from_camera: np.ndarray) -> Plane:
        """The plane z = 0 of a frame in which the camera is at a [4, 4] transform."""
        transform = np.array(transform_ground_from_camera, dtype=np.float64)
        return cls(transform[2, :3].copy(), -float(transform[2, 3]), transform)

    def ground_from_camera(self, points_m: np.ndarray) -> np.ndarray:
        """[N, 3] points of the camera frame in the frame of the floor."""
        transform = self.transform_ground_from_camera
        if transform is None:
            return points_m
        return points_m @ transform[:3, :3].T + transform[:3, 3]

    def turned_to_ground(self, directions: np.ndarray) -> np.ndarray:
        """[N, 3] directions of the camera frame in the frame of the floor."""
        transform = self.transform_ground_from_camera
        return directions if transform is None else directions @ transform[:3, :3].T

    def camera_from_ground(self, points_m: np.ndarray) -> np.ndarray:
        """[N, 3] points of the frame of the floor in the camera frame."""
        transform = self.transform_ground_from_camera
        if transform is None:
            return points_m
        return (points_m - transform[:3, 3]) @ transform[:3, :3]


@dataclass(frozen=True)
class Frame:
    """One image as a camera delivered it.

    Raises:
        ImageError: the image's shape or type is another, or not the camera's.
    """

    image: np.ndarray
    """[H, W, 3] uint8 RGB (distorted, as the lens is)."""
    camera: Camera
    stamp_s: float
    """Time of the image [s]."""
    floor: Plane | None = None
    """The floor, where it is known at the image's time."""
    depth_m: np.ndarray | None = None
    """[H, W] float32 distance along the optical axis, registered to the image; where it is
    not finite or not positive nothing was measured [m]."""
    boxes_px: np.ndarray | None = None
    """[N, 4] left, top, right, bottom of people that a detector found; None: search [px]."""

    def __post_init__(self) -> None:
        shape = (self.camera.height, self.camera.width, 3)
        if self.image.shape != shape or self.image.dtype != np.uint8:
            got = f"{self.image.dtype} {self.image.shape}"
            raise ImageError(describe("image", got, f"uint8 {shape}"))
        if self.depth_m is not None and self.depth_m.shape != shape[:2]:
            raise ImageError(describe("depth image", self.depth_m.shape, f"{shape[:2]}"))


@dataclass(frozen=True)
class Crop:
    """A square window of the image that the network sees.

    The window may reach over the image's edges; what lies outside is black.
    """

    left_px: float
    top_px: float
    size_px: float
    """Edge of the window [px of the image]."""
    input_size: int
    """Edge of the network's input [px]."""

    @classmethod
    def about(cls, centre_px: np.ndarray, size_px: float, input_size: int) -> Crop:
        """The window with a centre [2] in the image [px]."""
        left, top = np.asarray(centre_px) - (size_px - 1.0) / 2.0
        return cls(float(left), float(top), float(size_px), input_size)

    @property
    def scale(self) -> float:
        """Image pixels a pixel of the input stands for."""
        return self.size_px / self.input_size

    @property
    def centre_px(self) -> np.ndarray:
        """[2] float64 centre of the window in the image [px]."""
        return np.array([self.left_px, self.top_px]) + (self.size_px - 1.0) / 2.0

    def camera(self, camera: Camera) -> Camera:
        """The pinhole whose whole image is this window of a camera's ideal image."""
        cx, cy = self.input_from_image(np.array([camera.cx, camera.cy]))
        fx, fy, size = camera.fx / self.scale, camera.fy / self.scale, self.input_size
        return Camera(size, size, fx, fy, cx, cy, calibrated=camera.calibrated)

    def image_from_input(self, points_px: np.ndarray) -> np.ndarray:
        """Map [..., 2] points from the network's input to the image [px].

        Pixel areas correspond, not pixel centres: a point p of the input is at
        (p + 0.5) * scale - 0.5 + (left, top) of the image.
        """
        corner = np.array([self.left_px, self.top_px])
        return (np.asarray(points_px) + 0.5) * self.scale - 0.5 + corner

    def input_from_image(self, points_px: np.ndarray) -> np.ndarray:
        """Map [..., 2] points from the image to the network's input [px]."""
        corner = np.array([self.left_px, self.top_px])
        return (np.asarray(points_px) - corner + 0.5) / self.scale - 0.5


@dataclass(frozen=True)
class Maps:
    """The network's output for one crop, whatever the bundle's own layout."""

    heatmaps: np.ndarray
    """[21, h, w] float32, about 1 at a joint and 0 elsewhere."""
    locations_m: np.ndarray
    """[3, 21, h, w] float32: x, y, z of each joint, root-relative [m]."""
    stride_px: float
    """Input pixels a cell of the maps stands for."""
    presence: float = math.nan
    """Probability in [0, 1] that the crop shows a person; NaN where the bundle has no
    such output."""


@dataclass(frozen=True)
class Joints:
    """One person as observed in one frame, before any model of the body."""

    pixels_px: np.ndarray
    """[21, 2] float64, image frame."""
    root_relative_m: np.ndarray
    """[21, 3] float64 relative to the pelvis, camera axes, the network's body size."""
    confidence: np.ndarray
    """[21] float64 in [0, 1]."""
    guessed: bool = False
    """Whether `root_relative_m` of joints of confidence 0 are guesses from the other joints."""


class State(str, Enum):
    """What a pose rests on."""

    MEASURED = "MEASURED"
    """The image showed the person."""
    PREDICTED = "PREDICTED"
    """Briefly unseen: the motion is continued and the uncertainty grows."""
    LOST = "LOST"
    """Nobody is tracked; positions are NaN."""


class JointState(IntEnum):
    """What a single joint of a pose rests on."""

    MEASURED = 0
    """Seen, and the fit agrees."""
    PREDICTED = 1
    """Not seen: placed by the body model and the motion before."""
    REJECTED = 2
    """Seen, but the observation was an outlier (a flip, a jump) and is not followed."""
    LIMITED = 3
    """Its motion would have passed the speed or acceleration bound."""


class Calibration(str, Enum):
    """Where the bone lengths of a pose come from."""

    DEFAULT = "DEFAULT"
    """A mean body scaled to the person's height."""
    RUNNING = "RUNNING"
    """Being measured over the first frames."""
    DONE = "DONE"
    """Measured, and fixed until reset or calibrate."""


@dataclass(frozen=True)
class Pose:
    """One person, fitted: what is published.  NaN everywhere when LOST."""

    stamp_s: float
    """Time of the image [s]."""
    id: str
    """Five characters, kept while the person is tracked (REP-155)."""
    state: State
    joints_px: np.ndarray
    """[21, 2] float64: filtered detections in the image [px] (distorted, as the image is).
    A joint that was not detected is where the fit projects; NaN behind the camera."""
    joints_raw_m: np.ndarray
    """[21, 3] float64: the network's own output, root-relative, camera axes [m]."""
    joints_camera_m: np.ndarray
    """[21, 3] float64: the fitted joints in the camera's optical frame [m]."""
    orientations_xyzw: np.ndarray
    """[21, 4] float64: unit quaternions, each joint's axes seen from the camera frame."""
    velocities_mps: np.ndarray
    """[21, 3] float64: camera frame [m/s]."""
    confidence: np.ndarray
    """[21] float64 in [0, 1]."""
    std_m: np.ndarray
    """[21] float64: stated standard deviation of a joint's position, per axis [m]."""
    joint_states: np.ndarray
    """[21] uint8 of JointState."""
    transform_camera_from_body: np.ndarray
    """[4, 4] float64: the body frame (mid-hip, x forward, y left, z to the head; REP-155)."""
    q: np.ndarray
    """[N] float64: the body model's joint angles [rad], as in q_names."""
    q_names: tuple[str, ...]
    height_m: float
    calibration: Calibration
    bone_lengths_m: np.ndarray
    """[21] float64: the fitted skeleton's bone that ends in each joint [m]."""
    residual_px: float
    """Root mean square distance of the projected fit from the detections [px]."""
    crop: Crop | None = field(default=None)
    """The window the network saw, for the debug image."""
    std_axes_m: np.ndarray | None = field(default=None)
    """[21, 3] float64: std_m along the camera's axes; depth (z) is the least sure [m]."""
    height_std_m: float = float("nan")
    """Standard deviation of the height [m]; NaN where it is assumed, not measured."""
    observation_age_s: float = 0.0
    """Since the last image that showed the person [s]."""

    def changed(self, **values: Any) -> Pose:
        """The pose with other values of some fields; a tenth of `dataclasses.replace`'s time."""
        unknown = values.keys() - vars(self).keys()
        if unknown:
            raise TypeError(describe("fields", sorted(unknown), "those of a pose"))
        pose = object.__new__(Pose)
        vars(pose).update(vars(self), **values)
        return pose


def nobody(stamp_s: float) -> Pose:
    """The LOST pose of a frame in which nobody is tracked, for tables with a row a frame."""

    def nothing(*shape: int) -> np.ndarray:
        return np.full(shape, np.nan)

    return Pose(
        stamp_s=stamp_s,
        id="",
        state=State.LOST,
        joints_px=nothing(NUM_JOINTS, 2),
        joints_raw_m=nothing(NUM_JOINTS, 3),
        joints_camera_m=nothing(NUM_JOINTS, 3),
        orientations_xyzw=nothing(NUM_JOINTS, 4),
        velocities_mps=nothing(NUM_JOINTS, 3),
        confidence=np.zeros(NUM_JOINTS),
        std_m=nothing(NUM_JOINTS),
        joint_states=np.full(NUM_JOINTS, JointState.PREDICTED, dtype=np.uint8),
        transform_camera_from_body=nothing(4, 4),
        q=np.empty(0),
        q_names=(),
        height_m=float("nan"),
        calibration=Calibration.DEFAULT,
        bone_lengths_m=nothing(NUM_JOINTS),
        residual_px=float("nan"),
        std_axes_m=nothing(NUM_JOINTS, 3),
    )
