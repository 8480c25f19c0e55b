"""MPI-INF-3DHP (Mehta et al., 3DV 2017): its training part as stills, its test set as clips.

The set does not come with this package, and has its own licence, which binds the
weights that are trained on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from vnect_ros.camera import Camera
from vnect_ros.datasets.clips import Clip, clip_of_files
from vnect_ros.datasets.cropping import Truth
from vnect_ros.datasets.photographs import Entry, ImageFiles, Photographs, placed, read_image
from vnect_ros.errors import VnectError, describe
from vnect_ros.skeleton import NUM_JOINTS

TRAINING_JOINTS: Final = (
    7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6, 17, 12, 27, 22,
)  # fmt: skip
"""Our 21 joints among the training part's 28 (0-based)."""
TEST_JOINTS: Final = tuple(range(17))
"""Our index of each of the test set's 17."""
TEST_FPS: Final = 25.0
"""The test set's layout does not state its rate; it scales accelerations and filters."""


def stills(
    folder: str | Path,
    subjects: Sequence[int] = (1, 2, 3, 4, 5, 6, 7, 8),
    cameras: Sequence[int] = (0, 1, 2, 4, 5, 6, 7, 8),
    every: int = 10,
    size: int = 256,
) -> Photographs:
    """The training part: `S<n>/Seq<m>/annot.mat`, `camera.calibration`, `imageSequence/`.

    Of annot.mat `annot2` and `annot3` (a cell a camera, [F, 84], 28 joints,
    millimetres in the camera frame).  Images are `imageSequence/video_<c>.avi` or,
    extracted, `imageSequence/video_<c>/*.jpg`, row i being its i-th by name.

    Raises:
        VnectError: no sequence is there, or one is not as declared.
    """
    entries: list[Entry] = []
    for subject in subjects:
        for file in sorted(Path(folder).glob(f"S{subject}/Seq*/annot.mat")):
            entries += _sequence(file, cameras, every)
    if not entries:
        raise VnectError(describe("mpi_inf_3dhp", str(folder), "a folder with S1/Seq1/annot.mat"))
    return Photographs(entries, size)


def _sequence(file: Path, cameras: Sequence[int], every: int) -> list[Entry]:
    from scipy.io import loadmat

    data = loadmat(file)
    if "annot2" not in data or "annot3" not in data:
        raise VnectError(describe(f"{file}", sorted(data), "annot2 and annot3"))
    calibrated = _read_calibration(file.with_name("camera.calibration"))
    columns = list(TRAINING_JOINTS)
    entries = []
    for c in (c for c in cameras if c < len(data["annot2"])):
        pixels = np.asarray(data["annot2"][c, 0], float).reshape(-1, 28, 2)[:, columns]
        metres = np.asarray(data["annot3"][c, 0], float).reshape(-1, 28, 3)[:, columns] / 1e3
        source = file.parent / "imageSequence" / f"video_{c}"
        images = sorted(source.glob("*.jpg"))
        for f in range(0, min(len(pixels), len(images) or len(pixels)), every):
            truth = Truth(pixels[f], np.ones(NUM_JOINTS), metres[f], calibrated[c])
            if images:
                entries.append(Entry(images[f], truth))
            else:
                entries.append(Entry(source.with_suffix(".avi"), truth, f))
    return entries


def _read_calibration(file: Path) -> list[Camera]:
    """Each camera of a `camera.calibration`: its lines `size` (w h ...) and `intrinsic` (4 x 4)."""
    size, found = (2048, 2048), []
    for line in file.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words and words[0] == "size":
            size = (int(float(words[1])), int(float(words[2])))
        if words and words[0] == "intrinsic":
            k = np.array([float(w) for w in words[1:17]]).reshape(4, 4)
            found.append(Camera(*size, k[0, 0], k[1, 1], k[0, 2], k[1, 2]))
    if not found:
        raise VnectError(describe(str(file), "no line `intrinsic`", "one a camera"))
    return found


def clips(folder: str | Path) -> list[Clip]:
    """The test set: `TS1` to `TS6`, each `imageSequence/*.jpg` and `annot_data.mat`.

    Of the annotation `annot2` [F, 17, 2] and `annot3` [F, 17, 3] (camera frame, mm)
    are read, and `valid_frame`: other frames have no truth.  The intrinsics are
    those that take annot3 to annot2.

    Raises:
        VnectError: no sequence is there, one is not as declared, or h5py is missing.
    """
    folder = Path(folder)
    files = sorted(folder.glob("TS*/annot_data.mat"))
    if not files:
        raise VnectError(describe("mpi_inf_3dhp", str(folder), "a folder with TS1/annot_data.mat"))
    return [_test_sequence(file) for file in files]


def _test_sequence(file: Path) -> Clip:
    try:
        import h5py
    except ImportError as error:
        raise VnectError(f"mpi_inf_3dhp needs h5py: {error}") from error
    with h5py.File(file, "r") as data:
        missing = [k for k in ("annot2", "annot3", "valid_frame") if k not in data]
        if missing:
            raise VnectError(describe(f"{file}: {missing[0]}", None, "a field"))
        valid = np.asarray(data["valid_frame"]).reshape(-1) > 0
        pixels_px = np.asarray(data["annot2"]).reshape(len(valid), 17, 2)
        joints_m = np.asarray(data["annot3"]).reshape(len(valid), 17, 3) / 1e3
    images = sorted((file.parent / "imageSequence").glob("*.jpg"))
    if len(images) != len(valid):
        raise VnectError(describe(f"{file.parent.name}: images", len(images), str(len(valid))))
    height, width = read_image(images[0]).shape[:2]
    unknown = ~valid[:, None, None]
    return clip_of_files(
        file.parent.name,
        ImageFiles(images, TEST_FPS),
        fitted_camera(joints_m[valid], pixels_px[valid], width, height),
        placed(np.where(unknown, np.nan, joints_m), TEST_JOINTS),
        placed(np.where(unknown, np.nan, pixels_px), TEST_JOINTS),
    )


def fitted_camera(joints_m: np.ndarray, pixels_px: np.ndarray, width: int, height: int) -> Camera:
    """The pinhole that takes [F, J, 3] camera-frame points to [F, J, 2] pixels best."""
    slopes = (joints_m[..., :2] / joints_m[..., 2:]).reshape(-1, 2)
    pixels = pixels_px.reshape(-1, 2)
    (fx, cx), (fy, cy) = (np.polyfit(slopes[:, i], pixels[:, i], 1) for i in (0, 1))
    return Camera(width, height, fx, fy, cx, cy)
