"""A depth image shows how far away and how large a person is; a useless one changes nothing."""

from __future__ import annotations

import cv2
import numpy as np
import people
import pytest

from vnect_ros.errors import ImageError
from vnect_ros.fitting import depth
from vnect_ros.fitting.fitter import Fitter
from vnect_ros.fitting.scale import Scale, Surroundings
from vnect_ros.records import Frame
from vnect_ros.skeleton import BONES, PELVIS

WALL_M = 6.0


def rendered(joints_m, height_m, camera=people.CAMERA):
    """[H, W] depth of thick limbs before a wall, as a registered depth camera gives it."""
    image = np.full((camera.height, camera.width), WALL_M, np.float32)
    pixels = camera.project(joints_m)
    parts = [(joints_m[[a, b]].mean(axis=0)[2], a, b) for a, b in BONES]
    for z, a, b in sorted(parts, reverse=True):
        inset_m = 0.04 * height_m
        thick = max(round(2.4 * inset_m * camera.fx / z), 2)
        ends = [tuple(int(v) for v in pixels[i].round()) for i in (a, b)]
        cv2.line(image, *ends, float(z - inset_m), thick)
    middle = pixels[[2, 5, 8, 11]].round().astype(np.int32)[[0, 1, 3, 2]]
    cv2.fillConvexPoly(image, middle, float(joints_m[[2, 5, 8, 11], 2].mean() - 0.06 * height_m))
    return image


def spoiled(image, random):
    """Holes, and pixels anywhere between near and far."""
    bad = image.copy()
    bad[random.random(image.shape) < 0.25] = np.nan
    flying = random.random(image.shape) < 0.05
    bad[flying] = random.uniform(0.3, 8.0, flying.sum())
    return bad


def test_a_depth_image_is_read_once_and_the_fits_distance_counts(monkeypatch):
    """The prediction's reading, carried over, is what reading it again for the fit gives."""
    person = people.recorded("walk")
    fitter, again, read = Fitter(), [], []
    measure, compare = depth.measure, Scale._compare

    def counted(*args):
        read.append(measure(*args))
        return read[-1]

    def compared(scale, body, depth_m):
        before, reading = len(read), compare(scale, body, depth_m)
        if len(read) == before:
            fresh = measure(body.points_m, body.pixels_px, body.seen, depth_m, body.height_m)
            again.append((fresh, reading))
        return reading

    monkeypatch.setattr(depth, "measure", counted)
    monkeypatch.setattr(Scale, "_compare", compared)
    stamps, joints = person.stamps_s()[:60], people.seen(person).joints
    for stamp_s, seen, truth in zip(stamps, joints, person.joints_m):
        image = rendered(truth, person.height_m)
        fitter.update(stamp_s, seen, people.CAMERA, Surroundings(depth_m=image))
    assert len(read) == len(stamps)
    off = [fresh.ratio / reading.ratio - 1.0 for fresh, reading in again if fresh is not None]
    assert len(off) > 50
    assert np.abs(off).mean() < 0.005


@pytest.mark.parametrize("name", ["walk", "signals", "sit"])
def test_height_and_distance_follow_from_depth(name):
    person = people.recorded(name)
    random = np.random.default_rng(0)
    fitter, errors = Fitter(), []
    for stamp_s, seen, truth in zip(
        person.stamps_s(), people.seen(person).joints, person.joints_m[:120]
    ):
        image = spoiled(rendered(truth, person.height_m), random)
        pose = fitter.update(stamp_s, seen, people.CAMERA, Surroundings(depth_m=image))
        off_m = np.linalg.norm(pose.joints_camera_m[PELVIS] - truth[PELVIS])
        errors.append(off_m / np.linalg.norm(truth[PELVIS]))
    assert pose.height_m == pytest.approx(person.height_m, rel=0.04)
    assert np.isfinite(pose.height_std_m)
    assert np.mean(errors[60:]) < 0.02


def test_what_stands_in_front_is_not_taken_for_the_person():
    person = people.recorded("signals")
    joints = person.joints_m[0]
    pixels, seen = people.CAMERA.project(joints), np.ones(21, dtype=bool)
    image = rendered(joints, person.height_m)
    clear = depth.measure(joints, pixels, seen, image, person.height_m)
    assert clear.ratio == pytest.approx(1.0, abs=0.02)
    half = image.copy()
    half[:, : int(pixels[PELVIS, 0])] = 1.2  # somebody near hides one side
    reading = depth.measure(joints, pixels, seen, half, person.height_m)
    assert reading is None or reading.ratio == pytest.approx(1.0, abs=0.03)
    hidden = np.full_like(image, 1.2)
    hidden[:200] = image[:200]
    reading = depth.measure(joints, pixels, seen, hidden, person.height_m)
    assert reading is None or abs(reading.ratio - 1.0) > 0.2, "all of it is nearer: said so"


@pytest.mark.parametrize("nothing", [0.0, np.nan, np.inf, -1.0])
def test_no_depth_is_no_reading(nothing):
    person = people.recorded("signals")
    image = np.full((people.CAMERA.height, people.CAMERA.width), nothing, np.float32)
    pixels = people.CAMERA.project(person.joints_m[0])
    every = np.ones(21, dtype=bool)
    assert depth.measure(person.joints_m[0], pixels, every, image, 1.8) is None
    image[:] = 3.0
    assert depth.measure(person.joints_m[0], pixels, ~every, image, 1.8) is None
    assert depth.measure(person.joints_m[0], pixels + 1e5, every, image, 1.8) is None
    assert depth.measure(person.joints_m[0], pixels * np.nan, every, image, 1.8) is None


def test_without_depth_nothing_changes():
    person = people.recorded("walk")
    holes = np.zeros((people.CAMERA.height, people.CAMERA.width), np.float32)
    one, other = Fitter(), Fitter()
    for stamp_s, seen in zip(person.stamps_s()[:30], people.seen(person).joints):
        a = one.update(stamp_s, seen, people.CAMERA)
        b = other.update(stamp_s, seen, people.CAMERA, Surroundings(depth_m=holes))
        assert np.array_equal(a.joints_camera_m, b.joints_camera_m)


def test_a_depth_image_of_another_size_is_refused():
    camera = people.CAMERA
    image = np.zeros((camera.height, camera.width, 3), np.uint8)
    with pytest.raises(ImageError, match=r"depth image: got \(10, 10\), accepted: \(720, 1280\)"):
        Frame(image, camera, 0.0, depth_m=np.zeros((10, 10), np.float32))
