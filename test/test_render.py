"""The command that renders: stills that training reads, previews, and clips with their truth."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("anny", reason="the synthetic people need anny (requirements/train.txt)")
pytest.importorskip("moderngl", reason="rendering needs moderngl (requirements/train.txt)")

from vnect_ros.cli import render
from vnect_ros.datasets.clips import load_clips
from vnect_ros.datasets.shards import Shards, as_sample
from vnect_ros.errors import BackendError, ConfigError
from vnect_ros.skeleton import INDEX, PELVIS
from vnect_ros.synthetic.acts import standing_source
from vnect_ros.synthetic.appearance import sample_look
from vnect_ros.synthetic.bodies import body_model
from vnect_ros.synthetic.cameras import ideal_camera, look_at
from vnect_ros.synthetic.demo_scene import demo_look, demo_scene
from vnect_ros.synthetic.filming import Actor, Shot, film
from vnect_ros.synthetic.motion_synthesis import on_body, standing
from vnect_ros.synthetic.render import Renderer
from vnect_ros.synthetic.scene import View


@pytest.fixture(scope="module", autouse=True)
def can_draw():
    try:
        Renderer(body_model(), 16, 16).release()
    except BackendError as error:
        pytest.skip(str(error))


def test_stills_and_their_preview(tmp_path):
    out = str(tmp_path / "stills")
    assert render.main(["stills", "--out", out, "--count", "3", "--size", "96"]) == 0
    rows = Shards(Path(out), "train")
    assert len(rows) == 3 and rows[0]["image"].shape == (96, 96, 3)
    assert np.linalg.norm(as_sample(rows[0]).gravity) == pytest.approx(1.0, abs=1e-5)
    empty = str(tmp_path / "nobody")
    assert render.main(["stills", "--out", empty, "--count", "1", "--size", "96", "--nobody"]) == 0
    assert as_sample(Shards(Path(empty), "train")[0]).present == 0.0
    picture = tmp_path / "preview.png"
    command = ["preview", "--out", str(picture)]
    render.TILES, tiles = (2, 1), render.TILES
    try:
        assert render.main([*command, "--shards", out]) == 0
    finally:
        render.TILES = tiles
    assert cv2.imread(str(picture)).shape == (96, 192, 3)


def test_an_unknown_clip_is_refused(tmp_path, capsys):
    np.savez(tmp_path / "m.npz", test__a=np.zeros((2, 21, 3)))
    command = ["clips", "--out", str(tmp_path), "--motion", str(tmp_path / "m.npz"), "--only", "x"]
    assert render.main(command) == 1 and "walk" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="walking"):
        render._captured(tmp_path / "m.npz")


def standing_actor(x, y, height_m, frames, look):
    shape = body_model().shape({"gender": 0.5, "age": 0.7}, height_m)
    joints = standing(on_body(body_model(), shape, standing_source()[None]), shape)
    return Actor(shape, np.repeat(joints + [x, y, 0.0], frames, axis=0), look)


def view_from(x, y):
    transform = look_at(np.array([x, y, 1.1]), np.array([0.0, 0.0, 0.9]))
    return View(ideal_camera(160, 120, 50.0), transform)


def test_a_filmed_person_is_where_the_truth_has_them(tmp_path):
    view = view_from(0.0, -3.5)
    shot = Shot((standing_actor(0.3, 0.0, 1.8, 4, demo_look()),), demo_scene(), view, 25.0)
    film(body_model(), shot, tmp_path / "a.mp4", tmp_path / "a.npz", fineness=1.0)
    (clip,) = load_clips(tmp_path)
    assert clip.fps == 25.0 and len(list(clip.video)) == 4 == len(clip.joints_px)
    assert clip.height_m == pytest.approx(1.8, abs=1e-3)
    np.testing.assert_allclose(clip.camera.project(clip.joints_camera_m), clip.joints_px, atol=0.01)
    assert 2.5 < clip.joints_camera_m[0, PELVIS, 2] < 4.5 and clip.joints_px[0, PELVIS, 0] > 80
    assert not clip.occluded[:, INDEX["left_knee"]].any()


def test_two_people_before_a_moving_camera(tmp_path):
    rng = np.random.default_rng(0)
    looks = [sample_look(rng, 0.2), sample_look(rng, 0.8)]
    near, far = (
        standing_actor(x, y, h, 3, look)
        for x, y, h, look in ((0.0, 0.0, 1.9, looks[0]), (0.05, 1.2, 1.4, looks[1]))
    )
    views = [view_from(x, -3.0) for x in (-0.1, 0.0, 2.5)]
    shot = Shot((near, far), demo_scene(), views, 30.0)
    film(body_model(), shot, tmp_path / "a.mp4", tmp_path / "a.npz", fineness=1.0)
    with np.load(tmp_path / "a.npz") as truth:
        joints_m, occluded = truth["joints_camera_m"], truth["occluded"]
        poses = truth["transform_camera_from_world"]
        assert truth["height_m"] == pytest.approx([1.9, 1.4], abs=1e-3)
    assert joints_m.shape == (3, 2, 21, 3) and occluded.shape == (3, 2, 21)
    # the child stands behind the adult, until the camera comes round
    chest = [INDEX["spine"], INDEX["neck"]]
    assert occluded[1, 1, chest].all() and not occluded[2, 1, chest].any()
    assert not occluded[1, 0, chest].any()
    # in the world nobody moves
    world = [(joints_m[t] - p[:3, 3]) @ p[:3, :3] for t, p in enumerate(poses)]
    np.testing.assert_allclose(world[0], world[2], atol=1e-3)
    assert world[0][0, INDEX["left_ankle"], 2] < 0.2
