"""The package's files beside its modules: of the checkout, or of where it is installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def folders() -> list[Path]:
    """Where models, assets, configuration and messages may lie, the checkout first."""
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    installed = [Path(p) / "share" / "vnect_ros" for p in [*prefixes, sys.prefix]]
    return list(dict.fromkeys([Path(__file__).resolve().parents[1], *installed]))


def find(path: str) -> Path | None:
    """A file or folder by its path in there; None where it is missing."""
    return next((folder / path for folder in folders() if (folder / path).exists()), None)
