"""People who were lost, for as long as they may come back under the same id."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from vnect_ros.perception import appearance
from vnect_ros.person import Person
from vnect_ros.records import Pose
from vnect_ros.skeleton import INDEX, bone_lengths

REACH_M: Final = 0.6
"""Distance from where a person was last seen at which the same one may be found at once [m] ..."""
WALKING_MPS: Final = 1.5
"""... and by how much it grows with the time since [m/s]."""
SAME_BONES: Final = 0.15
"""Mean difference of the logarithms of two people's bones, up to which they may be one."""
SAME_COLOURS: Final = 20.0
"""Difference of colours (`appearance.difference`) above which two people are not one ..."""
CLEARLY: Final = 1.5
"""... and by how much the next one must differ more where several may be meant."""
_LIMBS: Final = [
    INDEX[f"{side}_{name}"]
    for side in ("right", "left")
    for name in ("elbow", "wrist", "knee", "ankle")
]


class Memory:
    """Decides whether somebody who is found is somebody who was lost.

    It is the same person if the place is within what can be walked since, the bones
    have the same proportions as far as one frame shows them, and the body and clothes
    the same colours.  Where several who are remembered fit, their colours decide, if
    they do clearly: in doubt a new id is given.
    """

    def __init__(self) -> None:
        self._lost: list[tuple[Person, Pose]] = []

    def add(self, person: Person, last: Pose) -> None:
        """Remember a person; `last` is the pose before LOST."""
        self._lost.append((person, last))

    def recall(self, found: Person, pose: Pose, remember_for_s: float) -> Person | None:
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
        fitting = [
            (_colours_apart(found, entry[0]), entry)
            for entry in self._lost
            if _may_be(pose, entry[1])
        ]
        fitting = sorted((f for f in fitting if f[0] < SAME_COLOURS), key=lambda f: f[0])
        if not fitting or (len(fitting) > 1 and fitting[1][0] < CLEARLY * fitting[0][0]):
            return None
        (_, former) = fitting[0]
        self._lost = [entry for entry in self._lost if entry is not former]
        return former[0]

    def clear(self) -> None:
        """Forget everybody."""
        self._lost = []


def _colours_apart(found: Person, lost: Person) -> float:
    """How much the colours of two people differ; 0 where they show no part in common."""
    if found.colours is None or lost.colours is None:
        return 0.0
    apart = appearance.difference(found.colours, lost.colours)
    return 0.0 if math.isnan(apart) else apart


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
