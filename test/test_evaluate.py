"""`evaluate` on small sets whose figures are known, and the layouts it reads."""

from __future__ import annotations

import dataclasses
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_backend import FakeBackend, Seen, coordinate_card, read_card, standing

from vnect_ros.camera import Camera
from vnect_ros.cli import evaluate
from vnect_ros.config import CropConfig, PipelineConfig
from vnect_ros.datasets import human36m, lspet, mpi_inf_3dhp
from vnect_ros.datasets.clips import Clip, load_clips
from vnect_ros.errors import BackendError, VnectError
from vnect_ros.evaluation import baselines, clips, metrics, plots
from vnect_ros.evaluation.reading import NetworkReader, Readings, read_all
from vnect_ros.evaluation.stills import directions_down, in_own_axes, load_stills, upright_whole
from vnect_ros.inference import bundles
from vnect_ros.perception import crop as cropping
from vnect_ros.recordings.video import Video, VideoFrame
from vnect_ros.records import Crop, State
from vnect_ros.skeleton import INDEX, LIMBS, NORMALISED_KNEE_NECK_M, knee_neck_length

SIZE = 224


@pytest.fixture
def bundle(tmp_path):
    """A bundle whose network is never run: the fake backend sees a standing person."""
    (tmp_path / "none.onnx").write_bytes(b"none")
    return bundles.write_bundle(
        tmp_path / "bundle",
        {"fp32": tmp_path / "none.onnx"},
        licence="MIT",
        input_size=SIZE,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )


def _standing_truth(bundle, count):
    """[count, 14, 3] labels of the person that the fake backend sees in a 224 px crop."""
    joints14 = np.ones((count, 14, 3), np.float32)
    joints14[..., :2] = standing(bundle).pixels_px[list(lspet.TO_VNECT)]
    return joints14


def _jpeg(value=0, size=SIZE):
    return cv2.imencode(".jpg", np.full((size, size, 3), value, np.uint8))[1].tobytes()


def _lspet_folder(folder, joints14, as_tar=True):
    folder.mkdir()
    np.savez(folder / "labels.npz", index=np.arange(len(joints14)) + 2, joints14=joints14)
    for i in range(len(joints14)):
        (folder / f"im{i:05d}.jpg").write_bytes(_jpeg(i))
    if as_tar:
        with tarfile.open(folder / "lspet_224.tar", "w") as tar:
            for file in sorted(folder.glob("*.jpg")):
                tar.add(file, arcname=file.name)
                file.unlink()
    return folder


def _evaluate(bundle, tmp_path, *arguments):
    out = tmp_path / "out.json"
    common = ["--model", str(bundle.folder), "--backend", "fake", "--json", str(out)]
    assert evaluate.main([*common, *map(str, arguments)]) == 0
    return json.loads(out.read_text())


@pytest.mark.parametrize("as_tar", [True, False])
def test_lspet_figures_stand_at_the_top_level(bundle, tmp_path, as_tar, capsys):
    joints14 = _standing_truth(bundle, 4)
    torso = np.linalg.norm(joints14[0, 9, :2] - joints14[0, 2, :2])
    joints14[0, :6, 0] += 0.3 * torso  # the legs of one image are 0.3 torsos off ...
    joints14[0, 2, 0] -= 0.3 * torso  # ... but the hip that the torso ends in
    found = _evaluate(
        bundle, tmp_path, "--lspet", _lspet_folder(tmp_path / "set", joints14, as_tar)
    )
    assert found["pck02"] == pytest.approx(1.0 - 5 / 48)
    assert found["pck05"] == 1.0
    assert found["n"] == 4
    assert found["set"] == "lspet" and found["split"] == "all"
    assert found["joints"]["left_ankle"]["pck02"] == pytest.approx(0.75)
    assert "0.896" in capsys.readouterr().out


