"""One seed, one sample: a synthetic person as a training crop with its whole truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from vnect_ros.datasets.cropping import crop_ray_labels
from vnect_ros.datasets.sample import inside as within
from vnect_ros.perception.crop import outside
from vnect_ros.records import Crop
from vnect_ros.skeleton import INDEX
from vnect_ros.synthetic import scenery
from vnect_ros.synthetic.appearance import sample_look
from vnect_ros.synthetic.bodies import Shape, body_model, sample_phenotypes
from vnect_ros.synthetic.camera_effects import beyond_black, degrade
from vnect_ros.synthetic.cameras import sample_view, sample_window
from vnect_ros.synthetic.contact import penetration
from vnect_ros.synthetic.poses import Pose, sample_pose
from vnect_ros.synthetic.render import Renderer
from vnect_ros.synthetic.retarget import bone_rotations
from vnect_ros.synthetic.scene import Person, Scene, Solid, View, dress
from vnect_ros.synthetic.visibility import hidden


@dataclass(frozen=True)
class Sources:
    """What the generator draws from besides its own procedures."""

    clips: dict[str, np.ndarray] = field(default_factory=dict)
    """Motion in body axes by name; empty for poses from angles alone."""
    strips: Sequence[np.ndarray] = ()
    """[h, w, 3] uint8 RGB pieces of photographs without people."""
    held_out: bool = False
    """Bodies, patterns and seeds apart from the training's."""


