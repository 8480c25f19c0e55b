"""How sure a network is of people in windows that show one, and in windows that do not.

The windows with people are the crops of a set, those without are all windows of a
search over pictures without people.  From both follow a bundle's `presence_curve` and
`presence_threshold`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from scipy.optimize import minimize
from tqdm import tqdm

from vnect_ros.config import PipelineConfig
from vnect_ros.errors import ModelError, describe
from vnect_ros.inference.base import Backend
from vnect_ros.inference.model import Curve
from vnect_ros.perception.crop import cut
from vnect_ros.perception.reading import whole
from vnect_ros.perception.search import grid

ALLOWED: Final = 0.01
"""Share of the pictures without people in which a window may reach the threshold: only one
in which two windows do, one after the other, publishes anybody."""
_KNOTS: Final = (0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.85, 0.93, 0.97, 0.985, 0.993, 0.997, 0.999, 1.0)
_LEAST: Final = 1e-6


def of_crops(crops: Iterable[np.ndarray], backend: Backend) -> np.ndarray:
    """[N] presence in whole images [H, W, 3] of one person each."""
    size = backend.model.input_size
    found = [
        backend.infer([cut(image, whole(image, size))])[0].presence
        for image in tqdm(crops, desc="people", leave=False)
    ]
    return np.array(found)


def of_searches(
    pictures: Iterable[np.ndarray], backend: Backend, config: PipelineConfig
) -> list[np.ndarray]:
    """Of each picture [H, W, 3] the presence in every window of a search, [M] each."""
    found = []
    for image in tqdm(pictures, desc="searches", leave=False):
        height, width = image.shape[:2]
        windows = grid(width, height, config.crop, backend.model.input_size)
        found.append(np.array([backend.infer([cut(image, w)])[0].presence for w in windows]))
    return found


def score(people: np.ndarray, searches: list[np.ndarray]) -> dict[str, Any]:
    """The curve and the threshold that a bundle should state.

    Args:
        people: [N] of `of_crops`, of a bundle without a `presence_curve`.
        searches: of `of_searches`, likewise.

    Returns:
        `presence_curve`; `presence_threshold`, the probability that at most `ALLOWED` of the
        pictures reach in any window; `reached`, that share; `missed`, the share of the
        people below it; `n_people`, `n_pictures`, `n_windows`.

    Raises:
        ModelError: the bundle has no presence output.
    """
    nobody = np.concatenate(searches)
    if np.isnan(people).any() or np.isnan(nobody).any():
        raise ModelError(describe("presence output", None, "a bundle that has one"))
    presence_curve = curve(people, nobody)
    heights, probabilities = np.transpose(presence_curve)
    highest = np.interp([s.max() for s in searches], heights, probabilities)
    threshold = float(max(0.5, np.quantile(highest, 1.0 - ALLOWED, method="higher")))
    return {
        "presence_curve": presence_curve,
        "presence_threshold": round(threshold, 4),
        "reached": float((highest > threshold).mean()),
        "missed": float((np.interp(people, heights, probabilities) < threshold).mean()),
        "n_people": len(people),
        "n_pictures": len(searches),
        "n_windows": len(nobody),
    }


def curve(people: np.ndarray, nobody: np.ndarray) -> Curve:
    """(presence, probability) pairs, by Platt's scaling (1999), both kinds of equal weight.

    Args:
        people: [N] presence in windows that show a person.
        nobody: [M] presence in windows that show nobody.
    """
    score = np.concatenate([_log_odds(people), _log_odds(nobody)])
    sure, unsure = (len(people) + 1.0) / (len(people) + 2.0), 1.0 / (len(nobody) + 2.0)
    target = np.repeat([sure, unsure], [len(people), len(nobody)])
    weight = np.repeat([0.5 / len(people), 0.5 / len(nobody)], [len(people), len(nobody)])

    def loss(line: np.ndarray) -> float:
        slope, shift = np.exp(line[0]), line[1]
        z = slope * score + shift
        return float((weight * (np.logaddexp(0.0, z) - target * z)).sum())

    slope, shift = minimize(loss, np.zeros(2), method="Nelder-Mead").x
    knots = np.array(_KNOTS)
    z = np.exp(slope) * _log_odds(knots) + shift
    pairs = zip(knots, 1.0 / (1.0 + np.exp(-z)))
    return tuple((float(x), round(float(p), 4)) for x, p in pairs)


def _log_odds(probability: np.ndarray) -> np.ndarray:
    p = np.clip(probability, _LEAST, 1.0 - _LEAST)
    odds: np.ndarray = np.log(p) - np.log1p(-p)
    return odds
