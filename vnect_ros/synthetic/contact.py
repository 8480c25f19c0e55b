"""Whether limbs of a posed body run through each other: capsules along the bones."""

from __future__ import annotations

import numpy as np

from vnect_ros.skeleton import INDEX

# (name, joint, joint, radius as a share of the height)
_CAPSULES = tuple(
    [("head", "head", "head_top", 0.045), ("trunk", "pelvis", "neck", 0.062)]
    + [
        (f"{s}_{part}", f"{s}_{a}", f"{s}_{b}", r)
        for s in ("right", "left")
        for part, a, b, r in (
            ("flank", "hip", "shoulder", 0.050), ("arm", "shoulder", "elbow", 0.026),
            ("forearm", "elbow", "wrist", 0.020), ("hand", "wrist", "hand", 0.020),
            ("thigh", "hip", "knee", 0.045), ("shin", "knee", "ankle", 0.030),
            ("foot", "ankle", "toe", 0.024),
        )
    ]
)  # fmt: skip
_NAMES = [c[0] for c in _CAPSULES]


def _pairs() -> np.ndarray:
    solid = ("head", "trunk", "right_flank", "left_flank")
    pairs = []
    for side, other in (("right", "left"), ("left", "right")):
        for tip in (f"{side}_forearm", f"{side}_hand"):
            pairs += [(tip, s) for s in solid]
            pairs += [(tip, f"{s}_{leg}") for s in ("right", "left") for leg in ("thigh", "shin")]
            pairs += [(tip, f"{other}_arm")]
        pairs += [(f"{side}_shin", s) for s in solid] + [(f"{side}_foot", s) for s in solid]
        pairs += [(f"{side}_shin", f"{other}_thigh"), (f"{side}_foot", f"{other}_shin")]
        pairs += [(f"{side}_thigh", "head"), (f"{side}_arm", "head")]
    pairs += [("right_forearm", "left_forearm"), ("right_hand", "left_hand")]
    pairs += [("right_hand", "left_forearm"), ("left_hand", "right_forearm")]
    pairs += [("right_shin", "left_shin")]
    return np.array([(_NAMES.index(a), _NAMES.index(b)) for a, b in pairs])


_PAIRS = _pairs()
_ENDS = np.array([[INDEX[a], INDEX[b]] for _, a, b, _ in _CAPSULES])
_RADII = np.array([c[3] for c in _CAPSULES])


def segment_distance(a0: np.ndarray, a1: np.ndarray, b0: np.ndarray, b1: np.ndarray) -> np.ndarray:
    """[N] least distance of segments a0–a1 and b0–b1, each [N, 3]."""
    u, v, w = a1 - a0, b1 - b0, a0 - b0
    uu, uv, vv = (u * u).sum(-1) + 1e-12, (u * v).sum(-1), (v * v).sum(-1) + 1e-12
    uw, vw = (u * w).sum(-1), (v * w).sum(-1)
    s = np.clip((uv * vw - vv * uw) / np.maximum(uu * vv - uv * uv, 1e-12), 0, 1)
    t = np.clip((vw + s * uv) / vv, 0, 1)
    s = np.clip((t * uv - uw) / uu, 0, 1)
    return np.linalg.norm(w + s[:, None] * u - t[:, None] * v, axis=-1)


def penetration(joints_m: np.ndarray, height_m: float, stoutness: float = 1.0) -> float:
    """How deep the worst pair of limbs overlaps, as a share of their radii: 0 free, 1 axis on axis.

    Args:
        joints_m: [21, 3] posed joints.
        height_m: of the person, upright.
        stoutness: factor on every radius.
    """
    radii = _RADII * height_m * stoutness
    first, second = (_ENDS[_PAIRS[:, k]] for k in (0, 1))
    far = segment_distance(*(joints_m[e[:, k]] for e in (first, second) for k in (0, 1)))
    allowed = radii[_PAIRS[:, 0]] + radii[_PAIRS[:, 1]]
    return float(np.clip(1.0 - far / allowed, 0.0, None).max())