def test_splits_of_the_full_set(bundle, tmp_path):
    folder = _lspet_folder(tmp_path / "set", _standing_truth(bundle, 48))
    held_out = lspet.Lspet(folder, part="heldout")
    assert list(held_out.rows) == [7, 27, 47]
    assert len(lspet.Lspet(folder, part="train")) == 45
    assert len(lspet.Lspet(folder, part="all")) == 48
    grey = [int(held_out.image(i).mean().round()) for i in range(len(held_out))]
    assert grey == [7, 27, 47]
    found = _evaluate(bundle, tmp_path, "--lspet", folder, "--split", "heldout")
    assert found["n"] == 3 and found["split"] == "heldout"


def test_a_wrong_folder_is_refused_in_one_line(bundle, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    arguments = ["--model", str(bundle.folder), "--backend", "fake", "--lspet"]
    assert evaluate.main([*arguments, str(tmp_path / "empty")]) == 1
    assert "labels.npz" in capsys.readouterr().err
    folder = _lspet_folder(tmp_path / "set", _standing_truth(bundle, 3), as_tar=False)
    next(folder.glob("*.jpg")).unlink()
    with pytest.raises(VnectError, match="images: got 2"):
        lspet.Lspet(folder)
    with pytest.raises(VnectError, match="part"):
        lspet.Lspet(_lspet_folder(tmp_path / "whole", _standing_truth(bundle, 3)), part="test")
    assert evaluate.main(["--model", str(bundle.folder), "--backend", "fake"]) == 1
    assert "--lspet" in capsys.readouterr().err


def test_larger_images_are_read_whole(bundle):
    reader = NetworkReader(FakeBackend(bundle))
    read = reader.read(np.zeros((448, 448, 3), np.uint8))
    expected = (standing(bundle).pixels_px + 0.5) * 2.0 - 0.5
    assert np.abs(read.pixels_px - expected).max() < 0.5
    wide = reader.read(np.zeros((224, 448, 3), np.uint8))
    assert np.abs(wide.pixels_px - (expected - [0.0, 112.0])).max() < 0.5


def test_everybody_is_read_again_in_the_window_that_tracking_would_cut(bundle):
    backend, windows = FakeBackend(bundle), []
    infer = backend.infer
    backend.infer = lambda images, *more: windows.append(images[0]) or infer(images, *more)
    image = np.tile(np.arange(448, dtype=np.uint8)[:, None, None] // 2, (1, 448, 3))
    config = PipelineConfig(crop=CropConfig(margin=1.1))
    once = NetworkReader(backend).read(image)
    found = NetworkReader(backend, tracking=config).read(image)
    window = cropping.around(once.pixels_px, config.crop, bundle.input_size)
    assert found.window == window and window.size_px < 448 * 0.95
    assert len(windows) == 3 and np.array_equal(windows[2], cropping.cut(image, window))
    where = window.image_from_input(standing(bundle).pixels_px)
    assert np.abs(found.pixels_px - where).max() < 0.5
    unseen = dataclasses.replace(config.decode, min_joints=21, min_confidence=1.0)
    nobody = dataclasses.replace(config, decode=unseen)
    assert NetworkReader(backend, tracking=nobody).read(image).window == once.window


def test_joints_are_turned_from_a_windows_axes_to_the_crops_own(bundle, tmp_path):
    shards = pytest.importorskip("vnect_ros.datasets.shards")
    writer = shards.ShardWriter(tmp_path, "heldout")
    sample = _sample(bundle, 0)
    sample["k_crop"] = np.array([[300.0, 0.0, 40.0], [0.0, 300.0, 160.0], [0.0, 0.0, 1.0]])
    writer.add(sample)
    writer.flush()
    stills = load_stills(tmp_path)
    window = Crop.about(np.array([150.0, 30.0]), 120.0, 224)
    camera = Camera(SIZE, SIZE, 300.0, 300.0, 40.0, 160.0)
    in_camera_m = np.random.default_rng(0).normal(size=(21, 3))
    seen_m = in_camera_m @ camera.rotation_camera_from_crop(window.centre_px)
    none = np.zeros((1, 21))
    readings = Readings("", np.zeros((1, 21, 2)), seen_m[None], none, none, [window])
    reader = NetworkReader(FakeBackend(dataclasses.replace(bundle, location_frame="crop_ray")))
    own = camera.rotation_camera_from_crop(np.full(2, (SIZE - 1.0) / 2.0))
    turned = in_own_axes(readings, reader, stills).root_relative_m
    np.testing.assert_allclose(turned[0], in_camera_m @ own, atol=1e-6)
    whole = dataclasses.replace(readings, windows=[None])
    assert in_own_axes(whole, reader, stills).root_relative_m[0] == pytest.approx(seen_m)


def test_gravity_is_given_in_the_axes_of_each_window(bundle, tmp_path):
    shards = pytest.importorskip("vnect_ros.datasets.shards")
    camera = Camera(SIZE, SIZE, 300.0, 300.0, 40.0, 160.0)
    own = camera.rotation_camera_from_crop(np.full(2, (SIZE - 1.0) / 2.0))
    down = np.array([0.1, 0.9, np.sqrt(0.18)])
    writer = shards.ShardWriter(tmp_path, "heldout")
    sample = _sample(bundle, 0)
    writer.add({**sample, "k_crop": camera.matrix, "gravity": down @ own})
    writer.flush()
    stills = load_stills(tmp_path)
    backend, given = FakeBackend(bundle), []
    infer = backend.infer
    backend.infer = lambda images, downs=None: given.append(downs) or infer(images)
    reader = NetworkReader(backend, tracking=PipelineConfig(crop=CropConfig(margin=1.1)))
    found = read_all(reader, stills.images(), 1, directions_down(stills))
    assert found.windows[0].size_px < SIZE * 0.95
    np.testing.assert_allclose(given[0][0], down @ own, atol=1e-6)
    turn = camera.rotation_camera_from_crop(found.windows[0].centre_px)
    np.testing.assert_allclose(given[1][0], down @ turn, atol=1e-6)
    read_all(reader, stills.images(), 1)
    assert given[2:] == [None, None]


def test_a_recordings_crops_are_not_read_as_tracked(bundle, tmp_path, capsys):
    arguments = ["--model", str(bundle.folder), "--backend", "fake", "--as-tracked"]
    assert evaluate.main([*arguments, "--recording", str(tmp_path)]) == 1
    assert "--as-tracked: got True, accepted: not with --recording" in capsys.readouterr().err


def _sample(bundle, seed):
    """A synthetic sample of the standing person, 1.2 times the normalised size, 4 m away."""
    seen = standing(bundle)
    root = seen.root_relative_m - seen.root_relative_m[INDEX["pelvis"]]
    normal = root * NORMALISED_KNEE_NECK_M / knee_neck_length(root)
    return {
        "image": np.full((SIZE, SIZE, 3), 40, np.uint8),
        "joints_px": seen.pixels_px,
        "visible": np.ones(21),
        "occluded": np.zeros(21),
        "joints_m": normal,
        "weight_3d": np.ones(21),
        "joints_camera_m": normal * 1.2 + [0.0, 0.0, 4.0],
        "gravity": np.array([0.0, 1.0, 0.0]),
        "k_crop": np.array([[500.0, 0.0, 111.5], [0.0, 500.0, 111.5], [0.0, 0.0, 1.0]]),
        "height_m": 1.8,
        "seed": seed,
    }


def test_synthetic_stills_at_the_normalised_size_and_the_persons_own(bundle, tmp_path):
    shards = pytest.importorskip("vnect_ros.datasets.shards")
    writer = shards.ShardWriter(tmp_path / "stills", "heldout")
    samples = [_sample(bundle, i) for i in range(3)]
    samples[1]["joints_m"] = samples[1]["joints_m"].copy()
    samples[1]["joints_m"][INDEX["right_wrist"], 2] += 0.2
    samples[1]["occluded"][INDEX["right_wrist"]] = 1.0
    samples[2]["weight_3d"][INDEX["left_knee"]] = 0.0
    for sample in samples:
        writer.add(sample)
    writer.flush()
    found = _evaluate(bundle, tmp_path, "--synthetic", tmp_path / "stills")
    person = standing(bundle).root_relative_m
    off = abs(NORMALISED_KNEE_NECK_M / knee_neck_length(person) - 1.0)
    size = np.linalg.norm(person - person[INDEX["pelvis"]], axis=1)
    assert found["n"] == 3 and found["rest"]["n"] == 0
    assert found["pck3d_150"] == pytest.approx(1.0 - 1 / 41)
    assert found["mpjpe_occluded_mm"] == pytest.approx(200.0, abs=1e3 * off * size.max() + 1.0)
    assert found["mpjpe_seen_mm"] == pytest.approx(1e3 * off * size[:14].mean(), rel=0.1, abs=1.0)
    assert found["mpjpe_metric_mm"] == pytest.approx(1.2 * found["mpjpe_mm"], rel=1e-3)
    assert found["joints"]["right_wrist"]["pck3d_150"] == pytest.approx(2 / 3)
    assert found["pck02"] == 1.0
    by_file = _evaluate(
        bundle, tmp_path, "--synthetic", tmp_path / "stills" / "heldout_0000.npz", "--limit", 1
    )
    assert by_file["n"] == 1 and by_file["pck3d_150"] == 1.0
    with pytest.raises(VnectError, match="synthetic"):
        load_stills(tmp_path)


def test_upright_people_are_told_from_lying_cut_off_and_hidden_ones(bundle, tmp_path):
    shards = pytest.importorskip("vnect_ros.datasets.shards")
    writer = shards.ShardWriter(tmp_path / "stills", "heldout")
    samples = [_sample(bundle, i) for i in range(5)]
    lying, inverted, cut, behind = samples[1:]
    lying["joints_px"] = lying["joints_px"][:, ::-1].copy()
    inverted["joints_px"] = 223.0 - inverted["joints_px"]
    cut["visible"][INDEX["left_ankle"]] = 0.0
    behind["occluded"][[INDEX["left_ankle"], INDEX["left_knee"], INDEX["left_hip"]]] = 1.0
    for sample in samples:
        writer.add(sample)
    writer.flush()
    assert upright_whole(load_stills(tmp_path / "stills")).tolist() == [True, *[False] * 4]
    found = _evaluate(bundle, tmp_path, "--synthetic", tmp_path / "stills")
    assert found["n"] == 1 and found["pck3d_150"] == 1.0
    assert found["rest"]["n"] == 4 and found["all"]["n"] == 5


def test_several_sets_nest_and_plots_are_written(bundle, tmp_path):
    shards = pytest.importorskip("vnect_ros.datasets.shards")
    writer = shards.ShardWriter(tmp_path / "stills", "heldout")
    writer.add(_sample(bundle, 0))
    writer.flush()
    folder = _lspet_folder(tmp_path / "set", _standing_truth(bundle, 2))
    arguments = ["--lspet", folder, "--synthetic", tmp_path / "stills"]
    found = _evaluate(bundle, tmp_path, *arguments, "--plots", tmp_path / "plots")
    assert found["lspet"]["pck02"] == 1.0
    assert found["synthetic"]["pck3d_150"] == 1.0
    drawn = sorted(p.name for p in (tmp_path / "plots").iterdir())
    assert drawn == [
        "lspet_confidence.png", "lspet_joints.png", "lspet_worst.png",
        "synthetic_joints.png", "synthetic_worst.png",
    ]  # fmt: skip
    worst = cv2.imread(str(tmp_path / "plots" / "lspet_worst.png"))
    assert worst.shape == (plots.TILE_PX, 8 * plots.TILE_PX, 3)
    assert worst[:, : plots.TILE_PX].max() > 200  # the person is drawn on the dark crop


CAMERA = Camera(640, 480, 600.0, 600.0, 319.5, 239.5)
HEIGHT_M = 1.65
"""About that of the standing person: 1.58 m from toes to head top."""


def _walk(frames):
    """[F, 21, 3] camera-frame truth: the standing person sways 3.5 m away."""
    model = standing_person()
    seconds = np.arange(frames) / 30.0
    centre = np.stack([0.3 * np.sin(seconds), 0.05 * np.cos(2 * seconds), 3.5 + 0.2 * seconds], 1)
    return model[None] + centre[:, None, :]


def standing_person():
    from fake_backend import STANDING_M

    return STANDING_M * NORMALISED_KNEE_NECK_M / knee_neck_length(STANDING_M)


def _run(clip, raw, fitted, std=0.06):
    frames = len(clip.joints_camera_m)
    return clips.Run(
        clip=clip,
        raw_m=raw,
        raw_px=clip.joints_px,
        raw_confidence=np.full((frames, 21), 0.9),
        fitted_m=fitted,
        fitted_px=clip.joints_px,
        std_m=np.full((frames, 21, 3), std),
        confidence=np.full((frames, 21), 0.9),
        states=np.full(frames, State.MEASURED.value),
    )


def _clip(truth):
    return Clip("walk", [], CAMERA, 30.0, truth, CAMERA.project(truth), 1.7)


def test_clip_figures_of_known_errors():
    truth = _walk(20)
    fitted = truth + [0.0, 0.0, 0.1]
    fitted[:3] = np.nan
    raw = 1.0 * metrics.root_relative(truth)
    raw[:, INDEX["left_wrist"], 0] += 0.07 * (-1.0) ** np.arange(20)
    run = _run(_clip(truth), raw, fitted)
    run.states[:3] = State.LOST.value
    found = clips.score_clips([run])
    assert found["tracked"] == found["measured"] == pytest.approx(17 / 20)
    assert found["raw"]["mpjpe_mm"] == pytest.approx(70.0 / 14)
    # x alternates: its second difference is 4 x 0.07 m, in one joint of 14.
    assert found["raw"]["acceleration_error"] == pytest.approx(0.28 * 30.0**2 / 14)
    assert found["acceleration_gain"] > 1e3
    assert found["fitted"]["mpjpe_mm"] == pytest.approx(0.0, abs=1e-6)
    assert found["fitted"]["mrpe_mm"] == pytest.approx(100.0)
    assert found["fitted"]["mrpe_z_mm"] == pytest.approx(100.0)
    assert found["fitted"]["mrpe_x_mm"] == pytest.approx(0.0, abs=1e-6)
    assert found["fitted"]["acceleration_error_camera"] == pytest.approx(0.0, abs=1e-6)
    assert found["fitted"]["flipped"] == 0.0
    assert found["calibration"]["within_2_std_z"] == pytest.approx(1.0)
    assert found["calibration"]["within_1_std_z"] == 0.0
    assert found["calibration"]["within_1_std_x"] == 1.0


def test_raw_is_brought_to_the_persons_size():
    truth = _walk(6)
    truth = (truth - truth[:, 14:15]) * 0.7 + truth[:, 14:15]
    raw = metrics.root_relative(truth) / 0.7
    found = clips.score_clip(_run(_clip(truth), raw, truth))
    assert found["raw"]["mpjpe_mm"] == pytest.approx(0.0, abs=1e-6)


def test_a_flip_is_counted():
    from vnect_ros.skeleton import MIRROR

    truth = _walk(10)
    raw = metrics.root_relative(truth)
    raw[4] = raw[4][list(MIRROR)]
    found = clips.score_clip(_run(_clip(truth), raw, truth))
    assert found["raw"]["flipped"] == pytest.approx(0.1)
    assert found["fitted"]["flipped"] == 0.0


def test_clips_are_found_with_their_truth(tmp_path):
    truth = _walk(5)
    writer = cv2.VideoWriter(
        str(tmp_path / "walk.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 30.0, (640, 480)
    )
    for _ in truth:
        writer.write(np.zeros((480, 640, 3), np.uint8))
    writer.release()
    with pytest.raises(VnectError, match=r"NAME\.mp4"):
        load_clips(tmp_path)
    values = {
        "joints_camera_m": truth, "joints_px": CAMERA.project(truth), "fx": 600.0, "fy": 600.0,
        "cx": 319.5, "cy": 239.5, "fps": 30.0, "height_m": 1.66,
    }  # fmt: skip
    np.savez(tmp_path / "walk_truth.npz", **values)
    (clip,) = load_clips(tmp_path)
    assert clip.camera == CAMERA and clip.height_m == 1.66 and clip.name == "walk"
    assert len(list(clip.video)) == 5
    del values["fx"]
    np.savez(tmp_path / "walk_truth.npz", **values)
    with pytest.raises(VnectError, match="fx"):
        load_clips(tmp_path)


def _seeing(truth):
    """A look for the fake backend: the person of the frame whose number the card's red hides."""
    card = coordinate_card(640, 480)

    def look(image):
        window = read_card(image)
        frame = look.frame
        if window is None:
            return Seen(np.zeros((21, 2)), np.zeros((21, 3)), np.zeros(21))
        pixels = window.input_from_image(CAMERA.project(truth[frame]))
        inside = ((pixels > 0) & (pixels < SIZE - 1)).all(axis=1)
        rotation = CAMERA.rotation_camera_from_crop(window.centre_px)
        local = metrics.root_relative(truth[frame]) @ rotation
        return Seen(pixels, local, inside.astype(float))

    def frames():
        for look.frame in range(len(truth)):
            yield VideoFrame(card, look.frame / 30.0)

    look.frame = 0
    return look, frames


def test_a_clip_runs_through_the_real_pipeline(bundle):
    truth = _walk(45)
    look, frames = _seeing(truth)
    clip = dataclasses.replace(_clip(truth), video=frames())
    run = clips.run_clip(clip, FakeBackend(bundle, look), PipelineConfig())
    found = clips.score_clip(run)
    assert found["tracked"] > 0.8
    assert found["raw"]["mpjpe_mm"] < 20.0
    assert found["fitted"]["mpjpe_mm"] < 60.0
    assert found["raw"]["pck02"] > 0.95
    assert found["fitted"]["mrpe_mm"] < 400.0
    clip = dataclasses.replace(clip, video=frames())
    raw = clips.read_boxes(clip, FakeBackend(bundle, look), PipelineConfig())
    boxes = clips.score_boxes([(clip, raw)])
    assert boxes["n"] == 45 and boxes["mpjpe_mm"] < 10.0


def test_a_video_shorter_than_its_truth_is_refused(bundle):
    look, frames = _seeing(_walk(3))
    clip = dataclasses.replace(_clip(_walk(4)), video=frames())
    with pytest.raises(VnectError, match="frames: got 3"):
        clips.run_clip(clip, FakeBackend(bundle, look), PipelineConfig())


def test_mpi_inf_3dhp_layout(tmp_path):
    h5py = pytest.importorskip("h5py")
    truth = _walk(4)[:, :17]
    folder = tmp_path / "TS1" / "imageSequence"
    folder.mkdir(parents=True)
    for i in range(4):
        (folder / f"img_{i + 1:06d}.jpg").write_bytes(_jpeg(i, 64))
    with h5py.File(tmp_path / "TS1" / "annot_data.mat", "w") as file:
        file["annot2"] = CAMERA.project(truth)[:, None]
        file["annot3"] = truth[:, None] * 1e3
        file["valid_frame"] = np.array([[1.0, 1.0, 0.0, 1.0]])
    (clip,) = mpi_inf_3dhp.clips(tmp_path)
    assert clip.name == "TS1" and len(clip.joints_camera_m) == 4
    assert clip.height_m == pytest.approx(HEIGHT_M, rel=0.15)
    assert clip.camera.fx == pytest.approx(600.0, rel=1e-3)
    assert clip.camera.cy == pytest.approx(239.5, rel=1e-3)
    assert np.allclose(clip.joints_camera_m[0, :17], truth[0])
    assert np.isnan(clip.joints_camera_m[2]).all()
    assert np.isnan(clip.joints_camera_m[:, 17:]).all()
    assert [round(f.image.mean()) for f in clip.video] == [0, 1, 2, 3]
    (folder / "img_000004.jpg").unlink()
    with pytest.raises(VnectError, match="TS1: images"):
        mpi_inf_3dhp.clips(tmp_path)


def test_human36m_layout(tmp_path):
    rotation = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
    shift = np.array([100.0, 200.0, 300.0])
    truth = _walk(3)
    order = [INDEX[name] for name in human36m.JOINTS]
    world = (truth[:, order] * 1e3 - shift) @ rotation
    files = [f"s_09/s_09_{i:06d}.jpg" for i in (1, 6, 11)]
    (tmp_path / "images" / "s_09").mkdir(parents=True)
    (tmp_path / "annotations").mkdir()
    rows = []
    for i, (file, frame) in enumerate(zip(files, (0, 5, 10))):
        (tmp_path / "images" / file).write_bytes(_jpeg(i, 64))
        row = {"file_name": file, "width": 640, "height": 480, "frame_idx": frame}
        rows.append({**row, "action_idx": 2, "subaction_idx": 1, "cam_idx": 1})
    camera = {"R": rotation.tolist(), "t": shift.tolist(), "f": [600, 600], "c": [319.5, 239.5]}
    joints = {str(f): w.tolist() for f, w in zip((0, 5, 10), world)}
    for part, content in (
        ("data", {"images": rows[::-1], "annotations": []}),
        ("camera", {"1": camera}),
        ("joint_3d", {"2": {"1": joints}}),
    ):
        file = tmp_path / "annotations" / f"Human36M_subject9_{part}.json"
        file.write_text(json.dumps(content))
    (clip,) = human36m.clips(tmp_path)
    assert clip.name == "S9_02_01_01" and clip.fps == 10.0
    assert clip.height_m == pytest.approx(HEIGHT_M, rel=0.15)
    assert np.allclose(clip.joints_camera_m[:, :17], truth[:, :17])
    assert np.allclose(clip.joints_px[:, :17], CAMERA.project(truth)[:, :17])
    assert [round(f.image.mean()) for f in clip.video] == [0, 1, 2]
    (tmp_path / "annotations" / "Human36M_subject9_joint_3d.json").write_text("{}")
    with pytest.raises(VnectError, match="Human36M_subject9"):
        human36m.clips(tmp_path)


WEIGHTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "weights"
"""Of MoveNet, beside the checkout on the machine where it is developed."""


def test_baselines_are_asked_for_by_place(tmp_path, monkeypatch):
    monkeypatch.setattr(baselines, "FOLDER", tmp_path / "none")
    with pytest.raises(BackendError, match="get_baselines"):
        baselines.open_baselines(tmp_path)
    (tmp_path / "movenet-thunder.onnx").write_bytes(b"none")
    with pytest.raises(BackendError, match=r"movenet-thunder\.onnx"):
        baselines.open_baselines(tmp_path)


@pytest.mark.parametrize("folder", [None, WEIGHTS])
def test_a_baseline_finds_the_person_of_the_bundled_clip(folder):
    try:
        readers = baselines.open_baselines(folder)
    except BackendError as error:
        pytest.skip(str(error))
    assets = Path(__file__).resolve().parents[1] / "assets"
    with np.load(assets / "demo_truth.npz") as truth:
        joints_px = truth["joints_px"][150]
    frames = Video(assets / "demo.mp4")
    image = next(f.image for i, f in enumerate(frames) if i == 150)
    window = cropping.around(joints_px, CropConfig(), SIZE)
    for reader in readers:
        found = reader.read(image, window)
        limbs = list(LIMBS)
        off = np.linalg.norm(found.pixels_px[limbs] - joints_px[limbs], axis=1)
        assert np.median(off) < 0.05 * window.size_px, reader.name
        assert np.isnan(found.pixels_px[INDEX["head_top"]]).all()
        assert ((found.confidence >= 0.0) & (found.confidence <= 1.0)).all()
        if "BlazePose" in reader.name:
            assert np.isfinite(found.root_relative_m[limbs]).all()
            assert (found.root_relative_m[INDEX["pelvis"]] == 0.0).all()
