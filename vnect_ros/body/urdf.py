"""The fitted body: its segments, joint limits, proportions and URDF.

The body frame follows REP-155: `body` lies at the mid-hip, x forward, y to the
person's left, z to the head.  With every angle at zero the person stands with
hanging arms and all frames are parallel to `body`.  Each segment's frame has
its origin where the segment begins: `l_elbow` is the frame of the forearm.

Joints and links are called as in REP-155 and the stock human URDF where those
have them (`waist`, `torso`, `{r,p,y}_head`, `{l,r}_{p,y,r}_shoulder`, ...);
the 21 joints of `skeleton` are links of their own, parallel to the segment
that begins (or, for the ends, that ended) there.  Every name of the published
tree carries the suffix `_<id>`.

Order of the axes: each ball joint is three revolute joints whose singular
poses lie where the limb does not go.  The hip flexes, then abducts, then
turns, so it is singular only at 90 degrees of abduction.  The shoulder first
raises the arm in the plane half-way between forward and sideways, then swings
it about the vertical of that plane, then turns it about its own axis; it is
singular only with the arm pointing 45 degrees behind the side or 45 degrees
across the chest, both at the edge of its reach.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree

import numpy as np

from vnect_ros.skeleton import BONES, INDEX, JOINT_NAMES, MIRROR, NUM_JOINTS, SIDE


@dataclass(frozen=True)
class Segment:
    """A link and the joint that carries it."""

    link: str
    parent: str
    joint: str
    axis: tuple[float, float, float] | None = None
    """Axis in the parent's frame; None for a fixed joint."""
    low: float = 0.0
    """Limits [rad]."""
    high: float = 0.0
    rest: float = 0.0
    """The angle of ease, preferred where nothing is observed [rad]."""
    bone: int | None = None
    """The skeleton's joint whose bone leads from the parent's origin to this one's."""
    observed: bool = True
    """False where the 21 joints do not show the angle; the fit leaves it at rest."""


_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_BACK = (0.0, -1.0, 0.0)
"""About the person's right: forward and up for whatever hangs."""
_HALF = math.sqrt(0.5)


def _turn(
    link: str,
    parent: str,
    axis: tuple[float, float, float],
    low_deg: float,
    high_deg: float,
    *,
    rest_deg: float = 0.0,
    joint: str | None = None,
    bone: str | None = None,
    observed: bool = True,
) -> Segment:
    return Segment(
        link,
        parent,
        joint or link,
        axis,
        math.radians(low_deg),
        math.radians(high_deg),
        math.radians(rest_deg),
        None if bone is None else INDEX[bone],
        observed,
    )


def _fixed(link: str, parent: str, bone: str | None = None) -> Segment:
    return Segment(link, parent, f"{link}_fixed", bone=None if bone is None else INDEX[bone])


def _trunk() -> tuple[Segment, ...]:
    return (
        _fixed("pelvis", "body"),
        _turn("lumbar", "body", _X, -20, 20),
        _turn("waist", "lumbar", _Y, -45, 100, bone="spine"),
        _turn("r_waist", "waist", _X, -50, 50),
        _turn("y_waist", "r_waist", _Z, -65, 65),
        _fixed("spine", "y_waist"),
        _fixed("torso", "y_waist", bone="neck"),
        _turn("r_head", "torso", _X, -60, 60),
        _turn("p_head", "r_head", _BACK, -80, 75),
        _turn("y_head", "p_head", _Z, -85, 85, observed=False),
        _fixed("neck", "y_head"),
        _turn("head", "y_head", _BACK, -45, 45, joint="nod", bone="head"),
        _fixed("head_top", "head", bone="head_top"),
    )


