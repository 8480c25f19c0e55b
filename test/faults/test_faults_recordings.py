"""Recordings as cameras, browsers and accidents make them, through the real tool."""

from __future__ import annotations

import json
from fractions import Fraction

import cv2
import numpy as np
import pytest
from bags import DELAY_NS, FIRST_NS, BagMaker
from fake_backend import standing_bundle
from videos import UNEVEN_S, damaged, encode, greys, packets, undecodable

from vnect_ros.cli import process
from vnect_ros.recordings.video import Video

SIZE = (160, 120)
CALIBRATION = """
image_width: 640
image_height: 480
camera_matrix: {data: [500, 0, 319.5, 0, 500, 239.5, 0, 0, 1]}
distortion_coefficients: {data: [0, 0, 0, 0, 0]}
"""


class Tool:
    """`process`, and what it leaves."""

    def __init__(self, folder, capsys) -> None:
        self.folder, self._capsys = folder, capsys
        (folder / "model").mkdir()
        model = standing_bundle(folder / "model")
        self._model = ["--model", str(model.folder), "--backend", "onnxruntime"]
        self._model += ["--set", "max_people=1"]  # it sees a person in every window of a search
        self.out = folder / "out"

    def run(self, video, *arguments):
        """The summary, poses.npz and what was written to the terminal."""
        given = [str(video), "--out", str(self.out), "--json", str(self.out / "a.json")]
        assert process.main([*given, *arguments, *self._model]) == 0
        shown = self._capsys.readouterr()
        summary = json.loads((self.out / "a.json").read_text())
        return summary, np.load(self.out / "poses.npz"), shown.out + shown.err

    def refused(self, video, *arguments):
        """The last line, which is the refusal."""
        given = [str(video), "--out", str(self.out), *arguments, *self._model]
        assert process.main(given) == 1
        line = self._capsys.readouterr().err.strip().splitlines()[-1]
        assert line.startswith("process: ")
        return line


@pytest.fixture
def tool(tmp_path, capsys):
    return Tool(tmp_path, capsys)


@pytest.fixture
def calibration(tmp_path):
    (tmp_path / "camera.yaml").write_text(CALIBRATION)
    return ["--camera", str(tmp_path / "camera.yaml")]


def test_an_uneven_rate(tool, fault_table):
    video = encode(tool.folder / "a.webm", greys(len(UNEVEN_S), SIZE), UNEVEN_S, "libvpx")
    summary, poses, _ = tool.run(video)
    assert summary["frames_lost"] == 0
    np.testing.assert_allclose(poses["stamps_s"], UNEVEN_S, atol=2e-3)
    overlay_s = [frame.stamp_s for frame in Video(tool.out / "overlay.mp4")]
    np.testing.assert_allclose(overlay_s, UNEVEN_S, atol=2e-3)
    fault_table.add("A video without an even rate, or that states none", "poses at its own times")


def test_damaged_packets(tool, fault_table):
    video = damaged(encode(tool.folder / "a.mp4", greys(20, SIZE)), [8, 9, 10])
    summary, poses, shown = tool.run(video, "--no-overlay")
    assert (summary["frames"], summary["frames_lost"]) == (17, 3)
    whole_s = np.delete(np.arange(20), [8, 9, 10]) / 25.0
    np.testing.assert_allclose(poses["stamps_s"], whole_s, atol=1e-6)
    assert "frames_lost" in shown
    fault_table.add("Damaged packets in a video", "read on; `frames_lost` counts them")


def test_a_video_that_is_cut_off(tool, fault_table):
    video = encode(tool.folder / "a.mp4", greys(20, SIZE))
    at, size = packets(video)[12]
    video.write_bytes(video.read_bytes()[: at + size])
    summary, _, _ = tool.run(video, "--no-overlay")
    assert summary["frames"] + summary["frames_lost"] == 20 and summary["frames"] >= 12
    fault_table.add("A video that is cut off", "`frames_lost` counts what its header states")


def test_a_codec_that_cannot_be_decoded(tool, fault_table):
    line = tool.refused(undecodable(encode(tool.folder / "a.mp4", greys(5, SIZE))))
    assert "video: got" in line and "unknown codec" in line
    fault_table.add("A codec that cannot be decoded", "“video: got … (unknown codec)”, status 1")


