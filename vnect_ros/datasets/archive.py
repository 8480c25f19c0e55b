"""Image files of a data set, in a tar file or a folder; kept in memory as they are coded."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from vnect_ros.errors import VnectError, describe

SUFFIXES: Final = (".jpg", ".jpeg", ".png")


def image_names(folder: Path) -> list[str]:
    """Every image of a folder: in the tar's order, or (also one folder down) by name.

    Raises:
        VnectError: there is neither one tar file nor an image.
    """
    archive = _archive(folder)
    if archive:
        with tarfile.open(archive) as tar:
            return [m.name for m in tar if m.isfile() and m.name.lower().endswith(SUFFIXES)]
    for pattern in ("*", "*/*"):
        paths = (p for p in folder.glob(pattern) if p.suffix.lower() in SUFFIXES)
        names = sorted(p.relative_to(folder).as_posix() for p in paths)
        if names:
            return names
    raise VnectError(describe("images", str(folder), "a folder with one tar file or images"))


class Images(Sequence[np.ndarray]):
    """The images of some names, decoded when asked for.

    Args:
        folder: with one tar file, or the images themselves.
        names: of `image_names`, in any order.
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.names = list(names)
        archive = _archive(folder)
        if not archive:
            self._coded = [(folder / name).read_bytes() for name in names]
            return
        with tarfile.open(archive) as tar:
            members = {member.name: member for member in tar}
            missing = next((name for name in names if name not in members), None)
            if missing is not None:
                raise VnectError(describe("image", missing, f"a file of {archive}"))
            files = (tar.extractfile(members[name]) for name in names)
            self._coded = [file.read() if file else b"" for file in files]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> np.ndarray:  # type: ignore[override]
        """[h, w, 3] uint8 RGB; VnectError, by name, if the file is no image."""
        data = np.frombuffer(self._coded[i], np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
        if image is None:
            raise VnectError(describe("image", self.names[i], "a readable image"))
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _archive(folder: Path) -> Path | None:
    """The folder's one tar file, if it has one."""
    archives = sorted(folder.glob("*.tar"))
    return archives[0] if len(archives) == 1 else None


def read_arrays(file: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """All arrays of a npz file, the named ones checked.

    Args:
        shapes: name to shape behind the row axis.

    Raises:
        VnectError: the file is missing, or an array is missing or of another shape.
    """
    if not file.is_file():
        raise VnectError(describe("folder", str(file.parent), f"one that holds {file.name}"))
    with np.load(file, allow_pickle=False) as data:
        found = {name: data[name] for name in data.files}
    for name, shape in shapes.items():
        if name not in found or found[name].shape[1:] != shape:
            got = found[name].shape if name in found else sorted(found)
            raise VnectError(describe(f"{file.name}: {name}", got, f"[N, {shape}]"))
    return found
