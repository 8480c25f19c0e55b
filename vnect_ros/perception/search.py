"""Search for people: windows over the frame, and what makes a find."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from vnect_ros.camera import Camera
from vnect_ros.config import CropConfig, PipelineConfig
from vnect_ros.perception import decode
from vnect_ros.perception.changes import Changes
from vnect_ros.perception.crop import around, outside, wider
from vnect_ros.perception.decode import Keypoints
from vnect_ros.perception.grouping import Group
from vnect_ros.records import Crop, Frame, Maps, Plane

SIZE_RATIO: Final = 0.62
"""Each window size of a search over the one before."""
OVERLAP: Final = 0.5
"""Share of its edge that a window has in common with its neighbour, at least."""
REACQUIRE_GROWTH: Final = 1.5
"""A search begins at the place where a person was lost, with the window this much larger."""
COVERED: Final = 0.6
"""A window whose overlap (area in common over the union's) with a tracked person's is above
this is left out."""

MIN_AGREEMENT: Final = 0.2
"""Least agreement of flat and spatial joints of a find of a network without presence ..."""
MIN_EVIDENCE: Final = 6.0
"""... and the least summed confidence times agreement."""
TRY_AGAIN_S: Final = 0.5
"""Where somebody seemed to be, a window is tried once in this time [s] ..."""
SAME_PLACE: Final = 0.5
"""... windows whose overlap is above this being one."""
MISS_S: Final = 3.0
"""Somebody who was lost is looked for at that place for so long [s]."""
ABOUT_GROUP: Final = 1.3
"""Edge of the window about somebody who was noticed, in parts of the person's height."""
DETAIL: Final = 0.5
"""Image pixels for each of the network's below which a window shows no more than a larger one."""
STANDING_M: Final = 1.7
"""Height of the people whom the windows over a known floor are about [m]."""
MARGIN: Final = 1.45
"""Edge of those windows over that height: who is found need not be in the middle."""
LOOKING_DOWN: Final = 0.5
"""Where the camera looks down more steeply, nobody is as high as upright people [sine]."""
STILL_PERIODS: Final = 10
"""Where nothing changed a window is tried once in so many periods of the search."""
EARLY_S: Final = 1e-3
"""Frames come a little early at times [s]."""
CLOSER: Final = 0.75
"""A window that is not sure of a person is followed by one about the person if that is smaller
by this."""
SAME_BOX: Final = 0.35
"""A detector's box whose window overlaps a tracked person's by more is that person's."""


class Find(NamedTuple):
    """A person that a search window shows."""

    keypoints: Keypoints
    score: float
    """Evidence for a person; larger is better."""

    @property
    def points_px(self) -> np.ndarray:
        """[N, 2] the seen joints in the image."""
        return self.keypoints.pixels_px[self.keypoints.confidence > 0.0]


class PersonSearch:
    """Looks where maps show further people, and goes over the whole frame without end."""

    def __init__(
        self, config: PipelineConfig, input_size: int, presence_threshold: float = 0.0
    ) -> None:
        """Begin at the largest windows.

        Args:
            input_size: edge of the network's input [px].
            presence_threshold: probability of a person from which a window shows one.
        """
        self.config, self.input_size = config, input_size
        self.presence_threshold = presence_threshold
        self.rounds = 0
        """Rounds over the whole frame that were begun."""
        self.reset()

    def reset(self) -> None:
        """Begin anew, and forget where people were lost or noticed."""
        self._left: list[Crop] = []
        self._looked: list[Crop] = []
        self._next: list[Crop] = []
        self._lost: list[tuple[float, Crop]] = []
        self._tried: list[tuple[float, Crop]] = []
        self._changes = Changes()
        self._asked_s = self._scanned_s = -math.inf
        self._is_all_seen = False

    def restart(self, lost: Crop, stamp_s: float) -> None:
        """Begin anew, and look for somebody where that person was last seen."""
        self._left = []
        self._lost.append((stamp_s, wider(lost, 1.0 / REACQUIRE_GROWTH)))

    def notice(self, groups: Sequence[Group]) -> None:
        """Look next where a window shows people besides the one that it is about."""
        windows = [self._window_about(group) for group in groups]
        self._next += [w for w in windows if w.size_px >= DETAIL * self.input_size]

    def _window_about(self, group: Group) -> Crop:
        size_px = max(group.size_px * ABOUT_GROUP, self.config.crop.min_size_px)
        return Crop.about(group.pelvis_px, size_px, self.input_size)

    def windows(
        self,
        frame: Frame,
        tracked: Sequence[Crop],
        count: int,
        known_px: Sequence[np.ndarray] = (),
    ) -> list[Crop]:
        """The windows to try in this frame.

        Args:
            tracked: windows of the people who are tracked; what they cover is left out.
            count: windows at most.
            known_px: [21, 2] each: where the joints of people are; that the image changes
                there is no reason to look.

        Returns:
            First those where somebody was lost or noticed, then the next ones over the
            frame.  While somebody is tracked and the whole frame was searched once there
            is at most one of the latter, `crop.search_rate` times a second for each person
            where the image changed, and more seldom where it did not.
        """
        stamp_s = frame.stamp_s
        chosen = self._noticed(stamp_s, count)
        rate_hz = self.config.crop.search_rate
        if not tracked or (rate_hz and not self._is_all_seen):
            self._changes.update(frame.image, known_px)
            self._scan(frame, tracked, chosen, count, still=True)
        elif rate_hz and len(chosen) < count:
            period_s = 1.0 / (rate_hz * len(tracked))
            if stamp_s - self._asked_s >= period_s - EARLY_S or stamp_s < self._asked_s:
                self._asked_s = stamp_s
                self._changes.update(frame.image, known_px)
                still = stamp_s - self._scanned_s >= STILL_PERIODS * period_s - EARLY_S
                before = len(chosen)
                self._scan(frame, tracked, chosen, before + 1, still)
                if len(chosen) > before:
                    self._scanned_s = stamp_s
        return chosen

    def _scan(
        self, frame: Frame, tracked: Sequence[Crop], chosen: list[Crop], count: int, still: bool
    ) -> None:
        """Add the next windows over the frame until there are `count`.

        Those of this round come first that were not looked at yet, then the others again.

        Args:
            still: take those of the first kind too in which nothing changed.
        """
        for _ in range(2):  # the rest of this round, else the next one
            if not self._left:
                self._left, self._looked = self._round(frame), []
                self.rounds += 1
            left: list[Crop] = []
            passed: list[Crop] = []
            looked: list[Crop] = []
            for i, window in enumerate(self._left + self._looked):
                again = i >= len(self._left)
                if len(chosen) == count:
                    (passed if again else left).append(window)
                elif any(_overlap(window, other) > COVERED for other in tracked):
                    passed.append(window)
                elif (still and not again) or self._changes.in_window(window):
                    self._changes.looked(window)
                    looked.append(window)
                    chosen.append(window)
                else:
                    (passed if again else left).append(window)
            self._left, self._looked = left, passed + looked
            self._is_all_seen |= not left
            if chosen or left:
                break

    def _round(self, frame: Frame) -> list[Crop]:
        """The windows that cover the frame; where the floor is known, those of who stands on it."""
        height, width = frame.image.shape[:2]
        if frame.floor is not None:
            return floor_grid(frame.camera, frame.floor, self.config.crop, self.input_size)
        return grid(width, height, self.config.crop, self.input_size)

    def _noticed(self, stamp_s: float, count: int) -> list[Crop]:
        """The windows where somebody was lost or noticed, none that was tried just now."""
        self._tried = [(s, crop) for s, crop in self._tried if 0.0 <= stamp_s - s < TRY_AGAIN_S]
        self._lost = [(s, crop) for s, crop in self._lost if 0.0 <= stamp_s - s < MISS_S]
        chosen: list[Crop] = []
        later: list[Crop] = []
        for window in self._next + [crop for _, crop in self._lost]:
            known = [*chosen, *later, *(crop for _, crop in self._tried)]
            if all(_overlap(window, other) < SAME_PLACE for other in known):
                (chosen if len(chosen) < count else later).append(window)
        self._next = later[: self.config.crop.windows_per_frame]
        self._tried += [(stamp_s, window) for window in chosen]
        return chosen

    def windows_of(self, boxes_px: np.ndarray, tracked: Sequence[Crop], count: int) -> list[Crop]:
        """Windows about people that a detector found, in place of the search's own.

        Args:
            boxes_px: [N, 4] left, top, right, bottom in the image [px].
            tracked: windows of the people who are tracked; their boxes are left out.
            count: windows at most.

        Returns:
            The largest boxes first.
        """
        corners = np.asarray(boxes_px, dtype=np.float64).reshape(-1, 2, 2)
        windows = [around(box, self.config.crop, self.input_size) for box in corners]
        new = [w for w in windows if not any(_overlap(w, other) > SAME_BOX for other in tracked)]
        new.sort(key=lambda window: -window.size_px)
        return new[:count]

    def judge(self, maps: Maps, groups: Sequence[Group], window: Crop) -> list[Find]:
        """The people whom a window shows; where it is not sure of them, look closer next.

        Args:
            groups: the joints of those whom the maps show, see `grouping.people_in`.
        """
        whole = [group.keypoints for group in groups if group.seen >= self.config.decode.min_joints]
        finds = [Find(keypoints, self._score(maps, keypoints, window)) for keypoints in whole]
        if math.isnan(maps.presence):
            return [find for find in finds if find.score >= MIN_EVIDENCE]
        sure = maps.presence >= self.presence_threshold
        unsure = [g for g in groups if not sure or g.seen < self.config.decode.min_joints]
        closer_px = CLOSER * window.size_px
        self.notice([g for g in unsure if self._window_about(g).size_px < closer_px])
        return finds if sure else []

    def _score(self, maps: Maps, keypoints: Keypoints, window: Crop) -> float:
        pixels_px, confidence = keypoints
        local_m = decode.read_locations(maps, window.input_from_image(pixels_px))
        agreement = decode.shape_consistency(pixels_px, local_m, confidence)
        return float(confidence.sum()) * agreement if agreement >= MIN_AGREEMENT else 0.0


def grid(width: int, height: int, config: CropConfig, input_size: int) -> list[Crop]:
    """Windows that cover an image at every size of a search, the largest first."""
    windows = []
    for k in range(config.search_scales):
        size = max(max(width, height) * SIZE_RATIO**k, config.min_size_px)
        for top in _starts(height, size):
            windows += [Crop(left, top, size, input_size) for left in _starts(width, size)]
    return windows


def floor_grid(camera: Camera, floor: Plane, config: CropConfig, input_size: int) -> list[Crop]:
    """Windows about people who stand on the floor, the nearest first, after the largest of `grid`.

    In place of all windows of a size there is one row, and a smaller size is tried besides.
    """
    windows = grid(camera.width, camera.height, config, input_size)
    size_px = max(camera.width, camera.height)
    windows = [window for window in windows if window.size_px >= size_px]
    up = floor.normal
    ahead = np.array([0.0, 0.0, 1.0]) - up[2] * up
    if np.linalg.norm(ahead) < LOOKING_DOWN:
        return grid(camera.width, camera.height, config, input_size)
    ahead /= np.linalg.norm(ahead)
    aside = np.cross(ahead, up)
    for k in range(1, config.search_scales + 1):
        wanted_px = max(size_px * SIZE_RATIO**k, config.min_size_px)
        distance_m = camera.fy * STANDING_M * MARGIN / wanted_px
        step_m = STANDING_M * MARGIN * (1.0 - OVERLAP)
        most = math.ceil(camera.width / camera.fx * distance_m / step_m)
        feet_m = floor.offset_m * up + distance_m * ahead
        for i in range(-most, most + 1):
            person_m = feet_m + i * step_m * aside + np.array([[0.0], [STANDING_M]]) * up
            ends_px = camera.project(person_m)
            if np.isfinite(ends_px).all():
                window = Crop.about(ends_px.mean(axis=0), wanted_px, input_size)
                if not outside(window.centre_px[None], (camera.height, camera.width), 0.0)[0]:
                    windows.append(window)
    return windows


def _starts(length: float, size: float) -> list[float]:
    """First pixels of windows that cover a length evenly with the overlap."""
    if size >= length:
        return [(length - size) / 2.0]
    steps = math.ceil((length - size) / (size * (1.0 - OVERLAP)))
    return [(length - size) * i / steps for i in range(steps + 1)]


def _overlap(window: Crop, other: Crop) -> float:
    """Area that two windows have in common over their union's."""
    left = max(window.left_px, other.left_px)
    top = max(window.top_px, other.top_px)
    right = min(window.left_px + window.size_px, other.left_px + other.size_px)
    bottom = min(window.top_px + window.size_px, other.top_px + other.size_px)
    common = max(right - left, 0.0) * max(bottom - top, 0.0)
    return common / (window.size_px**2 + other.size_px**2 - common)
