"""Target maps from joints.

Cell (i, j) has its centre at input pixel ((j + ½)s − ½, (i + ½)s − ½).
"""

from __future__ import annotations

import torch

from vnect_ros.skeleton import PARENTS

DECIMETRES_PER_METRE = 10.0


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
