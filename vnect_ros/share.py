"""The package's own files: models, clips, settings; in a checkout or where it is installed."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def folders() -> list[Path]:
    """Where they may be: the checkout, then `share/vnect_ros` of each install prefix."""
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    installed = [Path(p) / "share" / "vnect_ros" for p in [*prefixes, sys.prefix]]
    return list(dict.fromkeys([Path(__file__).resolve().parents[1], *installed]))


def find(path: str) -> Path | None:
    """The first file of that path below one of the folders; None if it is in none."""
    files = (folder / path for folder in folders())
    return next((file for file in files if file.is_file()), None)
