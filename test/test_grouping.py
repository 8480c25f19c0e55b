"""Several people in one window are told apart by their location maps, and by their colours."""

from __future__ import annotations

import numpy as np
import pytest
from fake_backend import STANDING_M, FakeBackend, Seen

from vnect_ros.config import DecodeConfig
from vnect_ros.inference import bundles
from vnect_ros.perception import appearance, grouping
from vnect_ros.perception.changes import Changes
from vnect_ros.perception.decode import Keypoints
from vnect_ros.records import Crop, Maps
from vnect_ros.skeleton import INDEX, MIRROR, PELVIS

SHAPE = (480, 640, 3)
WINDOW = Crop(100.0, 50.0, 400.0, 224)
CURVE = ((0.0, 0.0), (1.0, 1.0))


@pytest.fixture
def backend(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"none")
    model = bundles.write_bundle(
        tmp_path, {"fp32": tmp_path / "model.onnx"}, licence="MIT", input_size=224,
        mean=(0.5,) * 3, std=(0.25,) * 3,
    )  # fmt: skip
    return FakeBackend(model)


def body_px(x, y, scale):
    """[21, 2] of the image: a standing person with the pelvis there, pixels a metre."""
    return STANDING_M[:, :2] * scale + (x, y)


def maps_of(backend, *people, peaks=None):
    """What a window shows of people [21, 2] of the image; where two overlap, the first."""
    heat, places = None, None
    for pixels in people:
        height = np.ones(21) if peaks is None else peaks
        seen = Seen(WINDOW.input_from_image(pixels), STANDING_M - STANDING_M[PELVIS], height)
        backend._look = lambda _, seen=seen: seen
        one = backend.draw(np.zeros((224, 224, 3), np.uint8))
        if heat is None:
            heat, places = one.heatmaps, one.locations_m
            continue
        higher = one.heatmaps > heat
        heat = np.maximum(heat, one.heatmaps)
        places = np.where(higher[None], one.locations_m, places)
    return Maps(heat, places, one.stride_px)


def groups(maps, **options):
    return grouping.people_in(maps, WINDOW, SHAPE, CURVE, DecodeConfig(), **options)


def test_people_of_any_size_side_by_side_are_told_apart(backend):
    tall, small, near = body_px(190, 200, 90), body_px(290, 220, 70), body_px(420, 230, 120)
    found = groups(maps_of(backend, tall, small, near))
    assert len(found) == 3
    for truth, scale in ((tall, 90), (small, 70), (near, 120)):
        (group,) = (g for g in found if np.abs(g.keypoints.pixels_px - truth).mean() < 0.05 * scale)
        assert group.seen == 21
        assert np.abs(group.keypoints.pixels_px - truth).max() < 3.0
        assert group.pelvis_px == pytest.approx(truth[PELVIS], abs=4.0)
        assert group.size_px == pytest.approx(1.7 * scale, rel=0.1)


def test_who_is_known_is_left_out_on_either_side_of_the_body(backend):
    one, other = body_px(220, 200, 80), body_px(380, 210, 80)
    maps = maps_of(backend, one, other)
    (left,) = groups(maps, known_px=[one])
    assert np.abs(left.keypoints.pixels_px - other).max() < 3.0
    (left,) = groups(maps, known_px=[one[list(MIRROR)]])
    assert np.abs(left.keypoints.pixels_px - other).max() < 3.0
    assert groups(maps, known_px=[one, other]) == []


def test_a_stray_maximum_belongs_to_nobody(backend):
    person = body_px(250, 210, 80)
    wrong = person.copy()
    wrong[INDEX["left_ankle"]] += (180.0, -150.0)
    (group,) = groups(maps_of(backend, wrong))
    unseen = group.keypoints.confidence == 0.0
    assert unseen[INDEX["left_ankle"]] and unseen.sum() == 1
    assert np.isfinite(group.keypoints.pixels_px).all()


def test_too_few_joints_are_nobody_unless_fewer_are_asked_for(backend):
    peaks = np.zeros(21)
    peaks[[PELVIS, INDEX["neck"], INDEX["spine"], INDEX["head"]]] = 1.0
    maps = maps_of(backend, body_px(250, 210, 80), peaks=peaks)
    assert groups(maps) == []
    (noticed,) = groups(maps, min_joints=4)
    assert noticed.seen == 4 and noticed.size_px == pytest.approx(1.7 * 80, rel=0.1)
    assert groups(maps_of(backend, body_px(250, 210, 80), peaks=np.zeros(21))) == []


