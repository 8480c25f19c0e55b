"""Markers of a person for RViz: bones, joints and a caption."""

from __future__ import annotations

import numpy as np
from geometry_msgs.msg import Point
from rclpy.duration import Duration
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker

from vnect_ros.drawing import COLOURS
from vnect_ros.records import JointState, Pose, State
from vnect_ros.ros.convert import Placement
from vnect_ros.skeleton import BONES, INDEX, NUM_JOINTS, SIDE

BONES_ID, JOINTS_ID, CAPTION_ID = 0, 1, 2
"""Ids in the name space of a body, `body_<id>`."""


class PersonMarkers:
    """Whoever is tracked under an id; made once, then filled in, as in `person`."""

    def __init__(self, body_id: str) -> None:
        """Make the markers with all that stays: kinds, sizes and which points a bone joins."""
        self._body_id = body_id
        self._points = [Point() for _ in range(NUM_JOINTS)]
        self._bones = _marker(body_id, BONES_ID, Marker.LINE_LIST)
        self._bones.scale.x = 0.025
        self._bones.points = [self._points[end] for bone in BONES for end in bone]
        self._joints = _marker(body_id, JOINTS_ID, Marker.SPHERE_LIST)
        self._joints.scale.x = self._joints.scale.y = self._joints.scale.z = 0.06
        self._joints.points = self._points
        self._caption = _marker(body_id, CAPTION_ID, Marker.TEXT_VIEW_FACING)
        self._caption.scale.z = 0.1
        self._caption.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
        self._all = [self._bones, self._joints, self._caption]

    def fill(self, pose: Pose, header: Header, at: Placement, lifetime: Duration) -> list[Marker]:
        """The person in a pose; what the image does not show is paler.

        Args:
            header: the image's stamp, and the frame that `at` places the pose in.
            lifetime: after which RViz removes them itself, should the node be gone.

        Returns:
            The markers; they hold good until the next call.
        """
        lasting = lifetime.to_msg()
        for marker in self._all:
            marker.header, marker.lifetime = header, lasting
        for point, xyz in zip(self._points, at.points(pose.joints_camera_m).tolist()):
            point.x, point.y, point.z = xyz
        seen = (pose.joint_states == JointState.MEASURED) & (pose.state is State.MEASURED)
        colours = [_COLOURS[key] for key in zip(SIDE, seen.tolist())]
        self._joints.colors = colours
        self._bones.colors = [colours[child] for _, child in BONES for _ in range(2)]
        top, neck = pose.joints_camera_m[[INDEX["head_top"], INDEX["neck"]]]
        above = top + (top - neck) / max(float(np.linalg.norm(top - neck)), 1e-6) * 0.15
        caption = self._caption.pose.position
        caption.x, caption.y, caption.z = at.points(above).tolist()
        self._caption.text = f"{self._body_id}: {pose.state.value}"
        return self._all


def removal(header: Header, body_id: str) -> list[Marker]:
    """What takes a person's markers away."""
    return [
        Marker(header=header, ns=f"body_{body_id}", id=identity, action=Marker.DELETE)
        for identity in (BONES_ID, JOINTS_ID, CAPTION_ID)
    ]


def _marker(body_id: str, identity: int, kind: int) -> Marker:
    return Marker(ns=f"body_{body_id}", id=identity, type=kind)


def _colour(side: str, seen: bool) -> ColorRGBA:
    red, green, blue = (c / 255.0 for c in COLOURS[side])
    return ColorRGBA(r=red, g=green, b=blue, a=1.0 if seen else 0.4)


_COLOURS = {(side, seen): _colour(side, seen) for side in COLOURS for seen in (False, True)}
"""Of a joint on a side, seen or not."""
