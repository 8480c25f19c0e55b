"""A model bundle: the network's file and all that is needed to feed and read it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """What a bundle declares."""

    input_size: int
