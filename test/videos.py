"""Video files as cameras, browsers and accidents make them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SIZE = (64, 48)
UNEVEN_S = np.array([0.0, 0.03, 0.1, 0.117, 0.4, 0.433, 0.7, 0.72, 1.5, 1.533])
"""Stamps of a recording without an even rate [s]."""


def greys(count: int, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """Images [H, W, 3] whose level tells their number."""
    width, height = size
    return [np.full((height, width, 3), 20 + 20 * (i % 11), np.uint8) for i in range(count)]


def encode(
    file: Path,
    images: list[np.ndarray],
    stamps_s: np.ndarray | None = None,
    codec: str = "libx264",
    aspect: Fraction | None = None,
) -> Path:
    """Write images at their times (else 25 Hz), each one a key frame."""
    tick = Fraction(1, 1000)
    stamps = np.arange(len(images)) / 25.0 if stamps_s is None else stamps_s
    with av.open(str(file), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = tick
        stream.codec_context.gop_size = 1
        stream.codec_context.max_b_frames = 0
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for image, stamp_s in zip(images, stamps):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = round(stamp_s / float(tick)), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file


def turned(file: Path, degrees: int, mirrored: bool = False) -> Path:
    """State in an MP4 that it is shown turned, counter-clockwise, as phones do.

    Args:
        mirrored: left to right before that, as front cameras do.
    """
    cos, sin = {0: (1, 0), 90: (0, 1), -90: (0, -1), 180: (-1, 0)}[degrees]
    sign = -1 if mirrored else 1
    matrix = (sign * cos, sign * -sin, 0, sin, cos, 0, 0, 0, 1 << 14)
    data = bytearray(file.read_bytes())
    at = data.index(b"tkhd") + 44
    data[at : at + 36] = np.array([value << 16 for value in matrix], ">i4").tobytes()
    file.write_bytes(data)
    return file


def without_rate(file: Path) -> Path:
    """Void the default duration of a WebM: browsers' recorders state none."""
    data = bytearray(file.read_bytes())
    at = data.find(b"\x23\xe3\x83")
    if at > 0:
        size = 4 + (data[at + 3] & 0x7F)
        data[at : at + size] = bytes([0xEC, 0x80 | (size - 2)]) + bytes(size - 2)
        file.write_bytes(data)
    return file


def packets(file: Path) -> list[tuple[int, int]]:
    """Position and size in the file of each packet of its first stream."""
    with av.open(str(file)) as container:
        found = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    return found


def damaged(file: Path, numbers: list[int]) -> Path:
    """Overwrite packets with noise."""
    data, places = bytearray(file.read_bytes()), packets(file)
    random = np.random.default_rng(1)
    for number in numbers:
        at, size = places[number]
        data[at : at + size] = random.integers(0, 256, size, np.uint8).tobytes()
    file.write_bytes(data)
    return file


def undecodable(file: Path) -> Path:
    """Name a codec in an MP4 that no one knows."""
    data = file.read_bytes()
    assert b"avc1" in data
    file.write_bytes(data.replace(b"avc1", b"zzz1"))
    return file