def _limbs(side: str) -> tuple[Segment, ...]:
    """Arm and leg; signs are mirrored so that an angle means the same on both sides."""
    s, long = (1.0, "left_") if side == "l" else (-1.0, "right_")
    p = f"{side}_"
    raise_axis = (s * _HALF, -_HALF, 0.0)
    swing_axis = (-_HALF, -s * _HALF, 0.0)
    return (
        _turn(p + "r_clavicle", "torso", (s, 0.0, 0.0), -35, 50),
        _turn(p + "y_clavicle", p + "r_clavicle", (0.0, 0.0, -s), -35, 45),
        _turn(p + "p_shoulder", p + "y_clavicle", raise_axis, -80, 195, bone=long + "shoulder"),
        _turn(p + "y_shoulder", p + "p_shoulder", swing_axis, -85, 85),
        _turn(
            p + "shoulder", p + "y_shoulder", (0.0, 0.0, -s), -100, 175,
            rest_deg=30, joint=p + "r_shoulder",
        ),
        _fixed(long + "shoulder", p + "shoulder"),
        _turn(p + "elbow", p + "shoulder", _BACK, -5, 155, rest_deg=15, bone=long + "elbow"),
        _fixed(long + "elbow", p + "elbow"),
        _turn(p + "p_wrist", p + "elbow", _BACK, -85, 85, bone=long + "wrist"),
        _turn(p + "wrist", p + "p_wrist", (s, 0.0, 0.0), -80, 80, joint=p + "r_wrist"),
        _fixed(long + "wrist", p + "wrist"),
        _fixed(long + "hand", p + "wrist", bone=long + "hand"),
        _turn(p + "r_hip", "body", _BACK, -50, 145, bone=long + "hip"),
        _turn(p + "p_hip", p + "r_hip", (s, 0.0, 0.0), -45, 80),
        _turn(p + "hip", p + "p_hip", (0.0, 0.0, -s), -70, 70, joint=p + "y_hip"),
        _fixed(long + "hip", p + "hip"),
        _turn(p + "knee", p + "hip", _BACK, -160, 5, rest_deg=-5, bone=long + "knee"),
        _fixed(long + "knee", p + "knee"),
        _turn(p + "p_ankle", p + "knee", _BACK, -70, 60, bone=long + "ankle"),
        _turn(p + "ankle", p + "p_ankle", (0.0, 0.0, -s), -50, 50, joint=p + "y_ankle"),
        _fixed(long + "ankle", p + "ankle"),
        _fixed(long + "toe", p + "ankle", bone=long + "toe"),
    )  # fmt: skip


ROOT: Final = "body"
SEGMENTS: Final = _trunk() + _limbs("l") + _limbs("r")
"""All links but the root, each behind its parent."""
LINK_NAMES: Final = (ROOT, *(s.link for s in SEGMENTS))
MOVING: Final = tuple(s for s in SEGMENTS if s.axis is not None)
"""The revolute joints in order of definition: the order of `Pose.q`."""
Q_NAMES: Final = tuple(s.joint for s in MOVING)

_FOOT_DROP = math.radians(18.0)
"""How far the toe joint lies below the ankle's horizontal when standing."""
_SOLE = 0.018
"""Height of the toe joint over the ground [parts of the person's height]."""

_DIRECTIONS: Final = {
    "head_top": _Z, "neck": _Z, "spine": _Z, "head": _Z,
    "shoulder": (0.0, 0.88, -0.47), "hip": _Y,
    "elbow": (0.0, 0.0, -1.0), "wrist": (0.0, 0.0, -1.0), "hand": (0.0, 0.0, -1.0),
    "knee": (0.0, 0.0, -1.0), "ankle": (0.0, 0.0, -1.0),
    "toe": (math.cos(_FOOT_DROP), 0.0, -math.sin(_FOOT_DROP)),
}  # fmt: skip

_PROPORTIONS: Final = {
    "spine": 0.168, "neck": 0.148, "head": 0.075, "head_top": 0.067,
    "shoulder": 0.119, "elbow": 0.150, "wrist": 0.134, "hand": 0.060,
    "hip": 0.061, "knee": 0.234, "ankle": 0.239, "toe": 0.099,
}  # fmt: skip
"""Bone lengths of a mean adult as our networks place the joints, parts of the height."""
_UPRIGHT: Final = 0.986
"""Height of a standing person over the sum of the bones: nobody stands quite straight."""


def _part(joint: str) -> str:
    return joint.removeprefix("left_").removeprefix("right_")


def _rest_directions() -> np.ndarray:
    rest = np.zeros((NUM_JOINTS, 3))
    for _, j in BONES:
        direction = np.array(_DIRECTIONS[_part(JOINT_NAMES[j])])
        if SIDE[j] == "right":
            direction[1] = -direction[1]
        rest[j] = direction / np.linalg.norm(direction)
    return rest


REST_DIRECTIONS: Final = _rest_directions()
"""[21, 3] unit: direction of the bone that ends in each joint at rest, in `body` axes."""


def mean_bone_lengths(height_m: float) -> np.ndarray:
    """[21] bone lengths [m] of a mean adult whose standing height is height_m."""
    lengths = np.zeros(NUM_JOINTS)
    for _, j in BONES:
        lengths[j] = _PROPORTIONS[_part(JOINT_NAMES[j])]
    return scaled_to_height(lengths, height_m)


def standing_height(lengths_m: np.ndarray) -> float:
    """Height [m] of the upright person with these [21] bone lengths, soles to top."""
    lengths = symmetric(lengths_m)
    up = [INDEX[n] for n in ("spine", "neck", "head", "head_top", "left_knee", "left_ankle")]
    foot = lengths[INDEX["left_toe"]] * math.sin(_FOOT_DROP)
    return float(_UPRIGHT * (lengths[up].sum() + foot) / (1.0 - _SOLE))


