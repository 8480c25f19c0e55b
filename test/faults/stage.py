"""What the scripted network sees: each image carries the number of a shot.

The camera shows a coordinate card whose blue plane is the shot's number; the
backend "scripted" reads the window and the number off whatever crop it is
given, and draws the maps of that shot.  So a test decides frame by frame what
is seen, and everything else on the way is real.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from fake_backend import STANDING_M, FakeBackend, Seen, coordinate_card, read_card

from vnect_ros.camera import Camera
from vnect_ros.errors import BackendError
from vnect_ros.inference.model import Model
from vnect_ros.records import Crop, Maps
from vnect_ros.skeleton import MIRROR, NORMALISED_KNEE_NECK_M, NUM_JOINTS, PELVIS, knee_neck_length

NOBODY = 0
"""The number of a black image."""
NORMALISED_M = STANDING_M * (NORMALISED_KNEE_NECK_M / knee_neck_length(STANDING_M))


@dataclass(frozen=True)
class Person:
    """One person before the camera, and how the network may err about them."""

    position_m: tuple[float, float, float] = (0.0, 0.0, 4.0)
    """Of the pelvis, camera frame."""
    yaw: float = 0.0
    raised: float = 0.0
    """Turn of the right arm about the shoulder, in the picture's plane [rad]."""
    hidden: tuple[int, ...] = ()
    """Joints that the heatmaps do not show."""
    flipped: bool = False
    """Left and right exchanged, as networks do with people seen from behind."""
    stretched: float = 1.0
    """Factor on the picture of the person: another distance, from one frame to the next."""

    def local_m(self) -> np.ndarray:
        """[21, 3] root-relative, camera axes, the network's body size."""
        joints = NORMALISED_M.copy()
        cos, sin = np.cos(self.raised), np.sin(self.raised)
        shoulder, arm = joints[2].copy(), [3, 4, 17]
        turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        joints[arm] = (joints[arm] - shoulder) @ turn.T + shoulder
        cos, sin = np.cos(self.yaw), np.sin(self.yaw)
        return joints @ np.array([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]]).T

    def seen(self, camera: Camera, crop: Crop) -> Seen | None:
        """What a perfect network says of a crop, but for the errors above; None: nobody.

        It sees joints in the black outside the image too, as networks do.
        """
        local = self.local_m()
        pixels = camera.project(local + self.position_m)
        middle = pixels[PELVIS]
        inside = crop.input_from_image(middle + (pixels - middle) * self.stretched)
        if not 0.25 < np.ptp(inside, axis=0).max() / crop.input_size < 1.6:
            return None
        peaks = ((inside >= 0.0) & (inside <= crop.input_size - 1.0)).all(axis=1).astype(float)
        peaks[list(self.hidden)] = 0.0
        local = local @ camera.rotation_camera_from_crop(crop.centre_px)
        if self.flipped:
            inside, local, peaks = (a[list(MIRROR)] for a in (inside, local, peaks))
        return Seen(inside, local - local[PELVIS], peaks)


class Stage:
    """The shots by number, and the network's troubles."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self.shots: dict[int, tuple[Person, ...]] = {}
        self.delay_s = 0.0
        self.fail: Callable[[], None] = lambda: None
        """Called in each inference; may raise."""
        self.made = 0
        """Backends made so far."""
        self._cards: dict[tuple[int, int], np.ndarray] = {}
        self.hold = threading.Event()
        """Cleared, inference hangs until it is set."""
        self.hold.set()

    def cast(self, number: int, *people: Person) -> int:
        """Say who is seen in images of that number."""
        self.shots[number] = people
        return number

    def image(self, number: int, camera: Camera | None = None) -> np.ndarray:
        """[H, W, 3] uint8: the card that carries the number."""
        camera = camera or self.camera
        if number == NOBODY:
            return np.zeros((camera.height, camera.width, 3), np.uint8)
        size = camera.width, camera.height
        if size not in self._cards:
            self._cards[size] = coordinate_card(*size)
        card = self._cards[size].copy()
        card[:, :, 2] = number
        return card

    def people(self, crop_image: np.ndarray) -> tuple[Crop, tuple[Person, ...]] | None:
        """The window and the people of the image that a crop was cut from."""
        blue = crop_image[:, :, 2]
        if not (blue > 0).any():
            return None
        number = int(np.median(blue[blue > 0]))
        card = crop_image.copy()
        alike = (np.abs(blue.astype(int) - number) <= 8) & (blue > 0)  # 0: outside the image
        card[:, :, 2] = np.where(alike, 255, 0)
        crop = read_card(card)
        return None if crop is None else (crop, self.shots.get(number, (Person(),)))


class ScriptedBackend(FakeBackend):
    """Sees what the stage says; registered as backend "scripted"."""

    name = "scripted"
    stage: Stage

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.stage.made += 1

    def draw(self, image: np.ndarray) -> Maps:
        stage = self.stage
        if stage.delay_s:
            time.sleep(stage.delay_s)
        stage.hold.wait()
        stage.fail()
        nobody = Seen(
            np.full((NUM_JOINTS, 2), 8.0), np.zeros((NUM_JOINTS, 3)), np.zeros(NUM_JOINTS)
        )
        views = []
        shown = stage.people(image)
        if shown is not None:
            crop, people = shown
            views = [v for person in people if (v := person.seen(stage.camera, crop)) is not None]
        maps = [self._drawn(view, image) for view in views or [nobody]]
        return maps[0] if len(maps) == 1 else _together(maps)

    def _drawn(self, view: Seen, image: np.ndarray) -> Maps:
        self._look = lambda _: view
        return super().draw(image)


def _together(maps: list[Maps]) -> Maps:
    """Several people in one crop: each joint's locations are those of the hottest."""
    heat = np.stack([m.heatmaps for m in maps])
    hottest = heat.argmax(axis=0)
    places = np.stack([m.locations_m for m in maps])
    chosen = np.take_along_axis(places, hottest[None, None], axis=0)[0]
    return replace(maps[0], heatmaps=heat.max(axis=0), locations_m=chosen)


def failing(error: Exception | None = None) -> Callable[[], None]:
    """An inference that fails as a runtime does."""

    def fail() -> None:
        raise error or BackendError("scripted: out of memory")

    return fail


def jpeg(image: np.ndarray) -> bytes:
    """An RGB image as JPEG of the best quality."""
    done, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100])
    assert done
    return data.tobytes()
