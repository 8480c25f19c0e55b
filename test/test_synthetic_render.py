"""Synthetic people, rendered: labels exactly where the body is, sides right, seed for seed."""

import numpy as np
import pytest

from vnect_ros.errors import BackendError
from vnect_ros.skeleton import (  # fmt: skip
    INDEX,
    JOINT_NAMES,
    MIRROR,
    NORMALISED_KNEE_NECK_M,
    PELVIS,
    knee_neck_length,
)

pytest.importorskip("anny", reason="the synthetic people need anny (requirements/train.txt)")
pytest.importorskip("moderngl", reason="rendering needs moderngl (requirements/train.txt)")

from vnect_ros.datasets.shards import LABELS, Shards, ShardWriter
from vnect_ros.synthetic import generate, motion, poses, scenery
from vnect_ros.synthetic.appearance import sample_look
from vnect_ros.synthetic.bodies import PARTS, body_model, sample_phenotypes
from vnect_ros.synthetic.cameras import ideal_camera, look_at
from vnect_ros.synthetic.render import Renderer
from vnect_ros.synthetic.retarget import bone_rotations
from vnect_ros.synthetic.scene import Scene, View, dress
from vnect_ros.synthetic.visibility import hidden

SIZE = 192


@pytest.fixture(scope="module")
def model():
    return body_model()


@pytest.fixture(scope="module")
def renderer(model):
    try:
        renderer = Renderer(model, SIZE, SIZE)
    except BackendError as error:
        pytest.skip(str(error))
    yield renderer
    renderer.release()


@pytest.fixture(scope="module")
def generator(renderer):
    return generate.Generator(size=128)


def stand_up(model, kind="stand", seed=0, height_m=1.75):
    """A person at the origin with its joints, and the body's shape."""
    rng = np.random.default_rng(seed)
    phenotypes, _ = sample_phenotypes(rng)
    shape = model.shape(phenotypes, height_m)
    rotations = bone_rotations(model, shape, poses.angled_pose(rng, kind))
    joints, transforms = model.pose(shape, rotations)
    person = dress(model, shape, sample_look(rng, 0.0), transforms, np.eye(4))
    return person, joints, shape


def front_view(far_m=3.2, size=SIZE):
    """A camera that looks at the front (-y) of a person at the origin."""
    transform = look_at(np.array([0.0, -far_m, 0.3]), np.array([0.0, 0.0, 0.0]))
    return View(ideal_camera(size, size, 40.0), transform)


def test_a_body_has_its_height_its_sides_and_its_symmetry(model):
    shape = model.shape({"gender": 0.3, "age": 0.7}, 1.8)
    assert shape.height_m == pytest.approx(1.8)
    joints = shape.joints_m
    np.testing.assert_allclose(joints[list(MIRROR)] * [-1, 1, 1], joints, atol=0.012)
    assert joints[INDEX["left_hip"], 0] > 0.05
    assert joints[INDEX["left_toe"], 1] < joints[INDEX["left_ankle"], 1]
    order = ("left_ankle", "left_knee", "pelvis", "spine", "neck", "head", "head_top")
    heights = [joints[INDEX[name], 2] for name in order]
    assert heights == sorted(heights)
    vertices = shape.vertices_m[model.meshes["body"].vertices]
    np.testing.assert_allclose(joints[INDEX["head_top"], 2], vertices[:, 2].max(), atol=0.01)


def test_joints_lie_inside_the_body(model):
    shape = model.shape({}, 1.7)
    vertices = shape.vertices_m[model.meshes["body"].vertices]
    for name in ("elbow", "wrist", "knee", "ankle"):
        joint = shape.joints_m[INDEX[f"left_{name}"]]
        near = vertices[np.linalg.norm(vertices - joint, axis=1) < 0.11] - joint
        for axis in range(3):
            assert near[:, axis].min() < -0.01 < 0.01 < near[:, axis].max(), (name, axis)


def test_the_rest_pose_skins_to_itself(model):
    shape = model.shape({}, 1.7)
    still = np.tile(np.eye(3), (len(model.bones), 1, 1))
    joints, transforms = model.pose(shape, still)
    np.testing.assert_allclose(joints, shape.joints_m, atol=1e-9)
    at = model.meshes["body"].vertices
    skinned = model.skin(shape.vertices_m[at], at, transforms)
    np.testing.assert_allclose(skinned, shape.vertices_m[at], atol=1e-5)


