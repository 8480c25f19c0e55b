"""The torch networks: VNect as published, and those on MoveNet's trunk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

NETWORKS = ("vnect_lite", "vnect_large", "vnect")


def build_network(name: str, size: int = 192, **options: Any) -> nn.Module:
    """Make a network by name, with random weights.

    Args:
        name: one of `NETWORKS`.
        size: edge of the input [px]; VNect itself takes any.
        options: what the network's class takes.

    Returns:
        A module of [B, 3, S, S]; see `lite.VNectLite` and `vnect.VNect` for what it gives
        in eval mode and in training mode.

    Raises:
        ValueError: There is no such network.
    """
    if name in ("vnect_lite", "vnect_large"):
        from vnect_ros.networks.lite import VNectLite

        return VNectLite("lightning" if name == "vnect_lite" else "thunder", size, **options)
    if name == "vnect":
        from vnect_ros.networks.vnect import VNect

        return VNect(**options)
    raise ValueError(f"name: got {name!r}, accepted: {', '.join(NETWORKS)}")
