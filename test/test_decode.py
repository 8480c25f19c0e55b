"""Decoding on maps whose truth is known to a fraction of a cell."""

from __future__ import annotations

import numpy as np
import pytest
from fake_backend import STANDING_M

from vnect_ros.perception import decode
from vnect_ros.records import Maps
from vnect_ros.skeleton import INDEX, PELVIS

SIZE, STRIDE = 28, 8.0


def draw(pixels, peaks, locations=None, sigma=1.2, noise=0.0):
    cells = (pixels + 0.5) / STRIDE - 0.5
    y, x = np.indices((SIZE, SIZE))
    square = (x - cells[:, :1, None]) ** 2 + (y - cells[:, 1:, None]) ** 2
    heat = peaks[:, None, None] * np.exp(-square / (2.0 * sigma**2))
    heat += np.random.default_rng(1).normal(0.0, noise, heat.shape)
    if locations is None:
        locations = np.zeros((3, 21, SIZE, SIZE))
    return Maps(heat.astype(np.float32), locations.astype(np.float32), STRIDE)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).uniform(16.0, 208.0, (21, 2))


@pytest.mark.parametrize("sigma", [0.8, 1.2, 2.0])
def test_maxima_are_found_between_the_cells(pixels, sigma):
    peaks = np.linspace(0.1, 1.0, 21)
    found, heights = decode.find_joints(draw(pixels, peaks, sigma=sigma))
    np.testing.assert_allclose(found, pixels, atol=0.05)
    np.testing.assert_allclose(heights, peaks, rtol=0.02)


def test_noise_moves_maxima_little(pixels):
    found, heights = decode.find_joints(draw(pixels, np.ones(21), noise=0.02))
    assert np.abs(found - pixels).max() < 1.5  # of 8 px a cell
    assert np.abs(heights - 1.0).max() < 0.1


def test_borders_and_empty_maps_are_harmless():
    corners = np.tile([[0.0, 0.0], [223.0, 0.0], [0.0, 223.0]], (7, 1))
    found, _ = decode.find_joints(draw(corners, np.ones(21)))
    assert np.abs(found - corners).max() <= STRIDE / 2.0
    for value in (0.0, -1.0):
        flat = Maps(
            np.full((21, SIZE, SIZE), value, np.float32), np.zeros((3, 21, SIZE, SIZE)), 8.0
        )
        found, heights = decode.find_joints(flat)
        assert np.isfinite(found).all() and (heights < 1e-3).all() and (heights >= 0.0).all()


def test_of_two_maxima_the_one_that_was_followed_is_taken(pixels):
    left, right = np.full((21, 2), 60.0), np.full((21, 2), (164.0, 60.0))
    both = draw(left, np.full(21, 0.7)).heatmaps + draw(right, np.full(21, 0.8)).heatmaps
    maps = Maps(both, np.zeros((3, 21, SIZE, SIZE), np.float32), STRIDE)
    for expected, hysteresis, found_at, height in [
        (left + 8.0, 0.0, right, 0.8),
        (left + 8.0, 0.3, left, 0.7),
        (left + 8.0, 0.1, right, 0.8),
        (right, 0.3, right, 0.8),
        (left - 5000.0, 0.9, right, 0.8),
    ]:
        found, heights = decode.find_joints(maps, decode.spatial_prior(maps, expected, hysteresis))
        np.testing.assert_allclose(found[PELVIS], found_at[PELVIS], atol=0.1)
        np.testing.assert_allclose(heights[PELVIS], height, rtol=0.02)


def rough(seed, shape=(SIZE, SIZE - 5)):
    """Maps with many maxima, some of them equal."""
    heat = np.random.default_rng(seed).normal(0.3, 0.4, (21, *shape)).round(2)
    return Maps(heat.astype(np.float32), np.zeros((3, 21, *shape), np.float32), STRIDE)


def test_the_prior_is_a_gaussian_about_where_joints_are_expected():
    for seed in range(20):
        maps = rough(seed)
        expected = np.random.default_rng(seed).uniform(-50.0, 250.0, (21, 2))
        y, x = np.indices(maps.heatmaps.shape[1:])
        cells = (expected + 0.5) / STRIDE - 0.5
        square = (x - cells[:, :1, None]) ** 2 + (y - cells[:, 1:, None]) ** 2
        near = np.exp(-square / (2.0 * (0.1 * maps.heatmaps.shape[2]) ** 2))
        weighted = maps.heatmaps * (0.6 + 0.4 * near)
        found, _ = decode.find_joints(maps, decode.spatial_prior(maps, expected, 0.4))
        cell = np.stack([x.ravel(), y.ravel()], axis=1)[weighted.reshape(21, -1).argmax(axis=1)]
        off = np.abs((found + 0.5) / STRIDE - 0.5 - cell).max(axis=1)
        apart = [j for j in range(21) if off[j] > 0.5 + 1e-9]
        assert set(apart) <= set(decode.LEFT_RIGHT_PAIRS.ravel())  # these repel each other
        assert len(apart) <= 4


