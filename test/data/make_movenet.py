"""Writes movenet.npz: what the published MoveNet files say of a frame of the demo video.

    python test/data/make_movenet.py FOLDER

FOLDER holds movenet-lightning.onnx and movenet-thunder.onnx (docs/training.md).  Heatmaps are
probabilities in steps of 1/65535.
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
    """[N, 17, h, w] probabilities that the file's network gives."""
    model = onnx.load(str(file))
    model.graph.output.append(onnx.helper.make_tensor_value_info(HEATMAPS, 1, None))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    logits = [session.run([HEATMAPS], {"input": i[None].astype(np.int32)})[0][0] for i in images]
    return 0.5 + 0.5 * np.tanh(0.5 * np.stack(logits).transpose(0, 3, 1, 2))


def main() -> None:
    """Write the file."""
    arrays = {}
    for name, size in (("lightning", 192), ("thunder", 256)):
        images = crops(size)
        arrays[f"{name}_images"] = images
        found = heatmaps(Path(sys.argv[1]) / f"movenet-{name}.onnx", images)
        arrays[f"{name}_heatmaps"] = np.round(found * 65535).astype(np.uint16)
    np.savez_compressed(HERE / "movenet.npz", **arrays)


if __name__ == "__main__":
    main()
