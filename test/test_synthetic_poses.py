"""Poses, retargeting and motion: directions kept, sides right, feet still. NumPy alone."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vnect_ros.errors import ConfigError
from vnect_ros.skeleton import INDEX, MIRROR, bone_lengths
from vnect_ros.synthetic import motion, motion_synthesis, poses, retarget
from vnect_ros.synthetic.contact import penetration, segment_distance


def standing() -> np.ndarray:
    joints, chest = poses.trunk(0.0, 0.0, 0.0, np.eye(3))
    for side in ("right", "left"):
        poses.arm(joints, chest, side, poses.DOWN + [0.2, 0, 0], 0.2, 0.3)
        poses.leg(joints, side, 0.1, 0.05, 0.1, 0.2)
    return joints


def test_rotations_agree_with_scipy():
    rng = np.random.default_rng(0)
    for i in range(50):
        axis, angle, share = rng.normal(size=3), rng.uniform(-3, 3), rng.random()
        unit = axis / np.linalg.norm(axis)
        expected = Rotation.from_rotvec(unit * angle).as_matrix()
        np.testing.assert_allclose(retarget.about(axis, angle), expected, atol=1e-12)
        a, b = (Rotation.random(random_state=2 * i + k).as_matrix() for k in (0, 1))
        step = Rotation.from_matrix(a.T @ b).as_rotvec()
        expected = a @ Rotation.from_rotvec(share * step).as_matrix()
        np.testing.assert_allclose(retarget.between(a, b, share), expected, atol=1e-7)
    half_turn = retarget.between(np.eye(3), np.diag([-1.0, -1.0, 1.0]), 0.5)
    np.testing.assert_allclose(abs(half_turn[0, 1]), 1.0, atol=1e-9)
    np.testing.assert_allclose(retarget.between(np.eye(3), np.eye(3), 0.3), np.eye(3))


def test_swing_takes_source_to_target_and_no_further_than_its_limit():
    rng = np.random.default_rng(1)
    for _ in range(30):
        a, b = rng.normal(size=(2, 3))
        turned = retarget.swing(a, b) @ retarget.unit(a)
        np.testing.assert_allclose(turned, retarget.unit(b), atol=1e-9)
        limited = Rotation.from_matrix(retarget.swing(a, b, 0.2)).magnitude()
        assert limited <= 0.2 + 1e-9
    back = retarget.swing(np.array([0, 0, 1.0]), np.array([0, 0, -1.0]))
    np.testing.assert_allclose(back @ [0, 0, 1.0], [0, 0, -1.0], atol=1e-9)


def test_mirror_exchanges_sides_and_keeps_bones():
    joints = poses.sample_pose(np.random.default_rng(3)).joints_m
    other = motion.mirrored(joints)
    np.testing.assert_allclose(
        other[INDEX["left_wrist"]] * [-1, 1, 1], joints[INDEX["right_wrist"]]
    )
    np.testing.assert_allclose(bone_lengths(other)[list(MIRROR)], bone_lengths(joints), atol=1e-12)
    np.testing.assert_allclose(motion.mirrored(other), joints)


def test_the_standing_pose_faces_forward_with_its_sides_right():
    joints = standing()
    assert joints[INDEX["left_hip"], 0] > 0 > joints[INDEX["right_hip"], 0]
    assert joints[INDEX["left_wrist"], 0] > 0.1
    for side in ("right", "left"):
        toe, ankle = joints[INDEX[f"{side}_toe"]], joints[INDEX[f"{side}_ankle"]]
        assert toe[1] < ankle[1], "toes point forward, to -y"
        hip, knee = joints[INDEX[f"{side}_hip"]], joints[INDEX[f"{side}_knee"]]
        assert knee[1] < (hip[1] + ankle[1]) / 2, "knees bend forward"
    assert abs(motion.heading(joints)) < 1e-9


@pytest.mark.parametrize("kind", list(poses.KINDS))
def test_angled_poses_keep_every_bone(kind):
    rng = np.random.default_rng(5)
    lengths = bone_lengths(standing())
    for _ in range(20):
        joints = poses.angled_pose(rng, kind)
        np.testing.assert_allclose(bone_lengths(joints), lengths, atol=1e-9)
        for side in ("right", "left"):
            a, b, c = (joints[INDEX[f"{side}_{n}"]] for n in ("hip", "knee", "ankle"))
            bend = np.arccos(np.clip(retarget.unit(b - a) @ retarget.unit(c - b), -1, 1))
            assert bend < np.deg2rad(152), "a knee bends no further than a knee can"


def test_poses_depend_on_the_seed_alone():
    first = [poses.sample_pose(np.random.default_rng(i)).joints_m for i in range(6)]
    again = [poses.sample_pose(np.random.default_rng(i)).joints_m for i in range(6)]
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first[0], first[1])


def test_mixing_keeps_the_legs_of_one_and_the_arms_of_the_other():
    rng = np.random.default_rng(7)
    upper, lower = (poses.angled_pose(rng, kind) for kind in ("stand", "sit"))
    both = motion.mixed(upper, lower)
    legs = [INDEX[n] for n in ("pelvis", "right_knee", "left_toe")]
    np.testing.assert_array_equal(both[legs], lower[legs])
    np.testing.assert_allclose(bone_lengths(both), bone_lengths(upper), atol=1e-9)
    a, b = INDEX["left_wrist"], INDEX["right_wrist"]
    np.testing.assert_allclose(
        np.linalg.norm(both[a] - both[b]), np.linalg.norm(upper[a] - upper[b]), atol=1e-9
    )


def test_motion_is_read_into_a_right_handed_frame(tmp_path):
    """The capture's frame is left-handed: y forward, left at +x, z up."""
    joints = standing() * [1.0, -1.0, 1.0] * 1000.0
    np.savez(tmp_path / "m.npz", walk_1=np.stack([joints] * 3).astype(np.float16),
             test__walk_2=np.stack([joints] * 2).astype(np.float16))  # fmt: skip
    clips = motion.load_motion(tmp_path / "m.npz", held_out=False)
    assert list(clips) == ["walk_1"]
    np.testing.assert_allclose(clips["walk_1"][1], standing(), atol=1e-3)
    assert list(motion.load_motion(tmp_path / "m.npz", held_out=True)) == ["test__walk_2"]
    with pytest.raises(ConfigError, match=r"missing\.npz"):
        motion.load_motion(tmp_path / "missing.npz")
    np.savez(tmp_path / "bad.npz", odd=np.zeros((4, 20, 3)))
    with pytest.raises(ConfigError, match="odd"):
        motion.load_motion(tmp_path / "bad.npz")


