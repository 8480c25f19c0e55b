"""Baselines on the same crops: MoveNet, and the BlazePose landmark networks of MediaPipe.

Nothing of them is part of this package.  `scripts/get_baselines` brings the npm package
`@mediapipe/pose` (Apache-2.0), which carries the three networks of BlazePose, and
`ai-edge-litert`, which runs them, into the folder `.baselines/` of the checkout.  MoveNet
Lightning and Thunder (Apache-2.0) are ONNX files that the user has.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from vnect_ros.datasets import teachers
from vnect_ros.errors import BackendError, describe
from vnect_ros.evaluation.reading import Reader, resized
from vnect_ros.perception import crop as cropping
from vnect_ros.perception.reading import Reading
from vnect_ros.records import Crop
from vnect_ros.skeleton import INDEX, NUM_JOINTS, PELVIS

FOLDER: Final = Path(__file__).resolve().parents[2] / ".baselines"
"""Where scripts/get_baselines puts things."""
MOVENET: Final = {"Lightning": "movenet-lightning.onnx", "Thunder": "movenet-thunder.onnx"}
VARIANTS: Final = ("lite", "full", "heavy")
"""Of BlazePose."""
INPUT_SIZE: Final = 256
"""Edge of the crops that all but Lightning take as they are [px]."""
DERIVED: Final = (INDEX["head_top"], INDEX["spine"])
"""Joints that neither has; `teachers` extrapolates them.  Head and neck differ by
definition too, so compare limbs."""


def open_baselines(folder: str | Path | None = None, threads: int = 1) -> list[Reader]:
    """Every baseline whose files there are.

    Args:
        folder: with movenet-thunder.onnx or movenet-lightning.onnx, with
            pose_landmark_*.tflite, or with what scripts/get_baselines brings; looked in
            before the place where that puts it.
        threads: of each.

    Raises:
        BackendError: there is none, or a runtime is missing.
    """
    roots = [*([Path(folder)] if folder else []), FOLDER]
    tails = ("", "package", "node_modules/@mediapipe/pose", "@mediapipe/pose")
    places = [root / tail for root in roots for tail in tails]

    def file(name: str) -> Path | None:
        return next((place / name for place in places if (place / name).is_file()), None)

    found: list[Reader] = []
    for name, file_name in MOVENET.items():
        if network := file(file_name):
            found.append(MoveNetReader(name, network, threads))
    for variant in VARIANTS:
        if network := file(f"pose_landmark_{variant}.tflite"):
            found.append(BlazePoseReader(variant, network, threads))
    if not found:
        accepted = "a folder with movenet-thunder.onnx, or that scripts/get_baselines has filled"
        looked = ", ".join(map(str, roots))
        raise BackendError(describe("baselines", looked, accepted))
    return found


class MoveNetReader:
    """One network of MoveNet (SinglePose, version 4), 2D alone; see `reading.Reader`.

    It is given the window as it stands: no cropping of its own.
    """

    normalised = False
    crop_axes = True

    def __init__(self, name: str, file: Path, threads: int = 1) -> None:
        """Load a file; BackendError if it cannot be had."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's errors share no narrower base
            raise BackendError(f"{file}: {error}") from error
        self.name = f"MoveNet {name}"
        self._input = self._session.get_inputs()[0]

    def read(self, image: np.ndarray, crop: Crop | None = None) -> Reading:
        """See `Reader.read`."""
        size = self._input.shape[1]
        crop = resized(crop, image, size)
        feed = {self._input.name: cropping.cut(image, crop).astype(np.int32)[None]}
        keypoints = self._session.run(None, feed)[0].reshape(17, 3).astype(np.float64)
        # parts of the input, counted from the edges of its pixels
        pixels = keypoints[:, [1, 0]] * size - 0.5
        joints = teachers.vnect_joints(pixels)
        joints[list(DERIVED)] = np.nan
        scores = teachers.vnect_scores(keypoints)
        nothing = np.full((NUM_JOINTS, 3), np.nan)
        return Reading(crop.image_from_input(joints), nothing, scores, scores)


class BlazePoseReader:
    """One landmark network; see `reading.Reader`.

    It is given the window as it stands: no detector, no rotation to upright.
    """

    normalised = False
    crop_axes = True

    def __init__(self, variant: str, file: Path, threads: int = 1) -> None:
        """Load the file of a variant; BackendError if it or its runtime is missing."""
        try:
            self._interpreter = _interpreter_class()(str(file), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, OSError) as error:
            raise BackendError(f"{file}: {error}") from error
        self.name = f"BlazePose {variant}"
        details = self._interpreter.get_input_details()[0]
        self._input, self._size = details["index"], int(details["shape"][1])
        by_size = {o["shape"][-1]: o["index"] for o in self._interpreter.get_output_details()}
        self._landmarks, self._world = by_size[195], by_size[117]

    def read(self, image: np.ndarray, crop: Crop | None = None) -> Reading:
        """See `Reader.read`."""
        crop = resized(crop, image, self._size)
        cropped = cropping.cut(image, crop)
        self._interpreter.set_tensor(self._input, (cropped / 255.0).astype(np.float32)[None])
        self._interpreter.invoke()
        landmarks = self._interpreter.get_tensor(self._landmarks).reshape(39, 5).astype(float)
        world = self._interpreter.get_tensor(self._world).reshape(39, 3).astype(float)
        joints_px = teachers.vnect_joints(landmarks[:, :2])
        joints_m = teachers.vnect_joints(world)
        seen = _visibility(landmarks[:, 3])
        joints_px[list(DERIVED)] = joints_m[list(DERIVED)] = np.nan
        return Reading(crop.image_from_input(joints_px), joints_m - joints_m[PELVIS], seen, seen)


def _visibility(logits: np.ndarray) -> np.ndarray:
    """[21] in [0, 1], of [39]: the least of a joint's landmarks, 0 without one."""
    seen = np.zeros(NUM_JOINTS)
    for name, sources in teachers.BLAZEPOSE.items():
        seen[INDEX[name]] = 1.0 / (1.0 + np.exp(-logits[list(sources)].min()))
    return seen


def _interpreter_class() -> Any:
    beside = FOLDER / "python"
    if beside.is_dir() and str(beside) not in sys.path:
        sys.path.append(str(beside))
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        message = f"BlazePose needs ai-edge-litert (scripts/get_baselines): {error}"
        raise BackendError(message) from error
    return Interpreter
