"""Cropping: exact geometry, no aliasing, a window that follows, a search that misses nobody."""

from __future__ import annotations

import numpy as np
import pytest
from fake_backend import coordinate_card, read_card

from vnect_ros.config import CropConfig, PipelineConfig
from vnect_ros.perception import crop as cropping
from vnect_ros.perception import search
from vnect_ros.records import Crop


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
    people.restart(Crop(400.0, 200.0, 100.0, 224))
    first = people.windows(960, 540, 0.0, [])
    assert len(first) == 3 and first[0].size_px == pytest.approx(150.0)
    np.testing.assert_allclose(first[0].centre_px, [449.5, 249.5])
    rest = [w for _ in range(20) for w in people.windows(960, 540, 0.0, [])]
    grid = search.grid(960, 540, config.crop, 224)
    assert set(grid) <= set(first[1:] + rest)