def test_segment_distance_and_penetration():
    zero, x, y, z = np.zeros((1, 3)), *np.eye(3)[:, None]
    crossing = segment_distance(-x, x, z - y, z + y)
    np.testing.assert_allclose(crossing, 1.0)
    np.testing.assert_allclose(segment_distance(zero, x, 3 * x, 4 * x), 2.0)
    free = standing()
    assert penetration(free, 1.7) < 0.4
    through = free.copy()
    through[INDEX["right_wrist"]] = (free[INDEX["pelvis"]] + free[INDEX["neck"]]) / 2
    assert penetration(through, 1.7) > 0.5


def test_bent_legs_reach_their_feet_with_their_own_bones():
    before = np.stack([standing()] * 4)
    sunk = before.copy()
    upper = [j for j in range(21) if not any(j in foot[1:] for foot in motion_synthesis._FEET)]
    sunk[:, upper, 2] -= np.linspace(0, 0.4, 4)[:, None]
    result = motion_synthesis.bent(sunk, before)
    np.testing.assert_allclose(bone_lengths(result), bone_lengths(before), atol=2e-3)
    ankles = [INDEX["right_ankle"], INDEX["left_ankle"]]
    np.testing.assert_allclose(result[:, ankles], before[:, ankles], atol=2e-3)
    assert (result[3, INDEX["right_knee"], 1] < before[3, INDEX["right_knee"], 1] - 0.1).all()


def test_a_stride_is_as_long_as_the_bearing_foot_goes_back():
    """Legs that swing evenly: each foot goes back 0.6 m while it bears, and there are two."""
    frames = 40
    saw = np.concatenate([np.linspace(-0.3, 0.3, frames // 2, endpoint=False),
                          np.linspace(0.3, -0.3, frames // 2, endpoint=False)])  # fmt: skip
    cycle = np.stack([standing()] * frames)
    for side, path in (("right", saw), ("left", np.roll(saw, frames // 2))):
        for name in ("ankle", "toe"):
            cycle[:, INDEX[f"{side}_{name}"], 1] += path
    assert motion_synthesis.stride_m(cycle) == pytest.approx(1.2, rel=0.02)
    np.testing.assert_allclose(
        motion_synthesis.sampled_cycle(cycle, np.array([0.0, 1.0, 2.25]))[1], cycle[0]
    )
