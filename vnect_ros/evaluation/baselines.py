"""Peers on the same crops: the BlazePose landmark networks of MediaPipe.

Nothing of them is part of this package.  `scripts/get_peers` brings the npm
package `@mediapipe/pose` (Apache-2.0), which carries the three networks, and
`ai-edge-litert`, which runs them, into the folder `.peers/` of the checkout.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import numpy as np

from vnect_ros.errors import BackendError, describe
from vnect_ros.evaluation.reading import Reading, whole
from vnect_ros.perception import crop as cropping
from vnect_ros.records import Crop
from vnect_ros.skeleton import INDEX, NUM_JOINTS

VARIANTS: Final = ("lite", "full", "heavy")
INPUT_SIZE: Final = 256
FOLDER: Final = Path(__file__).resolve().parents[2] / ".peers"
"""Where scripts/get_peers puts things."""

LANDMARKS: Final = {
    "head": (7, 8), "neck": (11, 12), "pelvis": (23, 24),
    "right_shoulder": (12,), "right_elbow": (14,), "right_wrist": (16,), "right_hand": (20,),
    "left_shoulder": (11,), "left_elbow": (13,), "left_wrist": (15,), "left_hand": (19,),
    "right_hip": (24,), "right_knee": (26,), "right_ankle": (28,), "right_toe": (32,),
    "left_hip": (23,), "left_knee": (25,), "left_ankle": (27,), "left_toe": (31,),
}  # fmt: skip
"""BlazePose's landmarks whose mean stands for a joint of ours.  Head top and
spine have none; head and neck differ by definition, so compare limbs."""


def find_networks(folder: str | Path | None = None) -> Path:
    """The folder that holds the .tflite files.

    Args:
        folder: the npm package, or what holds its node_modules; None looks where
            scripts/get_peers puts it and in the current folder.

    Raises:
        BackendError: none of them holds the networks.
    """
    roots = [Path(folder)] if folder else [FOLDER, Path.cwd()]
    tails = ("", "package", "node_modules/@mediapipe/pose", "@mediapipe/pose")
    for root in roots:
        for tail in tails:
            if (root / tail / "pose_landmark_heavy.tflite").is_file():
                return root / tail
    looked = ", ".join(str(r) for r in roots)
    raise BackendError(describe("peers", looked, "a folder that scripts/get_peers has filled"))


def _interpreter_class():  # type: ignore[no-untyped-def]
    beside = FOLDER / "python"
    if beside.is_dir() and str(beside) not in sys.path:
        sys.path.append(str(beside))
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise BackendError(f"peers need ai-edge-litert (scripts/get_peers): {error}") from error
    return Interpreter


class BlazePoseReader:
    """One landmark network; see `reading.Reader`.

    It is given the window as it stands: no detector, no rotation to upright.
    """

    normalised = False
    crop_axes = True

    def __init__(self, variant: str, folder: str | Path | None = None, threads: int = 1) -> None:
        """Load a variant of VARIANTS.

        Raises:
            BackendError: the variant is unknown, or its files or runtime are missing.
        """
        if variant not in VARIANTS:
            raise BackendError(describe("peer", variant, ", ".join(VARIANTS)))
        file = find_networks(folder) / f"pose_landmark_{variant}.tflite"
        try:
            self._interpreter = _interpreter_class()(str(file), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, OSError) as error:
            raise BackendError(f"{file}: {error}") from error
        self.name = f"BlazePose {variant}"
        self._input = self._interpreter.get_input_details()[0]["index"]
        by_size = {o["shape"][-1]: o["index"] for o in self._interpreter.get_output_details()}
        self._landmarks, self._world = by_size[195], by_size[117]

    def read(self, image: np.ndarray, crop: Crop | None = None) -> Reading:
        """See `Reader.read`."""
        if crop is None:
            crop = whole(image, INPUT_SIZE)
        crop = Crop(crop.left_px, crop.top_px, crop.size_px, INPUT_SIZE)
        cropped = cropping.cut(image, crop)
        self._interpreter.set_tensor(self._input, (cropped / 255.0).astype(np.float32)[None])
        self._interpreter.invoke()
        landmarks = self._interpreter.get_tensor(self._landmarks).reshape(39, 5).astype(float)
        world = self._interpreter.get_tensor(self._world).reshape(39, 3).astype(float)
        flat, solid = np.full((NUM_JOINTS, 2), np.nan), np.full((NUM_JOINTS, 3), np.nan)
        seen = np.zeros(NUM_JOINTS)
        for name, sources in LANDMARKS.items():
            flat[INDEX[name]] = landmarks[list(sources), :2].mean(axis=0)
            solid[INDEX[name]] = world[list(sources)].mean(axis=0)
            seen[INDEX[name]] = 1.0 / (1.0 + np.exp(-landmarks[list(sources), 3].min()))
        return Reading(
            pixels_px=crop.image_from_input(flat),
            root_relative_m=solid - solid[INDEX["pelvis"]],
            confidence=seen,
            peaks=seen,
        )