def scaled_to_height(lengths_m: np.ndarray, height_m: float) -> np.ndarray:
    """[21] lengths of the same proportions whose standing height is height_m [m]."""
    return np.asarray(lengths_m, dtype=np.float64) * (height_m / standing_height(lengths_m))


def symmetric(lengths_m: np.ndarray) -> np.ndarray:
    """[21] lengths with left and right set to their mean."""
    lengths = np.asarray(lengths_m, dtype=np.float64)
    return (lengths + lengths[list(MIRROR)]) / 2.0


def urdf(lengths_m: np.ndarray, body_id: str = "", visuals: bool = True) -> str:
    """The body as URDF.

    Args:
        lengths_m: [21] bone lengths [m], as `skeleton.bone_lengths` orders them.
        body_id: suffix of every link and joint (`_<id>`); none when empty.
        visuals: whether there is anything to see of it.

    Returns:
        XML text: revolute joints with human limits, spheres and cylinders to see.
    """
    lengths = np.asarray(lengths_m, dtype=np.float64)
    suffix = f"_{body_id}" if body_id else ""
    robot = ElementTree.Element("robot", name=f"human{suffix}")
    shapes: dict[str, list[np.ndarray]] = {link: [] for link in LINK_NAMES}
    for s in SEGMENTS:
        if visuals and s.bone is not None and lengths[s.bone] > 0.0:
            shapes[s.parent].append(REST_DIRECTIONS[s.bone] * lengths[s.bone])
    for link in LINK_NAMES:
        _add_link(robot, link, suffix, shapes[link], lengths)
    for s in SEGMENTS:
        kind = "fixed" if s.axis is None else "revolute"
        joint = ElementTree.SubElement(robot, "joint", name=s.joint + suffix, type=kind)
        ElementTree.SubElement(joint, "parent", link=s.parent + suffix)
        ElementTree.SubElement(joint, "child", link=s.link + suffix)
        offset = np.zeros(3) if s.bone is None else REST_DIRECTIONS[s.bone] * lengths[s.bone]
        ElementTree.SubElement(joint, "origin", xyz=_text(offset), rpy="0 0 0")
        if s.axis is not None:
            ElementTree.SubElement(joint, "axis", xyz=_text(s.axis))
            ElementTree.SubElement(
                joint, "limit", lower=f"{s.low:.9g}", upper=f"{s.high:.9g}",
                effort="100", velocity="30",
            )  # fmt: skip
    return ElementTree.tostring(robot, encoding="unicode")


_COLOURS = {"l": "0.25 0.55 0.95 1", "r": "0.95 0.45 0.25 1", "c": "0.80 0.80 0.82 1"}
_THICK = {"lumbar": 0.055, "y_waist": 0.06, "head": 0.055, "body": 0.05, "hip": 0.038, "knee": 0.03}
"""Radii of what a link shows [parts of the height]; others are thin."""


def _add_link(
    robot: ElementTree.Element, link: str, suffix: str, bones: list[np.ndarray], lengths: np.ndarray
) -> None:
    """A link with a rod along each bone that starts in it and a ball at each bone's end."""
    element = ElementTree.SubElement(robot, "link", name=link + suffix)
    height = standing_height(lengths)
    side, _, part = link.partition("_") if link[:2] in ("l_", "r_") else ("c", "", link)
    radius = _THICK.get(part, 0.02) * height
    colour = _COLOURS["c" if part in ("waist", "head") else side]
    for bone in bones:
        length = float(np.linalg.norm(bone))
        if link == "head":
            _add_visual(
                element, bone * 0.35, (0.0, 0.0, 0.0), ("sphere", {"radius": radius}), colour
            )
            continue
        pitch = math.acos(max(-1.0, min(1.0, bone[2] / length)))
        yaw = math.atan2(bone[1], bone[0])
        rod = ("cylinder", {"radius": radius * 0.8, "length": length})
        _add_visual(element, bone / 2.0, (0.0, pitch, yaw), rod, colour)
        _add_visual(element, bone, (0.0, 0.0, 0.0), ("sphere", {"radius": radius}), colour)


def _add_visual(
    link: ElementTree.Element,
    xyz: np.ndarray,
    rpy: tuple[float, float, float],
    shape: tuple[str, dict[str, float]],
    colour: str,
) -> None:
    visual = ElementTree.SubElement(link, "visual")
    ElementTree.SubElement(visual, "origin", xyz=_text(xyz), rpy=_text(rpy))
    geometry = ElementTree.SubElement(visual, "geometry")
    ElementTree.SubElement(geometry, shape[0], {k: f"{v:.5g}" for k, v in shape[1].items()})
    material = ElementTree.SubElement(visual, "material", name=f"vnect_{colour.replace(' ', '_')}")
    ElementTree.SubElement(material, "color", rgba=colour)


def _text(numbers: object) -> str:
    return " ".join(f"{float(n):.9g}" for n in numbers)  # type: ignore[attr-defined]
