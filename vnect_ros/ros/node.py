"""The node `vnect`: images in; skeletons, markers, TF and joint states out.

A managed (lifecycle) node.  The executor's thread receives images and leaves
the newest in a slot; one worker thread converts, steps the pipeline, converts
and publishes.  What goes wrong with an image is told on /diagnostics, and the
next image is tried; what goes wrong with the backend takes the lifecycle's
error path, from which the node can be configured again.
"""

from __future__ import annotations

import time
import traceback
from typing import Any

import numpy as np
from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import Trigger

from vnect_ros import inference, steady
from vnect_ros.budget import Budget
from vnect_ros.config import NodeConfig
from vnect_ros.errors import BackendError, ConfigError, VnectError, describe
from vnect_ros.inference import bundles
from vnect_ros.inference.base import Backend
from vnect_ros.pipeline import Pipeline
from vnect_ros.ros import convert, params
from vnect_ros.ros.diagnostics import Diagnostics
from vnect_ros.ros.extras import Extras
from vnect_ros.ros.frame_processor import FrameProcessor, Received
from vnect_ros.ros.naming import body_id
from vnect_ros.ros.publishers import Publishers
from vnect_ros.ros.target_frame import GroundFrame, TargetFrame
from vnect_ros.ros.transforms import TransformListener
from vnect_ros.ros.watchdog import Watchdog
from vnect_ros.ros.worker import LatestWorker

SUCCESS, ERROR = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.ERROR
NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Sensor data, the newest only; receives from reliable publishers too."""
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""What a publisher sent before we came.  It matches publishers alone that are latched too."""


