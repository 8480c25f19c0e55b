"""Several people: found, followed, told apart when they cross, lost and found again.

As in test_pipeline, the network is a function of the window that it is shown; here it
sees everybody in the window, the one in the middle best, and nobody behind somebody else.
"""

from __future__ import annotations

import numpy as np
import pytest
from fake_backend import STANDING_M, FakeBackend, Seen, coordinate_card, read_card

from vnect_ros import crowds
from vnect_ros.camera import Camera
from vnect_ros.config import PipelineConfig, replace
from vnect_ros.inference import bundles
from vnect_ros.perception import appearance, assignment
from vnect_ros.perception.decode import Keypoints
from vnect_ros.person import Person
from vnect_ros.pipeline import Pipeline
from vnect_ros.records import Frame, Maps, State
from vnect_ros.skeleton import NORMALISED_KNEE_NECK_M, PELVIS, knee_neck_length

WIDTH, HEIGHT, RATE_HZ = 1280, 720, 30.0
CARD = coordinate_card(WIDTH, HEIGHT)
CAMERA = Camera.from_field_of_view(WIDTH, HEIGHT, 60.0)
NORMALISED_M = STANDING_M * (NORMALISED_KNEE_NECK_M / knee_neck_length(STANDING_M))
HIDING_M = 0.35
"""Somebody nearer hides what lies this close to the line of sight at that one's distance."""


class Crowd(FakeBackend):
    """What a good network sees of people who stand at given places."""

    def __init__(self, folder) -> None:
        (folder / "model.onnx").write_bytes(b"none")
        model = bundles.write_bundle(
            folder,
            {"fp32": folder / "model.onnx"},
            licence="MIT",
            input_size=224,
            mean=(0.5, 0.5, 0.5),
            std=(0.25, 0.25, 0.25),
            location_frame="camera",
        )
        super().__init__(model)
        self.places: dict[str, tuple[float, float, float]] = {}
        self.windows = 0

    def joints_px(self, name) -> np.ndarray:
        return CAMERA.project(NORMALISED_M * 1.0 + self.places[name])

    def image(self) -> np.ndarray:
        """The card with a grey stripe where each person's trunk is: people change the picture."""
        image = CARD.copy()
        for name in self.places:
            (x, top), (_, bottom) = self.joints_px(name)[[1, PELVIS]].round().astype(int)
            image[max(top, 0) : max(bottom, 0), max(x - 12, 0) : max(x + 12, 0)] = 90
        return image

    def hidden(self, name) -> np.ndarray:
        """[21] bool: joints behind somebody who is nearer."""
        x, y, z = self.places[name]
        behind = np.zeros(21, dtype=bool)
        for other, (ox, _, oz) in self.places.items():
            if other != name and oz < z:
                joints = NORMALISED_M + (x, y, z)
                behind |= np.abs(joints[:, 0] * oz / joints[:, 2] - ox) < HIDING_M
        return behind

    def infer(self, images, gravities=None) -> list[Maps]:
        self.windows += len(images)
        return [self.look(image) for image in images]

    def view(self, image, seen: Seen) -> Maps:
        self._look = lambda _: seen
        return self.draw(image)

    def look(self, image) -> Maps:
        crop = read_card(image)
        nothing = self.view(image, Seen(np.full((21, 2), 112.0), np.zeros((21, 3)), np.zeros(21)))
        heat, places = nothing.heatmaps.copy(), nothing.locations_m.copy()
        if crop is None:
            return nothing
        views = []
        for name in self.places:
            pixels = crop.input_from_image(self.joints_px(name))
            size = np.ptp(pixels, axis=0).max() / crop.input_size
            off = np.linalg.norm(pixels[PELVIS] - 111.5) / crop.input_size
            if 0.25 < size < 1.4 and off < 0.7:
                views.append((off, name, pixels))
        for rank, (_, name, pixels) in enumerate(sorted(views)):
            inside = ((pixels >= 0) & (pixels <= 223)).all(axis=1)
            peaks = np.where(inside & ~self.hidden(name), 1.0 if rank == 0 else 0.8, 0.0)
            local = NORMALISED_M - NORMALISED_M[PELVIS]
            seen = self.view(image, Seen(pixels, local, peaks))
            here = seen.heatmaps > heat
            heat = np.maximum(heat, seen.heatmaps)
            places = np.where(here[None], seen.locations_m, places)
        return Maps(heat, places, nothing.stride_px)


@pytest.fixture
def crowd(tmp_path):
    return Crowd(tmp_path)


