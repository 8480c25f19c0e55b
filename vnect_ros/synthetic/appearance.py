"""What a person wears and looks like: colours, patterns, cuts, hair; and loose cloth.

Garments are cut by two coordinates that every vertex of the body carries,
taken on the template so that they do not depend on the person's build: how far
along the arm (0 shoulder, 1 wrist) and how far down (-1 base of the neck, 0
hips, 0.5 knees, 1 ankles).
"""

from __future__ import annotations

import colorsys
import functools
import itertools
from dataclasses import dataclass

import numpy as np
import scipy.sparse

from vnect_ros.synthetic.bodies import PARTS, BodyModel

_SKIN = np.array([[250, 215, 195], [238, 196, 165], [222, 172, 136], [196, 142, 104],
                  [160, 108, 74], [118, 76, 52], [82, 52, 38], [54, 36, 28]]) / 255.0  # fmt: skip
_HAIR = np.array([[20, 17, 16], [45, 32, 24], [80, 55, 36], [120, 82, 48], [190, 150, 95],
                  [225, 200, 150], [150, 60, 30], [130, 128, 126],
                  [215, 213, 210]]) / 255.0  # fmt: skip
_PLAIN = np.array([[20, 20, 23], [55, 56, 60], [120, 121, 125], [200, 200, 202], [245, 245, 243],
                   [40, 52, 84], [62, 88, 130], [150, 172, 200], [120, 104, 80], [196, 180, 148],
                   [86, 62, 44], [72, 82, 58], [110, 28, 34], [24, 30, 52]]) / 255.0  # fmt: skip


@dataclass(frozen=True)
class Coordinates:
    """Per vertex of the body model, on the template."""

    canon: np.ndarray
    """[V, 3] float32 position on the template [m]."""
    coord: np.ndarray
    """[V, 4] float32: along the arm (<= 0.02 off the arm), down, headness, eye."""
    leg: np.ndarray
    """[V] bool: on a leg or foot."""
    shoe_m: np.ndarray
    """[V, 3] float32 what turns toes into a shoe's tip, on the template [m]."""


def _along(points: np.ndarray, knots: np.ndarray, values: np.ndarray) -> np.ndarray:
    """[N] position of points along a polyline, extrapolated past both ends."""
    best, result = np.full(len(points), np.inf), np.zeros(len(points))
    last = len(knots) - 2
    for i, (a, b) in enumerate(itertools.pairwise(knots)):
        t = (points - a) @ (b - a) / ((b - a) @ (b - a))
        t = np.clip(t, -np.inf if i == 0 else 0.0, np.inf if i == last else 1.0)
        far = np.linalg.norm(points - a - t[:, None] * (b - a), axis=-1)
        closer = far < best
        best = np.where(closer, far, best)
        result = np.where(closer, values[i] + t * (values[i + 1] - values[i]), result)
    return result


