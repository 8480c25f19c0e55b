"""The node `vnect`: images in; skeletons, markers, TF and joint states out.

A managed (lifecycle) node.  The executor's thread receives images and leaves
the newest in a slot; one worker thread converts, steps the pipeline, converts
and publishes.  What goes wrong with an image is told on /diagnostics, and the
next image is tried; what goes wrong with the backend takes the lifecycle's
error path, from which the node can be configured again.
"""

from __future__ import annotations

import signal
import time
import traceback
from threading import Lock
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import Trigger

from vnect_ros import backends, models
from vnect_ros.backends.base import Backend
from vnect_ros.camera import Camera
from vnect_ros.errors import BackendError, ConfigError, ImageError, VnectError, describe
from vnect_ros.pipeline import Pipeline
from vnect_ros.records import Pose, State
from vnect_ros.ros import convert, params
from vnect_ros.ros.diagnostics import Diagnostics
from vnect_ros.ros.naming import body_id
from vnect_ros.ros.publishers import Outputs
from vnect_ros.ros.target import Target
from vnect_ros.ros.worker import LatestWorker

SUCCESS, ERROR = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.ERROR
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Sensor data, the newest only; receives from reliable publishers too."""


class VnectNode(LifecycleNode):
    """See the module; parameters are those of `config.NodeConfig`."""

    def __init__(self, **node_options: Any) -> None:
        """Declare the parameters; with `autostart` the executor's first turn activates.

        Raises:
            ConfigError: a parameter is unknown or refused.
        """
        super().__init__("vnect", **node_options)
        self.config = params.declare(self)
        self.add_on_set_parameters_callback(self._on_parameters)
        self._phase = "unconfigured"
        self._diagnostics = Diagnostics()
        self._failure = ""
        self._backend: Backend | None = None
        self._pipeline: Pipeline | None = None
        self._outputs: Outputs | None = None
        self._target: Target | None = None
        self._worker: LatestWorker | None = None
        self._subscriptions_of_active: list = []
        self._step_lock, self._output_lock = Lock(), Lock()
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._make_timers()
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(Trigger, "~/calibrate", self._on_calibrate)
        self._failed = self.create_guard_condition(self._enter_error)
        self._starter = self.create_timer(0.0, self._start, clock=self._steady)

    # -- lifecycle ---------------------------------------------------------------------

    def _start(self) -> None:
        self.destroy_timer(self._starter)
        waiting = self.config.autostart and self._phase == "unconfigured"
        if waiting and self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model into its runtime, try it once, and make the publishers."""
        try:
            config = self.config
            model = models.load(config.model, config.precision)
            self._backend = backends.create(
                model, config.backend, threads=config.threads, progress=self._on_progress
            )
            self._backend.infer(np.zeros((model.input_size, model.input_size, 3), np.uint8))
            self._pipeline = Pipeline(config, self._backend)
            if config.target_frame:
                self._target = Target(self, config.target_frame)
            named = body_id(config.body_id, self.get_namespace())
            self._outputs = Outputs(self, named, self._target)
            self._diagnostics.clear()
            self._diagnostics.facts = {
                "model": f"{model.name} ({model.precision})",
                "backend": self._backend.name,
                "backend detail": self._backend.detail,
            }
            self._diagnostics.recovered()
        except Exception as error:  # rclpy would swallow it
            return self._refuse(error)
        self._phase = "inactive"
        self.get_logger().info(
            f"configured: {model.name} ({model.precision}) on {self._backend.detail}"
        )
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen to the camera."""
        result = super().on_activate(state)
        self._diagnostics.clear()
        self._info: CameraInfo | None = None
        self._camera: Camera | None = None
        self._first_image_at: float | None = None
        self._last_stamp_s = -np.inf
        self._processed_at = self._now_s()
        self._stale = False
        self._busy_since: float | None = None
        self._worker = LatestWorker(self._handle, "vnect worker")
        self._subscriptions_of_active = [
            self._subscribe(CameraInfo, "camera_info", self._on_camera_info),
            self._subscribe(CompressedImage, self.image_topic, self._on_image)
            if self.config.image_transport == "compressed"
            else self._subscribe(Image, self.image_topic, self._on_image),
        ]
        self._phase = "active"
        self.get_logger().info(f"active: listening to {self.image_topic}")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening; whoever was tracked is LOST.  After a failure: the error path."""
        self._stop_listening()
        if self._failure:
            return ERROR
        self._phase = "inactive"
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give back the model, the runtime and the publishers."""
        self._release()
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """The same, from any state."""
        self._stop_listening()
        self._release()
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """The same, so that the node can be configured again."""
        self._stop_listening()
        self._release()
        return SUCCESS

    def _on_progress(self, step: str, share: float) -> None:
        """While an engine is built, which may take minutes, diagnostics are told at once."""
        self._diagnostics.facts["backend detail"] = f"{step}: {share:.0%}"
        self._report()

    def _refuse(self, error: Exception) -> TransitionCallbackReturn:
        """Say why the node cannot be configured."""
        known = isinstance(error, (VnectError, ImportError))
        text = str(error) if known else repr(error)
        self._diagnostics.failed(text)
        self.get_logger().error(f"cannot be configured: {text}")
        if not known:
            self.get_logger().error(traceback.format_exc())
        return ERROR

    def _fail(self, error: BackendError) -> None:
        """In the worker: the backend is gone; the executor takes the error path."""
        self._failure = str(error)
        self._diagnostics.failed(self._failure)
        self.get_logger().error(f"the backend failed: {error}")
        self._failed.trigger()

    def _enter_error(self) -> None:
        if self._failure and self._phase == "active":
            self.trigger_deactivate()

    def _stop_listening(self) -> None:
        for subscription in self._subscriptions_of_active:
            self.destroy_subscription(subscription)
        self._subscriptions_of_active = []
        if self._worker is not None:
            if not self._worker.stop():
                self.get_logger().error("an inference does not end; its thread is left behind")
            self._worker = None
            if self._outputs is not None and self.context.ok():
                with self._output_lock:
                    self._outputs.lose()
        if self._pipeline is not None:
            self._pipeline.reset()

    def _release(self) -> None:
        self._phase, self._failure = "unconfigured", ""
        if self._target is not None:
            self._target.close()
        if self._outputs is not None:
            self._outputs.destroy()
        if self._backend is not None:
            self._backend.close()
        self._backend = self._pipeline = self._outputs = self._target = None

    # -- images ------------------------------------------------------------------------

    @property
    def image_topic(self) -> str:
        """Where images come from, remapping applied."""
        topic = self.resolve_topic_name("image")
        return f"{topic}/compressed" if self.config.image_transport == "compressed" else topic

    def _subscribe(self, kind: type, topic: str, callback: Any) -> Any:
        return self.create_subscription(
            kind, topic, callback, NEWEST,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )  # fmt: skip

    def _on_camera_info(self, info: CameraInfo) -> None:
        self._info = info

    def _on_image(self, message: Image | CompressedImage) -> None:
        if self._worker is not None:
            replaced = self._worker.put(message)
            self._diagnostics.received(time.monotonic(), replaced)

    def _handle(self, message: Image | CompressedImage) -> None:
        """In the worker: one image, and whatever may be wrong with it."""
        self._busy_since = time.monotonic()
        try:
            self._process(message)
        except BackendError as error:
            self._fail(error)
        except VnectError as error:
            self._note(str(error))
        except Exception as error:
            if not self.context.ok():
                return  # shut down meanwhile
            self._note(f"unforeseen: {error!r}")
            self.get_logger().error(traceback.format_exc(), throttle_duration_sec=5.0)
            with self._step_lock:
                if self._pipeline is not None:
                    self._pipeline.reset()
        finally:
            self._busy_since = None

    def _note(self, error: str) -> None:
        self._diagnostics.refused(time.monotonic(), error)
        self.get_logger().warning(error, throttle_duration_sec=5.0)

    def _process(self, message: Image | CompressedImage) -> None:
        """Convert, step, convert, publish."""
        begin = time.perf_counter()
        stamp_s = self._check_header(message)
        if self.config.max_rate and 0.0 < stamp_s - self._last_stamp_s < 0.9 / self.config.max_rate:
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
            if stamp_s < self._last_stamp_s:
                pipeline.reset()
                self.get_logger().warning("time jumped back: tracking begins anew")
            self._last_stamp_s = stamp_s
            poses = pipeline.step(image, camera, stamp_s)
            stages = dict(pipeline.timings_s)
        _check(poses)
        stepped = time.perf_counter()
        with self._output_lock:
            latency_s = outputs.publish(poses, camera, message.header, self.config)
            self._processed_at = self._now_s()
            self._stale = False
        published = time.perf_counter()
        stages["total"] = published - begin
        timings = {"convert": converted - begin, "publish": published - stepped, **stages}
        self._diagnostics.published(time.monotonic(), latency_s, timings)
        self._diagnostics.tracking = _summary(poses)
        self._diagnostics.stale = ""
        outputs.publish_debug(image, poses, camera, message.header, self.config.debug_rate)

    def _check_header(self, message: Image | CompressedImage) -> float:
        """The image's stamp [s], if the image may be used.

        Raises:
            ImageError: no frame, no stamp, or one that was seen before.
        """
        header = message.header
        stamp_s = convert.stamp_s(header.stamp)
        if not header.frame_id:
            raise ImageError(describe("image frame_id", "", "the camera's optical frame"))
        if stamp_s <= 0.0:
            raise ImageError(describe("image stamp", stamp_s, "the time the image was taken"))
        if abs(stamp_s - self._last_stamp_s) < 1e-6:  # rounding on the way does not make it new
            raise ImageError(describe("image stamp", f"{stamp_s:.6f} again", "each stamp once"))
        back_s = self._last_stamp_s - stamp_s
        # More, or after a silence, is a clock that jumped back.
        if 0.0 < back_s <= self.config.timeout_s and not self._stale:
            late = f"{stamp_s:.6f}, {back_s:.3f} s before the last one"
            raise ImageError(describe("image stamp", late, "images in the order they were taken"))
        return stamp_s

    def _camera_of(self, image: np.ndarray) -> Camera | None:
        """The camera that took the image; None while its CameraInfo may still come."""
        height, width = image.shape[:2]
        if self._first_image_at is None:
            self._first_image_at = time.monotonic()
        waited_s = time.monotonic() - self._first_image_at
        if self._info is None and waited_s < self.config.camera_info_timeout_s:
            self._diagnostics.camera = "waiting for a CameraInfo"
            return None
        camera, remark = convert.camera_from_message(
            self._info, width, height, self.config.fallback_fov
        )
        if remark:
            self.get_logger().warning(remark, throttle_duration_sec=30.0)
        self._diagnostics.camera = remark or "calibrated"
        if self._camera is not None and _differ(self._camera, camera):
            self.get_logger().info("the camera changed: tracking begins anew")
            with self._step_lock:
                if self._pipeline is not None:
                    self._pipeline.reset()
        if camera != self._camera:  # else keep what the old one has worked out
            self._camera = camera
        return self._camera

    # -- timers ------------------------------------------------------------------------

    def _make_timers(self) -> None:
        """Steady timers: neither a jump of the clock nor a paused simulation stops them."""
        watch_s = min(max(self.config.timeout_s / 5.0, 0.005), 0.1)
        self._timers_made_for = (self.config.timeout_s, self.config.diagnostics_period)
        self._watchdog = self.create_timer(watch_s, self._on_watch, clock=self._steady)
        self._reporter = self.create_timer(
            self.config.diagnostics_period, self._report, clock=self._steady
        )

    def _on_watch(self) -> None:
        """Nothing new for `timeout_s`: what was published last is no longer true."""
        if self._phase != "active" or self._outputs is None or self._is_fresh():
            return
        with self._output_lock:
            if self._is_fresh():
                return
            self._outputs.lose()
            self._stale = True
        busy_s = time.monotonic() - (self._busy_since or np.inf)
        self._diagnostics.stale = (
            f"the inference of an image has not ended for {busy_s:.1f} s"
            if busy_s > self.config.timeout_s
            else f"no usable image on {self.image_topic} for {self.config.timeout_s:g} s"
        )
        self._diagnostics.tracking = State.LOST.value

    def _is_fresh(self) -> bool:
        """Whether the last output is younger than `timeout_s`.

        One from the future is of a time before the simulation began anew.
        """
        return 0.0 <= self._now_s() - self._processed_at < self.config.timeout_s

    def _report(self) -> None:
        stamp = self.get_clock().now().to_msg()
        name = self.get_fully_qualified_name().lstrip("/")
        self._diagnostics_publisher.publish(
            self._diagnostics.message(time.monotonic(), name, self._phase, stamp)
        )

    def _now_s(self) -> float:
        """Time that image ages are measured in: simulated where that is in use."""
        if self.get_parameter("use_sim_time").value:
            return self.get_clock().now().nanoseconds * 1e-9
        return time.monotonic()

    # -- parameters and services -------------------------------------------------------

    def _on_parameters(self, parameters: list[Parameter]) -> Any:
        configured = self._phase != "unconfigured"
        config, result = params.changed(self.config, parameters, configured)
        if result.successful and config != self.config:
            self.config = config
            with self._step_lock:
                if self._pipeline is not None:
                    self._pipeline.configure(config)
            if (config.timeout_s, config.diagnostics_period) != self._timers_made_for:
                self.destroy_timer(self._watchdog)
                self.destroy_timer(self._reporter)
                self._make_timers()
        return result

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._phase != "active" or self._pipeline is None or self._outputs is None:
            return self._inactive(response)
        with self._step_lock, self._output_lock:
            self._pipeline.reset()
            self._outputs.lose()
        response.success, response.message = True, "tracking begins anew"
        return response

    def _on_calibrate(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._phase != "active" or self._pipeline is None:
            return self._inactive(response)
        with self._step_lock:
            self._pipeline.recalibrate()
        frames = self.config.fit.calibration_frames
        response.success = True
        response.message = f"bone lengths are measured over the next {frames} frames"
        return response

    def _inactive(self, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = False, f"the node is {self._phase}, not active"
        return response


def _check(poses: list[Pose]) -> None:
    """Raise ImageError if a pose has numbers that no consumer could bear."""
    for pose in poses:
        numbers = (
            pose.joints_camera_m, pose.orientations_xyzw, pose.velocities_mps,
            pose.transform_camera_from_body, pose.q, pose.bone_lengths_m,
        )  # fmt: skip
        if pose.state is not State.LOST and not all(np.isfinite(n).all() for n in numbers):
            raise ImageError(describe("pose", "NaN or infinity", "finite numbers"))


def _differ(before: Camera, after: Camera) -> bool:
    """Whether tracking cannot go on from one camera to the other."""
    size = (before.width, before.height) != (after.width, after.height)
    zoom = abs(after.fy / before.fy - 1.0) > 0.01
    return size or zoom or before.calibrated != after.calibrated


def _summary(poses: list[Pose]) -> str:
    tracked = [pose for pose in poses if pose.state is not State.LOST]
    return ", ".join(pose.state.value for pose in tracked) or "nobody is tracked"


def main(args: list[str] | None = None) -> int:
    """Run the node until it is interrupted."""
    rclpy.init(args=args)
    executor = SingleThreadedExecutor()
    node = None
    try:
        node = VnectNode()
        executor.add_node(node)
        executor.spin()
    except ConfigError as error:
        rclpy.logging.get_logger("vnect").fatal(str(error))
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        # A launch file and the terminal both interrupt: once is enough.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if node is not None:
            node.on_shutdown(LifecycleState(label="finalized", state_id=4))
            executor.shutdown(timeout_sec=1.0)
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
