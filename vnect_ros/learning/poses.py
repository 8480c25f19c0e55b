"""Poses seen from everywhere, without a single image: what the lifter learns from.

Poses stand on the floor of a z-up world; a pinhole sees them from a random height,
heading and distance through a person's crop, as `crop` cuts it; the places get the
errors that networks make (noise, exchanged sides, joints out of sight).  So the
direction of gravity in the crop is known, and given in a part of the samples.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from vnect_ros.datasets.cropping import CROP
from vnect_ros.learning.targets import DECIMETRES_PER_METRE
from vnect_ros.skeleton import (
    CHAINS,
    INDEX,
    MIRROR,
    NORMALISED_KNEE_NECK_M,
    NUM_JOINTS,
    PARENTS,
    PELVIS,
    knee_neck_length,
)

_ARMS = [INDEX[s + p] for s in ("right_", "left_") for p in ("shoulder", "elbow", "wrist", "hand")]
_LEGS = [INDEX[s + p] for s in ("right_", "left_") for p in ("hip", "knee", "ankle", "toe")]
_MIRROR = torch.tensor(MIRROR)
_CHAINS = torch.tensor(CHAINS, dtype=torch.float32)


_POSES_A_BODY = 8
_CAMERA_FROM_WORLD = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Of a level camera that looks along the world's y."""


def world_poses(motion: str, count: int, seed: int = 0) -> np.ndarray:
    """[N, 21, 3] float32 poses of the synthetic people, on their bodies, z up [m].

    The bodies matter: with the bone lengths of the captured skeleton, whose thighs are a
    fifth longer and whose spine is as much shorter than theirs, a lifter is off by 4 cm.

    Args:
        motion: npz of clips for `synthetic.motion.load_motion`; "" for poses from angles alone.
        count: N.
        seed: of everything random.
    """
    from vnect_ros.synthetic.bodies import body_model, sample_phenotypes
    from vnect_ros.synthetic.motion import load_motion
    from vnect_ros.synthetic.poses import sample_pose
    from vnect_ros.synthetic.retarget import bone_rotations

    clips = load_motion(motion, False) if motion else None  # type: ignore[arg-type]
    model = body_model()
    rng = np.random.default_rng(seed)
    poses = np.empty((count, NUM_JOINTS, 3), np.float32)
    for i in range(count):
        if i % _POSES_A_BODY == 0:
            shape = model.shape(*sample_phenotypes(rng, False))
        pose = sample_pose(rng, clips)
        rotations = bone_rotations(model, shape, pose.joints_m, pose.style)
        poses[i] = model.pose(shape, rotations)[0]
    return poses


