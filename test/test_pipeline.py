"""The whole pipeline but the network: a known person is seen through real crops.

Images are coordinate cards, so that the fake backend knows which window it is
shown; what it "sees" there is the projection of a person whose place is known.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from fake_backend import STANDING_M, FakeBackend, Seen, coordinate_card, read_card

from vnect_ros.camera import Camera
from vnect_ros.config import CropConfig, PipelineConfig, replace
from vnect_ros.errors import ImageError
from vnect_ros.inference import bundles
from vnect_ros.perception import search
from vnect_ros.pipeline import Pipeline
from vnect_ros.records import Calibration, Frame, JointState, Plane, State, nobody
from vnect_ros.skeleton import NORMALISED_KNEE_NECK_M, PELVIS, knee_neck_length

WIDTH, HEIGHT, RATE_HZ = 960, 540, 30.0
CARD = coordinate_card(WIDTH, HEIGHT)
NORMALISED_M = STANDING_M * (NORMALISED_KNEE_NECK_M / knee_neck_length(STANDING_M))
PINHOLE = Camera.from_field_of_view(WIDTH, HEIGHT, 54.0)
LENS = Camera(WIDTH, HEIGHT, 530.0, 530.0, 480.0, 270.0, distortion=(-0.25, 0.06, 0.0, 0.0))


class Scene:
    """One person before a camera, and what a perfect network sees of each crop."""

    def __init__(self, tmp_path, camera=PINHOLE, location_frame="crop_ray"):
        (tmp_path / "model.onnx").write_bytes(b"none")
        self.model = bundles.write_bundle(
            tmp_path,
            {"fp32": tmp_path / "model.onnx"},
            licence="MIT",
            input_size=224,
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
            location_frame=location_frame,
        )
        self.camera = camera
        self.hidden = False
        self.blind_joints: list[int] = []
        self.calls = 0
        self.place(0.3, 0.0, 4.0)

    def place(self, x, y, z, yaw=0.0):
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        self.local_m = NORMALISED_M @ turn.T
        self.joints_m = self.local_m + (x, y, z)
        self.pixels_px = self.camera.project(self.joints_m)

    def look(self, image):
        self.calls += 1
        crop = read_card(image)
        nobody = Seen(np.full((21, 2), 112.0), np.zeros((21, 3)), np.zeros(21))
        if crop is None or self.hidden:
            return nobody
        pixels = crop.input_from_image(self.pixels_px)
        size = np.ptp(pixels, axis=0).max() / crop.input_size
        if not 0.25 < size < 1.4:
            return nobody
        peaks = ((pixels >= 0) & (pixels <= crop.input_size - 1)).all(axis=1).astype(float)
        peaks[self.blind_joints] = 0.0
        local = self.local_m
        if self.model.location_frame == "crop_ray":
            local = local @ self.camera.rotation_camera_from_crop(crop.centre_px)
        return Seen(pixels, local - local[PELVIS], peaks)

    def pipeline(self, **changes):
        config = replace(PipelineConfig(), {k.replace("__", "."): v for k, v in changes.items()})
        return Pipeline(config, FakeBackend(self.model, self.look))

    def run(self, pipeline, frames, first=0, move=None):
        poses = []
        for i in range(first, first + frames):
            if move:
                move(i / RATE_HZ)
            found = pipeline.step(Frame(CARD, self.camera, i / RATE_HZ))
            assert len(found) <= 1
            poses += found or [nobody(i / RATE_HZ)]
        return poses


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def states(poses):
    return [pose.state for pose in poses]


def test_somebody_is_found_and_followed(scene):
    pipeline = scene.pipeline()
    poses = scene.run(
        pipeline, 90, move=lambda t: scene.place(0.6 * np.sin(2.0 * t), 0.1, 4.0 - t / 3.0, 0.5 * t)
    )
    first = states(poses).index(State.MEASURED)
    windows = len(search.grid(WIDTH, HEIGHT, pipeline.config.crop, 224))
    assert first <= windows / pipeline.config.crop.windows_per_frame + 1
    assert set(states(poses[:first])) <= {State.LOST}
    assert set(states(poses[first:])) == {State.MEASURED}
    last = poses[-1]
    assert np.abs(last.joints_px - scene.pixels_px).max() < 10.0
    inside = last.crop.input_from_image(scene.pixels_px)
    assert inside.min() > 0.0 and inside.max() < 223.0
    error_m = last.joints_raw_m - (scene.local_m - scene.local_m[PELVIS])
    assert np.linalg.norm(error_m, axis=1).max() < 0.08
    assert len({pose.id for pose in poses[first:]}) == 1


@pytest.mark.parametrize("camera", [PINHOLE, LENS], ids=["pinhole", "lens"])
@pytest.mark.parametrize("frame", ["crop_ray", "camera"])
def test_at_the_edge_of_the_image_directions_are_still_the_cameras(tmp_path, camera, frame):
    scene = Scene(tmp_path, camera, frame)
    scene.place(-2.0, 0.1, 4.0, 0.4)
    pose = scene.run(scene.pipeline(), 40)[-1]
    assert pose.state is State.MEASURED
    error_m = pose.joints_raw_m - (scene.local_m - scene.local_m[PELVIS])
    assert np.linalg.norm(error_m, axis=1).max() < 0.005
    assert np.abs(pose.joints_px - scene.pixels_px).max() < 1.0
    projected = camera.project(pose.joints_camera_m)
    assert np.sqrt(np.mean((projected - scene.pixels_px) ** 2)) < 6.0


def test_a_short_absence_is_bridged_and_a_long_one_is_lost(scene):
    pipeline = scene.pipeline()
    before = scene.run(pipeline, 30)[-1]
    assert before.state is State.MEASURED
    scene.hidden = True
    gap = scene.run(pipeline, 6, first=30)
    assert set(states(gap)) == {State.PREDICTED}
    assert {pose.id for pose in gap} == {before.id}
    assert all(np.isfinite(pose.joints_camera_m).all() for pose in gap)
    scene.hidden = False
    assert states(scene.run(pipeline, 3, first=36))[-1] is State.MEASURED
    scene.hidden = True
    gone = scene.run(pipeline, 40, first=39)
    assert gone[-1].state is State.LOST and np.isnan(gone[-1].joints_camera_m).all()
    (end,) = (pose for pose in gone if pose.state is State.LOST and pose.id)
    assert end.id == gone[0].id and np.isnan(end.joints_camera_m).all()
    assert pipeline.people == []
    scene.hidden = False
    scene.place(-1.0, 0.0, 3.0)
    again = scene.run(pipeline, 15, first=79)
    assert again[-1].state is State.MEASURED and again[-1].id == end.id, "near, and soon"
    assert np.abs(again[-1].joints_px - scene.pixels_px).max() < 3.0


def test_whoever_is_predicted_for_long_stays_the_same_person(scene):
    """Two frames that are far apart do not belong to one track; many without the person do."""
    pipeline = scene.pipeline(fit__predict_for_s=3.0)
    before = scene.run(pipeline, 30)[-1]
    scene.hidden = True
    gap = scene.run(pipeline, 80, first=30)
    assert set(states(gap)) == {State.PREDICTED} and {pose.id for pose in gap} == {before.id}
    scene.hidden = False
    again = scene.run(pipeline, 10, first=110)
    assert {pose.id for pose in again} == {before.id} and again[-1].state is State.MEASURED
    later = scene.run(pipeline, 3, first=120 + 80)
    assert later[-1].id != before.id


def test_unseen_joints_lose_confidence_and_do_not_pull(scene):
    pipeline = scene.pipeline()
    scene.run(pipeline, 30)
    scene.blind_joints = [3, 4, 17]
    pose = scene.run(pipeline, 10, first=30)[-1]
    assert pose.state is State.MEASURED
    assert (pose.joint_states[[3, 4, 17]] == JointState.PREDICTED).all()
    assert pose.confidence[[3, 4, 17]].max() < 0.5 and pose.confidence[6] > 0.9
    assert np.abs(pose.joints_px - scene.pixels_px)[[3, 4, 17]].max() < 25.0


def test_too_few_joints_are_not_a_measurement(scene):
    pipeline = scene.pipeline(decode__min_joints=8)
    scene.run(pipeline, 30)
    scene.blind_joints = list(range(14))
    assert scene.run(pipeline, 1, first=30)[0].state is State.PREDICTED
    scene.blind_joints = list(range(13))
    assert scene.run(pipeline, 2, first=31)[-1].state is State.MEASURED


def test_a_background_that_excites_heatmaps_is_not_followed(scene):
    random = np.random.default_rng(0)
    seen = scene.look
    person = scene.pixels_px

    def look(image):
        true = seen(image)
        if true.peaks.sum() < 15:  # wherever the person is not: strong, senseless maps
            return Seen(random.uniform(0, 223, (21, 2)), scene.local_m, np.full(21, 0.8))
        return true

    pipeline = Pipeline(PipelineConfig(), FakeBackend(scene.model, look))
    pose = scene.run(pipeline, 40)[-1]
    assert pose.state is State.MEASURED
    assert np.abs(pose.joints_px - person).max() < 3.0


def test_time_that_goes_back_starts_anew(scene):
    pipeline = scene.pipeline(fit__calibration_frames=20)
    before = scene.run(pipeline, 30)[-1]
    assert before.state is State.MEASURED and before.calibration is Calibration.DONE
    poses = scene.run(pipeline, 15)
    assert poses[0].state is State.LOST and poses[-1].state is State.MEASURED
    assert poses[-1].id != before.id and poses[-1].calibration is Calibration.RUNNING


def test_a_frame_that_comes_late_changes_nothing(scene):
    pipeline = scene.pipeline()
    last = scene.run(pipeline, 30)[-1]
    calls = scene.calls
    for late_s in (0.0, 0.1, 0.4):
        (again,) = pipeline.step(Frame(CARD, scene.camera, last.stamp_s - late_s))
        assert again is last and scene.calls == calls
    assert scene.run(pipeline, 1, first=30)[0].state is State.MEASURED


def test_reset_forgets_the_person(scene):
    pipeline = scene.pipeline()
    scene.run(pipeline, 30)
    pipeline.reset()
    poses = scene.run(pipeline, 15, first=30)
    assert poses[0].state is State.LOST and poses[-1].state is State.MEASURED


def test_settings_change_while_tracking(scene):
    pipeline = scene.pipeline(crop__momentum=0.0)
    before = scene.run(pipeline, 30)[-1].crop.size_px
    pipeline.configure(replace(pipeline.config, {"crop.margin": CropConfig().margin * 1.3}))
    poses = scene.run(pipeline, 5, first=30)
    assert set(states(poses)) == {State.MEASURED}
    assert poses[-1].crop.size_px / before == pytest.approx(1.3, rel=0.03)
    pipeline.recalibrate()
    assert scene.run(pipeline, 1, first=35)[0].state is State.MEASURED


def test_two_scales_see_the_same_with_twice_the_calls(scene):
    single, double = scene.pipeline(), scene.pipeline(crop__multi_scale=True)
    one = scene.run(single, 40)[-1]
    calls = scene.calls
    two = scene.run(double, 40)[-1]
    assert scene.calls - calls == 2 * calls
    assert np.abs(one.joints_px - two.joints_px).max() < 2.0


@pytest.mark.parametrize("image", [CARD[:100], CARD.astype(np.float32), CARD[:, :, 0]])
def test_an_image_that_is_not_the_cameras_is_refused(scene, image):
    with pytest.raises(ImageError, match=r"image: got '.*', accepted: uint8 \(540, 960, 3\)"):
        Frame(image, scene.camera, 0.0)


def test_the_networks_lasting_errors_are_in_the_deviations(scene):
    sure = scene.run(scene.pipeline(), 30)[-1]
    scene.model = dataclasses.replace(scene.model, position_std_m=(0.3, 0.4))
    doubtful = scene.run(scene.pipeline(), 30)[-1]
    added = np.sqrt(doubtful.std_axes_m**2 - sure.std_axes_m**2)
    np.testing.assert_allclose(added, np.tile((0.3, 0.3, 0.4), (21, 1)), rtol=1e-6)
    np.testing.assert_allclose(doubtful.std_m, np.sqrt(np.mean(doubtful.std_axes_m**2, axis=1)))
    assert np.array_equal(doubtful.joints_camera_m, sure.joints_camera_m)


def test_each_stage_is_timed(scene):
    pipeline = scene.pipeline()
    scene.run(pipeline, 30)
    timings = pipeline.timings_s
    assert list(timings) == ["crop", "network", "decode", "filter", "fit", "total"]
    assert all(value > 0.0 for value in timings.values())
    assert sum(timings.values()) == pytest.approx(2.0 * timings["total"])


class Listening(FakeBackend):
    """Remembers what it is told of gravity."""

    def infer(self, images, gravities=None):
        self.gravities = gravities
        return super().infer(images)


@pytest.mark.parametrize("location_frame", ["crop_ray", "camera"])
def test_the_network_is_told_where_down_is_in_each_window(tmp_path, location_frame):
    scene = Scene(tmp_path, PINHOLE, location_frame)
    backend = Listening(scene.model, scene.look)
    pipeline = Pipeline(PipelineConfig(max_people=1), backend)
    up = np.array([0.0, -np.cos(0.3), -np.sin(0.3)])  # a camera that looks down by 0.3 rad
    for i in range(30):
        (*poses,) = pipeline.step(Frame(CARD, PINHOLE, i / RATE_HZ, Plane(up, -1.2)))
    (gravity,) = backend.gravities
    expected = -up
    if location_frame == "crop_ray":
        expected = PINHOLE.rotation_camera_from_crop(poses[0].crop.centre_px).T @ -up
    np.testing.assert_allclose(gravity, expected, atol=1e-12)
    pipeline.step(Frame(CARD, PINHOLE, 1.1))
    assert backend.gravities is None


def test_presence_decides_who_is_new_and_who_is_still_there(scene):
    """New people must be surely present, in the search's window and in their own; those
    who are tracked need only be possible."""
    surely, likely, hardly = 0.92, 0.3, 0.02
    presence = {"search": surely, "own": surely}
    model = dataclasses.replace(scene.model, presence_threshold=0.9)

    class Doubting(FakeBackend):
        def infer(self, images, gravities=None):
            where = "own" if pipeline.people else "search"
            maps = super().infer(images)
            return [dataclasses.replace(m, presence=presence[where]) for m in maps]

    pipeline = Pipeline(PipelineConfig(), Doubting(model, scene.look))
    presence["search"] = likely
    assert not [p for p in scene.run(pipeline, 30) if p.id], "a search that is not sure"
    presence.update(search=surely, own=likely)
    assert not [p for p in scene.run(pipeline, 30, first=30) if p.id], "a find that is not sure"
    presence["own"] = surely
    assert scene.run(pipeline, 30, first=60)[-1].state is State.MEASURED
    presence["own"] = likely
    assert set(states(scene.run(pipeline, 30, first=90))) == {State.MEASURED}
    presence.update(search=hardly, own=hardly)
    after = states(scene.run(pipeline, 30, first=120))
    assert after[0] is State.PREDICTED and after[-1] is State.LOST
    assert State.MEASURED not in after
