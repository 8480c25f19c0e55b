"""People who were lost, for as long as they may come back under the same id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from vnect_ros.person import Person
from vnect_ros.skeleton import INDEX, bone_lengths

REACH_M: Final = 0.6
"""Distance from where a person was last seen at which the same one may be found at once [m] ..."""
WALKING_MPS: Final = 1.5
"""... and by how much it grows with the time since [m/s]."""
DEPTH: Final = 1.0 / 3.0
"""What a distance along the line of sight counts: a single frame hardly shows it."""
SAME_BONES: Final = 0.2
"""Mean difference of the logarithms of two people's bones, up to which they may be one."""
SAME_COLOURS: Final = 12.5
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
        self._lost: list[Person] = []

    def add(self, person: Person) -> None:
        """Remember a person who is lost."""
        self._lost.append(person)

    def recall(
        self, found: Person, hidden: Sequence[Person], remember_for_s: float
    ) -> Person | None:
        """Who a person is who was just found, and forget that one; None: somebody new.

        Args:
            hidden: people who are still tracked but were not seen where they are expected.
            remember_for_s: people last seen before that are forgotten.
        """
        now_s = found.observed_s
        self._lost = [p for p in self._lost if 0.0 <= now_s - p.observed_s <= remember_for_s]
        fitting = [
            (0.0 if found.colours is None else former.colours_apart(found.colours), former)
            for former in (*self._lost, *hidden)
            if _may_be(found, former)
        ]
        fitting = sorted((f for f in fitting if f[0] < SAME_COLOURS), key=lambda f: f[0])
        if not fitting or (len(fitting) > 1 and fitting[1][0] <= CLEARLY * fitting[0][0]):
            return None
        (_, former) = fitting[0]
        self._lost = [person for person in self._lost if person is not former]
        return former

    def clear(self) -> None:
        """Forget everybody."""
        self._lost = []


def _may_be(found: Person, former: Person) -> bool:
    pose, last = found.measured, former.measured
    if pose is None or last is None:
        return False
    # Of the same height both would be seen where they are: distances are in proportion to it.
    place_m = pose.transform_camera_from_body[:3, 3] * (last.height_m / pose.height_m)
    apart_m = place_m - last.transform_camera_from_body[:3, 3]
    ray = place_m / np.linalg.norm(place_m)
    apart_m -= (1.0 - DEPTH) * (apart_m @ ray) * ray
    if np.linalg.norm(apart_m) > REACH_M + WALKING_MPS * (pose.stamp_s - last.stamp_s):
        return False
    ratio = np.log(_limbs(bone_lengths(pose.joints_raw_m)) / _limbs(last.bone_lengths_m))
    return bool(np.abs(ratio - np.median(ratio)).mean() < SAME_BONES)


def _limbs(lengths_m: np.ndarray) -> np.ndarray:
    """[8] of bone lengths [21]: arms and legs [m]."""
    return np.maximum(lengths_m[_LIMBS], 1e-3)
