"""The fit over time: natural motion with a network's errors, and everything that goes wrong."""

import dataclasses

import numpy as np
import people
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from urdf_reader import link_transforms

from vnect_ros.body import kinematics as kin
from vnect_ros.body import urdf
from vnect_ros.camera import Camera
from vnect_ros.config import FilterConfig, FitConfig
from vnect_ros.fitting import Fitter
from vnect_ros.perception.filters import OneEuro
from vnect_ros.records import Calibration, Joints, JointState, State
from vnect_ros.skeleton import INDEX, JOINT_NAMES, MIRROR, PELVIS, bone_lengths

WRIST = INDEX["right_wrist"]
LEGS = [INDEX[s + n] for s in ("right_", "left_") for n in ("hip", "knee", "ankle", "toe")]
ARMS = [INDEX[s + n] for s in ("right_", "left_") for n in ("shoulder", "elbow", "wrist", "hand")]


def follow(person, joints, config=None, camera=people.CAMERA, fitter=None):
    """Fit a whole sequence; the fitter and its poses."""
    config = dataclasses.replace(config or FitConfig(), person_height=person.height_m)
    fitter = fitter or Fitter(config)
    return fitter, [fitter.update(t, j, camera) for t, j in zip(person.stamps_s(), joints)]


def filtered(person, joints):
    """K and P^L through the pipeline's 1-Euro filters."""
    c = FilterConfig()
    for_pixels = OneEuro(c.pixels_min_cutoff_hz, c.pixels_beta)
    for_local = OneEuro(c.local_min_cutoff_hz, c.local_beta)
    return [
        Joints(
            for_pixels.filter(t, j.pixels_px, unit=2.0),
            for_local.filter(t, j.root_relative_m, unit=0.1),
            j.confidence,
        )
        for t, j in zip(person.stamps_s(), joints)
    ]


def stack(poses, field="joints_camera_m"):
    return np.array([getattr(p, field) for p in poses])


@pytest.fixture(scope="module")
def walk():
    """A person walking, well seen: (person, fitter, poses)."""
    person = people.recorded("walk", 60)
    return person, *follow(person, people.seen(person, seed=1).joints)


@pytest.fixture
def tracked():
    """A fitter that has followed a waving person for a second, and the rest of the motion."""
    person = people.waving(seconds=3.0)
    seen = people.seen(person, seed=3, pixels=1.0, metres=0.01, outliers=0.0).joints
    fitter = Fitter(FitConfig(person_height=person.height_m, calibration_frames=10))
    poses = [fitter.update(t, j, people.CAMERA) for t, j in zip(person.stamps_s()[:30], seen)]
    return fitter, person, seen, poses


@pytest.mark.parametrize("name", people.CLIPS)
def test_natural_motion_with_realistic_noise(name):
    person = people.recorded(name, 120)
    seen = people.seen(person, seed=len(name))
    _, poses = follow(person, filtered(person, seen.joints))
    fitted, truth = stack(poses), person.joints_m
    assert all(p.state is State.MEASURED for p in poses)
    assert people.mpjpe_m(fitted, truth) < 0.85 * people.mpjpe_m(seen.raw_m, truth)
    raw_error = people.acceleration_error(seen.raw_m, person.relative_m(), person.fps)
    assert people.acceleration_error(fitted, truth, person.fps) < raw_error / 5.0
    distance = np.linalg.norm(truth[:, PELVIS], axis=1)
    off = np.linalg.norm(fitted[:, PELVIS] - truth[:, PELVIS], axis=1) / distance
    assert off.mean() < 0.05
    angles = stack(poses, "q")
    assert (angles >= kin.LOWER - 1e-9).all()
    assert (angles <= kin.UPPER + 1e-9).all()


