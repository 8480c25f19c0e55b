"""Samples: layouts, crops, augmentation, mixture and targets against first principles."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

import training_fixtures as made  # noqa: E402
from test_people import write_nobody, write_people  # noqa: E402

from vnect_ros.camera import Camera  # noqa: E402
from vnect_ros.datasets import human36m, mpi_inf_3dhp, mpii, windows  # noqa: E402
from vnect_ros.datasets.cropping import Truth, crop_ray_labels, crop_sample  # noqa: E402
from vnect_ros.datasets.lspet import TO_VNECT, Lspet, read_labels  # noqa: E402
from vnect_ros.datasets.sample import Sample, inside, mirrored  # noqa: E402
from vnect_ros.datasets.teachers import vnect_joints  # noqa: E402
from vnect_ros.errors import VnectError  # noqa: E402
from vnect_ros.evaluation import pck  # noqa: E402
from vnect_ros.learning import augmentation, targets  # noqa: E402
from vnect_ros.learning.mixture import Mixture, collate  # noqa: E402
from vnect_ros.learning.validation import read_output  # noqa: E402
from vnect_ros.perception.crop import cut  # noqa: E402
from vnect_ros.records import Crop  # noqa: E402
from vnect_ros.skeleton import INDEX, MIRROR, PARENTS, knee_neck_length  # noqa: E402


def weak_sample(size: int = 64, focal_px: float = 0.0) -> Sample:
    """A stick figure seen from afar: pixels are a multiple of metres."""
    joints_m = made.STANDING_M.astype(np.float32)
    joints_px = (joints_m[:, :2] * size * 0.36 + (size - 1) / 2).astype(np.float32)
    ones = np.ones(21, np.float32)
    return Sample(made.picture(joints_px, size, size), joints_px, ones, joints_m, ones, focal_px)


def test_a_mirrored_mirror_image_is_the_image():
    sample = weak_sample()
    once = mirrored(sample)
    assert not np.allclose(once.joints_px, sample.joints_px)
    twice = mirrored(once)
    for name in ("image", "joints_px", "joints_m", "visible"):
        np.testing.assert_allclose(getattr(twice, name), getattr(sample, name), atol=1e-4)


def test_a_mirrored_person_keeps_left_and_right():
    """The mirror image of a right wrist is a left wrist, at the mirrored place."""
    sample = weak_sample()
    once = mirrored(sample)
    for joint in range(21):
        expected = [63 - sample.joints_px[MIRROR[joint], 0], sample.joints_px[MIRROR[joint], 1]]
        np.testing.assert_allclose(once.joints_px[joint], expected, atol=1e-4)


@pytest.mark.parametrize("mirror", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_augmented_joints_stay_on_the_person(seed, mirror):
    """From afar pixels are a multiple of metres; any rotation, scale, mirror must keep that."""
    sample = weak_sample(128)
    how = augmentation.Augmentation(colour=0, occlusion=0, fill=0, upside_down=0.5, mirror=mirror)
    out = augmentation.augment(np.random.default_rng(seed), how, sample, 96)
    flat, pixels = out.joints_m[:, :2], out.joints_px - out.joints_px[INDEX["pelvis"]]
    scale = (flat * pixels).sum() / (flat * flat).sum()
    np.testing.assert_allclose(pixels, scale * (flat - flat[INDEX["pelvis"]]), atol=0.01)
    assert out.image.shape == (96, 96, 3)
    # drawn red is the person's right side, and in a mirror the left
    for name, red in (("right_knee", mirror == 0), ("left_knee", mirror == 1)):
        x, y = out.joints_px[INDEX[name]].round().astype(int)
        if 2 <= x < 94 and 2 <= y < 94:
            seen = out.image[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).astype(int)
            more = seen[:, 0] - seen[:, 2]
            assert more.max() > 60 if red else more.min() < -60


def test_a_sample_is_a_function_of_its_seed():
    how = augmentation.Augmentation()
    a, b = (
        augmentation.augment(np.random.default_rng(5), how, weak_sample(), 64) for _ in range(2)
    )
    np.testing.assert_array_equal(a.image, b.image)
    np.testing.assert_array_equal(a.joints_px, b.joints_px)


def test_joints_that_leave_the_crop_are_known_to_be_nowhere_in_it():
    sample = weak_sample()
    affine = np.array([[1.0, 0, 40], [0, 1.0, 0]])
    joints_px, visible, joints_m, _ = augmentation.warp_joints(sample, affine, 64)
    left = INDEX["left_wrist"]
    assert joints_px[left, 0] > 64 and visible[left] == 1 and visible[INDEX["right_wrist"]] == 1
    heat = targets.heatmaps(torch.from_numpy(joints_px)[None], 8, 8.0, 9.0)
    assert heat[0, left].max() < 0.2 and heat[0, INDEX["right_wrist"]].max() > 0.8
    np.testing.assert_allclose(joints_m, sample.joints_m, atol=1e-6)
    # in a validation they do not count, and from beyond the edge nothing comes into view
    gone = dataclasses.replace(sample, joints_px=joints_px, visible=visible)
    assert augmentation.plain(gone, 64).visible[left] == 0
    back = np.array([[1.0, 0, -40], [0, 1.0, 0]])
    assert augmentation.warp_joints(gone, back, 64)[1][left] == 0


CAMERA = Camera(320, 240, 500, 500, 160, 120)


def centred(x: float, y: float, edge: float, size: int) -> Crop:
    return Crop(x - (edge - 1) / 2, y - (edge - 1) / 2, edge, size)


def camera_truth(offset=(0.5, -0.2, 4.0)) -> Truth:
    joints = made.STANDING_M + np.array(offset)
    return Truth(made.project(joints), np.ones(21), joints, CAMERA)


def test_cropped_locations_are_in_the_cameras_axes_after_rotating_back():
    """What `Camera.rotation_camera_from_crop` undoes is what the labels were given."""
    truth = camera_truth()
    image = made.picture(truth.joints_px, 320, 240)
    sample = crop_sample(image, truth, 128)
    assert knee_neck_length(sample.joints_m) == pytest.approx(0.92)
    low, high = truth.joints_px.min(axis=0), truth.joints_px.max(axis=0)
    rotation = CAMERA.rotation_camera_from_crop((low + high) / 2)
    relative = truth.joints_camera_m - truth.joints_camera_m[14]
    scale = 0.92 / knee_neck_length(relative)
    np.testing.assert_allclose(sample.joints_m @ rotation.T, relative * scale, atol=1e-6)


def test_a_shift_turns_locations_as_cropping_elsewhere_does():
    truth = camera_truth((0.0, 0.0, 3.0))
    image = np.zeros((240, 320, 3), np.uint8)
    sample = crop_sample(image, truth, 128)
    shift = np.array([14.0, -9.0])
    affine = np.column_stack([np.eye(2), shift])
    _, _, moved, _ = augmentation.warp_joints(sample, affine, 128)
    low, high = truth.joints_px.min(axis=0), truth.joints_px.max(axis=0)
    scale = 128 / ((high - low).max() * 1.45)
    elsewhere = centred(*((low + high) / 2 - shift / scale), 128 / scale, 128)
    expected, _ = crop_ray_labels(truth.joints_camera_m, CAMERA, elsewhere)
    before = np.abs(sample.joints_m - expected).max()
    assert np.abs(moved - expected).max() < 0.03 * before


def test_a_dark_picture_with_a_line_of_light_is_known_throughout():
    image = np.zeros((40, 40, 3), np.uint8)
    image[20:24, :] = 200
    assert augmentation.known_area(image) == (0, 0, 40, 40)
    image[10:30, 5:30] = 200
    assert augmentation.known_area(image) == (0, 12, 40, 28)


def test_gravity_turns_with_the_joints():
    """Of a person whose spine is upright, the spine goes on to tell where things fall."""
    truth = camera_truth((0.0, 0.0, 3.0))
    sample = crop_sample(np.zeros((240, 320, 3), np.uint8), truth, 128)
    up = sample.joints_m[INDEX["neck"]] - sample.joints_m[INDEX["pelvis"]]
    sample = dataclasses.replace(sample, gravity=(-up / np.linalg.norm(up)).astype(np.float32))
    rng = np.random.default_rng(0)
    how = augmentation.Augmentation(rotation_deg=40.0, shift=0.2)
    for _ in range(8):
        found = augmentation.augment(rng, how, sample, 96)
        up = found.joints_m[INDEX["neck"]] - found.joints_m[INDEX["pelvis"]]
        np.testing.assert_allclose(found.gravity, -up / np.linalg.norm(up), atol=1e-5)


def test_windows_of_nobody_show_pictures_and_no_joint(tmp_path):
    write_nobody(tmp_path, [f"{i}.jpg" for i in range(3)], level=100)
    source = windows.Nobody(tmp_path, part="all", each=4)
    assert len(source) == 12
    for i in range(12):
        sample = source[i]
        assert sample.present == 0.0 and sample.visible.all() and not sample.weight_3d.any()
        assert not inside(sample.joints_px, sample.image.shape[0]).any()
        assert (sample.image > 60).mean() > 0.3
        assert np.array_equal(sample.image, source[i].image)


def test_windows_beside_people_hold_two_joints_at_most_and_leave_those_open(tmp_path):
    write_people(tmp_path, {"ccp": [f"p/{i:03d}.jpg" for i in range(12)]})
    source = windows.BesidePeople(tmp_path, part="all")
    counts = []
    for i in range(len(source)):
        sample = source[i]
        seen = inside(sample.joints_px, sample.image.shape[0])
        assert sample.present == 0.0 and np.array_equal(sample.visible == 0.0, seen)
        counts.append(seen.sum())
    assert max(counts) <= 2


def test_cut_centres_what_it_is_told_at_every_scale():
    image = np.zeros((400, 600, 3), np.uint8)
    cv2.circle(image, (211, 173), 30, (255, 255, 255), -1)
    for edge in (100.0, 250.0, 399.0):
        out = cut(image, centred(211.0, 173.0, edge, 64))[..., 0].astype(float)
        y, x = np.mgrid[:64, :64]
        centre = np.array([(out * x).sum(), (out * y).sum()]) / out.sum()
        np.testing.assert_allclose(centre, 31.5, atol=0.15)


def test_mpi_inf_3dhp_layout(tmp_path):
    folder, truth = made.write_mpi_inf_3dhp(tmp_path)
    data = mpi_inf_3dhp.stills(folder, every=2, size=96)
    assert len(data) == 4  # two cameras, frames 0 and 2
    check_3d(data[1], truth[2])


def check_3d(sample: Sample, truth: np.ndarray, known: np.ndarray | None = None) -> None:
    known = np.ones(21, bool) if known is None else known
    assert (sample.visible > 0).tolist() == known.tolist()
    assert (sample.weight_3d > 0).tolist() == known.tolist()
    assert knee_neck_length(sample.joints_m) == pytest.approx(0.92, abs=1e-5)
    lengths = np.linalg.norm(truth - truth[list(PARENTS)], axis=1)
    mine = np.linalg.norm(sample.joints_m - sample.joints_m[list(PARENTS)], axis=1)
    use = known & known[list(PARENTS)]
    scale = 0.92 / knee_neck_length(truth)
    np.testing.assert_allclose(mine[use], lengths[use] * scale, atol=1e-5)
    on_red = sample.joints_px[INDEX["right_knee"]].round().astype(int)
    assert sample.image[on_red[1], on_red[0], 0] > sample.image[on_red[1], on_red[0], 2]


def test_human36m_layout(tmp_path):
    folder, truth = made.write_human36m(tmp_path)
    data = human36m.stills(folder, subjects=(1,), size=96)
    known = np.ones(21, bool)
    known[17:] = False  # the set has no hands and toes
    assert len(data) == 2
    check_3d(data[0], truth[0], known)


def test_mpii_layout(tmp_path):
    folder, joints_px = made.write_mpii(tmp_path)
    (sample,) = mpii.stills(folder, size=96)
    unknown = {"left_wrist", "spine", "head", "left_hand", "right_hand", "left_toe", "right_toe"}
    assert {n for n, i in INDEX.items() if sample.visible[i] == 0} == unknown
    span = joints_px[INDEX["right_ankle"]] - joints_px[INDEX["head_top"]]
    mine = sample.joints_px[INDEX["right_ankle"]] - sample.joints_px[INDEX["head_top"]]
    np.testing.assert_allclose(mine / np.linalg.norm(mine), span / np.linalg.norm(span), atol=1e-4)


@pytest.mark.parametrize("reader", [mpi_inf_3dhp, human36m, mpii], ids=lambda r: r.__name__)
def test_an_empty_folder_is_refused_by_name(reader, tmp_path):
    with pytest.raises(VnectError, match=reader.__name__.rpartition(".")[2]):
        reader.stills(tmp_path)


def test_lspet_layout_and_its_held_out_rows(tmp_path):
    folder = made.write_lspet(tmp_path)
    train = Lspet(folder, folder / "images")
    held_out = Lspet(folder, folder / "images", part="heldout")
    assert held_out.rows.tolist() == [7, 27]
    assert not set(train.rows) & set(held_out.rows) and len(train) == 38
    sample = train[0]
    assert sample.visible[INDEX["left_wrist"]] == 1 and sample.visible[INDEX["left_toe"]] == 0
    x, y = sample.joints_px[INDEX["right_knee"]].round().astype(int)
    assert sample.image[y, x, 0] > sample.image[y, x, 2]
    assert (sample.weight_3d == 0).all()


def test_the_teacher_is_trusted_only_where_it_agrees(tmp_path):
    folder = made.write_lspet(tmp_path, 4)
    with np.load(folder / "labels.npz") as data:
        content = dict(data)
    ours = np.zeros((4, 21, 2))
    ours[:, list(TO_VNECT)] = content["joints14"][..., :2]
    landmarks = np.zeros((4, 39, 5))
    sides = {"shoulder": 12, "elbow": 14, "wrist": 16, "hip": 24, "knee": 26, "ankle": 28}
    for name, right in sides.items():
        landmarks[:, right, :2] = ours[:, INDEX[f"right_{name}"]]
        landmarks[:, right - 1, :2] = ours[:, INDEX[f"left_{name}"]]
    landmarks[2, 11:29] = landmarks[2, [i + 1 if i % 2 else i - 1 for i in range(11, 29)]]
    world = np.random.default_rng(0).normal(0, 0.5, (4, 39, 3))
    np.savez(folder / "labels.npz", **content, teacher_landmarks=landmarks, teacher_world=world)
    labels = read_labels(folder)
    assert labels.trusted.tolist() == [True, True, False, True]
    assert (labels.weight_3d[2] == 0).all() and labels.weight_3d[0, INDEX["left_knee"]] == 1
    assert (labels.joints_m[:, INDEX["pelvis"]] == 0).all()
    # sides that only the annotation has exchanged are put right when asked
    corrected = read_labels(folder, mend=True)
    assert corrected.trusted.all()
    np.testing.assert_array_equal(corrected.joints_px[[0, 1, 3]], labels.joints_px[[0, 1, 3]])
    limbs = slice(2, 14)
    np.testing.assert_allclose(
        corrected.joints_px[2, limbs], labels.joints_px[2, list(MIRROR)][limbs], atol=1e-5
    )


def test_landmarks_of_a_right_hand_become_the_right_hand():
    landmarks = np.zeros((39, 3))
    landmarks[[18, 20]] = [[1, 0, 0], [3, 0, 0]]
    np.testing.assert_array_equal(vnect_joints(landmarks)[INDEX["right_hand"]], [2, 0, 0])


class Numbered:
    """A source whose samples say which they are."""

    def __init__(self, length: int, base: int) -> None:
        self._length, self._base = length, base

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, i: int) -> Sample:
        return weak_sample()


def test_mixture_keeps_shares_and_visits_everything_once_an_epoch():
    mixture = Mixture(
        [Numbered(48, 0), Numbered(16, 100)], [3, 1], augmentation.Augmentation(), 64, 1
    )
    places = [mixture.place(n) for n in range(128)]
    assert sum(source == 0 for source, _ in places) == 96
    first = [i for source, i in places if source == 0]
    assert sorted(first[:48]) == list(range(48)) and sorted(first[48:]) == list(range(48))
    assert first[:48] != first[48:]
    again = Mixture(
        [Numbered(48, 0), Numbered(16, 100)], [3, 1], augmentation.Augmentation(), 64, 1
    )
    assert [again.place(n) for n in reversed(range(128))] == places[::-1]
    np.testing.assert_array_equal(mixture.sample(7).image, again.sample(7).image)


def test_targets_read_back_to_the_joints():
    """Maps made from joints, read as in validation, give the joints."""
    batch = collate([weak_sample(64), mirrored(weak_sample(64))])
    joints_px, joints_m = torch.from_numpy(batch["joints_px"]), torch.from_numpy(batch["joints_m"])
    heat = targets.heatmaps(joints_px, 8, 8.0, 9.0)
    locations = targets.locations_dm(joints_m)[..., None, None].expand(-1, -1, 8, 8)
    pixels, metres = read_output(torch.cat([heat, locations], 1).numpy(), 64)
    assert np.abs(pixels - batch["joints_px"]).max() < 0.2
    np.testing.assert_allclose(metres, batch["joints_m"] - batch["joints_m"][:, 14:15], atol=1e-5)
    truth = pck.annotation(batch["joints_px"], batch["visible"] > 0)
    assert pck.pck(pixels, truth)["pck02_strict"] == 1.0


def test_a_heatmap_peaks_at_the_cell_of_the_joint():
    heat = targets.heatmaps(torch.tensor([[[19.5, 3.5]]]), 8, 8.0, 9.0)
    assert heat[0, 0].argmax() == 2 and heat[0, 0, 0, 2] == 1.0
