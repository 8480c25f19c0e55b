"""Writes trunks.npz: what the published networks say of a frame of the demo video.

    PYTHONPATH=.baselines/python python test/data/make_trunks.py FOLDER

FOLDER holds movenet-lightning.onnx, movenet-thunder.onnx and pose_landmark_full.tflite
(docs/training.md tells where from).  Heatmaps are probabilities in steps of 1/65535.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime

HERE = Path(__file__).parent
FRAME = 250
HEATMAPS = "StatefulPartitionedCall/kpt_heatmap_0/conv2d_5/BiasAdd"


def crops(size: int) -> np.ndarray:
    """[1, size, size, 3] uint8 RGB: the middle square of the frame."""
    video = cv2.VideoCapture(str(HERE.parent.parent / "assets" / "demo.mp4"))
    video.set(cv2.CAP_PROP_POS_FRAMES, FRAME)
    bgr = video.read()[1]
    edge = bgr.shape[0]
    left = (bgr.shape[1] - edge) // 2
    square = cv2.cvtColor(bgr[:, left : left + edge], cv2.COLOR_BGR2RGB)
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA)[None]


def heatmaps(file: Path, images: np.ndarray) -> np.ndarray:
    """[N, 17, h, w] logits that the file's network gives."""
    model = onnx.load(str(file))
    model.graph.output.append(onnx.helper.make_tensor_value_info(HEATMAPS, 1, None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    logits = [session.run([HEATMAPS], {"input": i[None].astype(np.int32)})[0][0] for i in images]
    return np.stack(logits).transpose(0, 3, 1, 2)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """uint16, in steps of 1/65535."""
    return np.round((0.5 + 0.5 * np.tanh(0.5 * logits)) * 65535).astype(np.uint16)


def blazepose(file: Path, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heatmaps [1, 39, 64, 64], logits, and landmarks [1, 39, 3] in metres."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file))
    interpreter.allocate_tensors()
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], (image[None] / 255.0).astype(np.float32)
    )
    interpreter.invoke()
    found = {d["name"]: interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()}
    return found["Identity_3"].transpose(0, 3, 1, 2), found["Identity_4"].reshape(1, 39, 3)


def main() -> None:
    """Write the file."""
    arrays = {}
    for name, size in (("lightning", 192), ("thunder", 256)):
        images = crops(size)
        arrays[f"image_{size}"] = images[0]
        found = heatmaps(Path(sys.argv[1]) / f"movenet-{name}.onnx", images)
        arrays[f"{name}_heatmaps"] = probabilities(found)
    file = Path(sys.argv[1]) / "pose_landmark_full.tflite"
    logits, arrays["blazepose_world"] = blazepose(file, arrays["image_256"])
    arrays["blazepose_heatmaps"] = probabilities(logits)
    np.savez_compressed(HERE / "trunks.npz", **arrays)


if __name__ == "__main__":
    main()
