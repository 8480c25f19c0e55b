"""One seed, one sample: a synthetic person as a training crop with its whole truth.

`python -m vnect_ros.synthetic.generate --out DIR --count N` renders
shards for the training; the same seeds give the same samples.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vnect_ros.datasets.sample import inside as within
from vnect_ros.datasets.shards import ShardWriter
from vnect_ros.skeleton import INDEX
from vnect_ros.synthetic import scenery
from vnect_ros.synthetic.appearance import sample_look
from vnect_ros.synthetic.bodies import Shape, body_model, sample_phenotypes
from vnect_ros.synthetic.camera_effects import beyond_black, degrade
from vnect_ros.synthetic.cameras import (  # fmt: skip
    crop_labels,
    rotation_camera_from_crop,
    sample_camera,
    sample_window,
    window_view,
)
from vnect_ros.synthetic.contact import penetration
from vnect_ros.synthetic.motion import load_motion
from vnect_ros.synthetic.poses import Pose, sample_pose
from vnect_ros.synthetic.render import Renderer
from vnect_ros.synthetic.retarget import bone_rotations
from vnect_ros.synthetic.scene import Person, Scene, dress
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


def load_strips(
    folder: Path, joints: np.ndarray, held_out: bool = False, limit: int = 1500
) -> list[np.ndarray]:
    """Edge strips of photographs of people, where the labelled person is not.

    Args:
        folder: of square crops whose names sort in the order of the labels.
        joints: [N, 14, 3] x, y [px], visible.
        held_out: only of the rows kept out of training (i % 20 == 7), else only of the others.
        limit: strips at most.
    """
    strips: list[np.ndarray] = []
    for row, (path, points) in enumerate(zip(sorted(Path(folder).glob("*.jpg")), joints)):
        if len(strips) >= limit:
            break
        if (row % 20 == 7) != held_out:
            continue
        seen = points[points[:, 2] > 0, :2]
        if len(seen) < 10:
            continue
        picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        size = picture.shape[1]
        left, right = int(seen[:, 0].min()) - 22, int(seen[:, 0].max()) + 22
        for strip in (picture[:, :left] if left > 0 else None, picture[:, right:]):
            if strip is None or strip.shape[1] < 0.16 * size:
                continue
            if (strip.max(axis=2) < 8).mean() > 0.02:  # black beyond the image
                continue
            strips.append(np.ascontiguousarray(strip))
    return strips


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
        self._last: tuple | None = None
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
        camera = sample_camera(rng, joints)
        t = camera.transform_camera_from_world
        eye = -t[:3, :3].T @ t[:3, 3]
        points = joints @ t[:3, :3].T + t[:3, 3]
        pixels = points @ camera.k.T
        window = sample_window(rng, camera, pixels[:, :2] / pixels[:, 2:])
        view = window_view(camera, window, self.size)
        fine = window_view(camera, window, self._fine)
        scene = self._scene(rng, person, seed // 4, joints, eye)
        if nobody:
            scene = replace(scene, people=())
        picture = self.renderer.draw(scene, fine)
        image = cv2.resize(picture.colour, (self.size, self.size), interpolation=cv2.INTER_AREA)
        joints_px, joints_camera = view.project(joints)
        if nobody:
            joints_px = np.full_like(joints_px, -1e4)
        occluded = hidden(fine.project(joints)[0], joints_camera, picture, shape.height_m)
        inside = within(joints_px, self.size)
        full = (joints_px + 0.5) * (window.size_px / self.size) - 0.5
        full = full + [window.left_px, window.top_px]
        bounds = np.array([camera.width, camera.height]) - 0.5
        inside &= ((full > -0.5) & (full < bounds)).all(axis=1)
        image = beyond_black(image, window, camera.width, camera.height)
        image, covered = degrade(rng, image)
        at = np.clip(joints_px.round().astype(int), 0, self.size - 1)
        occluded |= covered[at[:, 1], at[:, 0]]
        return {
            "image": image,
            "joints_px": joints_px.astype(np.float32),
            "visible": inside.astype(np.float32),
            "occluded": (occluded & inside).astype(np.float32),
            "joints_m": crop_labels(joints_camera, view.k, self.size).astype(np.float32),
            "weight_3d": inside.astype(np.float32),
            "joints_camera_m": joints_camera.astype(np.float32),
            "gravity": _gravity(t[:3, :3], view.k, self.size),
            "k_crop": view.k.astype(np.float32),
            "height_m": np.float32(shape.height_m),
            "seed": np.int64(seed),
        }

    def _scene(self, rng, person: Person, body: int, joints: np.ndarray, eye: np.ndarray) -> Scene:
        kind = rng.choice(["room", "outdoors", "flat"], p=[0.38, 0.2, 0.42])
        solids: list = []
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

    def _other(self, rng, body: int, joints: np.ndarray, eye: np.ndarray) -> Person:
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


def _gravity(rotation_camera_from_world: np.ndarray, k_crop: np.ndarray, size: int) -> np.ndarray:
    """[3] float32 unit vector: where things fall, in the axes of the crop's central ray."""
    down = rotation_camera_from_world @ [0.0, 0.0, -1.0]
    return (down @ rotation_camera_from_crop(k_crop, size)).astype(np.float32)


def main() -> None:
    """Render shards."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--split", default="train", help="prefix of the shards")
    parser.add_argument("--count", type=int, default=2000, help="samples")
    parser.add_argument("--first", type=int, default=0, help="first seed; a multiple of --shard")
    parser.add_argument("--shard", type=int, default=2000, help="samples a shard")
    parser.add_argument("--size", type=int, default=256, help="edge of the crops [px]")
    parser.add_argument("--motion", type=Path, help="npz of motion clips [T, 21, 3] in mm")
    parser.add_argument("--photos", type=Path, help="folder of photographs (see --photo-labels)")
    parser.add_argument("--photo-labels", type=Path, help="npz with joints14 of the photographs")
    parser.add_argument("--held-out", action="store_true", help="make the held-out set")
    parser.add_argument("--nobody", action="store_true", help="places without a person")
    args = parser.parse_args()
    from tqdm import tqdm

    clips = load_motion(args.motion, args.held_out) if args.motion else {}
    strips: list[np.ndarray] = []
    if args.photos:
        with np.load(args.photo_labels) as labels:
            strips = load_strips(args.photos, labels["joints14"], args.held_out)
    generator = Generator(Sources(clips, strips, args.held_out), args.size)
    writer = ShardWriter(args.out, args.split, args.shard, first=args.first // args.shard)
    for seed in tqdm(range(args.first, args.first + args.count), mininterval=10):
        writer.add(generator.sample(seed, args.nobody))
    writer.flush()


if __name__ == "__main__":
    main()
