"""The data flow: crop, infer, decode, filter, fit.  `Pipeline.step` is the map of the program."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from vnect_ros import crowds
from vnect_ros.budget import Budget
from vnect_ros.clock import Arrival, ClockGuard
from vnect_ros.config import PipelineConfig
from vnect_ros.errors import BackendError, VnectError
from vnect_ros.inference.base import Backend
from vnect_ros.memory import Memory
from vnect_ros.perception import appearance, assignment, decode, grouping
from vnect_ros.perception import crop as cropping
from vnect_ros.perception.grouping import Group
from vnect_ros.perception.search import Find, PersonSearch
from vnect_ros.person import Person, Sighting
from vnect_ros.records import Crop, Frame, Maps, Pose
from vnect_ros.stopwatch import Stopwatch

SECOND_SCALE: Final = 0.7
"""The smaller of the two scales whose maps are averaged (paper, section 5)."""
FIND_RADIUS: Final = 0.25
"""A find this near to somebody who is tracked is no new person, in parts of the smaller size."""
SURVEY_S: Final = 0.1
"""A tracked person's window is searched for further people once in this time [s]."""
NOTICED_JOINTS: Final = 4
"""Joints by which somebody is noticed, where fewer are seen than make a person."""
MISSING_TURN_S: Final = 0.1
"""The network looks at those who are missing so much later than at others [s]."""
LONGEST_WAIT_S: Final = 0.12
"""Who was not looked at for longer is, whether there is time or not: predictions do not hold for
longer where people meet [s]."""
DUPLICATE_S: Final = 0.4
"""Two tracks are on one person once they have been for so long: people who cross part again [s]."""


