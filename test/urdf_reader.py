"""What any reader of a URDF makes of it, written from the URDF specification alone."""

from xml.etree import ElementTree

import numpy as np


def link_transforms(urdf_text, angles_rad):
    """Where every link of a tree of fixed and revolute joints is.

    Args:
        angles_rad: of the revolute joints, by name.

    Returns:
        By name, [4, 4] of each link in the root link, which is the first.
    """
    robot = ElementTree.fromstring(urdf_text)
    places = {robot.find("link").get("name"): np.eye(4)}
    for joint in robot.findall("joint"):
        step = np.eye(4)
        assert joint.find("origin").get("rpy") == "0 0 0"
        step[:3, 3] = [float(v) for v in joint.find("origin").get("xyz").split()]
        if joint.get("type") == "revolute":
            axis = [float(v) for v in joint.find("axis").get("xyz").split()]
            step[:3, :3] = rodrigues(axis, angles_rad[joint.get("name")])
        places[joint.find("child").get("link")] = places[joint.find("parent").get("link")] @ step
    return places


def rodrigues(axis, angle_rad):
    """[3, 3] rotation about a unit axis [3]."""
    x, y, z = axis
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle_rad) * k + (1 - np.cos(angle_rad)) * k @ k
