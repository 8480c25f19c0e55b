"""Teach the lifter: poses seen from everywhere, without a single image.

Poses are turned, mirrored and mixed; a pinhole sees them from a random distance
through a person's crop, as `crop` cuts it; the places get the errors that
networks make (noise, exchanged sides, joints out of sight).
"""

from __future__ import annotations

import math

import numpy as np
import torch

from vnect_ros.learning.schedule import rate_share
from vnect_ros.networks.lift import JOINTS, Lifter
from vnect_ros.skeleton import INDEX, MIRROR, PELVIS

MARGIN = 1.45
"""Edge of the crop over the larger edge of the joints' box."""
_ARMS = [INDEX[s + p] for s in ("right_", "left_") for p in ("shoulder", "elbow", "wrist", "hand")]
_LEGS = [INDEX[s + p] for s in ("right_", "left_") for p in ("hip", "knee", "ankle", "toe")]
_LOWER = torch.tensor([j in _LEGS for j in range(JOINTS)])
_MIRROR = torch.tensor(MIRROR)


class Viewer:
    """Makes (features, locations) pairs out of poses.

    Args:
        poses_m: [N, 21, 3] float32 root-relative, axes of some camera, body size normalised.
        seed: of everything random.
    """

    def __init__(self, poses_m: np.ndarray, seed: int = 0) -> None:
        poses = torch.as_tensor(poses_m, dtype=torch.float32)
        self.poses = poses - poses[:, PELVIS : PELVIS + 1]
        self.random = torch.Generator().manual_seed(seed)

    def batch(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw `count` pairs: features [B, 126] and locations [B, 63] in decimetres."""
        poses = self._turned(self._drawn(count))
        places = self._seen(poses)
        features = self._told(places)
        return features, (poses * 10.0).transpose(1, 2).flatten(1)

    def _uniform(self, *shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=self.random)

    def _normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=self.random)

    def _drawn(self, count: int) -> torch.Tensor:
        """Poses, half of them with another one's legs in the pelvis' axes, half mirrored."""
        first = self.poses[torch.randint(len(self.poses), (count,), generator=self.random)]
        other = self.poses[torch.randint(len(self.poses), (count,), generator=self.random)]
        axes, other_axes = _pelvis_axes(first), _pelvis_axes(other)
        carried = other @ other_axes @ axes.transpose(1, 2)
        mix = (self._uniform(count) < 0.4)[:, None, None] & _LOWER[None, :, None]
        poses = torch.where(mix, carried, first)
        mirrored = poses[:, _MIRROR] * torch.tensor([-1.0, 1.0, 1.0])
        return torch.where((self._uniform(count) < 0.5)[:, None, None], mirrored, poses)

    def _turned(self, poses: torch.Tensor) -> torch.Tensor:
        """About the body's long axis by any angle, the camera tilted and rolled a little."""
        count = len(poses)
        spine = poses[:, INDEX["neck"]]
        yaw = (self._uniform(count) * 2.0 - 1.0) * math.pi
        yaw = torch.where(self._uniform(count) < 0.3, yaw * 0.15, yaw)
        turn = _rotation(spine / spine.norm(dim=1, keepdim=True).clamp_min(1e-6), yaw)
        wide = torch.where(self._uniform(count) < 0.15, 1.2, 0.3)
        tilt = _rotation(_axis(count, 0), self._normal(count) * 0.25)
        roll = _rotation(_axis(count, 2), self._normal(count) * wide)
        return poses @ (roll @ tilt @ turn).transpose(1, 2)

    def _seen(self, poses: torch.Tensor) -> torch.Tensor:
        """Places [B, 21, 2] in the crop, -1 to 1, from a random distance."""
        count = len(poses)
        distance = torch.exp(self._uniform(count) * math.log(9.0 / 1.7) + math.log(1.7))
        shift = torch.zeros(count, 1, 2)
        for _ in range(4):
            depth = (poses[..., 2:] + distance[:, None, None]).clamp_min(0.2)
            places = (poses[..., :2] + shift) / depth
            low, high = places.amin(1, keepdim=True), places.amax(1, keepdim=True)
            shift = shift - (low + high) / 2.0 * distance[:, None, None]
        half = (high - low).amax(2, keepdim=True) / 2.0 * MARGIN
        half = half * torch.exp(self._normal(count, 1, 1) * 0.15)
        return (places - (low + high) / 2.0) / half + self._normal(count, 1, 2) * 0.06

    def _told(self, places: torch.Tensor) -> torch.Tensor:
        """Features as a network's maps would give them, errors included; no locations."""
        count = len(places)
        sure = 0.25 + 0.65 * self._uniform(count, JOINTS)
        places = self._confused(places)
        noise = self._normal(count, JOINTS, 2) * (0.012 / sure)[..., None]
        places = places + noise
        lost = (places.abs().amax(2) > 1.0) | (self._uniform(count, JOINTS) < 0.04)
        astray = places + self._normal(count, JOINTS, 2) * 0.3
        places = torch.where(lost[..., None], astray, places).clamp(-1.0, 1.0)
        sure = torch.where(lost, 0.05 + 0.2 * self._uniform(count, JOINTS), sure)
        nothing = torch.zeros(count, 3 * JOINTS)
        return torch.cat([places[..., 0], places[..., 1], sure, nothing], dim=1)

    def _confused(self, places: torch.Tensor) -> torch.Tensor:
        """Arms or legs with exchanged sides; single joints that sit on the other side's."""
        count = len(places)
        mirrored = places[:, _MIRROR]
        for limb in (_ARMS, _LEGS):
            exchanged = self._uniform(count) < 0.05
            of_limb = torch.tensor([j in limb for j in range(JOINTS)])
            places = torch.where(
                exchanged[:, None, None] & of_limb[None, :, None], mirrored, places
            )
        stuck = self._uniform(count, JOINTS) < 0.03
        return torch.where(stuck[..., None], mirrored, places)


def train_lifter(
    lifter: Lifter,
    viewer: Viewer,
    steps: int,
    told: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None,
    *,
    batch: int = 1024,
    told_share: float = 0.5,
    rate: float = 1e-3,
    log_every: int = 200,
    seed: int = 0,
) -> list[float]:
    """Train a lifter in place.

    Args:
        lifter: to train.
        viewer: makes pairs without images.
        steps: batches.
        told: features [N, 126], locations [N, 63] in decimetres and weights [N, 21]
            of real maps, to mix in.
        told_share: share of a batch that is drawn from them.

    Returns:
        The mean joint error [mm] on its own batches, every `log_every` steps.
    """
    optimiser = torch.optim.AdamW(lifter.parameters(), rate, weight_decay=0.01)
    random = torch.Generator().manual_seed(seed)
    errors, history = [], []
    lifter.train()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * rate_share(step / steps, step, 100, 0.01)
        drawn = batch if told is None else batch - int(batch * told_share)
        features, truth = viewer.batch(drawn)
        weight = torch.ones(drawn, JOINTS)
        if told is not None:
            pick = torch.randint(len(told[0]), (batch - drawn,), generator=random)
            features = torch.cat([features, told[0][pick]])
            truth = torch.cat([truth, told[1][pick]])
            weight = torch.cat([weight, told[2][pick]])
        error = (lifter(features) - truth).view(batch, 3, JOINTS)
        distance = (error.square().sum(1) + 1e-3).sqrt()
        loss = (distance * weight).sum() / weight.sum().clamp_min(1.0)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        errors.append(float(loss.detach()) * 100.0)
        if (step + 1) % log_every == 0:
            history.append(float(np.mean(errors[-log_every:])))
    lifter.eval()
    return history


def _axis(count: int, k: int) -> torch.Tensor:
    return torch.eye(3)[k].expand(count, 3)


def _pelvis_axes(poses: torch.Tensor) -> torch.Tensor:
    """[B, 3, 3] columns: towards the left hip, up the spine, across both."""
    left = torch.nn.functional.normalize(poses[:, INDEX["left_hip"]] - poses[:, INDEX["right_hip"]])
    up = poses[:, INDEX["spine"]]
    up = torch.nn.functional.normalize(up - (up * left).sum(1, keepdim=True) * left)
    return torch.stack([left, up, torch.linalg.cross(left, up)], dim=2)


def _rotation(axis: torch.Tensor, angle: torch.Tensor) -> torch.Tensor:
    """[B, 3, 3] turns about unit axes [B, 3] by angles [B] (Rodrigues)."""
    x, y, z = axis.unbind(1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    sine, cosine_ = torch.sin(angle)[:, None, None], torch.cos(angle)[:, None, None]
    return torch.eye(3) + sine * skew + (1.0 - cosine_) * (skew @ skew)
