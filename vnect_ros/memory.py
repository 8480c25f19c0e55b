"""People who were lost, for as long as they may come back under the same id."""

from __future__ import annotations

from typing import Final

import numpy as np

from vnect_ros.person import Person
from vnect_ros.records import Pose
from vnect_ros.skeleton import INDEX, bone_lengths

REACH_M: Final = 0.6
"""Distance from where a person was last seen at which the same one may be found at once [m] ..."""
WALKING_MPS: Final = 1.5
"""... and by how much it grows with the time since [m/s]."""
SAME_BONES: Final = 0.15
"""Mean difference of the logarithms of two people's bones, up to which they may be one."""
_LIMBS: Final = [
    INDEX[f"{side}_{name}"]
    for side in ("right", "left")
    for name in ("elbow", "wrist", "knee", "ankle")
]


class Memory:
    """Decides whether somebody who is found is somebody who was lost.

    It is the same person if the place is within what can be walked since, the bones
    have the same proportions as far as one frame shows them, and nobody else who is
    remembered fits: in doubt a new id is given.
    """

    def __init__(self) -> None:
        self._lost: list[tuple[Person, Pose]] = []

    def add(self, person: Person, last: Pose) -> None:
        """Remember a person; `last` is the pose before LOST."""
        self._lost.append((person, last))

    def recall(self, pose: Pose, remember_for_s: float) -> Person | None:
        """Who a found person is, and forget that one; None: somebody new.

        Args:
            pose: the first one of the found person.
            remember_for_s: people lost before that are forgotten.
        """
        self._lost = [
            (person, last)
            for person, last in self._lost
            if 0.0 <= pose.stamp_s - last.stamp_s <= remember_for_s
        ]
        fitting = [entry for entry in self._lost if _may_be(pose, entry[1])]
        if len(fitting) != 1:
            return None
        self._lost.remove(fitting[0])
        return fitting[0][0]

    def clear(self) -> None:
        """Forget everybody."""
        self._lost = []


def _may_be(found: Pose, last: Pose) -> bool:
    gone_s = found.stamp_s - last.stamp_s
    apart_m = np.linalg.norm(
        found.transform_camera_from_body[:3, 3] - last.transform_camera_from_body[:3, 3]
    )
    if apart_m > REACH_M + WALKING_MPS * gone_s:
        return False
    ratio = np.log(_limbs(bone_lengths(found.joints_raw_m)) / _limbs(last.bone_lengths_m))
    return bool(np.abs(ratio - np.median(ratio)).mean() < SAME_BONES)


def _limbs(lengths_m: np.ndarray) -> np.ndarray:
    """[8] of bone lengths [21]: arms and legs [m]."""
    return np.maximum(lengths_m[_LIMBS], 1e-3)
