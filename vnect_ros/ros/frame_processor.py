"""From an image to the outputs, and what becomes of them when no image comes."""

from __future__ import annotations

import time
from threading import Lock

import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from vnect_ros.camera import Camera
from vnect_ros.config import NodeConfig
from vnect_ros.errors import ImageError, describe
from vnect_ros.pipeline import Pipeline
from vnect_ros.records import Frame, Pose, State
from vnect_ros.ros import convert
from vnect_ros.ros.diagnostics import Diagnostics
from vnect_ros.ros.image_input import Intake
from vnect_ros.ros.publishers import Outputs


class Tracking:
    """A configured node's pipeline and publishers.

    `process` runs in the worker's thread, everything else in the executor's.
    """

    def __init__(
        self,
        node: LifecycleNode,
        config: NodeConfig,
        pipeline: Pipeline,
        outputs: Outputs,
        diagnostics: Diagnostics,
    ) -> None:
        """Take over pipeline and outputs: `close` ends them."""
        self._node, self._config, self._diagnostics = node, config, diagnostics
        self._pipeline: Pipeline | None = pipeline
        self._outputs: Outputs | None = outputs
        self._step_lock, self._output_lock = Lock(), Lock()
        self.begin()

    def begin(self) -> None:
        """Know nothing of the camera: the node activates."""
        self._intake = Intake()
        self._processed_at = self._now_s()
        self._stale = False
        self._busy_since: float | None = None

    def configure(self, config: NodeConfig) -> None:
        """Take new values of live parameters."""
        self._config = config
        with self._step_lock:
            if self._pipeline is not None:
                self._pipeline.configure(config)

    def camera_info(self, info: CameraInfo) -> None:
        """Take the camera's newest intrinsics."""
        self._intake.info = info

    def process(self, message: Image | CompressedImage) -> None:
        """Convert, step, convert, publish.

        Raises:
            BackendError: the network cannot run any more.
            VnectError: this image cannot be used.
        """
        self._busy_since = time.monotonic()
        try:
            self._process(message)
        finally:
            self._busy_since = None

    def _process(self, message: Image | CompressedImage) -> None:
        begin = time.perf_counter()
        config, intake = self._config, self._intake
        stamp_s = intake.stamp_s(message, config.timeout_s, self._stale)
        if intake.too_soon(stamp_s, config.max_rate):
            return
        image = convert.image_from_message(message)
        camera = self._camera_of(image)
        if camera is None:
            return
        converted = time.perf_counter()
        with self._step_lock:
            pipeline, outputs = self._pipeline, self._outputs
            if pipeline is None or outputs is None:
                return
            if stamp_s < intake.last_stamp_s:
                pipeline.reset()
                self._node.get_logger().warning("time jumped back: tracking begins anew")
            intake.last_stamp_s = stamp_s
            poses = pipeline.step(Frame(image, camera, stamp_s))
            stages = dict(pipeline.timings_s)
        _check(poses)
        stepped = time.perf_counter()
        with self._output_lock:
            latency_s = outputs.publish(poses, camera, message.header, self._config)
            self._processed_at = self._now_s()
            self._stale = False
        published = time.perf_counter()
        stages["total"] = published - begin
        timings = {"convert": converted - begin, "publish": published - stepped, **stages}
        self._diagnostics.published(time.monotonic(), latency_s, timings)
        self._diagnostics.tracking = _summary(poses)
        self._diagnostics.stale = ""
        outputs.publish_debug(image, poses, camera, message.header, self._config.debug_rate)

    def _camera_of(self, image: np.ndarray) -> Camera | None:
        camera, remark, is_another = self._intake.camera_of(image, self._config)
        self._diagnostics.camera = remark or "calibrated"
        if camera is not None and remark:
            self._node.get_logger().warning(remark, throttle_duration_sec=30.0)
        if is_another:
            self._node.get_logger().info("the camera changed: tracking begins anew")
            self.forget()
        return camera

    def watch(self, source: str) -> None:
        """Nothing new for `timeout_s`: what was published last is no longer true.

        Args:
            source: the topic that images should come from.
        """
        if self._outputs is None or self._is_fresh():
            return
        with self._output_lock:
            if self._is_fresh():
                return
            self._outputs.lose()
            self._stale = True
        busy_s = time.monotonic() - (self._busy_since or np.inf)
        timeout_s = self._config.timeout_s
        self._diagnostics.stale = (
            f"the inference of an image has not ended for {busy_s:.1f} s"
            if busy_s > timeout_s
            else f"no usable image on {source} for {timeout_s:g} s"
        )
        self._diagnostics.tracking = State.LOST.value

    def _is_fresh(self) -> bool:
        """Whether the last output is younger than `timeout_s`.

        One from the future is of a time before the simulation began anew.
        """
        return 0.0 <= self._now_s() - self._processed_at < self._config.timeout_s

    def _now_s(self) -> float:
        """Time that image ages are measured in: simulated where that is in use."""
        if self._node.get_parameter("use_sim_time").value:
            return float(self._node.get_clock().now().nanoseconds * 1e-9)
        return time.monotonic()

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
            if self._outputs is not None:
                self._outputs.lose()

    def reset(self) -> None:
        """Forget and lose whoever is tracked, between two images."""
        with self._step_lock, self._output_lock:
            if self._pipeline is not None and self._outputs is not None:
                self._pipeline.reset()
                self._outputs.lose()

    def recalibrate(self) -> None:
        """Measure the bone lengths anew."""
        with self._step_lock:
            if self._pipeline is not None:
                self._pipeline.recalibrate()

    def close(self) -> None:
        """Give back the publishers; an image that is still worked on comes to nothing."""
        if self._outputs is not None:
            self._outputs.destroy()
        self._pipeline = self._outputs = None


def _check(poses: list[Pose]) -> None:
    """Raise ImageError if a pose has numbers that no consumer could bear."""
    for pose in poses:
        numbers = (
            pose.joints_camera_m, pose.orientations_xyzw, pose.velocities_mps,
            pose.transform_camera_from_body, pose.q, pose.bone_lengths_m,
        )  # fmt: skip
        if pose.state is not State.LOST and not all(np.isfinite(n).all() for n in numbers):
            raise ImageError(describe("pose", "NaN or infinity", "finite numbers"))


def _summary(poses: list[Pose]) -> str:
    tracked = [pose for pose in poses if pose.state is not State.LOST]
    return ", ".join(pose.state.value for pose in tracked) or "nobody is tracked"
