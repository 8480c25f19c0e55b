"""A video file, a folder of images, a bag, a webcam or the bundled clip as a ROS camera.

Publishes `image` and `camera_info` in real time, each frame stamped when it is
published.  Without `--camera` or `--fov` the intrinsics are those of the bag, or
of a truth file beside the video (NAME_truth.npz), else K is zero: uncalibrated.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from vnect_ros import share
from vnect_ros.camera import Camera
from vnect_ros.config import CameraConfig
from vnect_ros.errors import ImageError, VnectError, describe
from vnect_ros.recordings.camera_file import read_camera_file
from vnect_ros.recordings.frame import VideoFrame, fitted, size
from vnect_ros.recordings.video import Video
from vnect_ros.ros import convert, naming
from vnect_ros.ros.ending import end_ros, ignore_interrupts

PROFILE = "config/shared_memory.xml"
CLIP = "assets/demo.mp4"
SETTLE_S = 2.5
"""From the first subscriber to the first frame: it finds us later than we find it, and what
is lost of DDS's discovery is told again only after about two seconds."""


LATE_S = 0.05
"""A frame that is later than this moves all that follow."""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line, ROS's own arguments removed."""
    parser = argparse.ArgumentParser(prog="video_publisher", description=__doc__)
    parser.add_argument(
        "source", nargs="?", metavar="SOURCE",
        help="video file, folder of images, bag or number of a webcam (default: the bundled clip)",
    )  # fmt: skip
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--camera", metavar="FILE",
        help="YAML of ROS camera_calibration, Kalibr (FILE#cam0) or `ros2 topic echo`",
    )  # fmt: skip
    group.add_argument("--fov", type=float, metavar="DEG", help="vertical field of view")
    parser.add_argument(
        "--rectified", action="store_true",
        help="the images are undistorted already: of --camera, the projection matrix holds",
    )  # fmt: skip
    parser.add_argument(
        "--fps", type=float, help="images a second (default: the video's own time stamps)"
    )
    parser.add_argument(
        "--size", type=size, metavar="WxH",
        help="images scaled to fit this size, the rest black (default: as they are)",
    )  # fmt: skip
    parser.add_argument(
        "--compressed", action="store_true", help="publish JPEGs on `image/compressed` instead"
    )
    parser.add_argument("--once", action="store_true", help="end with the video, do not repeat it")
    parser.add_argument(
        "--frame-id",
        default="",
        metavar="NAME",
        help=f"default: a bag's own, else {naming.CAMERA_FRAME}",
    )
    parser.add_argument(
        "--topic", default="", help="of a bag's images (default: the only one there is)"
    )
    parser.add_argument(
        "--wait", type=float, default=0.0, metavar="S",
        help="wait up to this long for a subscriber before the first frame (default: 0)",
    )  # fmt: skip
    parser.add_argument(
        "--log", metavar="FILE", help="write stamps_s [F] of the frames published to this .npz"
    )
    return parser.parse_args(arguments)


def open_source(args: argparse.Namespace) -> Video | int:
    """The recording, or the webcam's number.

    Raises:
        ImageError: it cannot be read.
    """
    if args.source is not None and args.source.isdigit():
        return int(args.source)
    file = share.find(CLIP) if args.source is None else Path(args.source)
    if file is None:
        raise ImageError(describe("video", CLIP, "a file: the bundled clip is not installed"))
    rectified = "true" if args.rectified else "auto"
    return Video(file, args.fps, topic=args.topic, rectified=rectified)


def frames(source: Video | int, once: bool) -> Iterator[tuple[VideoFrame, float]]:
    """Frames and when each is due, from the start [s]; of a webcam, at once.

    A recording begins again behind its end, for ever unless `once`.

    Raises:
        ImageError: the source cannot be read, or can no longer be.
    """
    if isinstance(source, int):
        yield from ((VideoFrame(image, 0.0), 0.0) for image in _webcam(source))
        return
    begin_s = due_s = 0.0
    while True:
        frame = None
        for frame in source:
            due_s = max(due_s, begin_s + frame.stamp_s)
            yield frame, due_s
        if frame is None:
            raise ImageError(describe("video", str(source.source), "a file with whole frames"))
        if once:
            return
        begin_s = due_s + 1.0 / source.fps


def _webcam(number: int) -> Iterator[np.ndarray]:
    capture = cv2.VideoCapture(number)
    try:
        while True:
            there, image = capture.read()
            if not there:
                raise ImageError(describe("webcam", number, "a camera that delivers images"))
            yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()


