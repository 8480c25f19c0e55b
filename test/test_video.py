"""Video files and folders: what is written is read back, in order and on time."""

from __future__ import annotations

import logging
import sys
from fractions import Fraction
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
from videos import UNEVEN_S, damaged, encode, greys, packets, turned, undecodable, without_rate

from vnect_ros.errors import ImageError
from vnect_ros.recordings import video_file
from vnect_ros.recordings.video import Video
from vnect_ros.recordings.writer import VideoWriter


def levels(images):
    return np.array([image.mean() for image in images])


def test_a_written_file_is_read_back(tmp_path):
    with VideoWriter(tmp_path / "deep" / "a.mp4", 25.0) as writer:
        for image in greys(8):
            writer.write(image)
    video = Video(tmp_path / "deep" / "a.mp4")
    frames = list(video)
    assert video.fps == pytest.approx(25.0) and len(frames) == video.count == 8
    np.testing.assert_allclose([f.stamp_s for f in frames], np.arange(8) / 25.0, atol=1e-3)
    np.testing.assert_allclose(levels(f.image for f in frames), levels(greys(8)), atol=4.0)
    assert len(list(video)) == 8 and video.lost == 0


def test_frames_are_written_at_their_times(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25.0) as writer:
        for image, stamp_s in zip(greys(len(UNEVEN_S)), UNEVEN_S):
            writer.write(image, stamp_s)
    stamps_s = [frame.stamp_s for frame in Video(tmp_path / "a.mp4")]
    np.testing.assert_allclose(stamps_s, UNEVEN_S, atol=1e-4)


def test_frames_of_one_size_only(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25.0) as writer:
        writer.write(greys(1)[0])
        with pytest.raises(ImageError, match=r"frame: got \(32, 48\)"):
            writer.write(greys(1)[0][:, :32])


def test_what_cannot_be_written_is_named(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    writer = VideoWriter(tmp_path / "folder.mp4", 25.0)
    with pytest.raises(ImageError, match=r"folder\.mp4 cannot be written"), writer:
        writer.write(greys(1)[0])


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.webm", "libvpx"), ("a.mkv", "mpeg4")]
)
def test_frames_have_the_times_of_the_container(tmp_path, name, codec):
    images = greys(len(UNEVEN_S))
    video = Video(encode(tmp_path / name, images, UNEVEN_S, codec))
    frames = list(video)
    np.testing.assert_allclose([f.stamp_s for f in frames], UNEVEN_S, atol=1.1e-3)
    np.testing.assert_allclose(levels(f.image for f in frames), levels(images), atol=6.0)
    assert len(list(Video(tmp_path / name, fps=10.0))) == len(UNEVEN_S)
    even = [frame.stamp_s for frame in Video(tmp_path / name, fps=10.0)]
    np.testing.assert_allclose(even, np.arange(len(UNEVEN_S)) / 10.0)


def test_a_browsers_recording_states_no_rate(tmp_path):
    random = np.random.default_rng(2)
    stamps_s = (np.arange(60) + 0.8 * random.random(60)) / 30.0
    file = without_rate(encode(tmp_path / "a.webm", greys(60), stamps_s, "libvpx"))
    with av.open(str(file)) as container:
        assert container.streams.video[0].average_rate is None
    video = Video(file)
    assert video.fps == pytest.approx(30.0, rel=0.1)
    read_s = [frame.stamp_s for frame in video]
    np.testing.assert_allclose(read_s, stamps_s - stamps_s[0], atol=2e-3)


def test_a_stream_without_time_stamps_has_its_rate(tmp_path):
    video = Video(encode(tmp_path / "a.h264", greys(12)))
    stamps_s = [frame.stamp_s for frame in video]
    np.testing.assert_allclose(stamps_s, np.arange(12) / video.fps)


def test_time_stamps_that_do_not_rise_are_not_passed_on(tmp_path):
    file = encode(tmp_path / "a.mp4", greys(6))
    data = file.read_bytes()
    at = data.index(b"stts") + 8
    # One entry: 6 frames of so many ticks each; none at all puts them at one instant.
    assert data[at + 4 : at + 8] == (6).to_bytes(4, "big")
    file.write_bytes(data[: at + 8] + (0).to_bytes(4, "big") + data[at + 12 :])
    stamps_s = [frame.stamp_s for frame in Video(file)]
    assert len(stamps_s) == 6 and (np.diff(stamps_s) > 0.0).all()


