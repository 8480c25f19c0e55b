"""Video files and folders: what is written is read back, in order and on time."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vnect_ros.errors import ImageError
from vnect_ros.recordings.video import Video
from vnect_ros.recordings.writer import VideoWriter


def greys(count):
    return [np.full((48, 64, 3), (40 + 20 * i, 60, 120), np.uint8) for i in range(count)]


def test_a_written_file_is_read_back(tmp_path):
    with VideoWriter(tmp_path / "deep" / "a.mp4", 25.0) as writer:
        for image in greys(8):
            writer.write(image)
    video = Video(tmp_path / "deep" / "a.mp4")
    frames = list(video)
    assert video.fps == pytest.approx(25.0) and len(frames) == 8
    np.testing.assert_allclose([f.stamp_s for f in frames], np.arange(8) / 25.0, atol=1e-3)
    means = [f.image.mean(axis=(0, 1)) for f in frames]
    np.testing.assert_allclose(means, [i.mean(axis=(0, 1)) for i in greys(8)], atol=12.0)
    assert len(list(video)) == 8


def test_frames_of_one_size_only(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25.0) as writer:
        writer.write(greys(1)[0])
        with pytest.raises(ImageError, match=r"frame: got \(32, 48\)"):
            writer.write(greys(1)[0][:, :32])


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path):
    for i, image in enumerate(greys(5)):
        cv2.imwrite(str(tmp_path / f"{i:03}.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    (tmp_path / "notes.txt").write_text("not an image")
    video = Video(tmp_path, fps=10.0)
    frames = list(video)
    assert video.count == 5
    np.testing.assert_allclose([f.stamp_s for f in frames], np.arange(5) / 10.0)
    for frame, image in zip(frames, greys(5)):
        assert (frame.image == image).all()


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