def pipeline_of(crowd, **changes):
    settings = {k.replace("__", "."): v for k, v in changes.items()}
    settings = {"max_people": 6, "crop.search_scales": 4, **settings}
    return Pipeline(replace(PipelineConfig(), settings), crowd)


def run(pipeline, crowd, seconds, move=None, begin_s=0.0):
    """The poses of each frame while `move` [s] places people."""
    frames = []
    for i in range(round(seconds * RATE_HZ)):
        stamp_s = begin_s + i / RATE_HZ
        if move is not None:
            move(stamp_s)
        frames.append(pipeline.step(Frame(crowd.image(), CAMERA, stamp_s)))
    return frames


def who(crowd, poses):
    """Name to id, by the nearest person to each tracked pose in the image."""
    found = {}
    for pose in poses:
        if pose.state is State.LOST:
            continue
        middle = np.nanmean(pose.joints_px, axis=0)
        distances = {
            name: np.linalg.norm(crowd.joints_px(name).mean(axis=0) - middle)
            for name in crowd.places
        }
        name = min(distances, key=distances.get)
        assert name not in found, "two tracks on one person"
        found[name] = pose.id
    return found


def test_everybody_is_found_and_keeps_an_id_of_their_own(crowd):
    crowd.places = {"ann": (-2.0, 0.0, 5.0), "bob": (0.0, 0.0, 4.0), "cyd": (2.0, 0.0, 5.5)}
    pipeline = pipeline_of(crowd)
    frames = run(pipeline, crowd, 6.0)
    ids = who(crowd, frames[-1])
    assert set(ids) == {"ann", "bob", "cyd"} and len(set(ids.values())) == 3
    assert all(len(value) == 5 for value in ids.values())
    for poses in frames[-30:]:
        assert who(crowd, poses) == ids
        assert {pose.state for pose in poses} == {State.MEASURED}
    ever = {pose.id for poses in frames for pose in poses}
    assert ever == set(ids.values()), "nobody else was ever published"


def test_no_more_people_than_allowed_are_tracked(crowd):
    crowd.places = {"ann": (-2.0, 0.0, 5.0), "bob": (0.0, 0.0, 4.0), "cyd": (2.0, 0.0, 5.5)}
    for most in (1, 2):
        frames = run(pipeline_of(crowd, max_people=most), crowd, 4.0)
        assert max(len(poses) for poses in frames) == most


def test_people_who_cross_keep_their_ids(crowd):
    def move(t):
        crowd.places = {
            "near": (-1.5 + max(t - 4.0, 0.0), 0.0, 3.5),
            "far": (1.5 - max(t - 4.0, 0.0), 0.0, 5.0),
        }

    pipeline = pipeline_of(crowd)
    before = who(crowd, run(pipeline, crowd, 4.0, move)[-1])
    assert set(before) == {"near", "far"}
    frames = run(pipeline, crowd, 3.0, move, begin_s=4.0)
    assert who(crowd, frames[-1]) == before
    hidden = [p for poses in frames for p in poses if p.id == before["far"]]
    assert State.PREDICTED in {p.state for p in hidden}, "the far one was hidden for a while"


def _passing(crowd):
    """Somebody walks slowly behind somebody who stands, and is hidden for two seconds."""

    def move(t):
        crowd.places = {
            "near": (0.0, 0.0, 3.0),
            "far": (-1.8 + 0.6 * max(t - 3.0, 0.0), 0.0, 5.0),
        }

    return move


def test_who_is_hidden_for_long_is_lost_once_and_goes_on_when_seen_again(crowd):
    # Not remembered: it is the track that goes on.
    pipeline, move = pipeline_of(crowd, remember_for_s=0.0), _passing(crowd)
    before = who(crowd, run(pipeline, crowd, 3.0, move)[-1])
    frames = run(pipeline, crowd, 6.0, move, begin_s=3.0)
    of_far = [next((p for p in poses if p.id == before["far"]), None) for poses in frames]
    states = [None if pose is None else pose.state for pose in of_far]
    lost = states.index(State.LOST)
    assert states.count(State.LOST) == 1
    assert states[lost - 15 : lost] == [State.PREDICTED] * 15, "for predict_for_s"
    back = next(i for i in range(lost + 1, len(states)) if states[i] is not None)
    assert states[lost + 1 : back] == [None] * (back - lost - 1), "nobody is published meanwhile"
    hidden = []
    for i in range(180):
        move(3.0 + i / RATE_HZ)
        hidden.append(crowd.hidden("far").sum() > 15)
    shown = max(i for i, value in enumerate(hidden) if value) + 1
    assert back <= shown + 10
    assert set(states[back + 3 :]) == {State.MEASURED}
    assert {p.id for poses in frames for p in poses} == set(before.values()), "nobody new is begun"
    assert who(crowd, frames[-1]) == before


