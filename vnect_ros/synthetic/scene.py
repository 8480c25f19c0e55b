"""What a picture is made of: light, solids, dressed bodies, and the view of them.

World frame: metres, z up.  Camera frame: optical.  Pixels as everywhere: the
centre of the top left pixel is (0, 0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vnect_ros.camera import Camera
from vnect_ros.synthetic.appearance import Look, offsets, shod
from vnect_ros.synthetic.bodies import BodyModel, Shape, vertex_normals


@dataclass(frozen=True)
class Lighting:
    """Sun, sky, ground and one lamp; colours are linear and may exceed 1."""

    sun_direction: np.ndarray
    sun_colour: np.ndarray
    sky_colour: np.ndarray
    ground_colour: np.ndarray
    lamp_position_m: np.ndarray
    lamp_colour: np.ndarray
    shadow_strength: float = 0.85
    exposure: float = 1.0


@dataclass(frozen=True)
class Solid:
    """A box or ball of the scenery."""

    transform_world_from_model: np.ndarray
    """[4, 4]: the unit cube (±0.5) or the unit ball (radius 0.5) into the world."""
    colour_a: np.ndarray
    colour_b: np.ndarray
    pattern: int = 0
    scale: float = 1.0
    offset: float = 0.0
    gloss: float = 0.03
    ball: bool = False
    casts: bool = True
    """Whether it throws a shadow: not what encloses the scene, or all would lie in the dark."""


@dataclass(frozen=True)
class Person:
    """A posed body with its look, ready to draw."""

    layers: tuple[tuple[str, np.ndarray, np.ndarray], ...]
    """(mesh, [N, 3] points in the world, [N, 3] normals), the body first."""
    look: Look
    known: bool = True
    """Whether the identity picture shows the parts (else the person is an occluder)."""


@dataclass(frozen=True)
class Scene:
    """What is drawn."""

    people: tuple[Person, ...]
    solids: tuple[Solid, ...]
    lighting: Lighting
    backdrop: np.ndarray | None = None
    """[H, W, 3] uint8 RGB behind everything; black without."""

    def with_people(self, people: Sequence[Person]) -> Scene:
        """The same place with other people in it."""
        return replace(self, people=tuple(people))


@dataclass(frozen=True)
class Picture:
    """What was drawn."""

    colour: np.ndarray
    """[H, W, 3] uint8 RGB."""
    part: np.ndarray
    """[H, W] uint8 index into PARTS; 0 where the person is not."""
    depth_m: np.ndarray
    """[H, W] float32 along the optical axis; 1e9 on the backdrop, 0 on nothing at all."""


@dataclass(frozen=True)
class View:
    """A camera without distortion, and where it stands."""

    camera: Camera
    transform_camera_from_world: np.ndarray
    """[4, 4]."""

    @property
    def eye_m(self) -> np.ndarray:
        """[3] where the camera stands in the world [m]."""
        t = self.transform_camera_from_world
        return -t[:3, :3].T @ t[:3, 3]

    def project(self, points_world_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[..., 3] world points as [..., 2] pixels (NaN behind the camera) and camera points."""
        t = self.transform_camera_from_world
        points_m = points_world_m @ t[:3, :3].T + t[:3, 3]
        return self.camera.project_ideal(points_m), points_m

    def through(self, camera: Camera) -> View:
        """Another camera at the same place."""
        return View(camera, self.transform_camera_from_world)


def dress(
    model: BodyModel, shape: Shape, look: Look, transforms: np.ndarray,
    transform_world_from_body: np.ndarray, known: bool = True,
) -> Person:  # fmt: skip
    """Pose, clothe and place a body.

    Args:
        transforms: [B, 3, 4] of BodyModel.pose.
        transform_world_from_body: [4, 4].
    """
    turn, shift = transform_world_from_body[:3, :3], transform_world_from_body[:3, 3]
    placed = transforms.copy()
    placed[:, :, :3] = turn @ transforms[:, :, :3]
    placed[:, :, 3] = transforms[:, :, 3] @ turn.T + shift
    standoff = offsets(model, look, shape.height_m)
    shoes = shod(model, look, shape.height_m)
    layers = []
    names = ["body"] + ["hair"] * look.long_hair + ["skirt"] * (look.skirt_length > 0)
    for name in names:
        mesh = model.meshes[name]
        rest = shape.vertices_m[mesh.vertices]
        if name == "body":
            rest = rest + (shoes[mesh.vertices] if len(shoes) > 1 else shoes)
            rest = rest + standoff[mesh.vertices, None] * vertex_normals(mesh, rest)
        points = model.skin(rest, mesh.vertices, placed).astype(np.float32)
        layers.append((name, points, vertex_normals(mesh, points).astype(np.float32)))
    return Person(tuple(layers), look, known)