@functools.lru_cache(maxsize=1)
def coordinates(model: BodyModel) -> Coordinates:
    """Garment coordinates of every vertex of the body model."""
    points, heads = model.template_m.astype(np.float64), model.template_heads_m
    part = np.array(PARTS)[model.part_of_vertex]
    down = -(points[:, 2] - heads[model.bone["upperleg01.L"]][2]) / (
        heads[model.bone["neck01"]][2] - heads[model.bone["upperleg01.L"]][2]
    )
    shoulders = np.array([heads[model.bone[f"upperarm01.{m}"]] for m in "LR"])
    arm = -np.linalg.norm(points[:, None] - shoulders, axis=-1).min(axis=1)
    on_leg = np.zeros(len(points), bool)
    for mark, side in (("L", "left"), ("R", "right")):

        def at(*labels: str, mark: str = mark) -> np.ndarray:
            return np.array([heads[model.bone[f"{label}.{mark}"]] for label in labels])

        limb = np.isin(part, [f"{side}_upper_arm", f"{side}_forearm", f"{side}_hand"])
        knots = at("upperarm01", "lowerarm01", "wrist", "finger3-1", "finger3-3")
        values = np.array([0.0, 0.5, 1.0, 1.3, 1.5])
        arm[limb] = np.maximum(_along(points[limb], knots, values), 0.03)
        limb = np.isin(part, [f"{side}_thigh", f"{side}_shin", f"{side}_foot"])
        knots = at("upperleg01", "lowerleg01", "foot", "toe2-2")
        on_leg |= limb
        legs = _along(points[limb], knots, np.array([0.0, 0.5, 1.0, 1.35]))
        foot = part[limb] == f"{side}_foot"
        # the heel lies behind the ankle: still foot
        legs[foot] = np.maximum(legs[foot], 1.0 + (at("foot")[0][2] - points[limb][foot, 2]) * 3)
        down[limb] = legs
    coord = np.zeros((len(points), 4), np.float32)
    coord[:, 0], coord[:, 1] = arm, down
    coord[:, 2] = (part == "head") & (points[:, 2] > heads[model.bone["head"]][2] - 0.09)
    coord[model.eye_vertices, 3] = 1.0
    return Coordinates(model.template_m, coord, on_leg, _shoes(model, part))


def _shoes(model: BodyModel, part: np.ndarray) -> np.ndarray:
    """[V, 3] displacement that smooths the feet: neighbours averaged many times."""
    faces = model.meshes["body"].faces
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    foot = np.isin(part, ["left_foot", "right_foot"])
    edges = edges[foot[edges].any(axis=1)]
    edges = np.concatenate([edges, edges[:, ::-1]])
    count = len(part)
    near = scipy.sparse.csr_matrix(
        (np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count)
    )
    degree = np.maximum(near.sum(axis=1).A1, 1.0)[:, None]
    start = model.template_m.astype(np.float64)
    points = start.copy()
    for i in range(40):
        # Taubin: a second, opposite step keeps the foot from shrinking
        pull = near @ points / degree - points
        points[foot] += (0.6 if i % 2 == 0 else -0.55) * pull[foot]
    return (points - start).astype(np.float32)


@dataclass(frozen=True)
class Look:
    """Everything that one person looks like; skin, hair, shirt, sleeves, trousers, shoes, skirt."""

    colours: np.ndarray
    """[14, 3] sRGB in [0, 1]: two for each of these seven."""
    patterns: np.ndarray
    """[7] int: 0 plain, 1 rings, 2 bars, 3 checks, 4 patches, 5 dots, 6 grain, 7 fade, 8 clouds."""
    scales: np.ndarray
    """[7] pattern periods a metre."""
    shirt: np.ndarray
    """[4]: neckline, hem (down), sleeve length (along the arm), depth of the V."""
    trousers: np.ndarray
    """[4]: waist, length, top of the shoes, top of the socks (down)."""
    hair: np.ndarray
    """[4]: hairline in front and behind (head's own units), beard 0-1, thickness [m]."""
    long_hair: bool
    skirt_length: float
    """Down; 0 for no skirt."""
    logo: np.ndarray
    logo_colour: np.ndarray
    folds: float
    loose_shirt_m: float
    loose_trousers_m: float
    noise_seed: int


def cloth_colour(rng: np.random.Generator) -> np.ndarray:
    """[3] a colour people wear: half of them plain dark, light, blue or earthy."""
    if rng.random() < 0.5:
        return np.clip(_PLAIN[rng.integers(len(_PLAIN))] + rng.normal(0, 0.03, 3), 0, 1)
    hue, saturation, value = rng.random(), rng.beta(2.2, 1.6), rng.beta(2.5, 1.5)
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value))