def test_damaged_packets_are_passed_over_and_counted(tmp_path, caplog):
    file = damaged(encode(tmp_path / "a.mp4", greys(30)), [9, 10, 20])
    video = Video(file)
    with caplog.at_level(logging.WARNING):
        frames = list(video)
    assert (len(frames), video.lost) == (27, 3)
    whole = np.delete(np.arange(30), [9, 10, 20])
    np.testing.assert_allclose([f.stamp_s for f in frames], whole / 25.0, atol=1e-3)
    np.testing.assert_allclose(levels(f.image for f in frames), levels(greys(30))[whole], atol=4.0)
    assert f"{file} is damaged: 3 frames are lost" in caplog.text


def test_a_file_that_begins_damaged(tmp_path):
    video = Video(damaged(encode(tmp_path / "a.mp4", greys(10)), [0, 1]))
    frames = list(video)
    assert (len(frames), video.lost, frames[0].stamp_s) == (8, 2, 0.0)


def test_what_is_cut_off_is_counted(tmp_path):
    file = encode(tmp_path / "a.mp4", greys(30))
    at, size = packets(file)[20]
    file.write_bytes(file.read_bytes()[: at + size // 2])
    video = Video(file)
    assert (len(list(video)), video.lost) == (20, 10)


@pytest.mark.parametrize(
    ("aspect", "stored", "shown"),
    [
        (Fraction(4, 3), (48, 48), (64, 48)),
        (Fraction(20, 11), (36, 48), (66, 48)),
        (Fraction(1, 2), (96, 48), (96, 96)),
        (Fraction(1, 100), (64, 48), (64, 48)),
    ],
)
def test_pixels_become_square(tmp_path, aspect, stored, shown):
    width, height = stored
    image = np.zeros((height, width, 3), np.uint8)
    image[:, width // 2 :] = 200
    frame = next(iter(Video(encode(tmp_path / "a.mp4", [image], aspect=aspect))))
    assert frame.image.shape[1::-1] == shown
    row = frame.image[shown[1] // 2].mean(axis=1)
    assert row[: shown[0] // 2 - 4].max() < 20 and row[shown[0] // 2 + 4 :].min() > 180


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, -90, 180])
def test_a_turned_video_is_read_upright(tmp_path, degrees, mirrored):
    image = np.zeros((48, 64, 3), np.uint8)
    image[:16, :16] = 250
    upright = np.rot90(image[:, ::-1] if mirrored else image, round(degrees / 90) % 4)
    stored = turned(encode(tmp_path / "a.mp4", [image] * 3), degrees, mirrored)
    read = next(iter(Video(stored))).image
    assert read.shape == upright.shape
    assert np.abs(read.astype(int) - upright).mean() < 6.0


@pytest.mark.parametrize(
    "stream",
    [
        SimpleNamespace(side_data={"DISPLAYMATRIX": 90.0}),  # PyAV 11 to 13.0
        SimpleNamespace(metadata={"rotate": "270"}),  # FFmpeg before 5
    ],
)
def test_older_versions_of_pyav_tell_the_turn_elsewhere(stream):
    frame = SimpleNamespace(side_data=[])
    assert video_file._orientation(frame, stream) == (False, 1)
    for values in vars(stream).values():
        values.clear()
    assert video_file._orientation(frame, stream) == (False, 0)


def test_side_data_that_pyav_does_not_know_is_no_reason_to_fail():
    class Frame:
        rotation = 90

        @property
        def side_data(self):
            raise ValueError("34 is not a valid Type")  # as PyAV 18 does

    assert video_file._orientation(Frame(), SimpleNamespace()) == (False, 1)


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path):
    for i, image in enumerate(greys(11)):
        cv2.imwrite(str(tmp_path / f"{i + 1}.png"), image)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "._1.png").write_bytes(b"what macOS leaves beside images")
    video = Video(tmp_path, fps=10.0)
    frames = list(video)
    assert video.count == 11
    np.testing.assert_allclose([f.stamp_s for f in frames], np.arange(11) / 10.0)
    for frame, image in zip(frames, greys(11)):
        assert (frame.image == image).all()


def test_names_of_several_numbers_are_ordered_by_each(tmp_path):
    names = ["cam1_2.png", "cam1_10.png", "cam2_1.png", "cam10_1.png", "Cam10_02.png", "take.png"]
    for i, name in enumerate(names):
        cv2.imwrite(str(tmp_path / name), greys(len(names))[i])
    read = [frame.image[0, 0, 0] for frame in Video(tmp_path)]
    assert read == [image[0, 0, 0] for image in greys(len(names))]


def test_images_that_cannot_be_read_are_passed_over_and_counted(tmp_path, caplog):
    for i, image in enumerate(greys(5)):
        cv2.imwrite(str(tmp_path / f"{i}.jpg"), image)
    torn = tmp_path / "1.jpg"
    torn.write_bytes(torn.read_bytes()[:-40])  # OpenCV would fill the rest with grey
    (tmp_path / "3.jpg").write_bytes(b"")
    video = Video(tmp_path, fps=10.0)
    frames = list(video)
    assert [frame.stamp_s for frame in frames] == [0.0, 0.2, 0.4] and video.lost == 2
    assert "2 images are left out, the last: image: got" in caplog.text


def test_images_of_10_bits_are_as_bright_as_they_are(tmp_path):
    values = np.tile(np.linspace(0, 1023, 64).astype(np.uint16), (48, 1))
    cv2.imwrite(str(tmp_path / "1.png"), values)
    image = next(iter(Video(tmp_path))).image
    assert image.shape == (48, 64, 3) and image[0, -1, 0] == 255
    np.testing.assert_allclose(image[0, :, 0], values[0] / 4.0, atol=1.0)


def test_a_sender_that_changes_its_resolution(tmp_path):
    """As WebRTC does: the view stays, and so does the size of the images."""
    small, large = (encode(tmp_path / f"{n}.h264", greys(4, (n, n // 4 * 3))) for n in (64, 128))
    (tmp_path / "a.h264").write_bytes(large.read_bytes() + small.read_bytes())
    frames = list(Video(tmp_path / "a.h264"))
    assert [frame.image.shape[:2] for frame in frames] == [(96, 128)] * 8
    np.testing.assert_allclose(
        levels(f.image for f in frames), np.tile(levels(greys(4)), 2), atol=4.0
    )


def test_what_is_no_video_is_refused(tmp_path):
    for source in (tmp_path, tmp_path / "absent.mp4"):
        with pytest.raises(ImageError, match="video: got"):
            Video(source)
    (tmp_path / "text.mp4").write_text("nothing")
    with pytest.raises(ImageError, match="accepted: a video file"):
        Video(tmp_path / "text.mp4")
    (tmp_path / "broken.png").write_text("nothing")
    with pytest.raises(ImageError, match=r"broken\.png"):
        list(Video(tmp_path))
    with pytest.raises(ImageError, match="fps: got -1"):
        Video(tmp_path, fps=-1.0)


def test_a_codec_that_cannot_be_decoded_is_refused(tmp_path):
    with pytest.raises(ImageError, match=r"a\.mp4 \(unknown codec\)"):
        Video(undecodable(encode(tmp_path / "a.mp4", greys(5))))
    broken = damaged(encode(tmp_path / "b.mp4", greys(5)), list(range(5)))
    with pytest.raises(ImageError, match=r"b\.mp4 \(codec h264\)', accepted: at least one frame"):
        Video(broken)


def test_sound_alone_is_refused(tmp_path):
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(ImageError, match="a file with a video stream"):
        Video(tmp_path / "a.wav")


def test_without_pyav_it_is_named(tmp_path, monkeypatch):
    file = encode(tmp_path / "a.mp4", greys(2))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImageError, match=r"PyAV: pip install av, or apt install python3-av"):
        Video(file)
    with pytest.raises(ImageError, match="PyAV"):
        VideoWriter(tmp_path / "b.mp4", 25.0).write(greys(1)[0])