def camera_for(args: argparse.Namespace, source: Video | int, frame: VideoFrame) -> Camera:
    """The intrinsics to publish; not calibrated if nothing is known.

    Raises:
        CameraError: those named cannot be had.
    """
    height, width = frame.image.shape[:2]
    if args.camera:
        return read_camera_file(args.camera, args.rectified).for_image(width, height)
    if args.fov is not None:
        guess = Camera.from_field_of_view(width, height, args.fov)
        return Camera(width, height, guess.fx, guess.fy, guess.cx, guess.cy)
    if frame.camera is not None:
        return frame.camera
    if isinstance(source, Video):
        truth = source.source.with_name(f"{source.source.stem}_truth.npz")
        if truth.is_file():
            with np.load(truth) as known:
                fx, fy, cx, cy = (float(known[key]) for key in ("fx", "fy", "cx", "cy"))
                size = int(known["width"]), int(known["height"])
            return Camera(*size, fx, fy, cx, cy).for_image(width, height)
    return Camera.from_field_of_view(width, height, CameraConfig().fallback_fov)


def wait_until(due: float) -> None:
    """Sleep until that monotonic time [s], or until ROS is shut down."""
    while rclpy.ok() and (left_s := due - time.monotonic()) > 0.0:
        time.sleep(min(left_s, 0.1))


def publish(args: argparse.Namespace, node: Node, stamps_s: list[float]) -> None:
    """Publish frame by frame on time; a late frame is not waited for.

    Args:
        stamps_s: filled with the stamp of each frame published.
    """
    source = open_source(args)
    kind, topic, message = (
        (CompressedImage, "image/compressed", convert.compressed_message)
        if args.compressed
        else (Image, "image", convert.image_message)
    )
    to_image = node.create_publisher(kind, topic, qos_profile_sensor_data)
    to_info = node.create_publisher(CameraInfo, "camera_info", qos_profile_sensor_data)
    patience = time.monotonic() + args.wait
    while time.monotonic() < patience and rclpy.ok():
        if to_image.get_subscription_count() and to_info.get_subscription_count():
            time.sleep(SETTLE_S)
            break
        time.sleep(0.02)
    camera = None
    start = time.monotonic()
    for frame, due_s in frames(source, args.once):
        height, width = frame.image.shape[:2]
        before = camera
        if frame.camera or camera is None or (camera.width, camera.height) != (width, height):
            camera = camera_for(args, source, frame)
            if camera != before:
                known = "calibrated" if camera.calibrated else "not calibrated"
                node.get_logger().info(f"{width}x{height}, {known}")
        shown = args.size or (width, height)
        header = Header(frame_id=args.frame_id or frame.frame_id or naming.CAMERA_FRAME)
        image = message(fitted(frame.image, shown), header)
        info = convert.camera_info(camera.fitted(*shown), header)
        start = max(start, time.monotonic() - due_s - LATE_S)  # do not hurry after a delay
        wait_until(start + due_s)
        if not rclpy.ok():
            return
        header.stamp = node.get_clock().now().to_msg()
        if camera != before:
            to_info.publish(info)
        to_image.publish(image)  # first, as camera drivers do, but for a new calibration
        if camera == before:
            to_info.publish(info)
        stamps_s.append(convert.stamp_s(header.stamp))
    time.sleep(0.5)  # the last frame is still under way


def main(args: list[str] | None = None) -> int:
    """Publish until the video ends or the process is interrupted."""
    arguments = sys.argv[1:] if args is None else args
    parsed = parse(remove_ros_args(["video_publisher", *arguments])[1:])
    profile = share.find(PROFILE)
    if profile is not None:
        for variable in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
            os.environ.setdefault(variable, str(profile))
    rclpy.init(args=["video_publisher", *arguments])
    stamps_s: list[float] = []
    status = 0
    try:
        publish(parsed, rclpy.create_node("video_publisher"), stamps_s)
    except VnectError as error:
        print(f"video_publisher: {error}", file=sys.stderr)
        status = 1
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        if rclpy.ok():  # not just shut down in the middle of publishing
            raise
    finally:
        ignore_interrupts()
        if parsed.log:
            np.savez(parsed.log, stamps_s=np.array(stamps_s))
        end_ros()
    return status


if __name__ == "__main__":
    raise SystemExit(main())
