"""Whether stated confidence and deviation hold: shares known beforehand."""

import numpy as np
import pytest

from vnect_ros.evaluation import calibration


def test_gaussian_errors_of_the_stated_size_are_covered_as_a_gaussian_is():
    rng = np.random.default_rng(0)
    std = rng.uniform(0.01, 0.1, 20000)
    error = rng.normal(size=(20000, 3)) * std[:, None]
    found = calibration.coverage(calibration.ratios(error, std))
    assert found["within_1_std"] == pytest.approx(0.683, abs=0.01)
    assert found["within_2_std"] == pytest.approx(0.954, abs=0.01)
    assert found["rms"] == pytest.approx(1.0, abs=0.02)
    halved = calibration.coverage(calibration.ratios(error, std / 2.0))
    assert halved["rms"] == pytest.approx(2.0, abs=0.04)
    assert halved["within_2_std"] == pytest.approx(0.683, abs=0.01)


def test_axes_are_told_apart_and_the_unknown_is_left_out():
    error = np.array([[0.5, 1.5, 2.5], [np.nan, 0.0, 0.0], [0.0, 0.0, 0.0]])
    found = calibration.coverage(calibration.ratios(error, np.array([1.0, 1.0, 0.0])))
    assert found["n"] == 1
    assert [found[f"within_1_std_{a}"] for a in "xyz"] == [1.0, 0.0, 0.0]
    assert [found[f"within_2_std_{a}"] for a in "xyz"] == [1.0, 1.0, 0.0]
    apart = calibration.ratios(np.array([[0.5, 1.5, 2.5]]), np.array([[0.5, 3.0, 1.0]]))
    assert apart == pytest.approx(np.array([[1.0, 0.5, 2.5]]))


def test_the_coverage_curve_counts_ratios():
    sigmas, share, gaussian = calibration.coverage_curve(np.array([[0.05, 1.0, 2.95]]))
    assert share[sigmas == 0.0] == 0.0
    assert share[np.isclose(sigmas, 1.0)] == pytest.approx(2 / 3)
    assert share[-1] == 1.0
    assert gaussian[np.isclose(sigmas, 1.0)] == pytest.approx(0.6827, abs=1e-4)


def test_reliability_is_the_gap_of_confidence_and_rightness():
    confidence = np.repeat([0.95, 0.25], [100, 100])
    right = np.concatenate([np.arange(100) < 75, np.arange(100) < 25])
    found = calibration.reliability(confidence, right)
    assert found["expected_calibration_error"] == pytest.approx((0.2 * 100 + 0.0) / 200)
    assert found["bins"] == [
        [pytest.approx(0.25), pytest.approx(0.25), 100],
        [pytest.approx(0.95), pytest.approx(0.75), 100],
    ]


def test_the_confidence_curve_recovers_a_known_rise_and_never_falls():
    rng = np.random.default_rng(3)
    peaks = rng.uniform(0.0, 1.0, 50000)
    right = rng.random(50000) < peaks**2
    heights, probabilities = np.array(calibration.confidence_curve(peaks, right)).T
    assert (np.diff(heights) > 0).all() and (np.diff(probabilities) >= 0).all()
    assert (heights[0], probabilities[0]) == (0.0, 0.0)
    assert np.abs(probabilities - heights**2).max() < 0.03
    falling = rng.random(50000) < 1.0 - peaks
    pooled = calibration.confidence_curve(peaks, falling)
    assert len(pooled) == 2 and pooled[1][1] == pytest.approx(0.5, abs=0.02)


def test_lasting_errors_that_no_deviation_stated_are_found():
    rng = np.random.default_rng(1)
    stated = np.full((400, 21), 0.02)
    error = rng.normal(size=(400, 21, 3)) * 0.02
    assert calibration.missing_std(error, stated) == pytest.approx((0.0, 0.0), abs=0.006)
    error = error + rng.normal(size=(400, 21, 3)) * (0.05, 0.05, 0.12)
    across, along = calibration.missing_std(error, stated)
    assert across == pytest.approx(0.05, rel=0.15) and along == pytest.approx(0.12, rel=0.15)
    wider = np.hypot(stated[..., None], (across, across, along))
    found = calibration.coverage(calibration.ratios(error, wider))
    assert 0.67 < found["within_1_std"] < 0.75 and 0.94 < found["within_2_std"] < 0.98
    assert calibration.missing_std(error, wider) == pytest.approx((0.0, 0.0), abs=0.03)
    unknown = np.full((3, 21, 3), np.nan)
    assert calibration.missing_std(unknown, np.ones((3, 21))) == (0.0, 0.0)