def test_a_fast_wave_is_followed_without_much_delay():
    person = people.waving()
    seen = people.seen(person, seed=2)
    _, poses = follow(person, filtered(person, seen.joints))
    wrist = (stack(poses) - stack(poses)[:, [PELVIS]])[30:, WRIST]
    truth = person.relative_m()[:, WRIST]
    frames = np.arange(len(truth))

    def error(delay_s):
        at = frames[30:] - delay_s * person.fps
        late = np.stack([np.interp(at, frames, truth[:, i]) for i in range(3)], axis=1)
        return np.linalg.norm(wrist - late, axis=1).mean()

    delays = np.arange(-0.03, 0.15, 0.005)
    assert np.linalg.norm(np.diff(truth, axis=0), axis=1).max() * person.fps > 2.0
    assert delays[np.argmin([error(d) for d in delays])] < 0.035
    # The network's own bias shows in the width, over-smoothing would narrow it.
    assert np.ptp(wrist, axis=0).max() > 0.9 * np.ptp(truth[30:], axis=0).max()


def test_without_noise_the_person_is_found_to_centimetres():
    person = people.recorded("signals", 90)
    seen = people.seen(person, pixels=0.0, metres=0.0, outliers=0.0)
    _, poses = follow(person, seen.joints)
    fitted, truth = stack(poses), person.joints_m
    assert people.mpjpe_m(fitted[30:], truth[30:]) < 0.025
    off = np.linalg.norm(fitted[30:, PELVIS] - truth[30:, PELVIS], axis=1)
    assert (off < 0.03 * np.linalg.norm(truth[30:, PELVIS], axis=1)).all()


def test_all_that_is_published_comes_from_the_published_angles(walk):
    _, _, poses = walk
    for pose in poses:
        angles = dict(zip(pose.q_names, pose.q))
        links = link_transforms(urdf.urdf(pose.bone_lengths_m), angles)
        links = np.array([pose.transform_camera_from_body @ links[name] for name in JOINT_NAMES])
        assert np.abs(links[:, :3, 3] - pose.joints_camera_m).max() < 1e-6
        for link, quaternion in zip(links, pose.orientations_xyzw):
            rotation = kin.rotation_from_quaternion(quaternion)
            assert np.abs(rotation - link[:3, :3]).max() < 1e-6
        assert np.allclose(np.linalg.norm(pose.orientations_xyzw, axis=1), 1.0)
        assert np.allclose(bone_lengths(pose.joints_camera_m), pose.bone_lengths_m, atol=1e-6)
        assert pose.q_names == urdf.Q_NAMES


def test_velocities_are_those_of_the_motion(tracked):
    fitter, person, seen, _ = tracked
    stamps = person.stamps_s()
    poses = [fitter.update(stamps[i], seen[i], people.CAMERA) for i in range(30, 90)]
    points, stated = stack(poses), stack(poses, "velocities_mps")
    moved = (points[2:, WRIST] - points[:-2, WRIST]) * person.fps / 2.0
    assert np.linalg.norm(moved, axis=1).max() > 1.5
    stated = stated[1:-1, WRIST]
    assert (
        np.linalg.norm(stated - moved, axis=1).mean() < 0.45 * np.linalg.norm(moved, axis=1).mean()
    )
    assert np.corrcoef(stated.ravel(), moved.ravel())[0, 1] > 0.9


def test_bone_lengths_are_measured_once_and_kept():
    person = people.recorded("wave_crouch", 80)
    seen = people.seen(person, seed=4, outliers=0.0)
    config = FitConfig(person_height=person.height_m, calibration_frames=40)
    fitter, poses = follow(person, seen.joints, config)
    states = [p.calibration for p in poses]
    assert states[5] is Calibration.RUNNING
    assert states[50] is Calibration.DONE
    truth = urdf.symmetric(bone_lengths(person.joints_m).mean(axis=0))
    long = [INDEX["left_knee"], INDEX["left_ankle"], INDEX["neck"], INDEX["left_elbow"]]
    assert np.abs(poses[-1].bone_lengths_m[long] / truth[long] - 1.0).max() < 0.12
    assert np.array_equal(poses[-1].bone_lengths_m, poses[50].bone_lengths_m)
    assert poses[-1].height_m == pytest.approx(person.height_m)
    fitter.recalibrate()
    again = fitter.update(person.stamps_s()[-1] + 0.03, seen.joints[-1], people.CAMERA)
    assert again.state is State.MEASURED
    assert again.calibration is Calibration.DEFAULT