def test_peaks_are_the_cells_above_their_neighbours():
    """By a loop over the cells."""
    for seed in range(5):
        maps = rough(seed, (9, 11))
        heat = np.pad(maps.heatmaps, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
        expected = []
        for j, y, x in np.ndindex(*maps.heatmaps.shape):
            about = heat[j, y : y + 3, x : x + 3].ravel()
            above = (about[:4] < about[4]).all() and (about[5:] <= about[4]).all()
            if above and about[4] >= np.float32(0.5):
                expected.append((j, y * 11 + x))
        joints, cells = decode.peaks(maps, 0.5)
        assert list(zip(joints, cells)) == expected
        assert len(expected) > 100
    joints, cells = decode.peaks(maps, 1e6)
    assert not len(joints) and not len(cells)
    flat = Maps(np.ones((21, 8, 8), np.float32), np.zeros((3, 21, 8, 8), np.float32), STRIDE)
    joints, cells = decode.peaks(flat, 0.5)
    assert np.array_equal(joints, np.arange(21)) and not cells.any()


def test_maps_in_another_order_of_memory_are_read_alike(pixels):
    maps = draw(pixels, np.ones(21))
    turned = Maps(np.asfortranarray(maps.heatmaps), maps.locations_m, STRIDE)
    for a, b in zip(decode.find_joints(maps), decode.find_joints(turned)):
        np.testing.assert_array_equal(a, b)


def test_left_and_right_are_told_apart_where_the_heat_allows_it(pixels):
    knees = [INDEX["right_knee"], INDEX["left_knee"]]
    here, there = np.full((21, 2), 60.0), np.full((21, 2), (124.0, 60.0))
    for second, placed in [(0.48, [here, there]), (0.30, [here, here])]:
        both = draw(here, np.full(21, 0.5)).heatmaps
        both[knees[1]] += draw(there, np.full(21, second)).heatmaps[knees[1]]
        maps = Maps(both, np.zeros((3, 21, SIZE, SIZE), np.float32), STRIDE)
        found, _ = decode.find_joints(maps)
        np.testing.assert_allclose(found[knees], [p[0] for p in placed], atol=0.1)


def test_locations_are_read_bilinearly_and_told_from_the_pelvis(pixels):
    # Planes are what bilinear reading reproduces exactly.
    y, x = np.indices((SIZE, SIZE))
    random = np.random.default_rng(2)
    a, b, c = random.normal(size=(3, 3, 21, 1, 1))
    planes = a * x + b * y + c
    cells = (pixels + 0.5) / STRIDE - 0.5
    expected = a[..., 0, 0] * cells[:, 0] + b[..., 0, 0] * cells[:, 1] + c[..., 0, 0]
    expected = (expected - expected[:, [14]]).T
    read = decode.read_locations(draw(pixels, np.ones(21), planes), pixels)
    np.testing.assert_allclose(read, expected, atol=1e-4)
    assert (read[14] == 0.0).all()


def test_maps_that_are_the_same_in_every_cell_are_read_as_if_they_were_spread(pixels):
    maps = draw(pixels, np.ones(21))
    places = np.random.default_rng(3).normal(size=(3, 21, 1, 1)).astype(np.float32)
    constant = np.broadcast_to(places, maps.locations_m.shape)
    spread = Maps(maps.heatmaps, constant.copy(), STRIDE)
    read = decode.read_locations(Maps(maps.heatmaps, constant, STRIDE), pixels)
    np.testing.assert_allclose(read, decode.read_locations(spread, pixels), atol=1e-12)


def test_outside_the_input_the_nearest_cell_is_read():
    planes = np.zeros((3, 21, SIZE, SIZE))
    planes[:, :, 0, 0] = 5.0
    far = np.full((21, 2), -100.0)
    far[14] = 100.0
    read = decode.read_locations(draw(far, np.ones(21), planes), far)
    assert (read[0] == 5.0).all()


def test_confidence_follows_the_curve():
    curve = ((0.1, 0.0), (0.5, 0.8), (1.0, 0.9))
    peaks = np.array([0.0, 0.1, 0.3, 0.5, 0.75, 2.0])
    expected = [0.0, 0.0, 0.4, 0.8, 0.85, 0.9]
    np.testing.assert_allclose(decode.confidence(peaks, curve), expected)


def test_agreement_tells_a_person_from_noise():
    flat = STANDING_M[:, :2] * 100.0 + (50.0, 80.0)
    weights = np.ones(21)
    assert decode.shape_consistency(flat, STANDING_M, weights) == pytest.approx(1.0)
    assert decode.shape_consistency(-flat, STANDING_M, weights) == 0.0
    random = np.random.default_rng(0)
    noise = [
        decode.shape_consistency(random.normal(size=(21, 2)), STANDING_M, weights)
        for _ in range(50)
    ]
    assert max(noise) < 0.5
    assert decode.shape_consistency(flat, STANDING_M, np.zeros(21)) == 0.0


def test_two_scales_average_on_the_cells_of_the_first(pixels):
    near = (pixels - 111.5) * 0.7 + 111.5
    locations = np.broadcast_to(STANDING_M.T[:, :, None, None], (3, 21, SIZE, SIZE))
    mean = decode.average_scales(
        draw(pixels, np.ones(21), locations), draw(near, np.ones(21), locations), 0.7
    )
    found, _ = decode.find_joints(mean)
    np.testing.assert_allclose(found, pixels, atol=0.8)
    read = decode.read_locations(mean, found)
    np.testing.assert_allclose(read, STANDING_M - STANDING_M[14], atol=1e-5)
