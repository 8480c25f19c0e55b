"""`benchmark --backends`: a row for each runtime, each from its own process."""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tiny_bundles

from vnect_ros import inference
from vnect_ros.cli import _backend_table, _common, _pictures
from vnect_ros.config import CropConfig
from vnect_ros.errors import ImageError
from vnect_ros.inference import bundles
from vnect_ros.learning.export.compare import Difference, difference
from vnect_ros.perception import crop as cropping
from vnect_ros.perception.reading import Reading
from vnect_ros.recordings.video import Video

pytestmark = pytest.mark.timeout(300)


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    _backend_table.add_arguments(parser)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(given)


def test_every_runtime_has_a_row_or_a_reason(tmp_path, capsys) -> None:
    full = tiny_bundles.load("vnect_lite", "fp32")
    single = bundles.write_bundle(
        tmp_path / "single", {"fp32": full.file}, licence="CC0-1.0", input_size=full.input_size,
        mean=full.mean, std=full.std, stride_px=full.stride_px,
        gravity_input=full.gravity_input, presence_output=full.presence_output,
    )  # fmt: skip
    for i, crop in enumerate(tiny_bundles.crops(3, seed=61)):
        cv2.imwrite(str(tmp_path / f"{i}.png"), crop)
    given = ["--bundles", str(single.folder), "--images", str(tmp_path), "--rounds", "1"]
    found = _backend_table.run(arguments(*given, "--no-baselines"))
    shown = capsys.readouterr().out
    rows = {row["backend"]: row for row in found["rows"]}
    assert set(rows) == set(inference.AUTO)
    json.dumps(found)
    for name, row in rows.items():
        assert name in shown
        if name != "tensorrt" and importlib.util.find_spec(name):
            assert 0.0 < row["median_ms"] <= row["p95_ms"] and row["memory_mib"] > 20.0, row
        elif "median_ms" not in row:
            assert row["note"]


def test_difference_counts_only_what_the_reference_sees() -> None:
    pixels, locations = np.zeros((21, 2)), np.zeros((21, 3))
    seen = np.zeros(21)
    seen[:2] = 1.0
    reference = Reading(pixels, locations, seen, seen)
    moved = Reading(pixels + [3.0, 4.0], locations + [0.0, 0.0, 0.01], 1.0 - seen, seen)
    far = difference([reference], [moved])
    assert far == Difference(2, 5.0, 5.0, pytest.approx(10.0), pytest.approx(10.0))
    nobody = difference([Reading(pixels, locations, np.zeros(21), seen)], [moved])
    assert nobody.joints == 0 and np.isnan(nobody.mean_px)


def test_no_pictures_is_an_error(tmp_path) -> None:
    with pytest.raises(ImageError, match="images: got"):
        _pictures.pictures(arguments("--images", str(tmp_path)), 64)


def test_pictures_of_a_video_hold_the_person(tmp_path) -> None:
    clip = Path(_common.demo_clip())
    with np.load(clip.with_name("demo_truth.npz")) as known:
        joints_px = known["joints_px"]
    frames = itertools.islice(Video(str(clip)), 0, 60, 2)
    for i, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / f"{i:03}.png"), frame.image[..., ::-1])
    args = _common.parser("benchmark", "")
    args.add_argument("video")
    _backend_table.add_arguments(args)
    _common.add_model(args)
    _common.add_camera(args)
    _common.add_settings(args)
    given = args.parse_args([str(tmp_path), "--count", "5"])
    crops = _pictures.pictures(given, 128)
    assert [crop.shape for crop in crops] == [(128, 128, 3)] * 5
    # what was cut is what the truth's own window of a late frame shows
    image = cv2.imread(str(tmp_path / "029.png"))[..., ::-1]
    window = cropping.around(joints_px[58], CropConfig(), 128)
    there = cropping.cut(image, window)
    alike = cv2.matchTemplate(crops[-1], there[32:96, 32:96].copy(), cv2.TM_CCOEFF_NORMED)
    assert alike.max() > 0.7
    given.video = str(tmp_path / "nothing.mp4")
    with pytest.raises(ImageError, match=r"nothing\.mp4"):
        _pictures.pictures(given, 128)
