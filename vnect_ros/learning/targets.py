"""Target maps from joints.

Cell (i, j) has its centre at input pixel ((j + ½)s − ½, (i + ½)s − ½).
"""

from __future__ import annotations

import torch

from vnect_ros.skeleton import INDEX, PARENTS

DECIMETRES_PER_METRE = 10.0
LIMBS = (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
"""The joints that bound the limbs of the side maps."""
_SHORT_TRUNK_PX = 12.0
"""Of a shorter trunk, seen end on, one cannot tell which way it faces."""


def _ends(side: str) -> tuple[list[int], list[int]]:
    first = [INDEX[f"{side}_{a}"] for a, _ in LIMBS]
    return first, [INDEX[f"{side}_{b}"] for _, b in LIMBS]


def heatmaps(joints_px: torch.Tensor, cells: int, stride: float, sigma_px: float) -> torch.Tensor:
    """Gaussians of peak 1 at the joints.

    Args:
        joints_px: [B, 21, 2] float32 in input pixels.
        cells: edge of the maps.
        stride: input pixels a cell.
        sigma_px: standard deviation [px of the input].

    Returns:
        [B, 21, cells, cells] float32.
    """
    centres = (torch.arange(cells, device=joints_px.device) + 0.5) * stride - 0.5
    dx = (centres - joints_px[..., 0:1]) / sigma_px
    dy = (centres - joints_px[..., 1:2]) / sigma_px
    return torch.exp(-0.5 * dy * dy)[..., :, None] * torch.exp(-0.5 * dx * dx)[..., None, :]


def locations_dm(joints_m: torch.Tensor) -> torch.Tensor:
    """[B, 21, 3] metres to [B, 63] decimetres, grouped x, y, z as in the maps."""
    return (joints_m * DECIMETRES_PER_METRE).transpose(1, 2).flatten(1)


def offsets_dm(joints_m: torch.Tensor) -> torch.Tensor:
    """[B, 21, 3] metres to [B, 63] offsets from the parents in decimetres, x, y, z."""
    return locations_dm(joints_m - joints_m[:, list(PARENTS)])


def offset_weights(weight_3d: torch.Tensor) -> torch.Tensor:
    """[B, 21] weight of each offset: known only where joint and parent are."""
    return torch.minimum(weight_3d, weight_3d[:, list(PARENTS)])


def limb_sides(
    joints_px: torch.Tensor, visible: torch.Tensor, cells: int, stride: float, sigma_px: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Side maps: 1 along the left limbs, -1 along the right ones, fading beside them.

    Args:
        joints_px: [B, 21, 2] float32 in input pixels.
        visible: [B, 21] 0 where a joint is unknown.
        cells: edge of the maps.
        stride: input pixels a cell.
        sigma_px: how wide a limb is [px of the input].

    Returns:
        sides [B, 4, cells, cells], the area of both limbs [B, 4] in cells, and the
        weight [B, 4], 0 where an end of either limb is unknown.
    """
    centres = (torch.arange(cells, device=joints_px.device) + 0.5) * stride - 0.5
    points = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), -1).reshape(-1, 2)
    near, weights = [], []
    for side in ("left", "right"):
        first, last = _ends(side)
        a, b = joints_px[:, first, None], joints_px[:, last, None]
        along = b - a
        share = ((points - a) * along).sum(-1) / along.square().sum(-1).clamp_min(1e-6)
        away = points - a - share.clamp(0.0, 1.0)[..., None] * along
        near.append(torch.exp(-0.5 * away.square().sum(-1) / sigma_px**2))
        weights.append(torch.minimum(visible[:, first], visible[:, last]))
    left, right = near
    sides = (left - right).unflatten(2, (cells, cells))
    return sides, (left + right).sum(2), torch.minimum(*weights)


def facing(joints_px: torch.Tensor, visible: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How far the trunk shows its front: 1 facing the camera, -1 from behind, 0 side-on.

    From where shoulders and hips lie across the line from pelvis to neck in the picture.

    Args:
        joints_px: [B, 21, 2] float32 in input pixels.
        visible: [B, 21] 0 where a joint is unknown.

    Returns:
        facing [B] and its weight [B], 0 where it cannot be told.
    """
    up = joints_px[:, INDEX["neck"]] - joints_px[:, INDEX["pelvis"]]
    names = [(INDEX[f"left_{n}"], INDEX[f"right_{n}"]) for n in ("shoulder", "hip")]
    across = sum(joints_px[:, left] - joints_px[:, right] for left, right in names)
    assert isinstance(across, torch.Tensor)
    trunk = torch.linalg.vector_norm(up, dim=-1)
    turned = up[:, 0] * across[:, 1] - up[:, 1] * across[:, 0]
    known = [INDEX["neck"], INDEX["pelvis"], *(k for pair in names for k in pair)]
    weight = visible[:, known].amin(1) * (trunk > _SHORT_TRUNK_PX)
    return (turned / trunk.clamp_min(1.0).square()).clamp(-1.0, 1.0), weight
