"""Real people and places without any: layouts, joints of other networks, and who is held out."""

from __future__ import annotations

import io
import tarfile

import cv2
import numpy as np
import pytest

from vnect_ros.datasets import held_out, teachers
from vnect_ros.datasets.nobody import Nobody
from vnect_ros.datasets.people import People, groups
from vnect_ros.errors import VnectError
from vnect_ros.skeleton import BONES, INDEX, MIRROR, PELVIS, bone_lengths, knee_neck_length

SIZE = 64


def write_tar(file, images):
    with tarfile.open(file, "w") as tar:
        for name, image in images.items():
            data = cv2.imencode(".png", image[..., ::-1])[1].tobytes()
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


def keypoints(rng, count, table, size):
    """[N, size, 2] keypoints of an upright person in the middle of a crop, sides told apart."""
    base = {
        "head": (32, 10), "neck": (32, 20), "pelvis": (32, 36),
        "shoulder": (8, 20), "elbow": (10, 27), "wrist": (11, 34), "hand": (11, 36),
        "hip": (4, 36), "knee": (4, 46), "ankle": (4, 56), "toe": (5, 58),
    }  # fmt: skip
    out = np.zeros((count, size, 2))
    for name, sources in table.items():
        side, _, part = name.partition("_")
        x, y = base[part or side]
        x = {"right": 32 - x, "left": 32 + x}.get(side, x)
        if len(sources) == 1 or part == "hand":
            out[:, list(sources)] = (x, y)
    ears = table["head"]
    out[:, ears[0]], out[:, ears[1]] = (34, 10), (30, 10)
    return out + rng.normal(0, 0.2, out.shape)


def write_people(folder, sets):
    """The layout with tiny crops: `sets` is name to sources."""
    rng = np.random.default_rng(3)
    for name, source in sets.items():
        (folder / name).mkdir(parents=True)
        n = len(source)
        thunder = np.ones((n, 17, 3), np.float32)
        thunder[..., :2] = keypoints(rng, n, teachers.COCO17, 17) + 0.5
        landmarks = np.zeros((n, 39, 5), np.float32)
        landmarks[..., :2] = keypoints(rng, n, teachers.BLAZEPOSE, 39)
        world = np.zeros((n, 39, 3), np.float16)
        world[..., :2] = (landmarks[..., :2] - [32, 36]) / 30
        names = [f"{name}_{i:03d}.png" for i in reversed(range(n))]
        images = {k: np.full((SIZE, SIZE, 3), i % 256, np.uint8) for i, k in enumerate(names)}
        write_tar(folder / name / "crops.tar", images)
        np.savez(
            folder / name / "labels.npz",
            names=np.array(names), source=np.array(source), joints17_thunder=thunder,
            teacher_landmarks=landmarks, teacher_world=world, teacher_score=np.ones(n),
            agreed=np.arange(n) % 4 != 3,
        )  # fmt: skip
    return folder


def test_rows_go_with_their_images_and_labels(tmp_path):
    sources = [f"photos/{i:04d}.jpg" for i in range(40)]
    write_people(tmp_path, {"ccp": sources})
    for part in held_out.PARTS:
        people = People(tmp_path, part)
        for i in range(len(people)):
            row = sources.index(str(people.labels.source[i]))
            assert (people[i].image == row).all()
    everybody = People(tmp_path, "all")
    assert len(everybody) == 40 == len(People(tmp_path, "train")) + len(People(tmp_path, "heldout"))
    assert len(People(tmp_path, "all", agreed=True)) == 30


def test_labels_are_thunders_in_our_pixels_and_blazeposes_metres(tmp_path):
    people = People(write_people(tmp_path, {"davis": ["a/b/0.jpg", "a/b/1.jpg"] * 2}), "all")
    sample = people[0]
    assert sample.joints_px[INDEX["right_wrist"]] == pytest.approx([21, 34], abs=0.8)
    assert sample.joints_px[INDEX["left_ankle"]] == pytest.approx([36, 56], abs=0.8)
    assert sample.joints_px[INDEX["left_toe"]] == pytest.approx([37, 58], abs=0.8)
    assert sample.joints_m[INDEX["left_wrist"], 0] > 0.2  # x is to the right of the picture
    assert knee_neck_length(sample.joints_m) == pytest.approx(0.92, abs=1e-3)
    assert (sample.visible > 0).all() and (sample.weight_3d > 0).all()
    assert np.abs(sample.joints_m[PELVIS]).max() < 1e-6
    assert not people.labels.agreed[3] and (people[3].weight_3d == 0).all()


def test_a_joint_that_the_teachers_see_apart_counts_less(tmp_path):
    folder = write_people(tmp_path, {"inria": ["p/1a.png", "p/2a.png"]})
    file = folder / "inria" / "labels.npz"
    content = dict(np.load(file))
    content["joints17_thunder"][0, 10, :2] += 15.0  # the right wrist
    content["joints17_thunder"][1, 10, 2] = 0.01
    np.savez(file, **content)
    labels = People(folder, "all").labels
    wrist, hand = INDEX["right_wrist"], INDEX["right_hand"]
    assert 0 < labels.visible[0, wrist] < 1 and labels.visible[1, wrist] == 0
    assert labels.visible[0, hand] == 0 and labels.visible[0, INDEX["left_wrist"]] == 1
    assert labels.weight_3d[0, wrist] < labels.weight_3d[0, INDEX["left_wrist"]]