def test_a_brief_absence_is_bridged_and_a_long_one_loses_the_person(tracked):
    fitter, person, seen, _ = tracked
    start = person.stamps_s()[29]
    gone = [fitter.update(start + 0.04 * k, None, people.CAMERA) for k in range(1, 16)]
    bridged = [p for p in gone if p.state is State.PREDICTED]
    assert 12 <= len(bridged) <= 13
    spread = np.array([p.std_m for p in bridged])
    assert (np.diff(spread, axis=0) > 0.0).all()
    assert (np.diff(stack(bridged, "confidence"), axis=0) <= 0.0).all()
    assert (stack(bridged, "joint_states") == JointState.PREDICTED).all()
    lost = gone[-1]
    assert lost.state is State.LOST
    assert np.isnan(lost.joints_camera_m).all()
    assert np.isnan(lost.q).all()
    assert fitter.predicted_pixels(start + 1.0, people.CAMERA) is None
    back = fitter.update(start + 1.0, seen[59], people.CAMERA)
    assert back.state is State.MEASURED
    assert people.mpjpe_m(back.joints_camera_m, person.joints_m[59]) < 0.08


@pytest.mark.parametrize("absent", [12, 0], ids=["after an absence", "at once"])
def test_a_person_who_is_suddenly_elsewhere_is_no_jump(tracked, absent):
    fitter, person, seen, poses = tracked
    stamps = person.stamps_s()
    last, fastest = poses[-1].joints_camera_m, 0.0
    for i in range(30, 70):
        # 0.43 m to the side.
        moved = dataclasses.replace(seen[i], pixels_px=seen[i].pixels_px + (110.0, 0.0))
        pose = fitter.update(stamps[i], None if i < 30 + absent else moved, people.CAMERA)
        fastest = max(fastest, np.abs(pose.joints_camera_m - last)[PELVIS].max() * person.fps)
        last = pose.joints_camera_m
        assert pose.state is not State.LOST
    assert fastest < 3.5
    here = people.CAMERA.project(pose.joints_camera_m)[PELVIS]
    assert np.linalg.norm(here - moved.pixels_px[PELVIS]) < 20.0


def test_joints_that_are_not_seen_say_so(tracked):
    fitter, person, seen, poses = tracked
    stamps = person.stamps_s()
    before = poses[-1].std_m
    for i in range(30, 45):
        confidence = seen[i].confidence.copy()
        confidence[ARMS] = 0.0
        hidden = dataclasses.replace(seen[i], confidence=confidence)
        pose = fitter.update(stamps[i], hidden, people.CAMERA)
    assert pose.state is State.MEASURED
    assert (pose.joint_states[ARMS] == JointState.PREDICTED).all()
    assert (pose.joint_states[LEGS] == JointState.MEASURED).all()
    assert (pose.std_m[ARMS] > 1.5 * before[ARMS]).all()
    assert pose.std_m[LEGS].max() < 1.5 * before[LEGS].max()
    assert pose.confidence[WRIST] < 0.3 < pose.confidence[INDEX["left_knee"]]


@pytest.mark.parametrize("limbs", [LEGS, ARMS, LEGS + ARMS], ids=["legs", "arms", "all"])
def test_a_frame_with_left_and_right_exchanged_is_not_followed(tracked, limbs):
    fitter, person, seen, _ = tracked
    mirrored = [MIRROR[j] for j in limbs]
    pixels, local = seen[30].pixels_px.copy(), seen[30].root_relative_m.copy()
    pixels[limbs], local[limbs] = pixels[mirrored], local[mirrored]
    pose = fitter.update(
        person.stamps_s()[30], Joints(pixels, local, seen[30].confidence), people.CAMERA
    )
    error = np.linalg.norm(pose.joints_camera_m - person.joints_m[30], axis=1)
    assert error.max() < 0.25
    assert (pose.joint_states[limbs] == JointState.REJECTED).all()
    after = fitter.update(person.stamps_s()[31], seen[31], people.CAMERA)
    assert (after.joint_states == JointState.MEASURED).all()


