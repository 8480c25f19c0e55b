"""Checkpoints: everything a training needs to go on, in one file, written atomically."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from vnect_ros.networks import build_network

LATEST: Final = "latest.pt"
"""The newest checkpoint of a training, in its folder; and ..."""
LOG: Final = "log.jsonl"
"""... its log, a JSON object a line."""


def save(file: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint so that an interruption leaves the old one whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    torch.save(content, part)
    os.replace(part, file)


def read(file: str | Path) -> dict[str, Any]:
    """Read a checkpoint's content on the CPU."""
    content = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(content, dict) or "average" not in content:
        raise ValueError(f"file: got {str(file)!r}, accepted: a checkpoint of this package")
    return content


def load(file: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Rebuild the network of a checkpoint with its averaged weights, in eval mode.

    Returns:
        The network, and what is known of it: "config", "step", "samples", "progress",
        "validation", and "bundle", the fields of a model bundle that the recipe decides.
    """
    content = read(file)
    config = content["config"]
    network = build_network(config["network"], config["size"], **config["network_options"])
    network.load_state_dict({k: v.float() for k, v in content["average"].items()})
    meta = {k: content.get(k) for k in ("config", "step", "samples", "progress", "validation")}
    meta["bundle"] = {"input_size": config["size"], "location_frame": "crop_ray"}
    return network.eval(), meta
