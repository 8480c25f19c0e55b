"""Bags of every kind as videos: images, stamps and cameras as they were recorded."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="needs rosbags")
from bags import DELAY_NS, FIRST_NS, FRAME_ID, KINDS, BagMaker, bag_path

from vnect_ros.camera import Camera
from vnect_ros.errors import ImageError
from vnect_ros.recordings.video import Video

CAMERA = Camera(64, 48, 60.0, 60.0, 31.0, 24.0, "plumb_bob", (-0.2, 0.05, 0.0, 0.0, 0.0))
COUNT = 6
STEP_NS = 40_000_000


def images(count=COUNT):
    return [np.full((48, 64, 3), (30 * i, 60, 120), np.uint8) for i in range(count)]


def stamp_ns(i):
    return FIRST_NS + i * STEP_NS


def recorded(
    folder, kind="mcap", topic="/cam/image_raw", compressed=False, info="/cam/camera_info",
    camera=CAMERA, **of_info,
):  # fmt: skip
    """A bag of COUNT images of one camera."""
    path = bag_path(folder, kind)
    with BagMaker(path, kind) as bag:
        for i, image in enumerate(images()):
            if info:
                sent = bag.info(stamp_ns(i), camera, **of_info)
                bag.write(info, sent, stamp_ns(i) + DELAY_NS - 1)
            make = bag.compressed if compressed else bag.image
            bag.write(topic, make(stamp_ns(i), image), stamp_ns(i) + DELAY_NS)
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compressed", [False, True])
def test_every_image_with_its_stamp_and_camera(tmp_path, kind, compressed):
    topic = "/cam/image_raw/compressed" if compressed else "/cam/image_raw"
    video = Video(recorded(tmp_path, kind, topic, compressed))
    assert video.count == COUNT and video.fps == pytest.approx(25.0, rel=0.01)
    for _ in range(2):
        frames = list(video)
        assert video.lost == 0 and len(frames) == COUNT
        for i, (frame, image) in enumerate(zip(frames, images())):
            assert (frame.image == image).all() and frame.camera == CAMERA
            assert frame.stamp_s == pytest.approx(0.04 * i, abs=1e-9)
            assert (frame.stamp_ns, frame.frame_id) == (stamp_ns(i), FRAME_ID)
            assert frame.recorded_ns == stamp_ns(i) + DELAY_NS


@pytest.mark.parametrize("kind", ["mcap", "sqlite3"])
def test_the_file_inside_a_bag_is_one_too(tmp_path, kind):
    folder = recorded(tmp_path, kind)
    (file,) = [f for f in folder.iterdir() if f.suffix in (".mcap", ".db3")]
    assert len(list(Video(file))) == COUNT


def test_the_topic_is_the_only_one_or_the_named_one(tmp_path):
    with BagMaker(tmp_path / "two", "mcap") as bag:
        for i, image in enumerate(images()):
            bag.write("/left/image_raw", bag.image(stamp_ns(i), image), stamp_ns(i))
            small = image[:24]
            bag.write(
                "/right/image_raw/compressed", bag.compressed(stamp_ns(i), small), stamp_ns(i)
            )
    with pytest.raises(
        ImageError, match=r"/left/image_raw, /right/image_raw/compressed', accepted"
    ):
        Video(tmp_path / "two")
    assert next(iter(Video(tmp_path / "two", topic="left/image_raw"))).image.shape[0] == 48
    for topic in ("/right/image_raw", "/right/image_raw/compressed"):
        assert next(iter(Video(tmp_path / "two", topic=topic))).image.shape[0] == 24
    with pytest.raises(ImageError, match=r"topic: got '/up', accepted: one of .*: /left/image_raw"):
        Video(tmp_path / "two", topic="/up")


def test_a_topic_and_its_compressed_copy_are_one(tmp_path):
    with BagMaker(tmp_path / "both", "mcap") as bag:
        for i, image in enumerate(images()):
            bag.write("/image", bag.image(stamp_ns(i), image), stamp_ns(i))
            bag.write("/image/compressed", bag.compressed(stamp_ns(i), image), stamp_ns(i))
            bag.write("/camera_info", bag.info(stamp_ns(i), CAMERA), stamp_ns(i))
            bag.write("/depth/compressedDepth", bag.compressed(stamp_ns(i), image), stamp_ns(i))
    frames = list(Video(tmp_path / "both"))
    assert len(frames) == COUNT and frames[0].camera == CAMERA


def test_a_camera_info_behind_the_images_holds_for_them_too(tmp_path):
    with BagMaker(tmp_path / "late", "sqlite3") as bag:
        for i, image in enumerate(images()):
            bag.write("/image", bag.image(stamp_ns(i), image), stamp_ns(i))
        bag.write("/camera_info", bag.info(stamp_ns(3), CAMERA), stamp_ns(3) + 5)
    assert [frame.camera for frame in Video(tmp_path / "late")] == [CAMERA] * COUNT


@pytest.mark.parametrize("kind", ["mcap", "ros1"])
def test_the_newest_camera_info_holds(tmp_path, kind):
    zoomed = Camera(64, 48, 80.0, 80.0, 31.0, 24.0)
    path = bag_path(tmp_path, kind)
    with BagMaker(path, kind) as bag:
        for i, image in enumerate(images()):
            if i in (0, 3):
                bag.write(
                    "/camera_info", bag.info(stamp_ns(i), (CAMERA, zoomed)[i // 3]), stamp_ns(i) - 1
                )
            bag.write("/image", bag.image(stamp_ns(i), image), stamp_ns(i))
    assert [frame.camera for frame in Video(path)] == [CAMERA] * 3 + [zoomed] * 3


def test_without_a_calibration_there_is_no_camera(tmp_path, caplog):
    assert next(iter(Video(recorded(tmp_path, info="")))).camera is None
    assert "no CameraInfo" in caplog.text
    caplog.clear()
    (tmp_path / "other").mkdir()
    gazebo = Camera(64, 48, 30.0, 30.0, 15.5, 11.5)
    frames = list(Video(recorded(tmp_path / "other", camera=gazebo)))
    assert [frame.camera for frame in frames] == [None] * COUNT
    assert caplog.text.count("K: principal point") == 1


@pytest.mark.parametrize("kind", ["mcap", "ros1"])
def test_rectified_images_are_described_by_p(tmp_path, kind):
    p = np.array([50.0, 0, 32.0, 0, 0, 52.0, 23.0, 0, 0, 0, 1.0, 0])
    rectified = Camera(64, 48, 50.0, 52.0, 32.0, 23.0)
    path = recorded(tmp_path, kind, "/cam/image_rect_color", p=p)
    assert next(iter(Video(path))).camera == rectified
    assert next(iter(Video(path, rectified="false"))).camera == CAMERA
    (tmp_path / "raw").mkdir()
    path = recorded(tmp_path / "raw", kind, p=p)
    assert next(iter(Video(path))).camera == CAMERA
    assert next(iter(Video(path, rectified="true"))).camera == rectified


def test_what_cannot_be_used_is_counted(tmp_path, caplog):
    with BagMaker(tmp_path / "bag", "mcap") as bag:
        order = [0, 1, 1, 3, 2, 4, 5]  # one again, one late
        for at, i in enumerate(order):
            message = bag.image(stamp_ns(i), images()[i])
            if i == 4:
                message.step = 7
            bag.write("/image", message, FIRST_NS + at)
    video = Video(tmp_path / "bag")
    with caplog.at_level(logging.WARNING):
        frames = list(video)
    assert [frame.stamp_ns for frame in frames] == [stamp_ns(i) for i in (0, 1, 3, 5)]
    assert video.lost == 3 and "3 images are left out, the last: image step: got 7" in caplog.text


def test_a_recording_that_begins_anew_is_read_on(tmp_path):
    with BagMaker(tmp_path / "bag", "mcap") as bag:
        for i in range(12):
            message = bag.image(FIRST_NS + (i % 6) * 10**9, images()[i % 6])
            bag.write("/image", message, FIRST_NS + i * 10**9)
    video = Video(tmp_path / "bag")
    assert len(list(video)) == 12 and video.lost == 0


def test_images_without_stamps_have_the_times_of_recording(tmp_path):
    with BagMaker(tmp_path / "bag", "sqlite3") as bag:
        for i, image in enumerate(images()):
            bag.write("/image", bag.image(0, image), stamp_ns(i))
    frames = list(Video(tmp_path / "bag"))
    assert [frame.stamp_ns for frame in frames] == [stamp_ns(i) for i in range(COUNT)]


def test_what_is_no_bag_of_images_is_named(tmp_path, monkeypatch):
    with BagMaker(tmp_path / "none", "mcap") as bag:
        bag.write("/camera_info", bag.info(FIRST_NS, CAMERA), FIRST_NS)
    with pytest.raises(ImageError, match="with no images"):
        Video(tmp_path / "none")
    with BagMaker(tmp_path / "depth", "mcap") as bag:
        depth = np.zeros((48, 64), np.float32)
        bag.write("/depth", bag.image(FIRST_NS, depth, "32FC1"), FIRST_NS)
    with pytest.raises(ImageError, match="encoding: got '32FC1'"):
        list(Video(tmp_path / "depth"))
    for name in ("torn.bag", "torn.mcap", "torn.db3"):
        (tmp_path / name).write_bytes(b"no bag at all")
        with pytest.raises(ImageError, match=rf"bag: got '.*{name}', accepted: a whole bag"):
            Video(tmp_path / name)
        with pytest.raises(ImageError, match="bag: got"):
            Video(tmp_path / f"absent{name}")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "a.mcap").write_bytes(b"no metadata.yaml beside it")
    with pytest.raises(ImageError, match=r"bag: got .*unfinished', accepted: a whole bag"):
        Video(tmp_path / "unfinished")
    with pytest.raises(ImageError, match="topic: got '/image', accepted: none"):
        Video(tmp_path / "a.mp4", topic="/image")
    path = recorded(tmp_path)
    monkeypatch.setitem(sys.modules, "rosbags.highlevel", None)
    with pytest.raises(ImageError, match="pip install rosbags"):
        Video(path)


def test_a_bag_that_is_cut_off_is_named(tmp_path):
    path = recorded(tmp_path, "ros1")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ImageError, match="a whole bag"):
        list(Video(path))
