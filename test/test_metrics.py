"""The protocols of evaluation, held to values worked out by hand."""

import numpy as np
import pytest

from vnect_ros import skeleton
from vnect_ros.datasets import lspet
from vnect_ros.errors import VnectError
from vnect_ros.evaluation import metrics, pck


@pytest.fixture
def body() -> np.ndarray:
    """[4, 21, 3] frames of a body that is no straight line."""
    return np.random.default_rng(5).normal(size=(4, 21, 3))


def _moved(body: np.ndarray, joint: str, by: tuple[float, float, float]) -> np.ndarray:
    moved = body.copy()
    moved[:, skeleton.INDEX[joint]] += by
    return moved


def test_a_perfect_prediction_scores_its_bounds(body):
    errors = metrics.joint_errors(body, body)
    assert metrics.pck3d(errors) == 1.0
    assert metrics.auc(errors) == pytest.approx(30 / 31)
    assert metrics.mpjpe(body, body) == 0.0


def test_an_error_of_the_threshold_is_no_hit():
    assert metrics.pck3d(np.array([0.1499, 0.150, 0.1501])) == pytest.approx(1 / 3)
    assert metrics.pck3d(np.array([0.0]), 0.0) == 0.0


def test_auc_counts_the_thresholds_above_the_error():
    # 0.0525 m: missed at 0, 5, ..., 50 mm, met at 55, ..., 150 mm.
    assert metrics.auc(np.array([0.0525])) == pytest.approx(20 / 31)
    assert len(metrics.AUC_THRESHOLDS_M) == 31


def test_mpjpe_is_root_relative_and_over_the_protocols_joints(body):
    assert metrics.mpjpe(body + [3.0, -2.0, 1.0], body) == pytest.approx(0.0, abs=1e-12)
    knee_off = _moved(body, "right_knee", (0.0, 0.3, 0.4))
    assert metrics.mpjpe(knee_off, body) == pytest.approx(0.5 / 14)
    assert metrics.mpjpe(knee_off, body, metrics.JOINTS_17) == pytest.approx(0.5 / 17)
    root_off = _moved(body, "pelvis", (0.0, 0.3, 0.4))
    assert metrics.mpjpe(root_off, body) == pytest.approx(0.5)
    assert metrics.mpjpe(root_off, body, metrics.JOINTS_17) == pytest.approx(0.5 * 16 / 17)
    assert metrics.mpjpe(_moved(body, "left_toe", (1.0, 0.0, 0.0)), body) == 0.0


def test_invalid_frames_and_joints_do_not_count(body):
    predicted = _moved(body, "neck", (0.0, 0.0, 0.14))
    predicted[1] = np.nan
    predicted[2, skeleton.INDEX["left_wrist"]] = np.nan
    assert metrics.mpjpe(predicted, body) == pytest.approx(3 * 0.14 / (14 + 13 + 14))
    summary = metrics.summary_3d(predicted, body)
    assert summary["n"] == 3
    assert summary["pck3d_150"] == 1.0
    nothing = np.full_like(body, np.nan)
    assert np.isnan(metrics.mpjpe(nothing, body)) and np.isnan(metrics.pa_mpjpe(nothing, body))
    assert metrics.summary_3d(nothing, body)["n"] == 0


def test_procrustes_takes_out_a_similarity_but_no_reflection(body):
    angle = 2.0
    rotation = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    assert metrics.pa_mpjpe(0.3 * body @ rotation + [5.0, 0.0, 1.0], body) < 1e-12
    assert metrics.pa_mpjpe(body * [-1.0, 1.0, 1.0], body) > 0.1


def test_procrustes_of_known_triangles():
    # Truth: an isosceles triangle of height 3; prediction: flattened to the base, so
    # that the best scale of the collinear points is 1 and the apex stays 3 away from
    # the base: centroid-aligned residuals are 1 (twice) and 2.
    truth = np.array([[[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 3.0, 0.0]]])
    flat = truth * [1.0, 0.0, 1.0]
    aligned = metrics.similarity_aligned(flat, truth)
    # Rotating the flat pair towards the apex direction cannot help: y is even in x.
    residual = np.linalg.norm(aligned - truth, axis=-1)[0]
    assert residual == pytest.approx([1.0, 1.0, 2.0])
    point = metrics.similarity_aligned(np.zeros_like(truth), truth)
    assert np.allclose(point, truth.mean(axis=1, keepdims=True))


def test_root_error_total_and_by_axis():
    truth = np.zeros((3, 3))
    predicted = np.array([[0.3, 0.0, -0.4], [-0.3, 0.0, 0.4], [np.nan, 0.0, 0.0]])
    total, axes = metrics.mrpe(predicted, truth)
    assert total == pytest.approx(0.5)
    assert axes == pytest.approx([0.3, 0.0, 0.4])


