"""Markers of a person for RViz: bones, joints and a caption."""

from __future__ import annotations

import numpy as np
from rclpy.duration import Duration
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from vnect_ros.drawing import COLOURS
from vnect_ros.records import JointState, Pose, State
from vnect_ros.ros.convert import Placement, point
from vnect_ros.skeleton import BONES, INDEX, SIDE

BONES_ID, JOINTS_ID, CAPTION_ID = 0, 1, 2
"""Ids in the name space of a body, `body_<id>`."""


def person(
    pose: Pose, header: Header, body_id: str, at: Placement, lifetime: Duration
) -> MarkerArray:
    """A tracked person; what the image does not show is paler.

    Args:
        lifetime: after which RViz removes them itself, should the node be gone.
    """
    points = [point(xyz) for xyz in at.points(pose.joints_camera_m).tolist()]
    seen = (pose.joint_states == JointState.MEASURED) & (pose.state is State.MEASURED)
    colours = [_colour(SIDE[j], bool(seen[j])) for j in range(len(points))]
    bones = _marker(header, body_id, BONES_ID, Marker.LINE_LIST, lifetime)
    bones.scale.x = 0.025
    for parent, child in BONES:
        bones.points += [points[parent], points[child]]
        bones.colors += [colours[child], colours[child]]
    joints = _marker(header, body_id, JOINTS_ID, Marker.SPHERE_LIST, lifetime)
    joints.scale.x = joints.scale.y = joints.scale.z = 0.06
    joints.points, joints.colors = points, colours
    caption = _marker(header, body_id, CAPTION_ID, Marker.TEXT_VIEW_FACING, lifetime)
    caption.scale.z = 0.1
    caption.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    top, neck = pose.joints_camera_m[[INDEX["head_top"], INDEX["neck"]]]
    above = top + (top - neck) / max(float(np.linalg.norm(top - neck)), 1e-6) * 0.15
    caption.pose.position = point(at.points(above).tolist())
    caption.text = f"{body_id}: {pose.state.value}"
    return MarkerArray(markers=[bones, joints, caption])


def removal(header: Header, body_id: str) -> MarkerArray:
    """What takes a person's markers away."""
    gone = []
    for identity in (BONES_ID, JOINTS_ID, CAPTION_ID):
        marker = Marker(header=header, ns=f"body_{body_id}", id=identity, action=Marker.DELETE)
        gone.append(marker)
    return MarkerArray(markers=gone)


def _marker(header: Header, body_id: str, identity: int, kind: int, lifetime: Duration) -> Marker:
    marker = Marker(header=header, ns=f"body_{body_id}", id=identity, type=kind)
    marker.lifetime = lifetime.to_msg()
    return marker


def _colour(side: str, seen: bool) -> ColorRGBA:
    red, green, blue = (c / 255.0 for c in COLOURS[side])
    return ColorRGBA(r=red, g=green, b=blue, a=1.0 if seen else 0.4)