@pytest.mark.parametrize("kind", ["stand", "sit", "crouch", "kick"])
def test_retargeting_keeps_the_directions_of_the_limbs(model, kind):
    rng = np.random.default_rng(4)
    shape = model.shape({"weight": 0.7, "proportions": 0.2}, 1.6)
    for _ in range(6):
        source = poses.angled_pose(rng, kind)
        joints, _ = model.pose(shape, bone_rotations(model, shape, source))
        for side in ("right", "left"):
            for a, b in (
                ("shoulder", "elbow"),
                ("elbow", "wrist"),
                ("hip", "knee"),
                ("knee", "ankle"),
            ):
                one, two = (
                    p[INDEX[f"{side}_{b}"]] - p[INDEX[f"{side}_{a}"]] for p in (source, joints)
                )
                cosine = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
                assert cosine > np.cos(np.deg2rad(1.0)), (side, a, b)
        hips = joints[INDEX["left_hip"]] - joints[INDEX["right_hip"]]
        wanted = source[INDEX["left_hip"]] - source[INDEX["right_hip"]]
        # the spine has the say: a leaning trunk tilts the hips a little
        assert hips @ wanted / np.linalg.norm(hips) / np.linalg.norm(wanted) > 0.99


def test_a_mirrored_pose_gives_a_mirrored_body(model):
    shape = model.shape({}, 1.7)
    source = poses.angled_pose(np.random.default_rng(2), "lunge")
    one, _ = model.pose(shape, bone_rotations(model, shape, source))
    other, _ = model.pose(shape, bone_rotations(model, shape, motion.mirrored(source)))
    # shoulders differ by the capture's own lopsided build
    legs = [INDEX[f"{s}_{n}"] for s in ("right", "left") for n in ("hip", "knee", "ankle", "toe")]
    np.testing.assert_allclose(motion.mirrored(other)[legs], one[legs], atol=0.015)


def test_the_picture_shows_the_body_where_it_projects(model, renderer):
    person, _, _ = stand_up(model)
    view = front_view()
    picture = renderer.draw(
        Scene((person,), (), scenery.sample_lighting(np.random.default_rng(0))), view
    )
    pixels, camera = view.project(person.layers[0][1].astype(float))
    rows, columns = np.nonzero(picture.part)
    assert abs(columns.min() - pixels[:, 0].min()) < 1.5
    assert abs(columns.max() - pixels[:, 0].max()) < 1.5
    assert abs(rows.min() - pixels[:, 1].min()) < 1.5
    assert abs(rows.max() - pixels[:, 1].max()) < 1.5
    near = picture.depth_m[picture.part > 0]
    assert abs(near.min() - camera[:, 2].min()) < 0.02
    assert picture.colour[picture.part == 0].max() == 0
    assert picture.colour[picture.part > 0].max() > 40


def test_left_is_left_and_parts_lie_at_their_joints(model, renderer):
    person, joints, _ = stand_up(model, seed=3)
    view = front_view()
    picture = renderer.draw(
        Scene((person,), (), scenery.sample_lighting(np.random.default_rng(0))), view
    )
    pixels, _ = view.project(joints)
    assert pixels[INDEX["left_hip"], 0] > pixels[INDEX["right_hip"], 0], "seen from the front"
    for name, part in (("left_knee", "left_"), ("right_knee", "right_"), ("left_ankle", "left_"),
                       ("right_ankle", "right_"), ("head", "head")):  # fmt: skip
        x, y = pixels[INDEX[name]].round().astype(int)
        assert PARTS[picture.part[y, x]].startswith(part), name


def test_hidden_joints_are_those_behind_something(model, renderer):
    person, joints, shape = stand_up(model, seed=3)
    view = front_view()
    light = scenery.sample_lighting(np.random.default_rng(0))
    picture = renderer.draw(Scene((person,), (), light), view)
    pixels, camera = view.project(joints)
    free = hidden(pixels, camera, picture, shape.height_m)
    for name in ("left_knee", "right_knee", "left_ankle", "head", "neck", "left_hip"):
        assert not free[INDEX[name]], name
    # a board before the person's left half, from the hips down
    board = scenery._solid(
        np.random.default_rng(1), scenery.box([0.55, -1.0, -0.6], [1.0, 0.02, 0.9])
    )
    picture = renderer.draw(Scene((person,), (board,), light), view)
    covered = hidden(pixels, camera, picture, shape.height_m)
    for name in ("left_knee", "left_ankle", "left_toe"):
        assert covered[INDEX[name]], name
    for name in ("right_knee", "right_ankle", "head", "neck"):
        assert not covered[INDEX[name]], name
    x, y = pixels[INDEX["left_knee"]].round().astype(int)
    assert picture.part[y, x] == 0 and picture.depth_m[y, x] < camera[INDEX["left_knee"], 2]
    # and from behind, the hands that the trunk hides
    back = View(view.camera, look_at(np.array([0, 3.2, 0.3]), np.zeros(3)))
    clasped, posed = _hands_before_the_belly(model, shape)
    picture = renderer.draw(Scene((clasped,), (), light), back)
    hands = hidden(*back.project(posed), picture, shape.height_m)
    assert hands[INDEX["left_hand"]] and hands[INDEX["right_hand"]]
    assert not hands[INDEX["left_knee"]] and not hands[INDEX["neck"]]


