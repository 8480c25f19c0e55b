"""The crop's geometry: its two mappings are inverses, and areas correspond; poses that change."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vnect_ros.records import Crop, State, nobody

corners = st.floats(-2000.0, 4000.0)


@given(corners, corners, st.floats(20.0, 5000.0), st.sampled_from([64, 224, 368]))
def test_crop_round_trip(left, top, size, input_size):
    crop = Crop(left, top, size, input_size)
    points = np.random.default_rng(0).uniform(-50.0, 500.0, (21, 2))
    there = crop.image_from_input(points)
    np.testing.assert_allclose(crop.input_from_image(there), points, atol=1e-6)


def test_pixel_areas_correspond():
    crop = Crop(10.0, 20.0, 448.0, 224)
    # The input's first pixel covers the image's pixels 10..11 and 20..21.
    np.testing.assert_allclose(crop.image_from_input(np.zeros(2)), [10.5, 20.5])
    np.testing.assert_allclose(crop.image_from_input(np.full(2, 111.5)), crop.centre_px)
    np.testing.assert_allclose(crop.centre_px, [233.5, 243.5])


def test_a_changed_pose_is_what_dataclasses_make_of_it():
    pose = nobody(3.0)
    changed = pose.changed(id="abcde", state=State.PREDICTED)
    replaced = dataclasses.replace(pose, id="abcde", state=State.PREDICTED)
    for field in dataclasses.fields(pose):
        assert getattr(changed, field.name) is getattr(replaced, field.name)
    assert (pose.id, pose.state) == ("", State.LOST)
    with pytest.raises(dataclasses.FrozenInstanceError):
        changed.id = "other"
    with pytest.raises(TypeError, match="idd"):
        pose.changed(idd="abcde")
