"""From an image to the outputs, and what becomes of them when no image comes."""

from __future__ import annotations

import time
from threading import Lock
from typing import NamedTuple

import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from vnect_ros.camera import Camera
from vnect_ros.config import NodeConfig
from vnect_ros.errors import ImageError
from vnect_ros.pipeline import Pipeline
from vnect_ros.records import Frame
from vnect_ros.ros.diagnostics import Diagnostics
from vnect_ros.ros.extras import Extras
from vnect_ros.ros.image_input import ImageInput, Refusal
from vnect_ros.ros.neighbours import conflicts
from vnect_ros.ros.publishers import Publishers
from vnect_ros.ros.stage_times import STAGES
from vnect_ros.ros.watchdog import Freshness


class Received(NamedTuple):
    """An image as the executor's thread leaves it to the worker."""

    message: Image | CompressedImage
    at_s: float
    """When, by a steady clock [s]."""
    age_s: float
    """The node's clock at that time less the image's stamp [s]."""


class FrameProcessor:
    """A configured node's pipeline and publishers.

    `process` runs in the worker's thread, everything else in the executor's.
    """

    def __init__(
        self,
        node: LifecycleNode,
        config: NodeConfig,
        pipeline: Pipeline,
        publishers: Publishers,
        diagnostics: Diagnostics,
        extras: Extras,
    ) -> None:
        """Take over pipeline and publishers: `close` ends them."""
        self._node, self._config, self._diagnostics = node, config, diagnostics
        self._pipeline: Pipeline | None = pipeline
        self._publishers: Publishers | None = publishers
        self._extras = extras
        self._step_lock, self._output_lock = Lock(), Lock()
        self._freshness = Freshness(node)
        self.begin("")

    def begin(self, topic: str) -> None:
        """Know nothing of the camera: the node activates.

        Args:
            topic: that the images come from.
        """
        assert self._pipeline is not None
        self._topic = topic
        self._input = ImageInput(self._pipeline.clock, topic, self._extras)
        self._camera: Camera | None = None
        self._freshness.renew()
        self._stale = False
        self._busy_since: float | None = None

    def configure(self, config: NodeConfig) -> None:
        """Take new values of live parameters."""
        self._config = config
        with self._step_lock:
            if self._pipeline is not None:
                self._pipeline.configure(config)

    @property
    def camera_info(self) -> CameraInfo | None:
        """The camera's newest intrinsics."""
        return self._input.info

    @camera_info.setter
    def camera_info(self, info: CameraInfo) -> None:
        self._input.info = info

    def process(self, received: Received) -> None:
        """Read, step, publish.

        Raises:
            BackendError: the network cannot run any more.
            VnectError: this image cannot be used.
        """
        self._busy_since = time.monotonic()
        try:
            self._process(received)
        finally:
            self._busy_since = None

    def _process(self, received: Received) -> None:
        begin_s, config, message = time.monotonic(), self._config, received.message
        frame = self._input.read(message, config, self._stale)
        self._diagnostics.camera_fault = self._input.camera_fault
        self._diagnostics.camera = self._input.camera_used
        self._diagnostics.extras = self._extras.states()
        if isinstance(frame, Refusal):
            if frame.is_fault:
                raise ImageError(frame.reason)
            return
        read_s = time.monotonic()
        with self._step_lock:
            pipeline, publishers = self._pipeline, self._publishers
            if pipeline is None or publishers is None:
                return
            self._begin_anew_if_needed(frame, pipeline)
            poses = pipeline.step(frame)
            timings, skipped = dict(pipeline.timings_s), pipeline.skipped
        stepped_s = time.monotonic()
        with self._output_lock:
            latency_s = publishers.publish(poses, frame.camera, message.header, config, frame.image)
            self._freshness.renew()
            self._stale = False
        end_s = time.monotonic()
        timings["total"] = end_s - begin_s
        timings = {"convert": read_s - begin_s, "publish": end_s - stepped_s, **timings}
        waits = (received.age_s, begin_s - received.at_s, stepped_s - begin_s)
        stages = dict(zip(STAGES, (*waits, publishers.published_s - stepped_s)))
        people = publishers.by_name(poses, config)
        self._diagnostics.published(end_s, latency_s, timings, stages, people, skipped)
        publishers.publish_debug(
            frame.image, poses, frame.camera, message.header, config.debug_rate
        )

    def _begin_anew_if_needed(self, frame: Frame, pipeline: Pipeline) -> None:
        """Forget everybody where tracking cannot go on from the last frame to this one."""
        logger = self._node.get_logger()
        if self._input.camera_fault:
            logger.warning(self._input.camera_fault, throttle_duration_sec=30.0)
        if frame.stamp_s < pipeline.clock.last_s:
            logger.warning("time jumped back: tracking begins anew")
            pipeline.reset()
        if self._camera is not None and _differ(self._camera, frame.camera):
            logger.info("the camera changed: tracking begins anew")
            pipeline.reset()
        self._camera = frame.camera

    def watch(self) -> None:
        """Nothing new for `timeout_s`: what was published last is no longer true."""
        timeout_s = self._config.timeout_s
        self._diagnostics.clock = self._freshness.look(timeout_s)
        if self._publishers is None:
            return
        with self._output_lock:
            self._publishers.retire(time.monotonic())
            if self._freshness.is_fresh(timeout_s):
                return
            self._publishers.lose()
            self._stale = True
        busy_s = time.monotonic() - (self._busy_since or np.inf)
        self._diagnostics.stopped(
            f"the inference of an image has not ended for {busy_s:.1f} s"
            if busy_s > timeout_s
            else f"no usable image on {self._topic} for {timeout_s:g} s"
        )

    def survey(self) -> None:
        """Look for other nodes that publish the same bodies."""
        with self._output_lock:
            ids = [] if self._publishers is None else self._publishers.ids
        conflict = conflicts(self._node, ids)
        if conflict and conflict != self._diagnostics.neighbour:
            self._node.get_logger().warning(conflict)
        self._diagnostics.neighbour = conflict

    def forget(self) -> None:
        """Begin tracking anew with the next image; what was published stands."""
        with self._step_lock:
            if self._pipeline is not None:
                self._pipeline.reset()

    def end(self) -> None:
        """Forget, for the node deactivates.  Waits for no image: one may never be done."""
        if self._pipeline is not None:
            self._pipeline.reset()

    def lose(self) -> None:
        """Publish that whoever was tracked is LOST."""
        with self._output_lock:
            if self._publishers is not None:
                self._publishers.lose()

    def reset(self) -> None:
        """Forget and lose whoever is tracked, between two images."""
        with self._step_lock, self._output_lock:
            if self._pipeline is not None and self._publishers is not None:
                self._pipeline.reset()
                self._publishers.lose()

    def recalibrate(self) -> None:
        """Measure the bone lengths anew."""
        with self._step_lock:
            if self._pipeline is not None:
                self._pipeline.recalibrate()

    def close(self) -> None:
        """Give back the publishers; an image that is still worked on comes to nothing."""
        if self._publishers is not None:
            self._publishers.destroy()
        self._pipeline = self._publishers = None


def _differ(before: Camera, after: Camera) -> bool:
    """Whether tracking cannot go on from one camera to the other."""
    size = (before.width, before.height) != (after.width, after.height)
    zoom = abs(after.fy / before.fy - 1.0) > 0.01
    return size or zoom or before.calibrated != after.calibrated
