"""Clips of several people: the figures of tracks whose faults are known, and the layout."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fake_backend import STANDING_M, FakeBackend, Seen, coordinate_card, read_card

from vnect_ros.camera import Camera
from vnect_ros.cli import evaluate
from vnect_ros.config import PipelineConfig
from vnect_ros.datasets.clips import Clip, PeopleClip, load_clips
from vnect_ros.errors import VnectError
from vnect_ros.evaluation import people_clips
from vnect_ros.evaluation.people_clips import Tracks
from vnect_ros.inference import bundles
from vnect_ros.recordings.video import VideoFrame
from vnect_ros.recordings.writer import VideoWriter
from vnect_ros.records import Plane
from vnect_ros.skeleton import NORMALISED_KNEE_NECK_M, PELVIS, knee_neck_length

pytest.importorskip("motmetrics", reason="identities are scored by it (requirements/tracking.txt)")

CAMERA = Camera(640, 480, 600.0, 600.0, 319.5, 239.5)
FPS, FRAMES = 30.0, 120
HEIGHTS_M = np.array([1.7, 1.3])
BODY_M = STANDING_M * NORMALISED_KNEE_NECK_M / knee_neck_length(STANDING_M)


def _clip(video=(), frames=FRAMES):
    """Two people 4 and 5 m away who stand apart; the camera is 1.2 m over the floor, level."""
    places = np.array([[-0.8, 0.3, 4.0], [0.8, 0.3, 5.0]])
    truth = np.tile(BODY_M + places[:, None], (frames, 1, 1, 1))
    transform = np.array([[1.0, 0, 0, 0], [0, 0, 1.0, 0], [0, -1.0, 0, 1.2], [0, 0, 0, 1.0]])
    return PeopleClip(
        "two", video, CAMERA, FPS, truth, CAMERA.project(truth), HEIGHTS_M,
        np.zeros((frames, 2, 21), bool), (Plane.of_ground(transform),) * frames,
    )  # fmt: skip


def _tracks(clip, ids=("a", "b"), frames=None):
    """Perfect tracks of everybody."""
    frames = np.arange(len(clip.floors)) if frames is None else frames
    count = len(frames)
    return Tracks(
        np.repeat(frames, 2),
        np.tile(ids, count),
        clip.joints_camera_m[frames].reshape(-1, 21, 3),
        np.tile(HEIGHTS_M, count),
        np.full(2 * count, 0.01),
    )


def _summary(clip, tracks):
    found = people_clips.summary({"two": people_clips.score(clip, tracks)})
    for key in ("idf1", "mota", "switches", "mpjpe_mm"):
        np.testing.assert_allclose(found[key], found["clips"]["two"][key])
    return found


def test_perfect_tracks_have_perfect_figures():
    found = _summary(_clip(), _tracks(_clip()))
    assert (found["idf1"], found["mota"], found["switches"]) == (1.0, 1.0, 0)
    assert found["misses"] == found["false_positives"] == 0 and found["objects"] == 2 * FRAMES
    for key in ("mpjpe_mm", "root_mm", "height_error_cm"):
        assert found[key] == pytest.approx(0.0, abs=1e-9)
    assert found["n"] == 2 and found["height_measured"] == 1.0
    assert [person["tracked"] for person in found["clips"]["two"]["people"]] == [1.0, 1.0]


def test_exchanged_ids_are_switches_and_cost_idf1_but_not_metres():
    clip, tracks = _clip(), _tracks(_clip())
    half = tracks.frames >= FRAMES // 2
    tracks.ids[half] = np.where(tracks.ids[half] == "a", "b", "a")
    found = _summary(clip, tracks)
    assert found["switches"] == 2 and found["idf1"] == pytest.approx(0.5)
    assert found["mota"] == pytest.approx(1.0 - 2 / (2 * FRAMES))
    assert found["mpjpe_mm"] == pytest.approx(0.0, abs=1e-9)


def test_who_is_found_late_is_missed_and_a_phantom_is_false():
    clip = _clip()
    late = _tracks(clip, frames=np.arange(FRAMES // 4, FRAMES))
    found = _summary(clip, late)
    assert found["misses"] == 2 * (FRAMES // 4)
    assert found["mota"] == pytest.approx(0.75) and found["idf1"] == pytest.approx(2 * 0.75 / 1.75)
    tracks = _tracks(clip)
    phantom = tracks.frames.repeat(1)[::2]
    everybody = Tracks(
        np.concatenate([tracks.frames, phantom]),
        np.concatenate([tracks.ids, np.full(FRAMES, "c")]),
        np.concatenate([tracks.joints_m, np.tile(BODY_M + (0.0, 0.0, 9.0), (FRAMES, 1, 1))]),
        np.full(3 * FRAMES, 1.7),
        np.full(3 * FRAMES, np.nan),
    )
    found = _summary(clip, everybody)
    assert found["false_positives"] == FRAMES and found["misses"] == 0
    assert found["height_measured"] == 0.0


def test_who_is_hidden_is_neither_missed_nor_is_a_track_there_false():
    clip = _clip()
    clip.occluded[40:80, 1, :8] = True
    whole = _summary(clip, _tracks(clip))
    assert whole["objects"] == 2 * FRAMES - 40
    assert (whole["misses"], whole["false_positives"], whole["switches"]) == (0, 0, 0)
    tracks = _tracks(clip)
    shown = ~((tracks.ids == "b") & (tracks.frames >= 40) & (tracks.frames < 80))
    tracks.ids[(tracks.ids == "b") & (tracks.frames >= 80)] = "d"
    parts = (tracks.frames, tracks.ids, tracks.joints_m, tracks.heights_m, tracks.height_std_m)
    found = _summary(clip, Tracks(*(part[shown] for part in parts)))
    assert found["misses"] == 0 and found["switches"] == 1, "another id once shown again"


def test_metres_and_heights_are_of_the_person_that_the_track_is_on():
    clip, tracks = _clip(), _tracks(_clip())
    b = tracks.ids == "b"
    tracks.joints_m[b] += (0.0, 0.0, 0.1)
    tracks.joints_m[b, 4, 0] += 0.07
    tracks.heights_m[b] += np.where(tracks.frames[b] < 90, 0.4, 0.03)
    first, second = _summary(clip, tracks)["clips"]["two"]["people"]
    assert first["root_mm"] == first["mpjpe_mm"] == pytest.approx(0.0, abs=1e-9)
    assert second["root_mm"] == pytest.approx(100.0)
    distance = np.linalg.norm(clip.joints_camera_m[0, 1, PELVIS])
    assert second["root_share"] == pytest.approx(0.1 / distance)
    assert second["root_share_settled"] == pytest.approx(0.1 / distance)
    assert second["mpjpe_mm"] == pytest.approx(70.0 / 14)
    assert second["height_error_cm"] == pytest.approx(3.0), "once tracked for 3 s"


def test_nobody_tracked_has_figures_too():
    nothing = Tracks.of_poses([[] for _ in range(FRAMES)])
    found = _summary(_clip(), nothing)
    assert found["misses"] == found["objects"] and found["idf1"] == 0.0
    assert np.isnan(found["mpjpe_mm"])


@pytest.fixture
def bundle(tmp_path):
    (tmp_path / "none.onnx").write_bytes(b"none")
    return bundles.write_bundle(
        tmp_path / "bundle",
        {"fp32": tmp_path / "none.onnx"},
        licence="MIT",
        input_size=224,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )


def test_the_clip_runs_through_the_real_pipeline_with_its_floor(bundle):
    card = coordinate_card(640, 480)
    clip = _clip([VideoFrame(card, i / FPS) for i in range(60)], 60)

    def look(image):
        """The person in the middle of the window."""
        window = read_card(image)
        if window is None:
            return Seen(np.zeros((21, 2)), np.zeros((21, 3)), np.zeros(21))
        pixels = window.input_from_image(clip.joints_px[0])
        who = np.linalg.norm(pixels[:, PELVIS] - 112.0, axis=1).argmin()
        rotation = CAMERA.rotation_camera_from_crop(window.centre_px)
        inside = ((pixels[who] > 0) & (pixels[who] < 223)).all(axis=1)
        return Seen(pixels[who], (BODY_M - BODY_M[PELVIS]) @ rotation, inside.astype(float))

    floors = []

    class Watching(FakeBackend):
        def infer(self, images, gravities=None):
            floors.append(gravities is not None)
            return super().infer(images)

    tracks = people_clips.run(clip, Watching(bundle, look), PipelineConfig(), floor=True)
    found = _summary(clip, tracks)
    assert found["switches"] == 0 and found["false_positives"] == 0
    assert found["idf1"] > 0.6 and set(floors) == {True}
    assert len(set(tracks.ids)) == 2
    with pytest.raises(VnectError, match="frames: got 60"):
        longer = _clip(clip.video, 61)
        people_clips.run(longer, FakeBackend(bundle, look), PipelineConfig(), floor=False)


def test_layout_and_command(bundle, tmp_path, capsys):
    clip, folder = _clip(frames=6), tmp_path / "clips"
    folder.mkdir()
    for name in ("one", "two"):
        with VideoWriter(folder / f"{name}.mp4", FPS) as writer:
            for _ in range(6):
                writer.write(np.zeros((480, 640, 3), np.uint8))
    values = {"fx": 600.0, "fy": 600.0, "cx": 319.5, "cy": 239.5, "fps": FPS}
    placed = np.stack([np.linalg.inv(f.transform_ground_from_camera) for f in clip.floors])
    several = {
        "joints_camera_m": clip.joints_camera_m, "joints_px": clip.joints_px,
        "occluded": clip.occluded, "height_m": HEIGHTS_M, "transform_camera_from_world": placed,
    }  # fmt: skip
    np.savez(folder / "two.npz", **values, **several)
    one = {"joints_camera_m": clip.joints_camera_m[:, 0], "joints_px": clip.joints_px[:, 0]}
    np.savez(folder / "one.npz", **values, **one)
    single, both = load_clips(folder)
    assert isinstance(single, Clip) and isinstance(both, PeopleClip)
    np.testing.assert_allclose(both.joints_px, clip.joints_px)
    np.testing.assert_allclose(both.floors[0].normal, [0.0, -1.0, 0.0], atol=1e-12)
    assert both.floors[0].offset_m == pytest.approx(-1.2)
    out = tmp_path / "out.json"
    command = ["--model", str(bundle.folder), "--backend", "fake", "--json", str(out)]
    assert evaluate.main([*command, "--clips", str(folder)]) == 0
    found = json.loads(out.read_text())
    assert found["frames"] == 6 and set(found["clips"]) == {"one"}
    assert set(found["people"]) == {"floor", "no floor"}
    assert found["people"]["floor"]["clips"]["two"]["objects"] == 12
    assert "all, no floor" in capsys.readouterr().out
    del several["occluded"]
    np.savez(folder / "two.npz", **values, **several)
    with pytest.raises(VnectError, match="occluded"):
        load_clips(folder)
