"""The 21 joints of VNect: names, order, parents, mirrors and limbs.

The order is the official one (Mehta et al., SIGGRAPH 2017); every array with a
joint axis of 21 in this project follows it.  "Right" and "left" are the
person's own.
"""

from typing import Final

import numpy as np

JOINT_NAMES: Final = (
    "head_top", "neck",
    "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle",
    "left_hip", "left_knee", "left_ankle",
    "pelvis", "spine", "head",
    "right_hand", "left_hand",
    "right_toe", "left_toe",
)  # fmt: skip
NUM_JOINTS: Final = len(JOINT_NAMES)
INDEX: Final = {name: i for i, name in enumerate(JOINT_NAMES)}
PELVIS: Final = INDEX["pelvis"]

PARENTS: Final = (16, 15, 1, 2, 3, 1, 5, 6, 14, 8, 9, 14, 11, 12, 14, 14, 1, 4, 7, 10, 13)
"""Index of each joint's parent; the pelvis, the root, is its own."""

BONES: Final = tuple((p, j) for j, p in enumerate(PARENTS) if p != j)
"""The 20 (parent, child) pairs, in the order of the child."""


def _chains() -> np.ndarray:
    chains = np.zeros((NUM_JOINTS, NUM_JOINTS))
    for joint in range(NUM_JOINTS):
        bone = joint
        while PARENTS[bone] != bone:
            chains[joint, bone] = 1.0
            bone = PARENTS[bone]
    return chains


CHAINS: Final = _chains()
"""[21, 21] 1 where a bone lies between the pelvis and a joint: times the bones, the joints."""


def _mirrored(name: str) -> str:
    if name.startswith("right_"):
        return "left_" + name.removeprefix("right_")
    if name.startswith("left_"):
        return "right_" + name.removeprefix("left_")
    return name


MIRROR: Final = tuple(INDEX[_mirrored(name)] for name in JOINT_NAMES)
"""Index of each joint's counterpart on the other side of the body."""

EVALUATED_14: Final = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)
"""The 14 joints of 3DPCK (MPI-INF-3DHP): head_top to left_ankle."""

LIMBS: Final = EVALUATED_14[2:]
"""The 12 joints of arms and legs, shoulders and hips among them: every method places them alike."""

SIDE: Final = tuple(
    "right" if n.startswith("right_") else "left" if n.startswith("left_") else "centre"
    for n in JOINT_NAMES
)
"""The side each joint (and the bone that ends in it) lies on, for drawing."""


def bone_lengths(joints: np.ndarray) -> np.ndarray:
    """Length of the bone that ends in each joint; the root's own is 0.

    Args:
        joints: [..., 21, 3] positions in any one frame and unit.

    Returns:
        [..., 21] lengths in the unit of the input.
    """
    return np.linalg.norm(joints - joints[..., list(PARENTS), :], axis=-1)


def with_bone_lengths(joints: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The pose with other bones: directions stay, and the root's place.

    Args:
        joints: [..., 21, 3] positions, all known.
        lengths: [..., 21] of the bone that ends in each joint, in the unit of `joints`.

    Returns:
        [..., 21, 3].
    """
    own = bone_lengths(joints)
    stretch = lengths / np.where(own > 0.0, own, 1.0)
    bones = joints - joints[..., list(PARENTS), :]
    moved: np.ndarray = CHAINS @ (stretch[..., None] * bones)
    return joints[..., PELVIS : PELVIS + 1, :] + moved


NORMALISED_KNEE_NECK_M: Final = 0.92
"""Knee-to-neck length of the body that networks are trained on (paper, section 6)."""


def _knee_neck_weights() -> np.ndarray:
    weights = np.zeros(NUM_JOINTS)
    weights[[INDEX["right_knee"], INDEX["left_knee"]]] = 0.5
    weights[[INDEX["spine"], INDEX["neck"]]] = 1.0
    return weights


KNEE_NECK_WEIGHTS: Final = _knee_neck_weights()
"""[21] weight of each bone in the knee-to-neck length: the mean thigh, both of the spine."""


def knee_neck_length(joints: np.ndarray) -> np.ndarray:
    """Length of the path knee, hip / pelvis, spine, neck: the measure of body size.

    Args:
        joints: [..., 21, 3] positions in any one frame and unit.

    Returns:
        [...] the mean thigh plus the two spine bones, in the unit of the input.
    """
    used = np.flatnonzero(KNEE_NECK_WEIGHTS)  # the other bones may be unknown (NaN)
    return bone_lengths(joints)[..., used] @ KNEE_NECK_WEIGHTS[used]
