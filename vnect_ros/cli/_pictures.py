"""The pictures of `benchmark --backends`: one person each, as the network sees them."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vnect_ros.cli import _common
from vnect_ros.config import CropConfig
from vnect_ros.errors import ImageError, describe
from vnect_ros.learning.export.compare import person_crops, spread
from vnect_ros.perception import crop as cropping
from vnect_ros.pipeline import Pipeline
from vnect_ros.recordings.video import Video
from vnect_ros.records import Frame, State


def pictures(args: argparse.Namespace, size: int) -> list[np.ndarray]:
    """The crops [S, S, 3] uint8 that every row runs on."""
    if args.images:
        return person_crops(args.images, size, args.count)
    if args.video == _common.demo_clip():
        return clip_crops(size, args.count)
    return tracked_crops(args, size)


def tracked_crops(args: argparse.Namespace, size: int) -> list[np.ndarray]:
    """Windows in which the pipeline saw the person of a video, evenly spread over it.

    Raises:
        ImageError: nobody was measured in it.
    """
    backend = _common.load_backend(args)
    pipeline, video, windows = Pipeline(_common.settings(args.set), backend), Video(args.video), {}
    for number, frame in enumerate(tqdm(video, total=video.count or None, unit="frame")):
        height, width = frame.image.shape[:2]
        camera = _common.load_camera(args, width, height, frame.camera)
        for pose in pipeline.step(Frame(frame.image, camera, frame.stamp_s))[:1]:
            if pose.state is State.MEASURED and pose.crop is not None:
                windows[number] = dataclasses.replace(pose.crop, input_size=size)
    backend.close()
    if not windows:
        raise ImageError(describe("video", args.video, "one with a person that is measured"))
    chosen = {list(windows)[i] for i in spread(len(windows), args.count)}
    return [
        cropping.cut(frame.image, windows[number])
        for number, frame in enumerate(Video(args.video))
        if number in chosen
    ]


def clip_crops(size: int, count: int) -> list[np.ndarray]:
    """Windows around the person of the bundled clip, as tracking cuts them.

    Raises:
        ImageError: the clip or its truth is not installed.
    """
    clip = _common.demo_clip()
    truth = Path(clip).with_name("demo_truth.npz")
    if not clip or not truth.is_file():
        raise ImageError(describe("--images", "", "a folder: the bundled clip is not installed"))
    with np.load(truth) as known:
        joints_px = known["joints_px"]
    frames = [frame.image for frame in Video(clip)]
    usable = min(len(frames), len(joints_px))
    crops = []
    for i in spread(usable, count):
        seen = joints_px[i][np.isfinite(joints_px[i]).all(axis=1)]
        crops.append(cropping.cut(frames[i], cropping.around(seen, CropConfig(), size)))
    return crops