def test_somebody_whose_turn_it_is_not_hides_others_too(crowd):
    pipeline, move = pipeline_of(crowd), _passing(crowd)
    ids = who(crowd, run(pipeline, crowd, 3.0, move)[-1])
    run(pipeline, crowd, 2.4, move, begin_s=3.0)
    of_id = {person.id: person for person in pipeline.people}
    near, far = of_id[ids["near"]], of_id[ids["far"]]
    before_s = far.hidden_s
    pipeline._hide(5.4 + 2.0 / RATE_HZ, [far, near])
    assert far.hidden_s == pytest.approx(before_s + 3.0 / RATE_HZ) and near.hidden_s == 0.0
    near.looked_s = 5.5  # in vain: nobody is there who might hide anybody
    pipeline._hide(5.6, [far, near])
    assert far.hidden_s == pytest.approx(before_s + 3.0 / RATE_HZ)


def test_who_is_hidden_takes_no_ones_place(crowd):
    """Somebody else may be tracked meanwhile; there are never more than allowed."""
    pipeline, passing = pipeline_of(crowd, max_people=2), _passing(crowd)

    def move(t):
        passing(t)
        if t > 5.8:
            crowd.places["new"] = (-2.0, 0.0, 4.0)

    before = who(crowd, run(pipeline, crowd, 3.0, move)[-1])
    assert set(before) == {"near", "far"}
    frames = run(pipeline, crowd, 6.0, move, begin_s=3.0)
    assert max(sum(p.state is not State.LOST for p in poses) for poses in frames) == 2
    after = who(crowd, frames[-1])
    assert set(after) == {"near", "new"} and after["near"] == before["near"]


def test_who_leaves_in_the_open_is_not_waited_for(crowd):
    crowd.places = {"ann": (-1.5, 0.0, 4.0), "bob": (1.5, 0.0, 4.5)}
    pipeline = pipeline_of(crowd)
    run(pipeline, crowd, 3.0)
    del crowd.places["bob"]
    run(pipeline, crowd, 0.7, begin_s=3.0)
    assert len(pipeline.people) == 1


def test_a_find_of_which_half_is_seen_is_confirmed_by_that_half():
    ann = CAMERA.project(NORMALISED_M + (0.0, 0.0, 4.0))
    above = np.arange(21) < 8
    found = np.where(above[:, None], ann, np.nan)
    whole = Keypoints(ann + 2.0, np.ones(21))
    assert assignment.distance(whole, found) < 0.05
    assert assignment.assign([whole], [found], np.zeros((1, 1))) == [0]
    assert assignment.distance(whole, np.full((21, 2), np.nan)) == np.inf
    (settled, other) = assignment.settle_claims([whole, whole], [found, ann + 300.0])
    assert (settled.confidence == 1.0).all() and (other.confidence == 0.0).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (5, 1), (2, 2), (3, 5), (6, 4)])
def test_the_matching_has_the_least_sum(shape):
    from scipy.optimize import linear_sum_assignment

    random = np.random.default_rng(0)
    for _ in range(50):
        cost = random.uniform(0.0, 1.0, shape)
        cost[random.uniform(size=shape) < 0.4] = assignment.NO_MATCH
        cost[random.uniform(size=shape) < 0.1] = 0.0
        rows, columns = assignment.matched(cost)
        assert len(rows) == min(shape)
        assert len(set(rows.tolist())) == len(set(columns.tolist())) == min(shape)
        least = cost[linear_sum_assignment(cost)].sum()
        assert cost[rows, columns].sum() == pytest.approx(least)


def test_who_is_missing_may_be_farther_off_but_must_have_the_same_colours():
    ann = CAMERA.project(NORMALISED_M + (0.0, 0.0, 4.0))
    off = Keypoints(ann + 0.27 * assignment.size_px(ann) * np.array([1.0, 0.0]), np.ones(21))
    alike, other = np.array([[5.0]]), np.array([[20.0]])
    assert assignment.assign([off], [ann], alike) == [None]
    assert assignment.assign([off], [ann], alike, [True]) == [0]
    assert assignment.assign([off], [ann], other, [True]) == [None]


def test_somebody_is_covered_by_who_stands_before_them():
    far = CAMERA.project(NORMALISED_M + (0.0, 0.0, 5.0))
    for x, covered in ((0.0, True), (0.3, True), (1.5, False)):
        near = CAMERA.project(NORMALISED_M + (x, 0.0, 3.0))
        assert assignment.is_covered(far, [near]) is covered
    assert not assignment.is_covered(far, [])