def _hands_before_the_belly(model, shape):
    joints, _ = poses.trunk(0, 0, 0, np.eye(3))
    for side in ("right", "left"):
        sign = -1.0 if side == "right" else 1.0
        pole = np.array([sign * 0.7, 0.3, -0.6])
        poses.reach(joints, side, np.array([sign * 0.05, -0.22, 0.2]), pole,
                    np.array([-sign, 0.0, 0.0]))  # fmt: skip
        poses.leg(joints, side, 0.05, 0.05, 0.1, 0.05)
    posed, transforms = model.pose(shape, bone_rotations(model, shape, joints))
    look = sample_look(np.random.default_rng(0), 0.0)
    return dress(model, shape, look, transforms, np.eye(4)), posed


def test_samples_depend_on_the_seed_alone(generator, renderer):
    once = {seed: generator.sample(seed) for seed in (11, 4, 12)}
    other = generate.Generator(size=128)
    for seed in (12, 11):
        again = other.sample(seed)
        for key in ("image", *LABELS):
            np.testing.assert_array_equal(again[key], once[seed][key], err_msg=f"{seed} {key}")
    assert not np.array_equal(once[11]["image"], once[12]["image"])
    apart = generate.Generator(generate.Sources(held_out=True), 128).sample(11)
    assert not np.allclose(apart["joints_camera_m"], once[11]["joints_camera_m"])


def test_labels_agree_with_an_independent_projection(generator):
    truncated = 0
    for seed in range(20, 32):
        sample = generator.sample(seed)
        points, k = sample["joints_camera_m"].astype(float), sample["k_crop"].astype(float)
        homogeneous = (k @ points.T).T
        pixels = homogeneous[:, :2] / homogeneous[:, 2:]
        np.testing.assert_allclose(sample["joints_px"], pixels, atol=0.02, rtol=1e-4)
        inside = ((pixels > -0.5) & (pixels < 127.5)).all(axis=1)
        assert not sample["visible"][~inside].any(), "truncated joints have no weight"
        truncated += int((~inside).sum())
        assert not (sample["occluded"] * (1 - sample["visible"])).any()
        # the crop-ray frame: z through the crop's centre, turned the shortest way
        ray = np.linalg.solve(k, [63.5, 63.5, 1.0])
        ray /= np.linalg.norm(ray)
        axis = np.cross([0, 0, 1.0], ray)
        c = ray[2]
        skew = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
        turn = np.eye(3) + skew + skew @ skew / (1 + c)
        np.testing.assert_allclose(turn @ [0, 0, 1.0], ray, atol=1e-9)
        scale = NORMALISED_KNEE_NECK_M / knee_neck_length(points)
        expected = (turn.T @ (points - points[PELVIS]).T).T * scale
        np.testing.assert_allclose(sample["joints_m"], expected, atol=2e-4)
        assert knee_neck_length(sample["joints_m"].astype(float)) == pytest.approx(0.92, abs=1e-3)
        assert (points[:, 2] > 0.1).all() and 0.6 < sample["height_m"] < 2.2
    assert truncated > 0, "some of these people leave the picture"


def test_every_sample_shows_somebody(generator):
    for seed in range(40, 52):
        sample = generator.sample(seed)
        assert sample["visible"].sum() >= 5
        assert sample["image"].shape == (128, 128, 3) and sample["image"].dtype == np.uint8
        at = sample["joints_px"][sample["visible"] > 0].round().astype(int).clip(0, 127)
        assert sample["image"][at[:, 1], at[:, 0]].max() > 0


def test_rendered_samples_through_shards(generator, tmp_path):
    writer = ShardWriter(tmp_path, "train", size=2)
    samples = [generator.sample(seed) for seed in (60, 61)]
    for sample in samples:
        writer.add(sample)
    for read, sample in zip(Shards(tmp_path, "train"), samples):
        np.testing.assert_array_equal(read["joints_m"], sample["joints_m"])
        assert np.abs(read["image"].astype(float) - sample["image"]).mean() < 6
    assert len(JOINT_NAMES) == len(read["joints_px"])