def test_acceleration_and_jitter_of_polynomials(body):
    seconds = np.arange(8)[:, None, None] / 25.0
    still = np.repeat(body[:1], 8, axis=0)
    direction = np.array([0.0, 0.6, 0.8])
    falling = still + 0.5 * 9.81 * seconds**2 * direction
    assert metrics.acceleration_error(falling, still, 25.0) == pytest.approx(9.81)
    assert metrics.acceleration_error(still + 4.0 * seconds * direction, still, 25.0) < 1e-9
    assert metrics.jitter(falling, 25.0) < 1e-6
    assert metrics.jitter(still + seconds**3 * direction, 25.0) == pytest.approx(6.0)


def test_a_gap_in_a_clip_is_left_out_of_its_differences(body):
    still = np.repeat(body[:1], 9, axis=0)
    gap = still.copy()
    gap[4] = np.nan
    assert metrics.acceleration_error(gap, still, 30.0) == 0.0
    gap[5:] += 1.0  # a jump across the gap is not seen
    assert metrics.acceleration_error(gap, still, 30.0) < 1e-9


def test_bootstrap_draws_images():
    assert metrics.bootstrap_interval(np.full(20, 3.0), np.full(20, 4.0)) == (0.75, 0.75)
    hits = np.repeat([0.0, 10.0], 50)
    low, high = metrics.bootstrap_interval(hits, np.full(100, 10.0))
    # A share of one half over 100 independent images: 0.5 -+ 1.96 * 0.05.
    assert low == pytest.approx(0.402, abs=0.03) and high == pytest.approx(0.598, abs=0.03)
    assert np.isnan(metrics.bootstrap_interval(np.zeros(3), np.zeros(3))[0])


def test_shapes_are_refused_by_name(body):
    with pytest.raises(VnectError, match="prediction"):
        metrics.mpjpe(body[:2], body)
    with pytest.raises(VnectError, match="predictions_px"):
        pck.pck(np.zeros((2, 13, 2)), np.zeros((2, 14, 3)))
    with pytest.raises(VnectError, match="joints14"):
        pck.pck(np.zeros((2, 14, 2)), np.zeros((3, 14, 3)))


def _crops(n: int) -> np.ndarray:
    """[n, 14, 3] all visible, left shoulder to right hip exactly 100 px."""
    joints = np.zeros((n, 14, 3))
    joints[..., 0] = 10.0 * np.arange(14)
    joints[..., 2] = 1.0
    joints[:, lspet.JOINTS.index("right_hip"), :2] = (0.0, 0.0)
    joints[:, lspet.JOINTS.index("left_shoulder"), :2] = (60.0, 80.0)
    return joints


def test_pck_by_the_torso_strictly_below_over_limbs():
    truth = _crops(1)
    predicted = truth[..., :2].copy()
    predicted[0, 0, 1] += 20.0  # exactly 0.2 torsos: no hit
    predicted[0, 1, 1] += 19.9
    predicted[0, 5, 1] += 50.0  # exactly 0.5 torsos: no hit
    predicted[0, 13] = np.nan  # head top: not among the limbs
    found = pck.pck(predicted, truth)
    assert found["pck02"] == pytest.approx(10 / 12)
    assert found["pck05"] == pytest.approx(11 / 12)
    assert found["pck02_14"] == pytest.approx(11 / 14)
    assert found["n"] == found["n_strict"] == 1


def test_invisible_joints_do_not_count_and_the_strict_rule_needs_the_torso():
    truth = _crops(2)
    truth[0, 4, 2] = 0.0  # an invisible knee
    truth[1, lspet.JOINTS.index("left_shoulder"), 2] = 0.0
    predicted = truth[..., :2].copy()
    predicted[0, 4] += 500.0
    predicted[1, :12] += 500.0
    found = pck.pck(predicted, truth)
    assert found["pck02_strict"] == 1.0 and found["n_strict"] == 1 and found["n"] == 2
    assert found["pck02"] == pytest.approx(11 / (11 + 11))


def test_vnect_joints_are_read_in_the_order_of_the_annotation():
    truth = _crops(1)
    joints21 = np.full((1, 21, 2), np.nan)
    joints21[:, list(lspet.TO_VNECT)] = truth[..., :2]
    assert pck.pck(joints21, truth)["pck02_14"] == 1.0
    named = [skeleton.JOINT_NAMES[i] for i in lspet.TO_VNECT]
    assert named == list(lspet.JOINTS)


def test_swapped_legs_are_named_and_undone():
    truth = _crops(3)
    rng = np.random.default_rng(1)
    truth[:, :, :2] += rng.uniform(-3, 3, truth[..., :2].shape)
    truth[:, 5, :2] += (0.0, 90.0)
    predicted = truth[..., :2].copy()
    legs = [0, 1, 2, 3, 4, 5]
    predicted[0, legs] = truth[0, legs[::-1], :2]
    joints = pck.by_joint(predicted, truth)
    assert joints["left_ankle"]["swapped"] == pytest.approx(1 / 3)
    assert joints["left_ankle"]["pck02"] == pytest.approx(2 / 3)
    assert joints["ankles"]["n"] == 6
    assert joints["left_wrist"]["swapped"] == 0.0
    assert pck.pck(pck.unswapped(predicted, truth), truth)["pck02"] == 1.0
