"""Figures on real people, on a calibrated recording, and where nobody is."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from test_people import write_nobody, write_people, write_tar
from training_fixtures import STANDING_M

from vnect_ros.cli import evaluate
from vnect_ros.config import PipelineConfig
from vnect_ros.datasets.lspet import JOINTS, TO_VNECT
from vnect_ros.datasets.people import People
from vnect_ros.datasets.recording import Recording
from vnect_ros.errors import VnectError
from vnect_ros.evaluation import metrics, nobody, pck, people, presence, recording, sides
from vnect_ros.evaluation.reading import Readings
from vnect_ros.inference import bundles, create
from vnect_ros.pipeline import Pipeline
from vnect_ros.recordings.video import Video
from vnect_ros.records import Frame, State
from vnect_ros.skeleton import INDEX, LIMBS, MIRROR


def turn(angle, axis):
    c, s = np.cos(angle), np.sin(angle)
    i, j = {"y": (2, 0), "z": (0, 1)}[axis]
    rotation = np.eye(3)
    rotation[i, i] = rotation[j, j] = c
    rotation[i, j], rotation[j, i] = -s, s
    return rotation


def readings_of(pixels_px, joints_m):
    ones = np.ones(pixels_px.shape[:2])
    return Readings("ours", pixels_px, joints_m, ones, ones, [None] * len(joints_m))


@pytest.mark.parametrize("lying", [0.0, 1.5])
def test_views_are_told_by_the_chest(lying):
    angles = np.radians([0, 40, -40, 60, -90, 120, 140, 180, -150])
    bodies = np.stack([STANDING_M @ turn(a, "y").T @ turn(lying, "z").T for a in angles])
    expected = [*["front"] * 3, *["side"] * 3, *["back"] * 3]
    assert sides.views(bodies).tolist() == expected


def test_sides_are_exchanged_only_where_that_fits_clearly_better():
    truth_px = np.stack([STANDING_M[:, :2] * 100 + 128] * 4)
    truth14 = pck.annotation(truth_px, np.ones((4, 21), bool))
    predicted = truth_px.copy()
    predicted[1] = predicted[1][list(MIRROR)]
    predicted[2, [INDEX["left_ankle"], INDEX["right_ankle"]]] = truth_px[2, [10, 13]]
    predicted[3] += np.random.default_rng(0).normal(0, 5, (21, 2))
    assert sides.exchanged(predicted, truth14).tolist() == [False, True, False, False]
    # seen from the side both fit alike, and nothing is exchanged
    edge_on = (truth_px + truth_px[:, list(MIRROR)]) / 2
    assert not sides.exchanged(
        edge_on[:, list(MIRROR)], pck.annotation(edge_on, np.ones((4, 21), bool))
    ).any()
    shares = sides.by_view(np.array([True, False, True]), np.array(["front", "front", "back"]))
    assert shares["front"] == {"share": 0.5, "n": 2} and shares["all"]["n"] == 3
    assert math.isnan(shares["side"]["share"])


def test_people_are_scored_by_set_and_view(tmp_path):
    write_people(tmp_path, {"ccp": [f"p/{i:03d}.jpg" for i in range(8)], "davis": ["a/1.jpg"] * 4})
    labels = People(tmp_path, "all", agreed=True).labels
    assert len(labels.agreed) == 9
    pixels_px, joints_m = (x.astype(float) for x in (labels.joints_px, labels.joints_m))
    perfect = people.score(readings_of(pixels_px, 1.3 * joints_m), labels)
    assert perfect["pck02"] == 1.0 and perfect["exchanged"] == 0.0
    assert perfect["scaled_mm"] < 1e-3 and perfect["pa_mm"] < 1e-3
    wrong = pixels_px.copy()
    of_davis = labels.sets == "davis"
    wrong[of_davis] = wrong[of_davis][:, list(MIRROR)]
    joints_m[of_davis, INDEX["left_knee"]] += [0.0, 0.0, 0.12]
    found = people.score(readings_of(wrong, joints_m), labels)
    assert found["sets"]["ccp"]["exchanged"] == 0.0 and found["sets"]["davis"]["exchanged"] == 1.0
    assert found["exchanged"] == pytest.approx(3 / 9) == found["views"]["front"]["share"]
    assert found["sets"]["davis"]["scaled_mm"] == pytest.approx(120 / 12, rel=0.3)
    assert found["sets"]["ccp"]["scaled_mm"] < 1e-3


def test_limb_figures_take_out_a_scale_and_a_similarity():
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(5, 21, 3))
    exact = metrics.limb_figures(0.7 * truth + 3.0, truth)
    assert exact["scaled_mm"] < 1e-9 and exact["pa_mm"] < 1e-9
    turned = metrics.limb_figures(truth @ turn(0.5, "y").T, truth)
    assert turned["scaled_mm"] > 100 and turned["pa_mm"] < 1e-9
    one = truth.copy()
    one[:, INDEX["head_top"]] += 9.0  # no limb
    assert metrics.limb_figures(one, truth)["scaled_mm"] < 1e-9
    gap = truth.copy()
    gap[0, LIMBS[0]] = np.nan
    assert metrics.limb_figures(gap, truth)["scaled_mm"] < 1e-9


def write_recording(folder, joints_crop_m, joints_camera_m, joints_px, camera):
    count = len(camera)
    folder.mkdir()
    write_tar(
        folder / "crops.tar",
        {f"{i:03d}.png": np.full((32, 32, 3), i, np.uint8) for i in range(count)},
    )
    columns = list(TO_VNECT[:12])
    np.savez(
        folder / "labels.npz",
        name=np.array([f"{i:03d}" for i in range(count)]), frame=np.arange(count),
        camera=np.array(camera), joint_order=np.array(JOINTS[:12]),
        joints12_crop_ray_m=joints_crop_m[:, columns],
        joints12_camera_m=joints_camera_m[:, columns],
        joints12_px=joints_px[:, columns], K_crop=np.stack([np.eye(3)] * count),
    )  # fmt: skip
    return folder


class Method:
    """What `recording.score` asks of a reader."""

    name, normalised = "ours", True

    def __init__(self, crop_axes):
        self.crop_axes = crop_axes


@pytest.mark.parametrize("crop_axes", [True, False])
def test_a_recording_is_scored_by_camera_in_the_methods_axes(tmp_path, crop_axes):
    rng = np.random.default_rng(5)
    crop_m = rng.normal(size=(6, 21, 3)) + [0.0, 0.0, 4.0]
    camera_m = crop_m @ turn(0.7, "y").T
    joints_px = rng.uniform(0, 31, (6, 21, 2))
    folder = write_recording(tmp_path / "r", crop_m, camera_m, joints_px, list("aabbbb"))
    crops = Recording(folder)
    assert (crops[4] == 4).all() and len(crops) == 6
    assert np.isnan(crops.joints_px[:, INDEX["pelvis"]]).all()
    predicted = (crop_m if crop_axes else camera_m).copy()
    predicted[:2] = 0.9 * predicted[:2] @ turn(0.3, "z").T
    pixels_px = joints_px.copy()
    pixels_px[:, INDEX["left_knee"]] = np.nan
    found = recording.score(readings_of(pixels_px, predicted), Method(crop_axes), crops)
    assert found["n"] == 6 and found["cameras"]["b"]["scaled_mm"] < 1e-3
    assert found["cameras"]["a"]["scaled_mm"] > 50 and found["cameras"]["a"]["pa_mm"] < 1e-3
    assert found["scaled_mm"] == pytest.approx(found["cameras"]["a"]["scaled_mm"] / 3, rel=1e-6)
    assert found["pck02"] == pytest.approx(11 / 12)


def test_a_recording_that_lacks_a_field_is_refused(tmp_path):
    zeros = np.zeros((2, 21, 3))
    folder = write_recording(tmp_path / "r", zeros, zeros, zeros[..., :2], ["a", "b"])
    content = dict(np.load(folder / "labels.npz"))
    del content["joints12_px"]
    np.savez(folder / "labels.npz", **content)
    with pytest.raises(VnectError, match="joints12_px"):
        Recording(folder)


@pytest.fixture(scope="module")
def backend():
    made = create(bundles.load("vnect_lite", "int8"), "onnxruntime", threads=1)
    yield made
    made.close()


def still(image, backend, config):
    """When three whole seconds of a still show somebody [s]."""
    pipeline = Pipeline(config, backend)
    camera = nobody.still_camera(image)
    for i in range(round(nobody.SECONDS * nobody.RATE_HZ)):
        poses = pipeline.step(Frame(image, camera, i / nobody.RATE_HZ))
        if any(pose.state is not State.LOST for pose in poses):
            return i / nobody.RATE_HZ
    return math.inf


def test_a_round_of_the_search_tells_of_a_still_what_three_seconds_do(backend):
    rng = np.random.default_rng(1)
    config = PipelineConfig()
    pictures = [np.full((120, 160, 3), 90, np.uint8)]
    for size in (6, 12, 24):
        coarse = rng.integers(0, 255, (size, size, 3), dtype=np.uint8)
        pictures.append(np.kron(coarse, np.ones((144 // size, 144 // size, 1), np.uint8)))
    for picture in pictures:
        assert nobody.phantom_s(picture, backend, config) == still(picture, backend, config)


def test_the_person_of_the_bundled_clip_would_be_a_phantom(backend):
    clip = Path(__file__).resolve().parents[1] / "assets" / "demo.mp4"
    image = next(f.image for i, f in enumerate(Video(clip)) if i == 120)
    empty = np.full_like(image, 90)
    found = nobody.score([image, empty], ["person", "grey"], backend, PipelineConfig())
    assert found["found"] == ["person"] and found["phantoms"] == 0.5 and found["n"] == 2


def test_wilsons_interval():
    low, high = nobody.wilson(0, 100)
    assert low == pytest.approx(0.0, abs=1e-12) and high == pytest.approx(0.037, abs=5e-4)
    assert nobody.wilson(50, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)


def test_evaluate_prints_and_writes_them(tmp_path, capsys):
    write_people(tmp_path / "people", {"ccp": [f"p/{i:03d}.jpg" for i in range(6)]})
    write_nobody(tmp_path / "nobody", ["a.jpg", "b.jpg"])
    zeros = np.random.default_rng(0).normal(size=(3, 21, 3))
    write_recording(tmp_path / "rec", zeros, zeros, 9 * zeros[..., :2] + 16, [0, 0, 1])
    out = tmp_path / "out.json"
    sets = [f"--{n}={tmp_path / n}" for n in ("people", "nobody")]
    command = [*sets, f"--recording={tmp_path / 'rec'}", f"--json={out}", "--backend=onnxruntime"]
    assert evaluate.main([*command, f"--plots={tmp_path / 'plots'}"]) == 0
    found = json.loads(out.read_text())
    assert list(found) == ["people", "recording", "nobody"]
    assert found["people"]["n"] == 5 and found["people"]["split"] == "all"
    assert set(found["recording"]["cameras"]) == {"0", "1"}
    assert found["nobody"]["n"] == 2
    shown = capsys.readouterr().out
    for words in ("sides exchanged", "camera 1", "Pictures without people"):
        assert words in shown
    assert (tmp_path / "plots" / "people_worst.png").is_file()


def test_presence_is_stated_as_probability_with_a_threshold_few_pictures_reach():
    random = np.random.default_rng(4)

    def draw(odds, count):
        """Presence whose true log odds are half of, and 1 more than, what it states."""
        return 1.0 / (1.0 + np.exp(-2.0 * (random.normal(odds, 1.0, count) - 1.0)))

    people_, windows = draw(2.0, 4000), [draw(-2.0, 10) for _ in range(400)]
    found = presence.score(people_, windows)
    # two normal densities 4 apart: the log odds are 4 times the value
    heights, probabilities = np.transpose(found["presence_curve"])
    for value in (0.02, 0.1, 0.3, 0.7):
        true = 1.0 / (1.0 + np.exp(-4.0 * (0.5 * np.log(value / (1.0 - value)) + 1.0)))
        assert np.interp(value, heights, probabilities) == pytest.approx(true, abs=0.03)
    assert 0.0 < found["reached"] <= presence.ALLOWED
    assert 0.0 < found["missed"] < 0.5
    lower = presence.score(people_, [draw(-9.0, 10) for _ in range(50)])
    assert lower["presence_threshold"] == 0.5 and lower["missed"] < found["missed"]
    with pytest.raises(VnectError, match="presence output"):
        presence.score(np.array([np.nan]), windows)
