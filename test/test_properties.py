"""Whatever comes in: finite numbers come out, or an error of ours."""

from __future__ import annotations

import contextlib
import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vnect_ros.config import CropConfig
from vnect_ros.errors import ModelError, VnectError
from vnect_ros.inference import bundles
from vnect_ros.perception import crop as cropping
from vnect_ros.perception import decode, search
from vnect_ros.perception.filters import OneEuro
from vnect_ros.records import Crop, Maps

SIZE, STRIDE = 64, 8
CELLS = SIZE // STRIDE
quickly = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


# --- bundles ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "model.onnx").write_bytes(b"network")
    bundles.write_bundle(
        folder, {"fp32": folder / "model.onnx"}, licence="MIT", input_size=SIZE,
        mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2), training={"steps": 3},
    )  # fmt: skip
    return folder, json.loads((folder / bundles.BUNDLE_FILE).read_text())


def places(value, path=()):
    """The paths of all entries of nested JSON."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(
        value, list) else ()  # fmt: skip
    for key, entry in inner:
        yield from places(entry, (*path, key))


def changed(value, path, new):
    """A copy with one entry replaced; `...` takes it out."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if new is ... and len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = changed(copy[path[0]], path[1:], new)
    return copy


def loads_or_refuses(folder) -> None:
    try:
        model = bundles.load(folder)
    except ModelError as error:
        assert str(error)
        return
    image = np.full((model.input_size,) * 2 + (3,), 200, np.uint8)
    if model.input_size <= 256:
        assert np.isfinite(model.prepare(image)).all()
        cells = model.map_size
        maps = model.maps(np.ones((1, 84, cells, cells), np.float32))
        assert np.isfinite(maps.heatmaps).all() and np.isfinite(maps.locations_m).all()
    assert model.file.resolve().parent == folder.resolve()


@quickly
@given(data=st.data(), new=anything | st.just(...))
def test_any_entry_of_a_bundle_is_read_or_refused(bundle, data, new):
    folder, declared = bundle
    where = data.draw(st.sampled_from([p for p in places(declared) if p]))
    (folder / bundles.BUNDLE_FILE).write_text(json.dumps(changed(declared, where, new)))
    loads_or_refuses(folder)


@quickly
@given(st.binary(max_size=200) | st.text(max_size=50).map(str.encode))
def test_any_bytes_for_a_bundle_are_refused(bundle, content):
    folder, _ = bundle
    (folder / bundles.BUNDLE_FILE).write_bytes(content)
    with pytest.raises(ModelError):
        bundles.load(folder)


@pytest.mark.parametrize(
    ("where", "new"),
    [
        (("files", "fp32", "path"), "model\0.onnx"),
        (("files", "fp32", "path"), "m" * 5000),
        (("files", "fp32", "path"), "../../etc/passwd"),
        (("files", "fp32", "path"), "/etc/passwd"),
        (("files", "fp32", "path"), "."),
        (("files", "fp32", "size_bytes"), 10**400),
        (("input", "mean"), [10**400, 0.0, 0.0]),
        (("output", "unit_m"), 10**400),
        (("output", "confidence_curve"), [[0, 0], [10**400, 1]]),
        (("output", "confidence_curve"), [["0", "0"], ["1", "1"]]),
        (("output", "confidence_curve"), [[0, 0, 1, 1]]),
        (("output", "position_std_m"), [0.1]),
        (("output", "position_std_m"), [0.1, -0.1]),
        (("output", "position_std_m"), [float("nan"), 0.1]),
        (("training",), []),
    ],
)
def test_nasty_entries_are_refused(bundle, where, new):
    folder, declared = bundle
    (folder / bundles.BUNDLE_FILE).write_text(json.dumps(changed(declared, where, new)))
    with pytest.raises(ModelError):
        bundles.load(folder)


def test_deep_nesting_is_refused(bundle):
    folder, _ = bundle
    (folder / bundles.BUNDLE_FILE).write_text("[" * 100_000)
    with pytest.raises(ModelError):
        bundles.load(folder)


@quickly
@given(st.text(max_size=30) | st.sampled_from(["~nobody", "m" * 5000, "..", "/", "\0", "~"]))
def test_any_name_of_a_bundle_is_found_or_refused(name):
    with contextlib.suppress(ModelError):
        bundles.locate(name)


# --- decode -------------------------------------------------------------------------------------

finite = st.floats(-1e6, 1e6, width=32)


@st.composite
def maps(draw):
    """Maps with a few cells of any height; the rest is one value."""
    fill = st.sampled_from([0.0, 1.0, -1.0, float(np.float32(1e-30)), 1e6, 0.5])
    shape = (21, CELLS, CELLS)
    heat = draw(hnp.arrays(np.float32, shape, elements=finite, fill=fill))
    places = draw(hnp.arrays(np.float32, (3, *shape), elements=finite, fill=fill))
    return Maps(heat, places, float(STRIDE))