def test_colours_are_not_taken_where_somebody_else_may_be_in_front():
    image = np.full((HEIGHT, WIDTH, 3), (200, 30, 30), np.uint8)
    image[:, WIDTH // 2 :] = (30, 30, 200)
    body = CAMERA.project(NORMALISED_M + (0.0, 0.0, 4.0))
    right = body[:, 0] >= WIDTH / 2.0
    blue = Keypoints(body + (4.0, 0.0), right.astype(float))
    ann = Keypoints(body, np.ones(21))
    own = appearance.colours(image, Keypoints(body, (~right).astype(float)))
    mixed, clean = appearance.colours(image, ann), appearance.colours(image, ann, [blue])
    assert np.isfinite(mixed).all(axis=1).sum() == len(mixed)
    assert appearance.difference(own, clean) < 0.5 * appearance.difference(own, mixed)


def test_a_person_who_ends_is_lost_once_and_comes_back_under_the_same_id(crowd):
    crowd.places = {"ann": (-1.5, 0.0, 4.0), "bob": (1.5, 0.0, 4.5)}
    pipeline = pipeline_of(crowd)
    ids = who(crowd, run(pipeline, crowd, 4.0)[-1])
    del crowd.places["bob"]
    frames = run(pipeline, crowd, 2.0, begin_s=4.0)
    lost = [p for poses in frames for p in poses if p.state is State.LOST]
    assert [p.id for p in lost] == [ids["bob"]]
    assert who(crowd, frames[-1]) == {"ann": ids["ann"]}
    crowd.places["bob"] = (1.0, 0.0, 4.5)
    frames = run(pipeline, crowd, 2.0, begin_s=6.0)
    assert who(crowd, frames[-1]) == ids
    del crowd.places["bob"]
    run(pipeline, crowd, 7.0, begin_s=8.0)
    crowd.places["bob"] = (1.0, 0.0, 4.5)
    late = who(crowd, run(pipeline, crowd, 2.0, begin_s=15.0)[-1])
    assert late["ann"] == ids["ann"] and late["bob"] != ids["bob"], "remembered for 5 s"


def test_somebody_elsewhere_or_of_other_bones_gets_a_new_id(crowd):
    crowd.places = {"ann": (-3.0, 0.0, 5.0)}
    pipeline = pipeline_of(crowd)
    ids = who(crowd, run(pipeline, crowd, 3.0)[-1])
    crowd.places = {}
    run(pipeline, crowd, 0.8, begin_s=3.0)
    crowd.places = {"bob": (2.5, 0.0, 5.0)}  # five metres in a second is not walked
    found = who(crowd, run(pipeline, crowd, 2.0, begin_s=3.8)[-1])
    assert found and found["bob"] != ids["ann"]


def test_who_is_not_served_in_a_frame_is_predicted_and_says_how_old_it_is(crowd):
    crowd.places = {"ann": (-2.0, 0.0, 5.0), "bob": (0.0, 0.0, 4.0), "cyd": (2.0, 0.0, 5.5)}
    pipeline = pipeline_of(crowd, people_per_frame=1, crop__search_rate=30.0)
    frames = run(pipeline, crowd, 8.0)
    calls = crowd.windows
    last = run(pipeline, crowd, 1.0, begin_s=8.0)
    assert crowd.windows - calls <= 2 * 30 + 1, "one person and one search window a frame"
    assert len(frames[-1]) == 3
    for poses in last:
        assert sum(pose.state is State.MEASURED for pose in poses) == 1
        ages = sorted(pose.observation_age_s for pose in poses)
        np.testing.assert_allclose(ages, np.arange(3) / RATE_HZ, atol=1e-6)
    measured = {pose.id for poses in last for pose in poses if pose.state is State.MEASURED}
    assert len(measured) == 3, "everybody in turn"


def test_two_tracks_on_one_person_become_one_and_the_older_stays(crowd):
    def move(t):
        gap = max(1.6 - 0.4 * max(t - 4.0, 0.0), 0.0)
        crowd.places = {"ann": (0.0, 0.0, 4.0)}
        if gap > 0.0:
            crowd.places["bob"] = (gap, 0.0, 4.0)

    pipeline = pipeline_of(crowd)
    frames = run(pipeline, crowd, 4.0, move)
    assert len(frames[-1]) == 2
    after = run(pipeline, crowd, 7.0, move, begin_s=4.0)
    assert len(after[-1]) == 1
    assert after[-1][0].id in {pose.id for pose in frames[-1]}


def test_two_of_different_colours_at_one_place_are_two_people(crowd):
    def person(off_px, shade, missing=False):
        found = Keypoints(CAMERA.project(NORMALISED_M + (0.0, 0.0, 4.0)) + off_px, np.ones(21))
        made = Person(PipelineConfig(), crowd.model, found, 0.0)
        made.colours, made.is_missing = np.full((5, 3), shade), missing
        return made

    one = person(0.0, 20.0)
    assert crowds.coincides(one, [person(3.0, 22.0)])
    assert not crowds.coincides(one, [person(3.0, 50.0)])
    assert not crowds.coincides(one, [person(300.0, 20.0)])
    assert not crowds.coincides(one, [person(3.0, 22.0, missing=True)])


def test_a_reading_goes_to_whom_it_fits():
    ann = CAMERA.project(NORMALISED_M + (0.0, 0.0, 4.0))
    bob = CAMERA.project(NORMALISED_M + (1.0, 0.0, 4.0))
    sure = np.ones(21)
    exchanged = [Keypoints(bob, sure), Keypoints(ann, sure)]
    alike = np.zeros((2, 2))
    assert assignment.assign(exchanged, [ann, bob], alike) == [1, 0]
    assert assignment.assign(exchanged[::-1], [ann, bob], alike) == [0, 1]
    nothing = Keypoints(bob, np.zeros(21))
    assert assignment.assign([nothing, exchanged[1]], [ann, bob], alike) == [1, None]
    assert assignment.assign([], [ann, bob], np.zeros((2, 0))) == [None, None]
    far = Keypoints(bob + 400.0, sure)
    assert assignment.assign([far, exchanged[1]], [ann, bob], alike) == [1, None], "nobody's"


def test_colours_decide_where_places_do_not():
    ann = CAMERA.project(NORMALISED_M + (0.0, 0.0, 4.0))
    bob = CAMERA.project(NORMALISED_M + (0.1, 0.0, 4.0))
    between = [Keypoints((ann + bob) / 2.0 + off, np.ones(21)) for off in (1.0, -1.0)]
    red, blue = 5.0, 30.0
    expected = [ann, bob]
    assert assignment.assign(between, expected, np.array([[red, blue], [blue, red]])) == [0, 1]
    assert assignment.assign(between, expected, np.array([[blue, red], [red, blue]])) == [1, 0]


def test_a_joint_that_two_claim_goes_to_the_better_and_is_unseen_for_the_other():
    ann = CAMERA.project(NORMALISED_M + (0.0, 0.0, 4.0))
    bob = CAMERA.project(NORMALISED_M + (0.6, 0.0, 4.0))
    stolen = bob.copy()
    stolen[[3, 4, 17]] = ann[[3, 4, 17]]
    first, second = assignment.settle_claims(
        [Keypoints(ann, np.ones(21)), Keypoints(stolen, np.ones(21))], [ann, bob]
    )
    assert (first.confidence == 1.0).all()
    unseen = np.zeros(21, dtype=bool)
    unseen[[3, 4, 17]] = True
    assert ((second.confidence == 0.0) == unseen).all()


def test_boxes_from_a_detector_take_the_place_of_the_search(crowd):
    crowd.places = {"ann": (-2.0, 0.0, 5.0), "bob": (0.0, 0.0, 4.0), "cyd": (2.0, 0.0, 5.5)}
    pipeline = pipeline_of(crowd)

    def boxes(*names):
        pixels = [crowd.joints_px(name) for name in names]
        rows = [[*joints.min(axis=0), *joints.max(axis=0)] for joints in pixels]
        return np.array(rows).reshape(-1, 4)

    def step(i, boxes_px):
        return pipeline.step(Frame(crowd.image(), CAMERA, i / RATE_HZ, boxes_px=boxes_px))

    for i in range(10):
        assert step(i, boxes()) == [] and crowd.windows == 0, "no boxes, no search"
    frames = [step(i, boxes("ann", "cyd")) for i in range(10, 20)]
    assert set(who(crowd, frames[-1])) == {"ann", "cyd"}
    calls = crowd.windows
    frames = [step(i, boxes("ann", "cyd")) for i in range(20, 30)]
    assert crowd.windows - calls == 20, "who is tracked is not looked for again"
    ids = who(crowd, frames[-1])
    frames = [step(i, boxes("ann", "bob", "cyd")) for i in range(30, 36)]
    assert who(crowd, frames[-1]).items() >= ids.items()
    assert set(who(crowd, frames[-1])) == {"ann", "bob", "cyd"}
    frames = [step(i, boxes()) for i in range(36, 40)]
    assert len(frames[-1]) == 3, "whom the detector misses is still followed"
