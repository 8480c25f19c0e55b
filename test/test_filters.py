"""The 1-Euro filter against golden values from a scalar implementation, and its edges."""

import csv
from pathlib import Path

import numpy as np
import pytest

from vnect_ros.errors import ConfigError
from vnect_ros.perception.filters import OneEuro

with open(Path(__file__).parent / "data" / "one_euro.csv", newline="") as _file:
    GOLDEN = np.array([[float(v) for v in row] for row in list(csv.reader(_file))[1:]])


def test_agrees_with_the_golden_values():
    filter_ = OneEuro(1.7, 0.3)
    out = np.array([float(filter_.filter(t, np.array(x))) for t, x, _ in GOLDEN])
    assert np.abs(out - GOLDEN[:, 2]).max() < 1e-5


def test_every_element_is_filtered_on_its_own():
    together, alone = OneEuro(1.7, 0.3), OneEuro(1.7, 0.3)
    for t, x, _ in GOLDEN:
        both = together.filter(t, np.array([[x, 3.0], [-2.0 * x, x]]))
        assert both[1, 1] == pytest.approx(float(alone.filter(t, np.array(x))))
        assert both[0, 1] == pytest.approx(3.0)


def test_the_unit_scales_beta():
    metres, decimetres = OneEuro(0.8, 0.4), OneEuro(0.8, 0.4)
    for t, x, _ in GOLDEN:
        a = metres.filter(t, np.array(x), unit=0.1)
        assert float(a) == pytest.approx(float(decimetres.filter(t, np.array(10.0 * x))) / 10.0)


def test_jitter_at_rest_falls_and_a_fast_ramp_does_not_lag():
    rng = np.random.default_rng(3)
    filter_ = OneEuro(0.8, 0.4)
    still = np.array([filter_.filter(i / 30.0, rng.normal(0.0, 0.02, 50)) for i in range(200)])
    assert still[60:].std() < 0.5 * 0.02
    filter_.reset()
    ramp = [float(filter_.filter(i / 30.0, np.array(3.0 * i / 30.0), unit=0.1)) for i in range(60)]
    assert 3.0 * 59 / 30.0 - ramp[-1] < 3.0 * 0.025


def test_nan_elements_pause_and_start_afresh():
    filter_ = OneEuro(1.0, 0.0)
    filter_.filter(0.0, np.array([1.0, 1.0]))
    assert np.isnan(filter_.filter(0.1, np.array([np.nan, 1.0]))[0])
    out = filter_.filter(0.2, np.array([9.0, 1.0]))
    assert out[0] == pytest.approx(9.0)
    assert out[1] == pytest.approx(1.0)
    assert np.isfinite(filter_.filter(0.3, np.array([9.5, 1.0]))).all()


def test_answers_do_not_alias_the_state():
    filter_, untouched = OneEuro(1.0, 0.5), OneEuro(1.0, 0.5)
    for stamp_s in (0.0, 0.1, 0.2, 0.3):
        values = np.array([1.0 + stamp_s])
        expected = untouched.filter(stamp_s, values)
        answer = filter_.filter(stamp_s, values)
        assert answer == pytest.approx(expected)
        answer[0] = values[0] = 99.0


@pytest.mark.parametrize(
    ("constants", "named"),
    [
        ((0.0, 0.1), "min_cutoff_hz"),
        ((1.0, -1.0), "beta"),
        ((1.0, 0.1, float("nan")), "derivative"),
    ],
)
def test_impossible_constants_are_refused_by_name(constants, named):
    with pytest.raises(ConfigError, match=named):
        OneEuro(*constants)