@quickly
@given(maps(), hnp.arrays(float, (21, 2), elements=st.floats(-1e9, 1e9), fill=st.just(10.0)))
def test_any_maps_give_joints_inside_the_input(maps, expected_px):
    for favoured in (None, decode.spatial_prior(maps, expected_px, 0.3)):
        pixels, peaks = decode.find_joints(maps, favoured)
        assert pixels.shape == (21, 2) and peaks.shape == (21,)
        assert (pixels >= -0.5).all() and (pixels <= SIZE - 0.5).all()
        assert np.isfinite(peaks).all() and (peaks >= 0.0).all()
        sure = decode.confidence(peaks, ((0.1, 0.0), (0.5, 0.8), (1.0, 0.97)))
        assert (sure >= 0.0).all() and (sure <= 0.97).all()
        places = decode.read_locations(maps, pixels)
        assert np.isfinite(places).all() and (places[14] == 0.0).all()
        assert 0.0 <= decode.shape_consistency(pixels, places, sure) <= 1.0 + 1e-9
    outside = decode.read_locations(maps, expected_px)
    assert np.isfinite(outside).all()


# --- crop ---------------------------------------------------------------------------------------

coordinates = st.floats(-1e5, 1e5) | st.floats(-1e12, 1e12)


@quickly
@given(
    hnp.arrays(float, st.tuples(st.integers(1, 21), st.just(2)), elements=coordinates),
    st.lists(st.tuples(st.floats(-1.0, 10.0), st.integers(0, 3)), max_size=5),
    st.integers(1, 40), st.integers(1, 40),
)  # fmt: skip
def test_any_joints_give_a_window_that_can_be_cut(points, moves, width, height):
    config = CropConfig()
    window = cropping.Window(config, SIZE, points, 0.0)
    stamp_s = 0.0
    for step_s, turn in moves:
        stamp_s += step_s
        window.follow(points * (1.0, -1.0, 0.5, 0.0)[turn], stamp_s)
    numbers = (window.crop.left_px, window.crop.top_px, window.crop.size_px)
    assert all(math.isfinite(n) for n in numbers)
    assert window.crop.size_px >= config.min_size_px
    image = np.full((height, width, 3), 77, np.uint8)
    piece = cropping.cut(image, window.crop)
    assert piece.shape == (SIZE, SIZE, 3) and piece.dtype == np.uint8
    assert set(np.unique(piece)) <= set(range(78))
    back = window.crop.image_from_input(window.crop.input_from_image(points))
    np.testing.assert_allclose(back, points, atol=1e-6 * (1.0 + np.abs(points).max()))


@quickly
@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 5))
def test_a_search_covers_any_image(width, height, scales):
    windows = search.grid(width, height, CropConfig(search_scales=scales), SIZE)
    assert 1 <= len(windows) < 5000
    smallest = min(w.size_px for w in windows)
    for x in (0.0, width - 1.0):
        for y in (0.0, height - 1.0):
            corner = np.array([x, y])
            covering = [
                w for w in windows
                if w.size_px == smallest
                and (np.abs(corner - w.centre_px) <= w.size_px / 2.0 + 1e-6).all()
            ]  # fmt: skip
            assert covering


@quickly
@given(
    st.tuples(coordinates, coordinates), st.floats(1.0, 1e5) | st.floats(1.0, 1e12),
    st.integers(1, 50), st.integers(1, 50),
)  # fmt: skip
def test_any_window_can_be_cut(corner, size, width, height):
    image = np.full((height, width, 3), 9, np.uint8)
    assert cropping.cut(image, Crop(*corner, size, SIZE)).shape == (SIZE, SIZE, 3)


# --- filter -------------------------------------------------------------------------------------


@quickly
@given(
    st.lists(
        st.tuples(st.floats(1e-6, 1e6), st.floats(-1e6, 1e6), st.booleans()),
        min_size=1, max_size=20,
    ),
    st.floats(0.01, 1e3), st.floats(0.0, 1e3),
)  # fmt: skip
def test_any_course_of_values_is_filtered_within_its_range(course, min_cutoff, beta):
    euro = OneEuro(min_cutoff, beta)
    seen, stamp_s = [], 0.0
    for step_s, value, shown in course:
        stamp_s += step_s
        values = np.full((21, 2), value)
        if not shown:
            values[1:] = np.nan
        out = euro.filter(stamp_s, values)
        seen.append(value)
        assert np.isfinite(out[0]).all()
        slack = 1e-9 * (1.0 + max(map(abs, seen)))
        assert min(seen) - slack <= out[0, 0] <= max(seen) + slack


def test_errors_have_one_root():
    from vnect_ros import errors

    ours = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert len(ours) >= 6 and all(issubclass(e, VnectError) for e in ours)