def test_a_start_on_the_wrong_side_is_corrected_in_the_end():
    person = people.waving(seconds=3.0)
    seen = people.seen(person, seed=3, pixels=1.0, metres=0.01, outliers=0.0).joints
    mirror = list(MIRROR)
    wrong = [Joints(j.pixels_px[mirror], j.root_relative_m[mirror], j.confidence) for j in seen]
    _, poses = follow(person, wrong[:5] + seen[5:])
    assert people.mpjpe_m(poses[-1].joints_camera_m, person.joints_m[-1]) < 0.06
    step = np.linalg.norm(np.diff(stack(poses), axis=0), axis=-1).max() * person.fps
    assert step <= FitConfig().max_speed * 1.01


def test_a_frame_in_which_the_person_suddenly_is_nearer_is_not_followed(tracked):
    fitter, person, seen, poses = tracked
    centre = seen[30].pixels_px[PELVIS]
    nearer = (seen[30].pixels_px - centre) * 1.6 + centre
    pose = fitter.update(
        person.stamps_s()[30], dataclasses.replace(seen[30], pixels_px=nearer), people.CAMERA
    )
    moved = np.abs(pose.joints_camera_m - poses[-1].joints_camera_m)[PELVIS, 2]
    assert moved < 0.05
    assert (pose.joint_states == JointState.REJECTED).all()
    after = fitter.update(person.stamps_s()[31], seen[31], people.CAMERA)
    assert after.state is State.MEASURED
    assert people.mpjpe_m(after.joints_camera_m, person.joints_m[31]) < 0.06


def test_a_joint_whose_depth_jumps_for_a_frame_is_not_followed(tracked):
    fitter, person, seen, _ = tracked
    local = seen[30].root_relative_m.copy()
    local[[WRIST, INDEX["right_hand"]], 2] += 0.8
    pose = fitter.update(
        person.stamps_s()[30], dataclasses.replace(seen[30], root_relative_m=local), people.CAMERA
    )
    assert pose.joint_states[WRIST] == JointState.REJECTED
    assert np.linalg.norm(pose.joints_camera_m - person.joints_m[30], axis=1)[WRIST] < 0.2


def _bounds(poses, stamps):
    """Largest published speed and acceleration while the person is tracked."""
    speed = acceleration = 0.0
    velocity = None
    for (p, t), (n, u) in zip(zip(poses, stamps), zip(poses[1:], stamps[1:])):
        if State.LOST in (p.state, n.state):
            velocity = None
            continue
        now = (n.joints_camera_m - p.joints_camera_m) / (u - t)
        # Other bone lengths are no motion.
        if not np.array_equal(n.bone_lengths_m, p.bone_lengths_m):
            velocity = None
            continue
        speed = max(speed, np.linalg.norm(now, axis=1).max())
        if velocity is not None:
            acceleration = max(acceleration, np.linalg.norm(now - velocity, axis=1).max() / (u - t))
        velocity = now
    return speed, acceleration


def test_no_input_makes_the_person_move_faster_than_people_do():
    person = people.recorded("signals", 90)
    seen = people.seen(person, seed=5).joints
    rng = np.random.default_rng(6)
    wild = []
    for joints in seen:
        if rng.random() < 0.3:
            pixels = joints.pixels_px + rng.normal(0, 120, (21, 2))
            local = joints.root_relative_m + rng.normal(0, 0.5, (21, 3))
            joints = Joints(pixels, local, joints.confidence)
        wild.append(None if rng.random() < 0.1 else joints)
    # Tight bounds, so that they matter.
    config = FitConfig(max_speed=4.0, max_acceleration=80.0)
    _, poses = follow(person, wild, config)
    speed, acceleration = _bounds(poses, person.stamps_s())
    assert speed <= 4.0 * 1.01
    assert acceleration <= 80.0 * 1.02
    assert any((p.joint_states == JointState.LIMITED).any() for p in poses)


