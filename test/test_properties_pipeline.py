"""Whatever a network says of whatever image, at whatever time: finite poses, within the bounds."""

from __future__ import annotations

import fake_backend
import numpy as np
import pytest
from fake_backend import FakeBackend
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from vnect_ros import drawing
from vnect_ros.camera import Camera
from vnect_ros.config import PipelineConfig
from vnect_ros.errors import VnectError
from vnect_ros.inference import bundles
from vnect_ros.pipeline import Pipeline
from vnect_ros.records import Frame, JointState, Maps, State, nobody

CAMERAS = (
    Camera(160, 120, 150.0, 150.0, 79.5, 59.5),
    Camera(160, 120, 1e-3, 1e-3, 79.5, 59.5),
    Camera(160, 120, 1e7, 1e7, 79.5, 59.5),
    Camera(160, 120, 150.0, 40.0, -500.0, 900.0, distortion=(-0.9, 3.0, 0.1, -0.1, -8.0)),
    Camera(31, 7, 20.0, 20.0, 15.0, 3.0),
    Camera.from_field_of_view(160, 120, 170.0),
)


class Anything(FakeBackend):
    """A network that sees a person, nobody, or makes up its maps."""

    def __init__(self, model) -> None:
        super().__init__(model, lambda image: self.view)
        self.mood, self.random = "person", np.random.default_rng(0)
        self.view = fake_backend.standing(model)

    def draw(self, image):
        random = self.random
        view = fake_backend.standing(self.model)
        if self.mood == "flipped":
            view.root_relative_m[:, 0] *= -1.0
        elif self.mood == "moved":
            view.pixels_px[:] += random.normal(0.0, 10.0, 2)
        elif self.mood == "jittered":
            view.pixels_px[:] += random.normal(0.0, 8.0, (21, 2))
            view.root_relative_m[:] += random.normal(0.0, 0.3, (21, 3))
        elif self.mood == "few":
            view.peaks[random.permutation(21)[:14]] = 0.0
        elif self.mood == "nobody":
            view.peaks[:] = 0.0
        self.view = view
        maps = super().draw(image)
        if self.mood == "noise":
            size = 10.0 ** random.integers(-6, 7)
            heat = random.normal(0.0, 1.0, maps.heatmaps.shape) * size
            places = random.normal(0.0, 1.0, maps.locations_m.shape) * size
            maps = Maps(heat.astype(np.float32), places.astype(np.float32), maps.stride_px)
        return maps


MOODS = ("person", "person", "flipped", "moved", "jittered", "few", "nobody", "noise")
SLOW = settings(
    deadline=None, max_examples=20, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
"""A step takes milliseconds: a failing course is shown as it is, not shrunk for minutes."""
STEPS_S = (1 / 30, 1 / 30, 1 / 30, 1 / 120, 1e-6, 0.0, 0.2, 1.0, 10.0, -0.01, -0.4, -60.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    (folder / "network").write_bytes(b"none")
    return bundles.write_bundle(
        folder, {"fp32": folder / "network"}, licence="MIT", input_size=64,
        mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0),
    )  # fmt: skip


@SLOW
@given(
    st.lists(
        st.tuples(st.sampled_from(MOODS), st.sampled_from(STEPS_S), st.integers(0, 40)),
        min_size=3, max_size=25,
    ),
    st.integers(0, 2**20),
)  # fmt: skip
def test_any_course_of_images_gives_finite_poses(model, course, seed):
    backend = Anything(model)
    backend.random = np.random.default_rng(seed)
    config = PipelineConfig(max_people=2)
    pipeline = Pipeline(config, backend)
    stamp_s = 1000.0
    for mood, step_s, which in course:
        backend.mood = mood
        stamp_s += step_s
        camera = CAMERAS[which if which < len(CAMERAS) else 0]
        image = backend.random.integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
        try:
            poses = pipeline.step(Frame(image, camera, stamp_s))
        except VnectError:
            continue
        for pose in poses:
            check(pose)
            if pose.state is not State.LOST:
                stated = np.linalg.norm(pose.velocities_mps, axis=1)
                assert (stated <= config.fit.max_speed * (1.0 + 1e-9)).all()


def check(pose) -> None:
    if pose.state is State.LOST:
        assert np.isnan(pose.joints_camera_m).all() and np.isnan(pose.q).all()
        return
    for name in (
        "joints_camera_m", "orientations_xyzw", "velocities_mps", "std_m",
        "transform_camera_from_body", "q", "bone_lengths_m",
    ):  # fmt: skip
        assert np.isfinite(getattr(pose, name)).all(), name
    # What lies behind the camera has no pixel.
    assert np.isfinite(pose.joints_px[pose.joints_camera_m[:, 2] > 0.01]).all()
    drawing.overlay(np.zeros((120, 160, 3), np.uint8), pose)
    np.testing.assert_allclose(np.linalg.norm(pose.orientations_xyzw, axis=1), 1.0, atol=1e-6)
    assert (pose.std_m > 0.0).all()
    assert ((pose.confidence >= 0.0) & (pose.confidence <= 1.0)).all()
    assert set(pose.joint_states.tolist()) <= {int(s) for s in JointState}


@SLOW
@given(
    st.lists(st.sampled_from(MOODS), min_size=10, max_size=40),
    st.integers(0, 2**20),
    st.sampled_from([1 / 60, 1 / 30, 1 / 10]),
)
def test_between_two_poses_nobody_moves_faster_than_humans(model, moods, seed, period_s):
    """By the difference of what is published, whatever the network says."""
    backend = Anything(model)
    backend.random = np.random.default_rng(seed)
    config = PipelineConfig(max_people=1)
    pipeline = Pipeline(config, backend)
    camera = CAMERAS[0]
    image = np.zeros((camera.height, camera.width, 3), np.uint8)
    last, velocity = None, None
    for i, mood in enumerate(["person"] * 8 + moods):
        backend.mood = mood
        poses = pipeline.step(Frame(image, camera, 10.0 + i * period_s))
        for pose in poses:
            check(pose)
        pose = poses[0] if poses else nobody(0.0)
        if pose.state is State.LOST or (last is not None and last.id != pose.id):
            last, velocity = None, None
            continue
        if last is not None:
            # The bones are measured meanwhile: a millimetre of it is no motion.
            slack = np.abs(pose.bone_lengths_m - last.bone_lengths_m).sum() / period_s
            now = (pose.joints_camera_m - last.joints_camera_m) / period_s
            speed = np.linalg.norm(now, axis=1).max()
            assert speed <= config.fit.max_speed * 1.01 + slack, (i, mood)
            if velocity is not None and slack == 0.0:
                change = np.linalg.norm(now - velocity, axis=1).max() / period_s
                assert change <= config.fit.max_acceleration * 1.05, (i, mood, change)
            velocity = now if slack == 0.0 else None
        last = pose
