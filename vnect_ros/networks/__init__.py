"""The torch networks: VNect as published, and vnect_lite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

NETWORKS = ("vnect_lite", "vnect")


def build_network(name: str, **options: Any) -> nn.Module:
    """Make a network by name, with random weights.

    Args:
        name: one of `NETWORKS`.
        options: what the network's class takes.

    Returns:
        A module that maps [B, 3, S, S] to [B, 84, S/8, S/8] in eval mode, and in
        training mode to a dict of that ("maps") and the intermediate predictions.

    Raises:
        ValueError: There is no such network.
    """
    if name == "vnect_lite":
        from vnect_ros.networks.lite import VNectLite

        return VNectLite(**options)
    if name == "vnect":
        from vnect_ros.networks.vnect import VNect

        return VNect(**options)
    raise ValueError(f"name: got {name!r}, accepted: {', '.join(NETWORKS)}")