@pytest.mark.parametrize(("fps", "seconds"), [(10.0, 4.0), (120.0, 1.5)])
def test_other_frame_rates_do_as_well(fps, seconds):
    person = people.waving(seconds=seconds, fps=fps, hertz=0.5)
    seen = people.seen(person, seed=7)
    _, poses = follow(person, seen.joints)
    skip = int(fps / 2)
    fitted, truth = stack(poses)[skip:], person.joints_m[skip:]
    assert people.mpjpe_m(fitted, truth) < 0.85 * people.mpjpe_m(seen.raw_m[skip:], truth)
    off = np.linalg.norm(fitted[:, PELVIS] - truth[:, PELVIS], axis=1)
    assert off.mean() < 0.05 * 3.5


def test_a_camera_of_one_hertz_keeps_the_person():
    person = people.waving(seconds=8.0, fps=1.0)
    _, poses = follow(person, people.seen(person, seed=8).joints)
    assert {p.state for p in poses} == {State.MEASURED}
    assert people.mpjpe_m(stack(poses), person.joints_m) < 0.1


def test_frames_too_far_apart_are_not_one_track(tracked):
    fitter, _, seen, poses = tracked
    assert poses[-1].calibration is Calibration.DONE
    late = fitter.update(poses[-1].stamp_s + 2.5, seen[30], people.CAMERA)
    assert late.state is State.LOST
    again = fitter.update(poses[-1].stamp_s + 2.6, seen[31], people.CAMERA)
    assert again.state is State.MEASURED
    assert again.calibration is Calibration.DONE


def test_predicted_pixels_lead_to_where_the_person_is_next(tracked):
    fitter, person, _, _ = tracked
    ahead = fitter.predicted_pixels(person.stamps_s()[30], people.CAMERA)
    truth = people.CAMERA.project(person.joints_m[30])
    assert np.linalg.norm(ahead - truth, axis=1).mean() < 12.0


def test_another_height_moves_the_person_along_the_rays(tracked):
    fitter, person, seen, poses = tracked
    taller = FitConfig(person_height=person.height_m * 1.2, calibration_frames=10)
    fitter.configure(taller, FilterConfig())
    pose = fitter.update(person.stamps_s()[30], seen[30], people.CAMERA)
    assert pose.height_m == pytest.approx(person.height_m * 1.2)
    ratio = pose.joints_camera_m[PELVIS, 2] / poses[-1].joints_camera_m[PELVIS, 2]
    assert ratio == pytest.approx(1.2, abs=0.03)
    assert pose.residual_px < 15.0


def test_lens_distortion_is_honoured():
    bent = Camera(1280, 720, 700.0, 700.0, 640.0, 360.0, "plumb_bob", (-0.28, 0.07, 0, 0, 0))
    person = people.waving(seconds=1.0)
    shifted = dataclasses.replace(person, joints_m=person.joints_m + (1.9, 0.0, 0.0))
    seen = people.seen(shifted, camera=bent, pixels=0.0, metres=0.0, outliers=0.0)
    _, poses = follow(shifted, seen.joints, camera=bent)
    pose = poses[-1]
    assert np.linalg.norm(pose.joints_camera_m - shifted.joints_m[-1], axis=1).mean() < 0.1
    assert pose.residual_px < 6.0
    straight = dataclasses.replace(bent, distortion=())
    _, wrong = follow(shifted, seen.joints, camera=straight)
    assert np.linalg.norm(wrong[-1].joints_camera_m - shifted.joints_m[-1], axis=1).mean() > 0.1


def test_stated_deviations_cover_the_errors():
    ratios = []
    for name in people.CLIPS[:2]:
        person = people.recorded(name, 90)
        _, poses = follow(person, people.seen(person, seed=9).joints)
        error = stack(poses)[20:] - person.joints_m[20:]
        ratios.append(error / stack(poses, "std_axes_m")[20:])
    ratios = np.array(ratios)
    assert 0.5 < np.sqrt(np.mean(ratios**2)) < 1.5
    assert (np.abs(ratios) < 2.0).mean() > 0.88
    across, _, along = stack(poses, "std_axes_m").mean(axis=(0, 1))
    assert along > 1.3 * across


_numbers = st.one_of(st.floats(-5, 5), st.floats(allow_nan=True, allow_infinity=True, width=32))