def test_joints_outside_the_image_do_not_count(backend):
    person = body_px(250, 470, 70)  # the legs are below the image's edge
    window_maps = maps_of(backend, person)
    found = grouping.people_in(window_maps, WINDOW, (480, 640, 3), CURVE, DecodeConfig())
    for group in found:
        seen = group.keypoints.confidence > 0.0
        assert group.keypoints.pixels_px[seen, 1].max() < 480 + 4


def dressed(image, pixels, shirt, trousers):
    """Paint a person's trunk and thighs."""
    (x, top), (_, middle), (_, low) = pixels[[INDEX["neck"], PELVIS, INDEX["left_knee"]]].astype(
        int
    )
    image[top : middle + 4, x - 20 : x + 20] = shirt
    image[middle + 4 : low, x - 20 : x + 20] = trousers
    return image


def test_colours_tell_people_apart_and_survive_a_shadow():
    pixels = body_px(250, 210, 80)
    sure = Keypoints(pixels, np.ones(21))
    grey = np.full(SHAPE, 120, np.uint8)

    def colours(shirt, trousers):
        return appearance.colours(dressed(grey.copy(), pixels, shirt, trousers), sure)

    red = colours((180, 40, 40), (30, 30, 90))
    blue = colours((40, 60, 180), (90, 90, 90))
    dark = colours((150, 30, 30), (22, 22, 75))
    assert appearance.difference(red, red) == 0.0
    assert appearance.difference(red, dark) < 10.0 < 20.0 < appearance.difference(red, blue)
    hidden = appearance.colours(grey, Keypoints(pixels, np.zeros(21)))
    assert np.isnan(hidden).all() and np.isnan(appearance.difference(red, hidden))
    outside = appearance.colours(grey, Keypoints(pixels + 5000.0, np.ones(21)))
    assert np.isnan(outside).all()


def test_a_window_is_new_until_one_of_its_size_was_looked_at_and_when_it_changes():
    changes, image = Changes(), np.full(SHAPE, 90, np.uint8)
    small, large = Crop(200.0, 100.0, 160.0, 192), Crop(0.0, -80.0, 640.0, 192)
    changes.update(image)
    assert changes.in_window(small) and changes.in_window(large)
    changes.looked(large)
    assert changes.in_window(small), "smaller people are not seen in the larger window"
    changes.looked(small)
    noise = np.random.default_rng(0).integers(-5, 6, SHAPE)
    changes.update((image + noise).astype(np.uint8))
    assert not changes.in_window(small) and not changes.in_window(large)
    walked_in = image.copy()
    walked_in[130:230, 250:280] = 30
    changes.update(walked_in)
    assert changes.in_window(small)
    changes.update(np.full((240, 320, 3), 90, np.uint8))
    assert changes.in_window(small), "another size of image is all new"


@pytest.mark.parametrize("others", [0, 1])
def test_people_who_are_tracked_change_nothing_neither_do_they_where_they_were(others):
    """A dark person walks through; then somebody beside whom nobody is tracked stands there."""
    window, changes = Crop(0.0, 0.0, 480.0, 192), Changes()
    far_off = [np.full((21, 2), np.nan), np.array([[600.0, 20.0], [610.0, 60.0]])][:others]

    def walker(left):
        image = np.full(SHAPE, 90, np.uint8)
        image[100:300, left : left + 80] = 20
        box = np.array([[left + 5.0, 105.0], [left + 75.0, 295.0]])
        return image, [box, *far_off]

    changes.update(*walker(50))
    changes.looked(window)
    for left in range(60, 400, 10):
        changes.update(*walker(left))
        assert not changes.in_window(window)
    image, known = walker(400)
    image[100:300, 60:140] = 20
    changes.update(image, known)
    assert changes.in_window(window)
    changes.looked(window)
    changes.update(image)
    assert not changes.in_window(window)
    changes.update(np.full(SHAPE, 90, np.uint8))
    assert changes.in_window(window), "whoever is no longer tracked counts"