def _between(table: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    at = rng.uniform(0, len(table) - 1)
    i = int(at)
    return table[i] + (at - i) * (table[min(i + 1, len(table) - 1)] - table[i])


def sample_look(rng: np.random.Generator, female: float, held_out: bool = False) -> Look:
    """Clothes, skin and hair at random.

    Args:
        female: 0 to 1, sways skirts, beards and long hair.
        held_out: take patterns' scales from ranges the training people leave out.
    """
    colours = np.zeros((14, 3))
    skin = np.clip(_between(_SKIN, rng) + rng.normal(0, 0.012, 3), 0, 1)
    colours[0], colours[1] = skin, skin * rng.uniform(0.86, 0.97) * [1.0, 0.97, 0.95]
    hair = _HAIR[rng.integers(len(_HAIR))] if rng.random() < 0.9 else cloth_colour(rng)
    colours[2], colours[3] = hair, np.clip(hair * rng.uniform(0.6, 1.4), 0, 1)
    for slot in range(2, 7):
        colours[2 * slot], colours[2 * slot + 1] = cloth_colour(rng), cloth_colour(rng)
    patterns = rng.choice(9, 7, p=[0.4, 0.12, 0.07, 0.09, 0.07, 0.05, 0.08, 0.04, 0.08])
    scales = np.exp(rng.uniform(np.log(5), np.log(45), 7))
    # held out: scales in the outer third of each octave
    octave = np.log2(scales)
    within = (octave % 1.0) / 3.0
    scales = 2.0 ** (np.floor(octave) + (within + 2 / 3 if held_out else 2.0 * within))
    if rng.random() < 0.72:  # sleeves as the shirt
        colours[6:8], patterns[3], scales[3] = colours[4:6], patterns[2], scales[2]
    if rng.random() < 0.5:
        patterns[4] = rng.choice([0, 6, 8])
    lengths = [0.0, rng.uniform(0.18, 0.45), rng.uniform(0.5, 0.8), rng.uniform(0.9, 1.06)]
    sleeve = rng.choice(lengths, p=[0.16, 0.4, 0.08, 0.36])
    hem = rng.choice([rng.uniform(-0.35, -0.15), rng.uniform(-0.12, 0.1), rng.uniform(0.1, 0.3)],
                     p=[0.2, 0.65, 0.15])  # fmt: skip
    shirt = np.array([rng.uniform(-1.04, -0.9), hem, sleeve, abs(rng.normal(0, 0.12))])
    length = rng.choice([rng.uniform(0.12, 0.3), rng.uniform(0.35, 0.55), rng.uniform(0.6, 0.85),
                         rng.uniform(0.9, 1.1)], p=[0.14, 0.22, 0.1, 0.54])  # fmt: skip
    skirt_length = 0.0
    if rng.random() < 0.05 + 0.28 * female:
        skirt_length = rng.uniform(0.2, 0.8)
        if rng.random() < 0.4:  # a dress
            colours[12:14], patterns[6], scales[6] = colours[4:6], patterns[2], scales[2]
        length = rng.choice([0.1, 1.0], p=[0.7, 0.3])
    barefoot = rng.random() < 0.12
    shoe_top = 9.0 if barefoot else rng.choice([1.0, 0.93, 0.8], p=[0.75, 0.17, 0.08])
    sock_top = 9.0 if barefoot or rng.random() < 0.4 else rng.uniform(0.6, 0.97)
    if rng.random() < 0.12:  # overall or track suit: one colour all over
        colours[8:10], patterns[4], scales[4] = colours[4:6], patterns[2], scales[2]
    if rng.random() < 0.05:  # bare chest
        shirt[[0, 1, 2]] = 5.0, -5.0, 0.0
    trousers = np.array([rng.uniform(-0.3, -0.12), length, shoe_top, sock_top])
    style = rng.choice(["bald", "short", "full", "cap"], p=[0.08, 0.4, 0.4, 0.12])
    line = {"bald": (9.0, 9.0), "short": (rng.uniform(0.5, 0.8), rng.uniform(-0.6, 0.0)),
            "full": (rng.uniform(0.35, 0.7), rng.uniform(-1.2, -0.6)),
            "cap": (rng.uniform(0.25, 0.45), rng.uniform(-0.2, 0.3))}[str(style)]  # fmt: skip
    if style == "cap":
        colours[2:4] = cloth_colour(rng)
    beard = rng.uniform(0.3, 1.0) if rng.random() < 0.35 * (1 - female) else 0.0
    logo = np.array([rng.normal(0, 0.03), rng.uniform(0.3, 0.45), rng.uniform(0.04, 0.13),
                     rng.choice([0, 1, 2, 3], p=[0.65, 0.1, 0.12, 0.13])])  # fmt: skip
    return Look(
        colours, patterns, scales, shirt, trousers,
        np.array([*line, beard, rng.uniform(0.004, 0.03)]),
        bool(style == "full" and rng.random() < 0.15 + 0.6 * female),
        float(skirt_length), logo, cloth_colour(rng), float(rng.uniform(0.3, 1.6)),
        float(rng.choice([rng.uniform(0.002, 0.01), rng.uniform(0.01, 0.035)])),
        float(rng.choice([rng.uniform(0.002, 0.01), rng.uniform(0.01, 0.04)])),
        int(rng.integers(1 << 30)),
    )  # fmt: skip


def _smooth(low: float, high: float, value: np.ndarray) -> np.ndarray:
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def shod(model: BodyModel, look: Look, height_m: float) -> np.ndarray:
    """[V, 3] float32 what the shoes add to the feet at rest [m]; zero when barefoot."""
    if look.trousers[2] > 2.0:
        return np.zeros((1, 3), np.float32)
    return coordinates(model).shoe_m * np.float32(height_m / 1.7)


def offsets(model: BodyModel, look: Look, height_m: float) -> np.ndarray:
    """[V] float32 how far cloth, shoes and hair stand off the skin, along the normals [m]."""
    at = coordinates(model)
    arm, down, head = at.coord[:, 0], at.coord[:, 1], at.coord[:, 2] > 0.5
    limb = arm > 0.02
    rng = np.random.default_rng(look.noise_seed)
    waves = np.zeros(len(arm))
    for _ in range(4):
        direction = rng.normal(size=3)
        waves += np.sin(at.canon @ (direction / np.linalg.norm(direction)) * rng.uniform(15, 60)
                        + rng.uniform(0, 6.3))  # fmt: skip
    waves = 1.0 + 0.13 * waves
    result = np.zeros(len(arm))
    sleeve = limb * (1 - _smooth(look.shirt[2] - 0.02, look.shirt[2] + 0.01, arm))
    sleeve *= 0.4 + 0.6 * _smooth(0.0, 0.25, arm)
    body = ~limb & ~head & (down > look.shirt[0]) & (down < look.shirt[1] + 0.02)
    loose = look.loose_shirt_m
    result = np.maximum(result, loose * sleeve * waves * 0.8)
    result = np.maximum(
        result, body * waves * loose * (0.35 + 0.65 * _smooth(-0.8, look.shirt[1], down))
    )
    leg = ~limb & (down > look.trousers[0]) & (down < look.trousers[1] + 0.02)
    grown = look.loose_trousers_m * (0.25 + 0.75 * _smooth(0.0, 0.6, down))
    result = np.maximum(result, leg * waves * grown)
    shoe = at.leg & (down > look.trousers[2])
    result = np.maximum(result, shoe * 0.008)
    q = (at.canon - [0.0, -0.055, 0.735]) / 0.11
    front = _smooth(-0.75, 0.35, q[:, 1])
    line = look.hair[0] + (look.hair[1] - look.hair[0]) * front
    cap = head * _smooth(-0.1, 0.25, q[:, 2] - line) * (np.abs(q[:, 0]) < 0.72)
    result = np.maximum(result, cap * look.hair[3] * waves)
    result[model.eye_vertices] = 0.0
    return (result * height_m / 1.7).astype(np.float32)