@pytest.mark.parametrize("guessed", [False, True])
def test_feet_out_of_sight_are_where_they_are_guessed_and_known_as_badly_as_that(guessed):
    """Somebody sits before a camera that sees down to the hips, from the first frame on."""
    person = people.recorded("sit", 60)
    below = [INDEX[s + n] for s in ("right_", "left_") for n in ("knee", "ankle", "toe")]
    hidden = []
    for joints in people.seen(person, seed=7).joints:
        confidence = joints.confidence.copy()
        confidence[below] = 0.0
        pixels = joints.pixels_px.copy()
        pixels[below] = np.nan
        hidden.append(Joints(pixels, joints.root_relative_m, confidence, guessed))
    _, poses = follow(person, hidden)
    off_m = stack(poses) - person.joints_m
    relative_m = np.linalg.norm(off_m - off_m[:, 14:15], axis=-1)[20:, below]
    assert (relative_m.mean() < 0.12) == guessed
    assert (stack(poses, "joint_states")[:, below] != JointState.MEASURED).all()
    std_m = stack(poses, "std_m")[20:, below]
    assert std_m.min() > 0.2
    far_m = np.linalg.norm(off_m, axis=-1)[20:, below]
    assert (far_m < 2.0 * np.sqrt(3.0) * std_m).mean() > 0.9


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_any_input_gives_finite_poses_or_lost(data):
    fitter = Fitter(FitConfig(calibration_frames=2))
    person = people.waving(seconds=0.4)
    seen = people.seen(person, seed=10).joints
    stamp = 0.0
    for i in range(8):
        kind = data.draw(st.sampled_from(["good", "none", "wild", "mixed"]))
        joints = None if kind == "none" else seen[i]
        if kind in ("wild", "mixed"):
            rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
            scale = 10.0 ** data.draw(st.integers(-3, 12))
            pixels = joints.pixels_px + rng.normal(0, scale, (21, 2))
            local = joints.root_relative_m + rng.normal(0, scale, (21, 3))
            confidence = rng.uniform(-1, 2, 21)
            if kind == "mixed":
                spot = rng.integers(0, 21, 3)
                pixels[spot, 0] = data.draw(_numbers)
                local[spot, 1] = data.draw(_numbers)
                confidence[spot] = data.draw(_numbers)
            joints = Joints(pixels, local, confidence)
        stamp += data.draw(st.sampled_from([1e-6, 0.001, 0.033, 0.2, 1.5, 100.0]))
        pose = fitter.update(stamp, joints, people.CAMERA)
        if pose.state is State.LOST:
            assert np.isnan(pose.joints_camera_m).all()
            continue
        for field in ("joints_camera_m", "orientations_xyzw", "velocities_mps", "std_m", "q"):
            assert np.isfinite(getattr(pose, field)).all(), field
        assert ((pose.confidence >= 0.0) & (pose.confidence <= 1.0)).all()
        assert (pose.q >= kin.LOWER - 1e-9).all()
        assert (pose.q <= kin.UPPER + 1e-9).all()


def test_who_is_found_again_is_where_a_person_of_the_known_height_is(tracked):
    """A find is fitted at the assumed height; the former fitter knows another one."""
    known, person, seen, poses = tracked
    tall = Fitter(FitConfig(person_height=1.4 * person.height_m, calibration_frames=10))
    stamps = person.stamps_s()
    first = tall.update(stamps[30], seen[30], people.CAMERA)
    place_m, true_m = first.joints_camera_m[PELVIS], person.joints_m[30, PELVIS]
    assert np.linalg.norm(place_m) > 1.25 * np.linalg.norm(true_m)
    tall.inherit(known)
    after = tall.update(stamps[31], seen[31], people.CAMERA)
    assert after.height_m == pytest.approx(poses[-1].height_m)
    assert after.joints_camera_m[PELVIS] == pytest.approx(person.joints_m[31, PELVIS], abs=0.25)
    assert people.CAMERA.project(after.joints_camera_m) == pytest.approx(
        people.CAMERA.project(first.joints_camera_m), abs=40.0
    )