def test_no_person_stands_on_both_sides(tmp_path):
    sources = {
        "ccp": [f"photos/{i:04d}.jpg" for i in range(300)],
        "freeexercise": [f"exercises/Move_{i // 2}/{i % 2}.jpg" for i in range(300)],
        "gmdcsa": [f"Subject {i % 9}/ADL/{i:02d}.mp4#{j}" for i in range(20) for j in range(3)],
        "davis": [f"DAVIS/seq{i // 10}/{i:05d}.jpg" for i in range(200)],
        "inria": [f"Train/pos/crop{i // 2:06d}{'ab'[i % 2]}.png" for i in range(300)],
    }
    write_people(tmp_path, sources)
    train, kept = People(tmp_path, "train").labels, People(tmp_path, "heldout").labels

    def shown(labels):
        return {g for s, p in zip(labels.sets, labels.source) for g in groups(str(s), [p])}

    assert not shown(train) & shown(kept)
    total = sum(map(len, sources.values()))
    assert len(train.source) + len(kept.source) == total
    assert 0.05 * total < len(kept.source) < 0.25 * total
    assert groups("gmdcsa", ["Subject 4/Fall/01.mp4#90"]) == ["gmdcsa/Subject 4"]
    assert groups("davis", ["D/parkour/7.jpg"]) == groups("davis", ["D/parkour/9.jpg"])
    assert groups("coco", ["a/1.jpg"]) != groups("coco", ["a/2.jpg"])


def test_the_held_out_rows_never_change():
    """Weights and published figures rest on them."""
    assert np.flatnonzero(held_out.every_twentieth(60)).tolist() == [7, 27, 47]
    names = [f"ccp/photos/{i:03d}" for i in range(40)]
    assert np.flatnonzero(held_out.by_group(names)).tolist() == HELD_OUT_OF_40


HELD_OUT_OF_40 = [7, 13, 18, 24, 30]


def test_mirrored_keypoints_are_mirrored_joints():
    rng = np.random.default_rng(1)
    flat = keypoints(rng, 1, teachers.BLAZEPOSE, 39)[0]
    swap = np.arange(39)
    for i in range(7, 33, 2):
        swap[[i, i + 1]] = [i + 1, i]
    found = teachers.vnect_joints(flat)
    np.testing.assert_allclose(teachers.vnect_joints(flat[swap]), found[list(MIRROR)])
    # the middle of the shoulders, moved a quarter of the way to the ears
    shoulders, ears = flat[[11, 12]].mean(axis=0), flat[[7, 8]].mean(axis=0)
    np.testing.assert_allclose(found[INDEX["neck"]], 0.75 * shoulders + 0.25 * ears)


def write_nobody(folder, sources, level=0):
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{i:05d}.png" for i in range(len(sources))]
    images = {k: np.full((20 + i % 3, 30, 3), level + i, np.uint8) for i, k in enumerate(names)}
    write_tar(folder / "pictures.tar", images)
    np.savez(folder / "index.npz", names=np.array(names[::-1]), source=np.array(sources[::-1]))
    return folder


def test_both_sides_of_a_body_get_the_same_bones():
    world = np.random.default_rng(5).normal(size=(6, 39, 3))
    joints_m, _ = teachers.locations(world)
    lengths = bone_lengths(joints_m)
    np.testing.assert_allclose(lengths, lengths[:, list(MIRROR)], rtol=1e-9)
    own = teachers.vnect_joints(world)
    for parent, joint in BONES:
        kept, made = (x[:, joint] - x[:, parent] for x in (own, joints_m))
        cosine = (kept * made).sum(1) / np.linalg.norm(kept, axis=1) / np.linalg.norm(made, axis=1)
        np.testing.assert_allclose(cosine, 1.0, rtol=1e-9)


def test_pictures_of_one_house_lie_on_one_side(tmp_path):
    rooms = ("bathroom", "bedroom", "kitchen", "frontal")
    houses = [f"houses/{i // 4}_{rooms[i % 4]}.jpg" for i in range(200)]
    write_nobody(tmp_path / "a", houses)
    write_nobody(tmp_path / "b", [f"other/{i}.jpg" for i in range(30)])
    parts = {p: Nobody(tmp_path, p) for p in held_out.PARTS}
    assert len(parts["all"]) == 230 == len(parts["train"]) + len(parts["heldout"])
    house = {p: {s.split("_")[0] for s in parts[p].source if "_" in s} for p in parts}
    assert house["heldout"] and not house["train"] & house["heldout"]
    one = Nobody(tmp_path / "a", "heldout")
    for i, source in enumerate(one.source):
        assert (one[i] == houses.index(str(source))).all()


@pytest.mark.parametrize("reader", [People, Nobody])
def test_folders_that_are_none_are_refused(tmp_path, reader):
    with pytest.raises(VnectError, match="accepted"):
        reader(tmp_path)
    with pytest.raises(VnectError, match="part"):
        reader(write_nobody(tmp_path / "n", ["a"]) if reader is Nobody else write_people(
            tmp_path, {"ccp": ["p/1.jpg"]}), "test")  # fmt: skip


def test_labels_that_lack_a_field_are_refused(tmp_path):
    folder = write_people(tmp_path, {"ccp": ["p/1.jpg", "p/2.jpg"]})
    file = folder / "ccp" / "labels.npz"
    content = dict(np.load(file))
    np.savez(file, **{k: v for k, v in content.items() if k != "teacher_world"})
    with pytest.raises(VnectError, match="teacher_world"):
        People(folder)
    np.savez(file, **{k: v[:1] for k, v in content.items()})
    with pytest.raises(VnectError, match="images: got 2"):
        People(folder)