class PoseSampler:
    """Makes (features, gravity, locations) out of poses.

    Args:
        poses_m: [N, 21, 3] float32, z up.
        seed: of everything random.
        gravity: share of the samples in which gravity is given.
    """

    def __init__(self, poses_m: np.ndarray, seed: int = 0, gravity: float = 0.5) -> None:
        size = knee_neck_length(poses_m)[:, None, None] / NORMALISED_KNEE_NECK_M
        poses = torch.as_tensor(poses_m / size, dtype=torch.float32)
        self.poses = poses - poses[:, PELVIS : PELVIS + 1]
        self.gravity = gravity
        self.random = torch.Generator().manual_seed(seed)

    def batch(self, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Draw `count`: features [B, 63], gravity [B, 3] and locations [B, 63] in decimetres."""
        poses, gravity = self._before_camera(self._drawn(count))
        features = self._with_errors(self._places(poses))
        astray = gravity + 0.03 * self._normal(count, 3)
        gravity = astray / astray.norm(dim=1, keepdim=True)
        given = (self._uniform(count, 1) < self.gravity).float()
        locations = (poses * DECIMETRES_PER_METRE).transpose(1, 2).flatten(1)
        return features, gravity * given, locations

    def _uniform(self, *shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=self.random)

    def _normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=self.random)

    def _drawn(self, count: int) -> torch.Tensor:
        """Poses with other bone lengths, the same on both sides."""
        poses = self.poses[torch.randint(len(self.poses), (count,), generator=self.random)]
        stretch = 1.0 + 0.05 * self._normal(count, NUM_JOINTS)
        stretch = (stretch + stretch[:, _MIRROR]) / 2.0
        poses = _CHAINS @ (stretch[..., None] * (poses - poses[:, list(PARENTS)]))
        size = torch.tensor(knee_neck_length(poses.numpy()), dtype=torch.float32)
        return poses * (NORMALISED_KNEE_NECK_M / size)[:, None, None]

    def _before_camera(self, poses: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Poses [B, 21, 3] and gravity [B, 3] in the axes of a camera's ray to the person."""
        count = len(poses)
        yaw = _rotation(2, (self._uniform(count) * 2.0 - 1.0) * math.pi)
        pitch = _rotation(0, math.radians(8.0) + math.radians(14.0) * self._normal(count))
        wide = torch.where(self._uniform(count) < 0.12, 60.0, 8.0)
        roll = _rotation(2, wide * math.pi / 180.0 * self._normal(count))
        turn = roll @ pitch @ _CAMERA_FROM_WORLD @ yaw
        return poses @ turn.transpose(1, 2), -turn[:, :, 2]

    def _places(self, poses: torch.Tensor) -> torch.Tensor:
        """Places [B, 21, 2] in the crop, -1 to 1, from a random distance."""
        count = len(poses)
        distance = torch.exp(self._uniform(count) * math.log(9.0 / 1.7) + math.log(1.7))
        shift = torch.zeros(count, 1, 2)
        for _ in range(4):
            depth = (poses[..., 2:] + distance[:, None, None]).clamp_min(0.2)
            places = (poses[..., :2] + shift) / depth
            low, high = places.amin(1, keepdim=True), places.amax(1, keepdim=True)
            shift = shift - (low + high) / 2.0 * distance[:, None, None]
        half = (high - low).amax(2, keepdim=True) / 2.0 * CROP.margin
        half = half * torch.exp(self._normal(count, 1, 1) * 0.15)
        return (places - (low + high) / 2.0) / half + self._normal(count, 1, 2) * 0.06

    def _with_errors(self, places: torch.Tensor) -> torch.Tensor:
        """Features as a network's heatmaps would give them, errors included."""
        count = len(places)
        sure = 0.25 + 0.7 * self._uniform(count, NUM_JOINTS)
        places = self._confused(places)
        places = places + self._normal(count, NUM_JOINTS, 2) * (0.012 / sure)[..., None]
        lost = (places.abs().amax(2) > 1.0) | (self._uniform(count, NUM_JOINTS) < 0.04)
        astray = places + self._normal(count, NUM_JOINTS, 2) * 0.3
        places = torch.where(lost[..., None], astray, places).clamp(-1.0, 1.0)
        sure = torch.where(lost, 0.02 + 0.2 * self._uniform(count, NUM_JOINTS), sure)
        return torch.cat([places[..., 0], places[..., 1], sure], dim=1)

    def _confused(self, places: torch.Tensor) -> torch.Tensor:
        """Arms or legs with exchanged sides; single joints that sit on the other side's."""
        count = len(places)
        mirrored = places[:, _MIRROR]
        for limb in (_ARMS, _LEGS):
            of_limb = torch.tensor([j in limb for j in range(NUM_JOINTS)])
            exchanged = (self._uniform(count) < 0.03)[:, None, None] & of_limb[None, :, None]
            places = torch.where(exchanged, mirrored, places)
        stuck = self._uniform(count, NUM_JOINTS) < 0.02
        return torch.where(stuck[..., None], mirrored, places)


def _rotation(axis: int, angle: torch.Tensor) -> torch.Tensor:
    """[B, 3, 3] turns about a coordinate axis by angles [B] [rad]."""
    sine, cosine = torch.sin(angle), torch.cos(angle)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    turn = torch.eye(3).repeat(len(angle), 1, 1)
    turn[:, first, first], turn[:, second, second] = cosine, cosine
    turn[:, first, second], turn[:, second, first] = -sine, sine
    return turn