class Pipeline:
    """Turns images into the poses of the people in them, and alone knows who is tracked."""

    def __init__(
        self,
        config: PipelineConfig,
        backend: Backend,
        clock: Callable[[], float] = time.perf_counter,
        budget: Budget | None = None,
    ) -> None:
        """Start with nobody tracked.  The backend stays the caller's to close.

        Args:
            clock: that the stages are timed by [s].
            budget: limits the windows of a step to those that there is time for, by that clock;
                None: the same images always give the same poses.
        """
        self.config, self.backend, self.model = config, backend, backend.model
        self.clock = ClockGuard()
        self.people: list[Person] = []
        """Everybody who is tracked or missing, and finds that are not confirmed yet."""
        self.timings_s: dict[str, float] = {}
        """Duration of each stage of the last step, and their "total" [s]."""
        self.skipped = 0
        """People whom the network did not look at in the last step."""
        self._search = PersonSearch(config, self.model.input_size, self.model.presence_threshold)
        self._memory = Memory()
        self._poses: list[Pose] = []
        self._hidden_at_s = -math.inf
        self._searched_s = -math.inf
        self._budget = budget
        self._watch = Stopwatch(clock)
        self.configure(config)

    def step(self, frame: Frame) -> list[Pose]:
        """Process one image.

        An image that is not newer than the last one gives the last poses again; by
        more than `clock.LATE_S`, the clock was set back, and all is reset.

        Returns:
            A pose for everybody who is tracked, MEASURED or PREDICTED.  A person who
            ends in this step is in it once more, LOST.

        Raises:
            BackendError: the network's runtime failed.
        """
        self._watch.start()
        if not self._is_new(frame):
            return self._poses
        people, windows = self._share(frame)
        crops = [person.crop for person in people]
        maps = self._infer(frame, crops + windows)
        finds = self._finds(frame, windows, maps[len(crops) :])
        self._look_around(frame, people, maps)
        sightings = self._read(frame, people, maps)
        self._poses = self._follow(frame, sightings)
        self._admit(finds, frame.stamp_s)
        self.timings_s = self._watch.stop()
        if self._budget is not None:
            self._budget.spend(len(maps), self.timings_s["total"])
        return self._poses

    @property
    def searched(self) -> int:
        """How many times the whole frame was searched for people."""
        return max(self._search.rounds - 1, 0)

    def reset(self) -> None:
        """Forget everybody."""
        self.people, self._poses = [], []
        self._searched_s = -math.inf
        self._search.reset()
        self._memory.clear()
        self.clock.reset()

    def recalibrate(self) -> None:
        """Measure everybody's bone lengths anew, and go on tracking."""
        for person in self.people:
            person.recalibrate()

    def configure(self, config: PipelineConfig) -> None:
        """Take other settings from the next step on, and go on tracking.

        If fewer people may be tracked, those who came last end.
        """
        self.config = self._search.config = config
        if config.max_people > 1:
            assignment.preload()
        del self.people[config.max_people :]
        for person in self.people:
            person.configure(config)

    def _is_new(self, frame: Frame) -> bool:
        """Whether the frame is newer than the last; resets if the clock was set back."""
        arrival = self.clock.judge(frame.stamp_s)
        if arrival is Arrival.SET_BACK:
            self.reset()
        elif arrival is not Arrival.NEW:
            return False
        self.clock.accept(frame.stamp_s)
        return True

    def _share(self, frame: Frame) -> tuple[list[Person], list[Crop]]:
        """Whom the network looks at in this frame, and the search's windows.

        Those come first whom it has not looked at for longest.  Where there is not time for
        everything, the search waits for its turn like one of the people.
        """
        for person in self.people:
            person.expect(frame)
        by_age = sorted(self._wanted, key=_turn_s)
        served = by_age[: self.config.people_per_frame]
        most = self.config.crop.windows_per_frame
        everything = len(served) + most
        fit = None if self._budget is None else self._budget.windows(frame.stamp_s)
        late_s = frame.stamp_s - LONGEST_WAIT_S
        late = sum(p.looked_s < late_s and not p.is_missing for p in served)
        fit = everything if fit is None else max(fit, late)
        if fit < everything:
            is_turn = fit > len(served) or _turn_s(served[fit - 1]) >= self._searched_s
            most = max(fit - len(served), int(is_turn))
        windows = self._windows(frame, most) if most else []
        if windows:
            self._searched_s = frame.stamp_s
        served = served[: fit - len(windows)]
        self.skipped = sum(not p.is_missing for p in by_age[len(served) :])
        return served, windows

    @property
    def _room(self) -> int:
        """How many more people may be tracked."""
        return self.config.max_people - sum(not person.is_missing for person in self.people)

    @property
    def _wanted(self) -> list[Person]:
        """Those who are looked for: everybody but missing people for whom there is no room."""
        missing = [person for person in self.people if person.is_missing]
        room = self.config.max_people - _published(self.people)
        left_out = missing[max(room, 0) :]
        return [person for person in self.people if person not in left_out]

    def _windows(self, frame: Frame, most: int) -> list[Crop]:
        """The search's windows in this frame; none while nobody more may be tracked."""
        if self._room <= 0:
            return []
        tracked = [person.crop for person in self.people if not person.is_missing]
        if frame.boxes_px is not None:
            return self._search.windows_of(frame.boxes_px, tracked, most)
        # From behind one of several people somebody may come out.
        known_px = self._known_px() if len(self.people) == 1 else ()
        return self._search.windows(frame, tracked, most, known_px)

    def _infer(self, frame: Frame, crops: Sequence[Crop]) -> list[Maps]:
        """The network's maps of every crop, averaged over two scales if so configured."""
        if not crops:
            return []
        seen = list(crops)
        if self.config.crop.multi_scale:
            seen += [cropping.wider(crop, SECOND_SCALE) for crop in crops]
        cuts = [cropping.cut(frame.image, crop) for crop in seen]
        self._watch.lap("crop")
        try:
            maps = self.backend.infer(cuts, self._gravities(frame, seen))
        except VnectError:
            raise
        except Exception as error:
            raise BackendError(f"{self.backend.name}: {error!r}") from error
        if self.config.crop.multi_scale:
            pairs = zip(maps[: len(crops)], maps[len(crops) :])
            maps = [decode.average_scales(full, wider, SECOND_SCALE) for full, wider in pairs]
        self._watch.lap("network")
        return maps

    def _gravities(self, frame: Frame, crops: Sequence[Crop]) -> list[np.ndarray] | None:
        """[3] the direction of gravity in each crop, in the axes of the location maps."""
        if frame.floor is None:
            return None
        down = -frame.floor.normal
        if self.model.location_frame == "camera":
            return [down] * len(crops)
        return [down @ frame.camera.rotation_camera_from_crop(crop.centre_px) for crop in crops]

    def _finds(self, frame: Frame, windows: Sequence[Crop], maps: Sequence[Maps]) -> list[Find]:
        """The people that search windows show, the best first."""
        finds: list[Find] = []
        known_px = self._known_px()
        for window, its_maps in zip(windows, maps):
            groups = self._groups(frame, window, its_maps, known_px, NOTICED_JOINTS)
            finds += self._search.judge(its_maps, groups, window)
        self._watch.lap("decode")
        return sorted(finds, key=lambda find: -find.score)

    def _groups(
        self,
        frame: Frame,
        window: Crop,
        maps: Maps,
        known_px: Sequence[np.ndarray] = (),
        min_joints: int = 0,
    ) -> list[Group]:
        """The people in a window, those left out who are known."""
        curve, shape, config = self.model.confidence_curve, frame.image.shape, self.config.decode
        return grouping.people_in(maps, window, shape, curve, config, known_px, min_joints)

    def _known_px(self) -> list[np.ndarray]:
        """[21, 2] each: where the joints of people are whom the last frames showed."""
        return [p.expected_or_found_px for p in self.people if not p.is_hidden]

    def _look_around(self, frame: Frame, people: Sequence[Person], maps: Sequence[Maps]) -> None:
        """Notice further people in the window of one of those who are tracked, by turns."""
        if self._room <= 0 or frame.boxes_px is not None or not people:
            return
        person, its_maps = min(zip(people, maps), key=lambda pair: pair[0].surveyed_s)
        if frame.stamp_s - person.surveyed_s < SURVEY_S:
            return
        person.surveyed_s = frame.stamp_s
        groups = self._groups(frame, person.crop, its_maps, self._known_px(), NOTICED_JOINTS)
        self._search.notice(groups)
        self._watch.lap("decode")

    def _read(
        self, frame: Frame, people: Sequence[Person], maps: Sequence[Maps]
    ) -> dict[Person, Sighting | None]:
        """What this frame shows of each person, nothing of it twice; None: hidden."""
        sightings: dict[Person, Sighting | None] = {}
        crowd: list[Person] = []
        shown: list[Sighting] = []
        for person, its_maps in zip(people, maps):
            person.looked_s = frame.stamp_s
            if any(other.is_in(person.crop) for other in self.people if other is not person):
                crowd.append(person)
                groups = self._groups(frame, person.crop, its_maps)
                shown += [Sighting(person.crop, its_maps, g.keypoints) for g in groups]
            else:
                sightings[person] = person.read(frame, its_maps)
        for person, sighting in sightings.items():
            if sighting is not None and person.may_see_colours(frame.stamp_s):
                colours = appearance.colours(frame.image, sighting.keypoints)
                person.see_colours(colours, frame.stamp_s)
        if crowd:
            beside = [p for p in self._wanted if p not in people and _is_in_one(p, crowd)]
            told = crowds.tell_apart(frame, crowd + beside, shown)
            for person, sighting in told.items():
                if sighting is not None or person in crowd:
                    person.looked_s = frame.stamp_s
                    sightings[person] = sighting
        self._watch.lap("decode")
        return sightings

    def _follow(self, frame: Frame, sightings: Mapping[Person, Sighting | None]) -> list[Pose]:
        """Everybody's pose; people who are lost, and finds that are not confirmed, end."""
        waiting = [p for p in self.people if p.pose is None and p not in sightings]
        looked_at = [p for p in self.people if p not in waiting]
        new = [p for p in looked_at if p.pose is None]
        for person in looked_at:
            self._update(frame, person, sightings.get(person))
        self._hide(frame.stamp_s, looked_at)
        tracked, ended = self._sort_out(frame, [p for p in looked_at if p not in new])
        for person in new:
            self._confirm(person, tracked)
        self.people = tracked + waiting
        return [pose for p in tracked + ended if (pose := p.shown) is not None]

    def _hide(self, stamp_s: float, people: Sequence[Person]) -> None:
        """Be patient with those who are hidden by others."""
        period_s, self._hidden_at_s = stamp_s - self._hidden_at_s, stamp_s
        seen = [p for p in people if p.pose is not None and p.observed_s >= p.looked_s]
        for person in people:
            person.hide(seen, period_s)

    def _update(self, frame: Frame, person: Person, sighting: Sighting | None) -> None:
        joints = None if sighting is None else person.observe(frame, sighting)
        self._watch.lap("filter")
        person.update(frame, joints)
        self._watch.lap("fit")

    def _sort_out(
        self, frame: Frame, people: Sequence[Person]
    ) -> tuple[list[Person], list[Person]]:
        """Who goes on being tracked, and who ends: lost, or the younger of two on one person."""
        tracked: list[Person] = []
        ended: list[Person] = []
        for person in people:
            if person.is_lost:
                self._search.restart(person.crop, frame.stamp_s)
                self._memory.add(person)
            elif person.is_missing or not crowds.coincides(person, tracked):
                person.apart_s = frame.stamp_s
            elif frame.stamp_s - person.apart_s > DUPLICATE_S:
                person.lose(frame.stamp_s)
            (ended if person.is_lost else tracked).append(person)
        return tracked, ended

    def _confirm(self, person: Person, tracked: list[Person]) -> None:
        """Track a find that this frame confirms, as whoever was lost or is hidden if it is that."""
        hidden = [other for other in tracked if other.is_hidden]
        if person.pose is None or crowds.coincides(person, [o for o in tracked if o not in hidden]):
            return
        former = self._memory.recall(person, hidden, self.config.remember_for_s)
        if former is not None:
            person.inherit(former)
        if former in hidden:
            tracked.remove(former)
        if _published(tracked) < self.config.max_people:
            tracked.append(person)

    def _admit(self, finds: Sequence[Find], stamp_s: float) -> None:
        """Let the best finds of new people become people, whom the next frame confirms or not."""
        for find in finds:
            if self._room <= 0:
                return
            seen = find.keypoints.confidence > 0.0
            if not any(
                assignment.are_one(find.keypoints.pixels_px, person.joints_px, FIND_RADIUS, seen)
                for person in self.people
                if not person.is_hidden
            ):
                person = Person(self.config, self.model, find.keypoints, stamp_s)
                self.people.append(person)


def _turn_s(person: Person) -> float:
    """Who is looked at before whom: finds are confirmed first, then the longest wait counts [s]."""
    if person.pose is None:
        return -math.inf
    return person.looked_s + MISSING_TURN_S * person.is_missing


def _published(people: Sequence[Person]) -> int:
    """How many of them are published."""
    return sum(person.pose is not None and not person.is_missing for person in people)


def _is_in_one(person: Person, others: Sequence[Person]) -> bool:
    """Whether a person is expected in the window of one of the others."""
    return any(person.is_in(other.crop) for other in others)
