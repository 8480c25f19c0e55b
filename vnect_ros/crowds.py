"""Who is who among people near each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from vnect_ros.perception import appearance, assignment
from vnect_ros.person import Person, Sighting
from vnect_ros.records import Frame

DUPLICATE_RADIUS: Final = 0.12
"""Two tracks this near are on one person, in parts of the smaller size ..."""
OTHER_COLOURS: Final = 14.0
"""... if their colours (`appearance`) do not differ by more."""


def tell_apart(
    frame: Frame, people: Sequence[Person], shown: Sequence[Sighting]
) -> dict[Person, Sighting | None]:
    """Which of those whom the windows of people near each other show is which of them.

    Args:
        frame: that shows them; people whose colours are looked at remember them.
        shown: everybody whom the windows show; one person may be in several.

    Returns:
        What is seen of each of the people, no joint for two of them; None: nothing.
    """
    shown = [shown[i] for i in assignment.distinct([s.keypoints for s in shown])]
    expected = [person.sought_px for person in people]
    readings = [s.keypoints for s in shown]
    colours = [
        appearance.colours(frame.image, one, [k for k in readings if k is not one])
        for one in readings
    ]
    apart = np.array([[person.colours_apart(c) for c in colours] for person in people])
    missing = [person.is_missing for person in people]
    chosen = assignment.assign(readings, expected, apart, missing)
    seen = {person: shown[i] for person, i in zip(people, chosen) if i is not None}
    expected = [person.sought_px for person in seen]
    claims = assignment.settle_claims([s.keypoints for s in seen.values()], expected)
    for person, i in zip(people, chosen):
        if i is not None and person.may_see_colours(frame.stamp_s):
            person.see_colours(colours[i], frame.stamp_s)
    settled = {p: s._replace(keypoints=k) for (p, s), k in zip(seen.items(), claims)}
    return {person: settled.get(person) for person in people}


def coincides(person: Person, older: Sequence[Person]) -> bool:
    """Whether a person's joints are those of somebody who is tracked for longer."""
    return any(
        assignment.are_one(person.joints_px, other.joints_px, DUPLICATE_RADIUS)
        and (person.colours is None or other.colours_apart(person.colours) < OTHER_COLOURS)
        for other in older
        if not other.is_missing
    )
