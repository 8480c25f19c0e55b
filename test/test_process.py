"""The tool over a folder of images: what it writes, in the layout it states."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from fake_backend import FakeBackend, standing_bundle
from test_everybody import CARD, Crowd

from vnect_ros import inference
from vnect_ros.cli import _common, process
from vnect_ros.recordings.video import Video
from vnect_ros.records import State
from vnect_ros.skeleton import JOINT_NAMES, PELVIS

FRAMES = 12


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(FRAMES):
        cv2.imwrite(str(folder / f"{i:02}.png"), np.full((120, 160, 3), 20 * i, np.uint8))
    return folder


@pytest.fixture
def model(tmp_path):
    bundle = standing_bundle(tmp_path / "bundle").folder
    one = ["--set", "max_people=1"]  # the bundle sees a person in every window of a search
    return ["--model", str(bundle), "--backend", "onnxruntime", *one]


def test_poses_and_overlay(tmp_path, images, model, capsys):
    out = tmp_path / "out"
    arguments = [str(images), "--out", str(out), "--fps", "10", "--json", str(out / "a.json")]
    assert process.main([*arguments, *model]) == 0
    poses = np.load(out / "poses.npz")
    shapes = {
        "frame": (FRAMES,),
        "id": (FRAMES,),
        "stamps_s": (FRAMES,),
        "state": (FRAMES,),
        "joints_px": (FRAMES, 21, 2),
        "confidence": (FRAMES, 21),
        "joints_raw_m": (FRAMES, 21, 3),
        "joints_cam_m": (FRAMES, 21, 3),
        "orientations_xyzw": (FRAMES, 21, 4),
        "q": (FRAMES, len(poses["q_names"])),
        "q_names": (len(poses["q_names"]),),
        "joint_names": (21,),
    }
    assert {key: poses[key].shape for key in poses} == shapes
    np.testing.assert_allclose(poses["stamps_s"], np.arange(FRAMES) / 10.0)
    assert tuple(poses["joint_names"]) == JOINT_NAMES and len(poses["q_names"]) > 0
    lost = poses["state"] == State.LOST.value
    assert 0 < lost.sum() < FRAMES / 2
    for key in ("joints_px", "joints_raw_m", "joints_cam_m", "orientations_xyzw", "q"):
        assert np.isnan(poses[key][lost]).all(), key
        assert np.isfinite(poses[key][~lost]).all(), key
    norms = np.linalg.norm(poses["orientations_xyzw"][~lost], axis=-1)
    np.testing.assert_allclose(norms, 1.0, atol=1e-9)
    overlay = list(Video(out / "overlay.mp4"))
    assert len(overlay) == FRAMES and overlay[0].image.shape == (120, 320, 3)
    summary = json.loads((out / "a.json").read_text())
    assert summary["frames"] == FRAMES and summary["LOST"] == lost.sum()
    assert "MEASURED" in capsys.readouterr().out


def test_limit_and_no_overlay(tmp_path, images, model):
    out = tmp_path / "out"
    assert (
        process.main([str(images), "--out", str(out), "--limit", "3", "--no-overlay", *model]) == 0
    )
    assert len(np.load(out / "poses.npz")["state"]) == 3
    assert not (out / "overlay.mp4").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "crop.margin=9"], "crop.margin: got 9.0, accepted: at most 3"),
        (["--set", "crop.margin"], "--set: got 'crop.margin', accepted: KEY=VALUE"),
        (["--set", "margin=2"], "key: got 'margin', accepted: crop.margin"),
        (["--fov", "200"], "vertical_fov: got 200.0"),
        (["--camera", "absent.yaml"], "absent.yaml: cannot be read"),
        (["--backend", "caffe"], "backend: got 'caffe'"),
        (["--model", "absent"], "model: got 'absent'"),
    ],
)
def test_refusals_are_one_line(tmp_path, images, model, capsys, arguments, message):
    assert process.main([str(images), "--out", str(tmp_path / "out"), *model, *arguments]) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("process: ") and message in error


@pytest.mark.parametrize("limit", ["0", "-3", "many"])
def test_a_limit_is_a_positive_number(images, limit, capsys):
    with pytest.raises(SystemExit):
        process.main([str(images), "--out", "out", "--limit", limit])
    assert "argument --limit: " in capsys.readouterr().err


def test_settings_are_typed_by_their_fields():
    changes = ["crop.multi_scale=true", "crop.search_scales=2", "fit.person_height=2"]
    config = _common.settings(changes)
    assert (config.crop.multi_scale, config.crop.search_scales) == (True, 2)
    assert config.fit.person_height == 2.0


def test_a_camera_file_is_read_and_scaled(tmp_path):
    file = tmp_path / "camera.yaml"
    file.write_text(
        "image_width: 640\nimage_height: 480\ncamera_name: test\n"
        "camera_matrix: {rows: 3, cols: 3, data: [500, 0, 319.5, 0, 510, 239.5, 0, 0, 1]}\n"
        "distortion_model: plumb_bob\n"
        "distortion_coefficients: {rows: 1, cols: 5, data: [-0.1, 0.01, 0, 0, 0]}\n"
    )
    parser = _common.parser("test", "")
    _common.add_camera(parser)
    args = parser.parse_args(["--camera", str(file)])
    camera = _common.load_camera(args, 320, 240)
    assert (camera.fx, camera.fy, camera.width) == (250.0, 255.0, 320) and camera.calibrated
    assert camera.distortion[:2] == (-0.1, 0.01)
    with pytest.raises(Exception, match="the aspect of 320x200"):
        _common.load_camera(args, 320, 200)
    file.write_text("image_width: 640\n")
    with pytest.raises(Exception, match="image_height: got None"):
        _common.load_camera(args, 640, 480)


class Three(Crowd):
    """Three people, of whom the network sees who is in its window."""

    def __init__(self, model, **_) -> None:
        FakeBackend.__init__(self, model)
        self.places = {"ann": (-2.0, 0.0, 5.0), "bob": (0.0, 0.0, 4.0), "cyd": (2.0, 0.0, 5.5)}
        self.windows = 0


def test_several_people_are_rows_pictures_and_a_count(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(inference.BACKENDS, "three", ("test_process", "Three"))
    folder, out = tmp_path / "cards", tmp_path / "out"
    folder.mkdir()
    for i in range(30):
        cv2.imwrite(str(folder / f"{i}.png"), np.ascontiguousarray(CARD[:, :, ::-1]))
    arguments = [str(folder), "--out", str(out), "--fov", "60", "--json", str(out / "a.json")]
    arguments += ["--model", str(Crowd(tmp_path).model.folder), "--backend", "three"]
    arguments += ["--set", "max_people=6", "--set", "crop.search_scales=4"]
    assert process.main(arguments) == 0
    poses = np.load(out / "poses.npz")
    last = poses["frame"] == 29
    assert last.sum() == 3 and set(poses["state"][last]) == {State.MEASURED.value}
    ids = set(poses["id"][last])
    assert len(ids) == 3
    x_m = np.sort(poses["joints_cam_m"][last][:, PELVIS, 0])
    assert x_m[0] < -1.0 and abs(x_m[1]) < 0.5 and x_m[2] > 1.0
    image = list(Video(out / "overlay.mp4"))[-1].image
    for pixels in poses["joints_px"][last]:
        for x, y in np.rint(pixels[[3, 6, 8, 11]]).astype(int):
            around = image[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3)
            assert np.ptp(around.astype(int), axis=1).max() > 60, "a coloured limb"
    summary = json.loads((out / "a.json").read_text())
    assert summary["people"] == 3 and summary["people_at_once"] == 3
    assert summary["MEASURED"] == (poses["state"] == State.MEASURED.value).sum()
    assert "people_at_once" in capsys.readouterr().out
