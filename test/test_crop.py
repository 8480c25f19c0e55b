"""Cropping: exact geometry, no aliasing, a window that follows, a search that misses nobody."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from fake_backend import coordinate_card, read_card

from vnect_ros.camera import Camera
from vnect_ros.config import CropConfig, PipelineConfig
from vnect_ros.perception import crop as cropping
from vnect_ros.perception import search
from vnect_ros.records import Crop, Frame, Plane


@pytest.mark.parametrize("size", [61.7, 224.0, 300.3, 611.0, 1511.5])
@pytest.mark.parametrize("corner", [(-31.4, -8.2), (200.25, 90.6), (900.0, 500.0)])
def test_a_cut_shows_what_the_crop_says(size, corner):
    image = coordinate_card(1280, 720)
    crop = Crop(*corner, size, 224)
    cut = cropping.cut(image, crop)
    rows, columns = np.nonzero(cut[:, :, 2] == 255)
    visible = np.array(
        [(x, y) for x in (columns.min(), columns.max()) for y in (rows.min(), rows.max())]
    )
    expected = crop.image_from_input(visible)
    assert np.abs(read_card(cut).image_from_input(visible) - expected).max() < max(
        0.5, crop.scale / 2
    )
    assert expected.min() > -2.0 * crop.scale and np.ptp(visible, axis=0).min() > 30


def test_outside_the_image_is_black():
    image = np.full((100, 200, 3), 255, np.uint8)
    assert not cropping.cut(image, Crop(300.0, 0.0, 64.0, 64)).any()
    half = cropping.cut(image, Crop(-32.0, 0.0, 64.0, 64))
    assert not half[:, :31].any() and (half[:, 33:] == 255).all()


@pytest.mark.parametrize("scale", [2.0, 3.4, 7.0])
def test_fine_patterns_do_not_alias(scale):
    rows, columns = np.indices((900, 900))
    checker = np.where((rows + columns) % 2, 255, 0).astype(np.uint8)
    image = np.repeat(checker[:, :, None], 3, axis=2)
    cut = cropping.cut(image, Crop(3.0, 5.0, scale * 112, 112))[4:-4, 4:-4].astype(float)
    assert abs(cut.mean() - 127.5) < 3.0 and cut.std() < 32.0  # of 127.5 when aliased


def test_the_window_frames_the_points_with_its_margin():
    points = np.array([[100.0, 50.0], [180.0, 250.0], [140.0, 90.0]])
    crop = cropping.around(points, CropConfig(margin=1.5), 224)
    assert crop.size_px == pytest.approx(300.0)
    np.testing.assert_allclose(crop.centre_px, [140.0, 150.0])
    tiny = cropping.around(points[:1], CropConfig(min_size_px=48.0), 224)
    assert tiny.size_px == 48.0


def test_momentum_counts_seconds_not_frames():
    config = CropConfig(momentum=0.75)
    points = np.array([[100.0, 100.0], [200.0, 300.0]])
    lefts = []
    for frames in (1, 4):
        window = cropping.Window(config, 224, points, 0.0)
        for i in range(frames):
            crop = window.follow(points + 10.0, (i + 1) / frames / 30.0)
        lefts.append(crop.left_px)
    assert lefts[0] == pytest.approx(lefts[1], abs=1e-9)
    still = cropping.around(points, config, 224).left_px
    assert lefts[0] - still == pytest.approx(2.5)


def test_the_window_never_cuts_a_point_off():
    points = np.array([[100.0, 100.0], [200.0, 300.0]])
    window = cropping.Window(CropConfig(momentum=0.95), 224, points, 0.0)
    inside = window.follow(points + 400.0, 0.033).input_from_image(points + 400.0)
    assert inside.min() >= 0.0 and inside.max() <= 223.0


@pytest.mark.parametrize(("width", "height"), [(960, 540), (1920, 1080), (480, 640), (64, 64)])
def test_a_search_frames_every_person(width, height):
    config = CropConfig()
    windows = search.grid(width, height, config, 224)
    random = np.random.default_rng(0)
    smallest = max(width, height) * search.SIZE_RATIO ** (config.search_scales - 1) / 2.0
    for _ in range(300):
        edge = random.uniform(min(smallest, height, width), min(height, width))
        corner = random.uniform((0.0, 0.0), (width - edge, height - edge))
        framed = [
            w
            for w in windows
            if w.left_px <= corner[0]
            and w.top_px <= corner[1]
            and w.left_px + w.size_px >= corner[0] + edge
            and w.top_px + w.size_px >= corner[1] + edge
        ]
        assert framed, (edge, corner)


def test_a_search_bounds_its_windows_a_frame_and_begins_where_the_person_was():
    config = PipelineConfig(crop=CropConfig(windows_per_frame=3))
    people = search.PersonSearch(config, 224)
    image = np.zeros((540, 960, 3), np.uint8)
    camera = Camera.from_field_of_view(960, 540, 60.0)
    people.restart(Crop(400.0, 200.0, 100.0, 224), 0.0)
    first = people.windows(Frame(image, camera, 0.0), [], 3)
    assert len(first) == 3 and first[0].size_px == pytest.approx(150.0)
    np.testing.assert_allclose(first[0].centre_px, [449.5, 249.5])
    rest = [w for _ in range(20) for w in people.windows(Frame(image, camera, 0.0), [], 3)]
    grid = search.grid(960, 540, config.crop, 224)
    assert set(grid) <= set(first[1:] + rest)


def test_with_a_known_floor_the_search_is_about_people_who_stand_on_it():
    camera = Camera.from_field_of_view(640, 480, 47.0)
    pitch = 0.15  # down
    floor = Plane(np.array([0.0, -np.cos(pitch), -np.sin(pitch)]), -1.3)
    config = CropConfig()
    windows = search.floor_grid(camera, floor, config, 192)
    everywhere = search.grid(
        640, 480, dataclasses.replace(config, search_scales=config.search_scales + 1), 192
    )
    assert len(windows) < len(everywhere) / 2.0
    ahead = np.array([0.0, -np.sin(pitch), np.cos(pitch)])
    feet_m = -1.3 * floor.normal
    for distance_m in (3.0, 4.5, 6.0, 7.5):
        for aside_m in np.linspace(-0.3, 0.3, 5) * distance_m:
            foot_m = feet_m + distance_m * ahead + (aside_m, 0.0, 0.0)
            ends_px = camera.project(np.array([foot_m, foot_m + 1.7 * floor.normal]))
            size_px = np.ptp(ends_px[:, 1])
            framed = [
                w
                for w in windows
                if (w.input_from_image(ends_px) > -8).all()
                and (w.input_from_image(ends_px) < 200).all()
                and w.size_px < 2.8 * size_px
            ]
            assert framed, (distance_m, aside_m)


def test_a_camera_that_looks_down_searches_everywhere():
    camera = Camera.from_field_of_view(640, 480, 47.0)
    floor = Plane(np.array([0.0, 0.0, -1.0]), -3.0)
    assert search.floor_grid(camera, floor, CropConfig(), 192) == search.grid(
        640, 480, CropConfig(), 192
    )


def test_what_changes_is_searched_first_and_more_often_the_more_people_there_are():
    camera = Camera.from_field_of_view(640, 480, 47.0)
    config = PipelineConfig(crop=CropConfig(search_rate=10.0))
    still = np.full((480, 640, 3), 90, np.uint8)
    someone = [Crop(-900.0, -900.0, 10.0, 192)]

    def tried(people, seconds, tracked, image=still, begin_s=0.0):
        """The windows of each frame at 30 Hz."""
        return [
            people.windows(Frame(image, camera, begin_s + i / 30.0), tracked, 2)
            for i in range(round(seconds * 30))
        ]

    count = len(search.grid(640, 480, config.crop, 192))
    people = search.PersonSearch(config, 192)
    first = tried(people, count / 2.0 / 30.0, someone)
    assert sum(map(len, first)) == count and max(map(len, first)) == 2, "all of it is new"
    quiet = tried(people, 8.0, someone, begin_s=10.0)
    assert sum(map(len, quiet)) == pytest.approx(8, abs=1), "a tenth of the rate"
    walked_in = still.copy()
    walked_in[200:330, 500:540] = 20
    looks = [window for look in tried(people, 0.3, someone, walked_in, 20.0) for window in look]
    # One of them may be the next of those in which nothing changed.
    assert any(w.left_px < 500 and w.left_px + w.size_px > 540 for w in looks[:2])
    for i in range(4):
        moved = still.copy()
        moved[200:330, 300 + 20 * i : 340 + 20 * i] = 20
        looks = [w for w in tried(people, 1 / 3, someone, moved, 30.0 + i) if w]
        assert len(looks) >= 2, "also in windows that this round has looked at"
    for many, frames in ((someone, 10), (someone * 3, 30)):
        flicker = [np.full_like(still, 90 + 60 * (i % 2)) for i in range(30)]
        looks = [
            people.windows(Frame(image, camera, 40.0 + len(many) + i / 30.0), many, 2)
            for i, image in enumerate(flicker)
        ]
        assert sum(map(len, looks)) == frames and max(map(len, looks)) == 1


def test_windows_in_which_nothing_changes_do_not_hold_the_search_up():
    camera = Camera.from_field_of_view(640, 480, 47.0)
    people = search.PersonSearch(PipelineConfig(crop=CropConfig(search_rate=10.0)), 192)
    still = np.full((480, 640, 3), 90, np.uint8)
    someone = [Crop(-900.0, -900.0, 10.0, 192)]
    for i in range(60):
        people.windows(Frame(still, camera, i / 30.0), someone, 2)
    spot = np.array([[500.0, 200.0], [540.0, 330.0]])
    for k in range(8):  # something moves at one place of the picture
        image = still.copy()
        image[200:330, 500:540] = 20 if k % 2 == 0 else 160
        looks = [
            window
            for i in range(12)
            for window in people.windows(Frame(image, camera, 3.0 + 0.4 * k + i / 30.0), someone, 2)
        ]
        assert any(
            (w.input_from_image(spot) > 0).all() and (w.input_from_image(spot) < 191).all()
            for w in looks
        ), k


def test_who_is_lost_is_looked_for_there_for_a_while():
    camera = Camera.from_field_of_view(640, 480, 47.0)
    config = PipelineConfig(crop=CropConfig(search_rate=0.0))
    people = search.PersonSearch(config, 192)
    lost = Crop(300.0, 100.0, 120.0, 192)
    people.restart(lost, 0.0)
    image = np.zeros((480, 640, 3), np.uint8)
    someone = [Crop(0.0, 300.0, 100.0, 192)]
    looks = [people.windows(Frame(image, camera, i / 30.0), someone, 2) for i in range(1, 180)]
    times_s = [i / 30.0 for i, windows in enumerate(looks, 1) if windows]
    assert 5 <= len(times_s) <= 7 and times_s[-1] < search.MISS_S
    assert {w.size_px for windows in looks for w in windows} == {180.0}


def test_pixels_beside_the_window_do_not_show_in_it():
    """Blocks of pixels are whole where the image goes on, and none of those beyond counts."""
    rng = np.random.default_rng(8)
    image = rng.integers(0, 256, (480, 640, 3), np.uint8)
    for _ in range(50):
        window = Crop(*rng.uniform(40, 150, 2), rng.uniform(80, 300), 64)
        margin = math.ceil(window.scale) + 1
        rows, columns = (
            slice(math.floor(first) - margin, math.ceil(first + window.size_px) + margin)
            for first in (window.top_px, window.left_px)
        )
        other = rng.integers(0, 256, image.shape, np.uint8)
        other[rows, columns] = image[rows, columns]
        np.testing.assert_array_equal(cropping.cut(other, window), cropping.cut(image, window))