class Generator:
    """Makes samples by seed.

    Args:
        sources: motion and photographs to draw from.
        size: edge of the crop [px].
    """

    def __init__(self, sources: Sources | None = None, size: int = 256) -> None:
        self.sources = sources or Sources()
        self.size = size
        self.model = body_model()
        # Drawn finer and averaged: on a CPU a third of the cost of multisampling.
        self._last: tuple[int, Any] | None = None
        self._bodies: dict[int, tuple[Shape, float]] = {}
        self._fine = round(size * 1.25)
        self.renderer = Renderer(self.model, self._fine, self._fine)

    def _body(self, number: int) -> tuple[Shape, float]:
        """Body `number` of this set and how female it is; the last ones are kept."""
        if number not in self._bodies:
            rng = np.random.default_rng([number, 31 if self.sources.held_out else 17])
            phenotypes, height = sample_phenotypes(rng, self.sources.held_out)
            if len(self._bodies) > 7:
                del self._bodies[next(iter(self._bodies))]
            self._bodies[number] = self.model.shape(phenotypes, height), phenotypes["gender"]
        return self._bodies[number]

    def _posed(self, rng: np.random.Generator, shape: Shape) -> tuple[Pose, np.ndarray, np.ndarray]:
        """A pose whose limbs do not run through each other, its joints and transforms."""
        best = None
        for _ in range(8):
            pose = sample_pose(rng, self.sources.clips)
            rotations = bone_rotations(self.model, shape, pose.joints_m, pose.style)
            joints, transforms = self.model.pose(shape, rotations)
            depth = penetration(joints, shape.height_m)
            if best is None or depth < best[0]:
                best = depth, pose, joints, transforms
            if depth < 0.4:
                break
        assert best is not None
        return best[1:]

    def _person(
        self, rng: np.random.Generator, body: int
    ) -> tuple[Person, np.ndarray, Shape, float]:
        """A person over the origin, the joints in the world, the shape, the gap to the floor."""
        shape, female = self._body(body)
        pose, joints, transforms = self._posed(rng, shape)
        look = sample_look(rng, female, self.sources.held_out)
        place = np.eye(4)
        place[:2, 3] = -joints[INDEX["pelvis"], :2]
        person = dress(self.model, shape, look, transforms, place)
        lowest = float(person.layers[0][1][:, 2].min())
        gap = 0.0 if pose.grounded else rng.uniform(0.05, 0.9)
        shift = np.array([0.0, 0.0, gap - lowest], np.float32)
        layers = tuple((n, p + shift, normals) for n, p, normals in person.layers)
        return Person(layers, look), joints + place[:3, 3] + shift, shape, gap

    def sample(self, seed: int, nobody: bool = False) -> dict[str, Any]:
        """One training sample: `image` [S, S, 3] uint8 RGB and the labels of shards.LABELS.

        Args:
            nobody: leave the person out: all joints are far outside the picture then.
        """
        mark = 7919 if self.sources.held_out else 104729
        # Dressing a person costs as much as drawing them: two samples show the same
        # one from two sides in two places, and four share a body.
        if self._last is None or self._last[0] != seed // 2:
            rng = np.random.default_rng([seed // 2, mark])
            self._last = seed // 2, self._person(rng, seed // 4)
        for attempt in range(4):
            sample = self._shot(np.random.default_rng([seed, mark, attempt]), seed, nobody)
            if nobody:
                break
            seen = sample["visible"] - sample["occluded"]
            if seen.sum() >= 0.35 * sample["visible"].sum():
                break
        return sample

    def _shot(self, rng: np.random.Generator, seed: int, nobody: bool) -> dict[str, Any]:
        """The present person in some place before some camera."""
        assert self._last is not None
        person, joints, shape, _ = self._last[1]
        whole = sample_view(rng, joints)
        camera = whole.camera
        crop = sample_window(rng, camera, whole.project(joints)[0], self.size)
        view = whole.through(crop.camera(camera))
        fine = whole.through(replace(crop, input_size=self._fine).camera(camera))
        scene = self._scene(rng, person, seed // 4, joints, whole.eye_m)
        if nobody:
            scene = replace(scene, people=())
        picture = self.renderer.draw(scene, fine)
        image = cv2.resize(picture.colour, (self.size, self.size), interpolation=cv2.INTER_AREA)
        joints_px, joints_camera = view.project(joints)
        joints_px = np.full_like(joints_px, -1e4) if nobody else np.nan_to_num(joints_px, nan=-1e4)
        occluded = hidden(fine.project(joints)[0], joints_camera, picture, shape.height_m)
        full_px = crop.image_from_input(joints_px)
        inside = within(joints_px, self.size)
        inside &= ~outside(full_px, (camera.height, camera.width), 0.0)
        image = beyond_black(image, crop, camera)
        image, covered = degrade(rng, image)
        at = np.clip(joints_px.round().astype(int), 0, self.size - 1)
        occluded |= covered[at[:, 1], at[:, 0]]
        return {
            "image": image,
            "joints_px": joints_px.astype(np.float32),
            "visible": inside.astype(np.float32),
            "occluded": (occluded & inside).astype(np.float32),
            "joints_m": crop_ray_labels(joints_camera, camera, crop)[0].astype(np.float32),
            "weight_3d": inside.astype(np.float32),
            "joints_camera_m": joints_camera.astype(np.float32),
            "gravity": _gravity(whole, crop),
            "k_crop": view.camera.matrix.astype(np.float32),
            "height_m": np.float32(shape.height_m),
            "seed": np.int64(seed),
        }

    def _scene(
        self,
        rng: np.random.Generator,
        person: Person,
        body: int,
        joints: np.ndarray,
        eye: np.ndarray,
    ) -> Scene:
        kind = rng.choice(["room", "outdoors", "flat"], p=[0.38, 0.2, 0.42])
        solids: list[Solid] = []
        backdrop = None
        floor = 0.0
        if kind == "room":
            solids = scenery.room(rng, floor, eye)
        elif kind == "outdoors":
            solids, backdrop = scenery.outdoors(rng, floor), scenery.sky(rng, self.size)
        else:
            backdrop = scenery.backdrop(rng, self.size, self.sources.strips)
        people = [person]
        if rng.random() < 0.13:
            solids += scenery.occluders(rng, eye, joints)
        if rng.random() < 0.14:
            people.append(self._other(rng, body, joints, eye))
        lighting = scenery.sample_lighting(rng)
        return Scene(tuple(people), tuple(solids), lighting, backdrop)

    def _other(
        self, rng: np.random.Generator, body: int, joints: np.ndarray, eye: np.ndarray
    ) -> Person:
        """Somebody else beside, behind or partly before the person."""
        other = self._person(rng, body)[0]
        to_eye = (eye - joints[INDEX["pelvis"]]) * [1, 1, 0]
        to_eye /= max(np.linalg.norm(to_eye), 1e-6)
        side = np.array([-to_eye[1], to_eye[0], 0.0])
        deep = rng.choice([rng.uniform(-2.5, -0.5), rng.uniform(0.3, 0.8)], p=[0.75, 0.25])
        wide = rng.choice([-1, 1]) * rng.uniform(0.35, 1.2)
        shift = (deep * to_eye + wide * side).astype(np.float32)
        layers = tuple((n, p + shift, normals) for n, p, normals in other.layers)
        return Person(layers, other.look, known=False)


def _gravity(view: View, crop: Crop) -> np.ndarray:
    """[3] float32 unit vector: where things fall, in the axes of the crop's central ray."""
    down = view.transform_camera_from_world[:3, :3] @ [0.0, 0.0, -1.0]
    return (down @ view.camera.rotation_camera_from_crop(crop.centre_px)).astype(np.float32)
