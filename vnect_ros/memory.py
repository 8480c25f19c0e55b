"""People who were lost, for as long as they may come back under the same id."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from vnect_ros.perception.assignment import are_one
from vnect_ros.person import Person
from vnect_ros.skeleton import INDEX, PARENTS, bone_lengths

REACH_M: Final = 0.6
"""Distance from where a person was last seen at which the same one may be found at once [m] ..."""
WALKING_MPS: Final = 1.5
"""... and by how much it grows with the time since [m/s]."""
DEPTH: Final = 1.0 / 3.0
"""What a distance along the line of sight counts: a single frame hardly shows it."""
OTHER_BONES: Final = 0.3
"""Mean difference of the logarithms of two people's bones above which they are not one."""
USUAL_COLOURS: Final = 12.5
"""Difference of colours (`appearance.difference`) ..."""
USUAL_BONES: Final = 0.4
"""... of bones ..."""
USUAL_PLACE: Final = 2.0
"""... and of the place, in parts of the reach, that count alike: together two of one person
differ by less than `SAME`."""
SAME: Final = 1.35
EXPECTED: Final = 0.5
"""What speaks for somebody hidden who is predicted where the found one is ..."""
EXPECTED_RADIUS: Final = 0.25
"""... that is, whose joints are this near in the mean, in parts of the size ..."""
CLEARLY: Final = 0.25
"""... and by how much the next one must differ more where several may be meant."""
_LIMBS: Final = [
    INDEX[f"{side}_{name}"]
    for side in ("right", "left")
    for name in ("elbow", "wrist", "knee", "ankle")
]
_BEGINS: Final = [PARENTS[joint] for joint in _LIMBS]


class Memory:
    """Decides whether somebody who is found is somebody who was lost.

    It is the same person if the place is within what can be walked since, and place,
    proportions of the bones and colours of body and clothes together are alike.  Of
    several who are remembered the most alike is taken, if it clearly is: in doubt a new
    id is given.
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
        fitting = [(_apart(found, former), former) for former in self._lost]
        fitting += [(_apart(found, p) - EXPECTED * _is_expected(found, p), p) for p in hidden]
        fitting = sorted((f for f in fitting if f[0] < SAME), key=lambda f: f[0])
        if not fitting or (len(fitting) > 1 and fitting[1][0] - fitting[0][0] < CLEARLY):
            return None
        (_, former) = fitting[0]
        self._lost = [person for person in self._lost if person is not former]
        return former

    def clear(self) -> None:
        """Forget everybody."""
        self._lost = []


def _is_expected(found: Person, hidden: Person) -> bool:
    return are_one(found.joints_px, hidden.joints_px, EXPECTED_RADIUS)


def _apart(found: Person, former: Person) -> float:
    """How much speaks against two people being one; infinite where it cannot be.

    The sum of the differences of colours, bones and place, each in parts of what is usual; of
    colours and bones what both show, the bones of joints that the found one shows.
    """
    pose, last = found.measured, former.measured
    if pose is None or last is None:
        return math.inf
    # Of the same height both would be seen where they are: distances are in proportion to it.
    place_m = pose.transform_camera_from_body[:3, 3] * (last.height_m / pose.height_m)
    apart_m = place_m - last.transform_camera_from_body[:3, 3]
    ray = place_m / np.linalg.norm(place_m)
    apart_m -= (1.0 - DEPTH) * (apart_m @ ray) * ray
    reach_m = REACH_M + WALKING_MPS * (pose.stamp_s - last.stamp_s)
    place = float(np.linalg.norm(apart_m)) / reach_m
    ratio = np.log(_limbs(bone_lengths(pose.joints_raw_m)) / _limbs(last.bone_lengths_m))
    ratio = ratio[(pose.confidence[_LIMBS] > 0.0) & (pose.confidence[_BEGINS] > 0.0)]
    bones = float(np.abs(ratio - np.median(ratio)).mean()) if len(ratio) else 0.0
    if place > 1.0 or bones > OTHER_BONES:
        return math.inf
    colours = 0.0 if found.colours is None else former.colours_apart(found.colours)
    return colours / USUAL_COLOURS + bones / USUAL_BONES + place / USUAL_PLACE


def _limbs(lengths_m: np.ndarray) -> np.ndarray:
    """[8] of bone lengths [21]: arms and legs [m]."""
    return np.maximum(lengths_m[_LIMBS], 1e-3)