def test_pixels_that_are_not_square(tool, calibration, fault_table):
    video = encode(tool.folder / "a.mp4", greys(6, (120, 120)), aspect=Fraction(4, 3))
    summary, _, _ = tool.run(video, *calibration)  # which fits 4:3 alone
    assert summary["camera"] == "calibrated"
    fault_table.add("Pixels that are not square", "made square before anything else")


def test_numbers_that_are_not_padded(tool, fault_table):
    (tool.folder / "images").mkdir()
    for i, image in enumerate(greys(11, SIZE)):
        cv2.imwrite(str(tool.folder / "images" / f"{i + 1}.png"), image)
    tool.run(tool.folder / "images", "--fps", "10")
    shown = [frame.image[:, :20].mean() for frame in Video(tool.out / "overlay.mp4")]
    assert (np.diff(shown) > 0.0).all()
    fault_table.add("Images named 1.png … 150.png", "read in the order of their numbers")


def test_a_calibration_of_another_aspect(tool, calibration, fault_table):
    line = tool.refused(encode(tool.folder / "a.mp4", greys(3, (160, 90))), *calibration)
    assert "camera size: got '640x480', accepted: the aspect of 160x90" in line
    fault_table.add("A calibration of another aspect", "“camera size: got '640x480' …”, status 1")


def test_a_calibration_of_another_kind(tool, fault_table):
    video = encode(tool.folder / "a.mp4", greys(3, SIZE))
    for text, named in (
        ("", "an empty file"),
        ("%YAML:1.0\n---\nM: !!opencv-matrix {}\n", "OpenCV's FileStorage"),
        ("fx: 500\n", "the fields fx"),
    ):
        (tool.folder / "camera.yaml").write_text(text)
        line = tool.refused(video, "--camera", str(tool.folder / "camera.yaml"))
        assert named in line and "accepted: a YAML file of camera_calibration" in line
    fault_table.add(
        "A calibration of OpenCV, an empty file, any other YAML",
        "“content: got …, accepted: a YAML file of camera_calibration, …”, status 1",
    )


def test_a_bag_of_several_cameras(tool, fault_table):
    with BagMaker(tool.folder / "bag", "mcap") as bag:
        for i, image in enumerate(greys(4, SIZE)):
            at_ns = FIRST_NS + i * 40_000_000
            for side in ("left", "right"):
                bag.write(f"/{side}/image_raw", bag.image(at_ns, image), at_ns + DELAY_NS)
    line = tool.refused(tool.folder / "bag")
    assert "/left/image_raw, /right/image_raw" in line
    summary, poses, _ = tool.run(tool.folder / "bag", "--topic", "/right/image_raw")
    assert (summary["frames"], summary["camera"]) == (4, "a guess")
    taken_s = FIRST_NS * 1e-9 + 0.04 * np.arange(4)
    np.testing.assert_allclose(poses["stamps_s"], taken_s, rtol=0.0, atol=1e-6)
    fault_table.add(
        "A bag of several cameras", "refused with their topics, until `--topic` names one"
    )


def test_a_bag_with_what_cannot_be_used(tool, fault_table):
    with BagMaker(tool.folder / "bag", "sqlite3") as bag:
        for number, i in enumerate([0, 1, 1, 3, 2, 4]):  # one again, one late, one broken
            message = bag.image(FIRST_NS + i * 40_000_000, greys(5, SIZE)[i])
            message.step = 7 if i == 4 else message.step
            bag.write("/image", message, FIRST_NS + number)
    summary, _, _ = tool.run(tool.folder / "bag")
    assert (summary["frames"], summary["frames_lost"]) == (3, 3)
    (tool.folder / "torn.mcap").write_bytes(b"\x89MCAP0\r\n torn")
    assert "accepted: a whole bag" in tool.refused(tool.folder / "torn.mcap")
    fault_table.add(
        "A bag with broken, repeated or late images, or a torn bag",
        "`frames_lost` counts them; “bag: got …, accepted: a whole bag”, status 1",
    )
