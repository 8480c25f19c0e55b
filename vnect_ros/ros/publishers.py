"""The node's outputs: one image's poses on all topics, each stamp at most once.

Transforms, markers and joint states are hundreds of objects a person; they are made only
while somebody subscribes to them.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np
from rclpy.duration import Duration
from rclpy.time import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from vnect_ros import drawing
from vnect_ros.camera import Camera
from vnect_ros.config import NodeConfig
from vnect_ros.errors import describe
from vnect_ros.msg import Skeleton, SkeletonArray
from vnect_ros.records import Pose, State
from vnect_ros.ros import convert, hri
from vnect_ros.ros.person_publisher import PersonPublisher

if TYPE_CHECKING:
    from rclpy.lifecycle import LifecycleNode

    from vnect_ros.ros.target_frame import TargetFrame

KEPT_S: Final = 10.0
"""How long the topics of a person who is lost stay: whoever looks has seen the last word [s]."""


class Publishers:
    """Publishes everybody's poses; whoever is in them no longer is LOST, once."""

    def __init__(
        self,
        node: LifecycleNode,
        body_id: str,
        target: TargetFrame | None,
        publish_hri: bool = False,
    ) -> None:
        """Make the publishers that all people share.

        Args:
            body_id: of the one person, while one at most is tracked; "" takes each
                person's own, as with several people.
            target: places skeletons and markers in another frame; None: the image's.
            publish_hri: publish bodies as ROS4HRI has them as well.

        Raises:
            ConfigError: hri_msgs is not installed.
        """
        self._node, self._fixed_id, self._target = node, body_id, target
        make = node.create_lifecycle_publisher
        self._skeletons = make(SkeletonArray, "skeletons", 10)
        self._markers = make(MarkerArray, "markers", 10)
        self._tf = make(TFMessage, "/tf", 100)
        self._debug = make(Image, "debug/image", 1)
        self._hri = make(hri.messages().IdsList, f"{hri.ROOT}/tracked", 1) if publish_hri else None
        self._people: dict[str, PersonPublisher] = {}
        self.published_s = -np.inf
        """When the last skeletons were handed over, by a steady clock [s]."""
        self._debug_at = -np.inf

    @property
    def ids(self) -> list[str]:
        """Of everybody who has topics, people who are lost among them."""
        return list(self._people)

    def by_name(self, poses: list[Pose], config: NodeConfig) -> dict[str, Pose]:
        """Everybody who is tracked, by the id that the person is published under."""
        fixed = self._fixed_id if config.max_people == 1 else ""
        return {fixed or pose.id: pose for pose in poses if pose.state is not State.LOST}

    def publish(
        self,
        poses: list[Pose],
        camera: Camera,
        header: Header,
        config: NodeConfig,
        image: np.ndarray | None = None,
    ) -> float:
        """Publish one image's poses.

        Args:
            header: the image's.
            image: [H, W, 3] uint8 RGB, for ROS4HRI's crops.

        Returns:
            The latency from the image's stamp to publishing [s].

        Raises:
            ImageError: the target frame cannot be had at the image's time.
            FloatingPointError: a pose is not finite.
        """
        at, placed = convert.IN_CAMERA, header
        tracked = self.by_name(poses, config)
        for pose in tracked.values():
            _check(pose)
        if self._target is not None and tracked:
            at, placed = self._target.placement(header)
        ended = self._ended(tracked)
        for person in ended:  # a name is free from the next image on
            tracked.pop(person.body_id, None)
        people = [(self._person(name), pose) for name, pose in tracked.items()]
        last_words = [person.lose(header.stamp) for person in ended]
        skeletons = [
            person.skeleton(pose, placed, at, camera.calibrated) for person, pose in people
        ]
        latency_s = self._publish_skeletons(
            placed if people or not ended else last_words[0][0].header,
            skeletons + [lost for lost, _ in last_words],
        )
        if config.publish_tf and people and self._tf.get_subscription_count():
            transforms = [t for person, pose in people for t in person.transforms(pose, header)]
            self._tf.publish(TFMessage(transforms=transforms))
        for person, pose in people:
            person.publish(pose, header, config)
        shown = [marker for _, removals in last_words for marker in removals]
        if config.publish_markers and self._markers.get_subscription_count():
            lifetime = Duration(seconds=config.timeout_s)
            for person, pose in people:
                shown += person.markers(pose, placed, at, lifetime)
        if shown:
            self._markers.publish(MarkerArray(markers=shown))
        if self._hri is not None and image is not None:
            self._publish_ids(header, [person.body_id for person, _ in people])
            for person, pose in people:
                person.publish_hri(pose, image, camera, header)
        return latency_s

    def lose(self) -> None:
        """Publish, once, that whoever was tracked no longer is, under the last pose's stamp."""
        ended = [person for person in self._people.values() if person.person]
        if not ended:
            return
        last_words = [person.lose(None) for person in ended]
        shown = [marker for _, removals in last_words for marker in removals]
        self._markers.publish(MarkerArray(markers=shown))
        self._publish_skeletons(ended[-1].header, [lost for lost, _ in last_words])
        self._publish_ids(ended[-1].header, [])

    def retire(self, now_s: float) -> None:
        """Take back the topics of people who are gone for long.

        Args:
            now_s: of a steady clock [s].
        """
        for name, person in list(self._people.items()):
            if not person.person and name != self._fixed_id and now_s - person.lost_at > KEPT_S:
                person.destroy()
                del self._people[name]

    def publish_debug(
        self, image: np.ndarray, poses: list[Pose], camera: Camera, header: Header, rate: float
    ) -> None:
        """The image with the skeletons drawn in, if someone looks, at most `rate` times a second.

        Args:
            image: [H, W, 3] uint8 RGB.
        """
        now_s = time.monotonic()
        if now_s - self._debug_at < 0.9 / rate or not self._debug.get_subscription_count():
            return
        self._debug_at = now_s
        people = [(pose, camera.project(pose.joints_camera_m)) for pose in poses]
        self._debug.publish(convert.image_message(drawing.everybody(image, people), header))

    def destroy(self) -> None:
        """Take the publishers back."""
        for person in self._people.values():
            person.destroy()
        self._people.clear()
        for publisher in (self._skeletons, self._markers, self._tf, self._debug, self._hri):
            if publisher is not None:
                self._node.destroy_lifecycle_publisher(publisher)

    def _person(self, name: str) -> PersonPublisher:
        if name not in self._people:
            self._people[name] = PersonPublisher(self._node, name, self._hri is not None)
        return self._people[name]

    def _ended(self, tracked: dict[str, Pose]) -> list[PersonPublisher]:
        """Who was published last and is not in these poses, or is another person by now."""
        return [
            person
            for name, person in self._people.items()
            if person.person and (name not in tracked or tracked[name].id != person.person)
        ]

    def _publish_skeletons(self, header: Header, skeletons: list[Skeleton]) -> float:
        now, self.published_s = self._node.get_clock().now(), time.monotonic()
        stamp = Time.from_msg(header.stamp, clock_type=now.clock_type)
        latency_s = (now - stamp).nanoseconds * 1e-9
        for skeleton in skeletons:
            skeleton.latency = latency_s
        self._skeletons.publish(SkeletonArray(header=header, skeletons=skeletons))
        return latency_s

    def _publish_ids(self, header: Header, ids: list[str]) -> None:
        """Who is tracked, to ROS4HRI."""
        if self._hri is not None:
            self._hri.publish(hri.messages().IdsList(header=header, ids=ids))


def _check(pose: Pose) -> None:
    """Refuse to publish numbers that no consumer could bear; a fault of the program made them.

    Raises:
        FloatingPointError: a tracked person's pose is not finite.
    """
    numbers = (
        pose.joints_camera_m, pose.orientations_xyzw, pose.velocities_mps, pose.std_m,
        pose.transform_camera_from_body, pose.q, pose.bone_lengths_m,
    )  # fmt: skip
    if not all(np.isfinite(array).all() for array in numbers):
        accepted = "finite numbers; tracking begins anew"
        raise FloatingPointError(describe(f"pose of {pose.id}", "NaN or infinity", accepted))
