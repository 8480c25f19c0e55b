"""A scripted camera and ears for the real node, over real DDS.

The node runs in this process, in an executor and thread of its own, and hears
the camera through the middleware as it would hear any other.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from vnect_ros.camera import Camera
from vnect_ros.inference import bundles
from vnect_ros.msg import SkeletonArray
from vnect_ros.ros import convert
from vnect_ros.ros.node import VnectNode

CAMERA = Camera(320, 240, 300.0, 300.0, 159.5, 119.5)
RATE_HZ = 30.0


def fake_bundle(folder: Path) -> str:
    """A bundle for the backend "fake", which sees a person in the middle of every crop."""
    (folder / "network").write_bytes(b"no network at all")
    bundles.write_bundle(
        folder / "fake", {"fp32": folder / "network"}, licence="CC0-1.0", input_size=128,
        mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0),
    )  # fmt: skip
    return str(folder / "fake")


class Rig:
    """The nodes under test and everything around them."""

    def __init__(self, domain: int) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.nodes: dict[str, VnectNode] = {}
        self._spinning: list[tuple[SingleThreadedExecutor, threading.Thread]] = []
        self._stopped = threading.Event()
        self.here = rclpy.create_node("rig", context=self.context)
        self._spin(self.here)
        self.cameras: dict[str, ScriptedCamera] = {}
        self.heard: dict[str, Heard] = {}

    def start(
        self, namespace: str = "", *, camera: bool = True, topic: str = "image",
        owns_process: bool = False, **parameters,
    ) -> Heard:  # fmt: skip
        """Start a node with these parameters (`__` for a dot), and listen to it.

        Its images come from `topic`.  One person is tracked unless `max_people` says
        otherwise (None: the node's default): the backend "fake" sees somebody in every
        window of a search.
        """
        heard = self.heard[namespace] = Heard(self, namespace)
        parameters = {"max_people": 1, **parameters}
        given = {k.replace("__", "."): v for k, v in parameters.items() if v is not None}
        node = VnectNode(
            context=self.context,
            namespace=namespace,
            owns_process=owns_process,
            cli_args=["--ros-args", "-r", f"image:={topic}"],
            parameter_overrides=[Parameter(key, value=value) for key, value in given.items()],
        )
        self.nodes[namespace] = node
        self._spin(node)
        if camera:
            compressed = given.get("image_transport") == "compressed"
            self.cameras[namespace] = ScriptedCamera(self, namespace, compressed, topic)
        return heard

    def camera(self, namespace: str = "") -> ScriptedCamera:
        return self.cameras[namespace]

    def call(self, kind: type, name: str, request: object, timeout_s: float = 20.0):
        """The answer of a service."""
        client = self.here.create_client(kind, name)
        assert client.wait_for_service(timeout_s), f"no service {name}"
        future = client.call_async(request)
        wait(future.done, f"an answer of {name}", timeout_s)
        self.in_turn(self.here.destroy_client, client)
        return future.result()

    def in_turn(self, function: Callable, *arguments: object) -> None:
        """Call a function of our own node between two turns of its executor (`stop_spinning`)."""
        executor, _ = self._spinning[0]
        wait(executor.create_task(function, *arguments).done, function.__name__)

    def change(self, transition: str, node: str = "/vnect") -> bool:
        """Ask for a lifecycle transition by its label."""
        request = ChangeState.Request()
        request.transition.label = transition
        return self.call(ChangeState, f"{node}/change_state", request).success

    def state(self, node: str = "/vnect") -> str:
        return self.call(GetState, f"{node}/get_state", GetState.Request()).current_state.label

    def await_state(self, label: str, node: str = "/vnect") -> None:
        wait(lambda: self.state(node) == label, f"{node} to be {label}")

    def set(self, node: str = "/vnect", **parameters) -> tuple[bool, str]:
        """Set one parameter; whether it was taken, and why not."""
        ((key, value),) = parameters.items()
        parameter = Parameter(key.replace("__", "."), value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        result = self.call(SetParameters, f"{node}/set_parameters", request).results[0]
        return result.successful, result.reason

    def get(self, key: str, node: str = "/vnect"):
        request = GetParameters.Request(names=[key])
        value = self.call(GetParameters, f"{node}/get_parameters", request).values[0]
        return rclpy.parameter.parameter_value_to_python(value)

    def trigger(self, name: str) -> tuple[bool, str]:
        answer = self.call(Trigger, name, Trigger.Request())
        return answer.success, answer.message

    def close(self) -> None:
        """End everything; the executors first."""
        self.stop_spinning()
        for node in self.nodes.values():
            node._stop_listening()
            node._release()
            node.destroy_node()
        self.here.destroy_node()
        rclpy.shutdown(context=self.context)

    def stop_spinning(self) -> None:
        """End the executors' threads, and only then what they use.

        rclpy's executor dies of what another thread destroys: of a subscription while it
        collects what to wait for, of its own guard condition (by `Executor.shutdown`)
        behind a callback.
        """
        self._stopped.set()
        for executor, thread in self._spinning:
            executor.create_task(lambda: None)  # one more turn
            thread.join(5.0)
            assert not thread.is_alive(), "a callback does not return"
            executor.shutdown(timeout_sec=5.0)
        self._spinning.clear()

    def _spin(self, node) -> None:
        executor = SingleThreadedExecutor(context=self.context)
        executor.add_node(node)
        thread = threading.Thread(target=self._turn, args=(executor,), daemon=True)
        thread.start()
        self._spinning.append((executor, thread))

    def _turn(self, executor: SingleThreadedExecutor) -> None:
        while not self._stopped.is_set():
            executor.spin_once()


class ScriptedCamera:
    """Publishes what a test tells it to."""

    def __init__(self, rig: Rig, namespace: str, compressed: bool, topic: str = "image") -> None:
        topic = f"{namespace}/{topic}" + ("/compressed" if compressed else "")
        kind = CompressedImage if compressed else Image
        make = rig.here.create_publisher
        self._rig, self._namespace = rig, namespace
        self.images = make(kind, topic, qos_profile_sensor_data)
        self.infos = make(CameraInfo, f"{namespace}/camera_info", qos_profile_sensor_data)
        self.frame = "camera_optical_frame"
        self.sent: list[Header] = []

    def await_node(self) -> None:
        """Until the node has subscribed: it is active then."""
        wait(lambda: self.images.get_subscription_count() > 0, "the node to subscribe to images")
        wait(lambda: self.infos.get_subscription_count() > 0, "the node to subscribe to infos")
        time.sleep(0.2)

    def header(self, stamp_s: float | None = None) -> Header:
        if stamp_s is None:
            stamp = self._rig.here.get_clock().now().to_msg()
        else:
            stamp = rclpy.time.Time(nanoseconds=round(stamp_s * 1e9)).to_msg()
        return Header(stamp=stamp, frame_id=self.frame)

    def inform(self, camera: Camera | CameraInfo = CAMERA) -> None:
        """Publish the intrinsics."""
        if isinstance(camera, Camera):
            camera = convert.camera_info(camera, Header())
        self.infos.publish(camera)

    def show(self, image: np.ndarray | None = None, stamp_s: float | None = None) -> Header:
        """Publish an image (black, of CAMERA's size, unless given) stamped now."""
        if image is None:
            image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
        header = self.header(stamp_s)
        self.images.publish(convert.image_message(image, header))
        self.sent.append(header)
        return header

    def play(
        self, frames: int, image: np.ndarray | None = None, camera: Camera | None = CAMERA,
        rate_hz: float = RATE_HZ,
    ) -> None:  # fmt: skip
        """So many images in real time, each with its CameraInfo unless that is None."""
        due = time.monotonic()
        for _ in range(frames):
            if camera is not None:
                self.inform(camera)
            self.show(image)
            due += 1.0 / rate_hz
            time.sleep(max(due - time.monotonic(), 0.0))

    def follow(
        self, count: int = 5, image: np.ndarray | None = None, camera: Camera | None = CAMERA
    ) -> list:
        """Images until so many skeletons were heard, however slow the machine is."""
        heard = self._rig.heard[self._namespace]
        self.play_until(
            lambda: len(heard.tracked()) >= count, f"{count} skeletons", image=image, camera=camera
        )
        return heard.tracked()

    def play_until(self, happened: Callable[[], object], what: str, **shown) -> None:
        """Images, three at a time as `play` shows them, until it has happened."""
        after = self._rig.heard[self._namespace].last_diagnostics

        def played_and_happened() -> object:
            self.play(3, **shown)
            return happened()

        wait(played_and_happened, what, after=after)


class Heard:
    """All messages of one node, by topic, in the order of receipt."""

    def __init__(self, rig: Rig, namespace: str) -> None:
        self._rig, self._namespace = rig, namespace
        self._messages: dict[str, list] = defaultdict(list)
        self.listen(SkeletonArray, "skeletons")
        self.listen(MarkerArray, "markers")
        self.listen(TFMessage, "/tf")
        self.listen(DiagnosticArray, "/diagnostics")
        self.listen_to_body("human")

    def listen_to_body(self, body_id: str) -> None:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.listen(JointState, f"bodies/{body_id}/joint_states")
        self.listen(String, f"bodies/{body_id}/urdf", latched)

    def listen(self, kind: type, topic: str, qos: QoSProfile | int = 100) -> None:
        name = topic if topic.startswith("/") else f"{self._namespace}/{topic}"
        self._rig.here.create_subscription(kind, name, self._messages[topic].append, qos)

    def __getitem__(self, topic: str) -> list:
        return list(self._messages[topic])

    def clear(self) -> None:
        for messages in self._messages.values():
            messages.clear()

    def skeletons(self) -> list:
        """All skeletons, LOST ones too."""
        return [s for array in self["skeletons"] for s in array.skeletons]

    def tracked(self) -> list:
        return [s for s in self.skeletons() if s.state != s.LOST]

    def await_tracked(self, count: int = 1) -> list:
        what = f"{count} skeletons"
        wait(lambda: len(self.tracked()) >= count, what, after=self.last_diagnostics)
        return self.tracked()

    def last_diagnostics(self) -> str:
        statuses = [s for array in self["/diagnostics"] for s in array.status]
        return f"{statuses[-1].level!r} {statuses[-1].message}" if statuses else "none"

    def await_diagnostics(self, level: bytes, text: str, timeout_s: float = 20.0):
        """A status of that level whose message contains the text."""
        what = f"diagnostics {text!r}"
        wait(lambda: bool(self.said(level, text)), what, timeout_s, self.last_diagnostics)
        return self.said(level, text)[-1]

    def said(self, level: bytes, text: str) -> list:
        """The statuses so far of that level whose messages contain the text."""
        statuses = [s for array in self["/diagnostics"] for s in array.status]
        return [s for s in statuses if s.level == level and text in s.message]


def wait(done, what: str, timeout_s: float = 20.0, after=lambda: "") -> None:
    """Until done(); a failure says what did not come, and after()."""
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}; last: {after()}"
        time.sleep(0.01)