class VnectNode(LifecycleNode):
    """See the module; parameters are those of `config.NodeConfig`."""

    def __init__(self, *, owns_process: bool = False, **node_options: Any) -> None:
        """Declare the parameters; with `autostart` the executor's first turn activates.

        Args:
            owns_process: nothing else runs here: `niceness` is the process's, and what there is
                when the node activates is kept out of garbage collections, whose pauses would
                cost images.
            node_options: of `rclpy.node.Node`.

        Raises:
            ConfigError: a parameter is unknown or refused.
        """
        super().__init__("vnect", **node_options)
        self.config = params.declare(self)
        self._owns_process = owns_process
        self.add_on_set_parameters_callback(self._on_parameters)
        self._phase = "unconfigured"
        self._diagnostics = Diagnostics()
        self._failure = ""
        self._backend: Backend | None = None
        self._transforms: TransformListener | None = None
        self._processor: FrameProcessor | None = None
        self._extras = Extras()
        self._worker: LatestWorker[Image | CompressedImage] | None = None
        self._subscriptions_of_active: list[Any] = []
        self._is_latched_sought = False
        self._watchdog = Watchdog(
            self, self._diagnostics, lambda: self._phase, self._look, self._survey
        )
        self._watchdog.configure(self.config)
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(Trigger, "~/calibrate", self._on_calibrate)
        self._failed = self.create_guard_condition(self._enter_error)
        self._starter = self.create_timer(0.0, self._start, clock=self._watchdog.clock)

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
            priority = self._take_niceness(config.niceness)  # threads made later inherit it
            model = bundles.load(config.model, config.precision)
            self._backend = inference.create(
                model, config.backend, threads=config.threads, progress=self._on_progress
            )
            self._backend.infer([np.zeros((model.input_size, model.input_size, 3), np.uint8)])
            pipeline = Pipeline(config, self._backend, budget=Budget())
            target, self._extras = self._optional_inputs(config)
            named = body_id(config.body_id, self.get_namespace())
            publishers = Publishers(self, named, target, config.publish_hri)
            self._processor = FrameProcessor(
                self, config, pipeline, publishers, self._diagnostics, self._extras
            )
            self._diagnostics.configured(self._backend, self.image_topic, priority)
        except Exception as error:  # rclpy would swallow it
            return self._refuse(error)
        self._phase = "inactive"
        runtime = self._backend
        logger = self.get_logger()
        logger.info(f"configured: {model.name} ({model.precision}) on {runtime.name}")
        logger.debug(f"backend: {runtime.detail}")  # which may be long; on diagnostics too
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen to the camera."""
        result = super().on_activate(state)
        self._diagnostics.clear()
        processor = self._processor
        assert processor is not None  # configured
        processor.begin(self.image_topic)
        self._worker = LatestWorker(self._handle, "vnect worker")
        self._subscriptions_of_active = [
            self._subscribe(CameraInfo, "camera_info", self._on_camera_info),
            self._subscribe(CompressedImage, self.image_topic, self._on_image)
            if self.config.image_transport == "compressed"
            else self._subscribe(Image, self.image_topic, self._on_image),
        ]
        self._subscriptions_of_active += self._extras.subscribe(self._subscribe)
        self._phase = "active"
        if self._owns_process:
            steady.settle()
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

    def _take_niceness(self, value: int) -> str:
        """Give the process that niceness; "" or why it stays as it is: we work all the same."""
        try:
            if value and not self._owns_process:
                accepted = "0 in a program that runs other things too"
                raise ConfigError(describe("niceness", value, accepted))
            if value:
                steady.set_niceness(value)
        except ConfigError as error:
            self.get_logger().warning(str(error))
            return str(error)
        return ""

    def _optional_inputs(self, config: NodeConfig) -> tuple[TargetFrame | None, Extras]:
        """What the user chose: frames, by TF, and further topics."""
        target = ground = None
        if config.target_frame or config.ground_frame:
            self._transforms = transforms = TransformListener(self)
            target = TargetFrame(transforms, config.target_frame) if config.target_frame else None
            ground = GroundFrame(transforms, config.ground_frame) if config.ground_frame else None
        return target, Extras.configured(self, config, ground)

    def _on_progress(self, step: str, share: float) -> None:
        """While an engine is built, which may take minutes, diagnostics are told at once."""
        self._diagnostics.facts["backend detail"] = f"{step}: {share:.0%}"
        self._watchdog.report()

    def _refuse(self, error: Exception) -> TransitionCallbackReturn:
        """Say why the node cannot be configured."""
        if not self.context.ok():
            return ERROR  # interrupted
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
        self._is_latched_sought = False
        if self._worker is not None:
            if not self._worker.stop():
                self.get_logger().error("an inference does not end; its thread is left behind")
            self._worker = None
            if self._processor is not None and self.context.ok():
                self._processor.lose()
        if self._processor is not None:
            self._processor.end()

    def _release(self) -> None:
        self._phase, self._failure = "unconfigured", ""
        if self._transforms is not None:
            self._transforms.close()
        if self._processor is not None:
            self._processor.close()
        if self._backend is not None:
            self._backend.close()
        self._backend = self._transforms = self._processor = None

    # -- images ------------------------------------------------------------------------

    @property
    def image_topic(self) -> str:
        """Where images come from, remapping applied."""
        topic = self.resolve_topic_name("image")
        return f"{topic}/compressed" if self.config.image_transport == "compressed" else topic

    def _subscribe(self, kind: type, topic: str, callback: Any, qos: QoSProfile = NEWEST) -> Any:
        overriding = QoSOverridingOptions.with_default_policies() if qos is NEWEST else None
        return self.create_subscription(
            kind, topic, callback, qos, qos_overriding_options=overriding
        )

    def _seek_latched_camera_info(self) -> None:
        """Subscribe to a CameraInfo that was sent once, before the node came."""
        publishers = self.get_publishers_info_by_topic("camera_info")
        if any(p.qos_profile.durability == LATCHED.durability for p in publishers):
            self._subscriptions_of_active.append(
                self._subscribe(CameraInfo, "camera_info", self._on_camera_info, LATCHED)
            )
            self._is_latched_sought = True

    def _on_camera_info(self, message: CameraInfo) -> None:
        if self._processor is not None:
            self._processor.camera_info = message

    def _on_image(self, message: Image | CompressedImage) -> None:
        if self._worker is not None:
            now_s = self.get_clock().now().nanoseconds * 1e-9
            age_s = now_s - convert.stamp_s(message.header.stamp)
            received = Received(message, time.monotonic(), age_s)
            replaced = self._worker.put(received)
            self._diagnostics.received(received.at_s, replaced, age_s)

    def _handle(self, received: Received) -> None:
        """In the worker: one image, and whatever may be wrong with it."""
        processor = self._processor
        if processor is None:
            return  # released meanwhile
        try:
            processor.process(received)
        except BackendError as error:
            self._fail(error)
        except VnectError as error:
            self._note(str(error))
        except Exception as error:
            if not self.context.ok():
                return  # shut down meanwhile
            self._note(f"unforeseen: {error!r}")
            self.get_logger().error(traceback.format_exc(), throttle_duration_sec=5.0)
            processor.forget()

    def _note(self, error: str) -> None:
        self._diagnostics.refused(time.monotonic(), error)
        self.get_logger().warning(error, throttle_duration_sec=5.0)

    def _look(self) -> None:
        if self._phase == "active" and self._processor is not None:
            self._processor.watch()
            if self._processor.camera_info is None and not self._is_latched_sought:
                self._seek_latched_camera_info()

    def _survey(self) -> None:
        if self._phase == "active" and self._processor is not None:
            self._processor.survey()

    # -- parameters and services -------------------------------------------------------

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """As rclpy's, which the services call; it would refuse 2 where 2.0 is meant."""
        return super().set_parameters_atomically(params.as_declared(parameter_list))

    def _on_parameters(self, parameters: list[Parameter]) -> Any:
        configured = self._phase != "unconfigured"
        config, result = params.changed(self.config, parameters, configured)
        if result.successful and config != self.config:
            self.config = config
            if self._processor is not None:
                self._processor.configure(config)
            self._watchdog.configure(config)
        return result

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._phase != "active" or self._processor is None:
            return self._inactive(response)
        self._processor.reset()
        response.success, response.message = True, "tracking begins anew"
        return response

    def _on_calibrate(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        if self._phase != "active" or self._processor is None:
            return self._inactive(response)
        self._processor.recalibrate()
        frames = self.config.fit.calibration_frames
        response.success = True
        response.message = f"bone lengths are measured over the next {frames} frames"
        return response

    def _inactive(self, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = False, f"the node is {self._phase}, not active"
        return response
