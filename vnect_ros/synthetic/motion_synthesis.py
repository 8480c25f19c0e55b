"""Motion over time: walking along paths, waving, crouching, with feet that stay put.

World frame: metres, z up, the floor at 0.  Sequences are [T, 21, 3] joints.
The way of a sequence: source joints of any build -> the body's own joints
(directions count) -> a path for the pelvis -> feet locked while they bear the
body -> bone rotations again.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from vnect_ros.skeleton import INDEX, PELVIS
from vnect_ros.synthetic.bodies import BodyModel, Shape
from vnect_ros.synthetic.motion import heading
from vnect_ros.synthetic.retarget import Style, about, bone_rotations

_FEET = tuple((INDEX[f"{s}_hip"], INDEX[f"{s}_knee"], INDEX[f"{s}_ankle"], INDEX[f"{s}_toe"])
              for s in ("right", "left"))  # fmt: skip


def ease(t: np.ndarray) -> np.ndarray:
    """Smooth step from 0 to 1 over t in [0, 1], without a jump in acceleration."""
    t = np.clip(t, 0.0, 1.0)
    return t * t * t * (t * (6.0 * t - 15.0) + 10.0)


def pulse(t: np.ndarray, start: float, full: float, leave: float, end: float) -> np.ndarray:
    """0 before `start`, 1 from `full` to `leave`, 0 after `end`; smooth between."""
    return ease((t - start) / (full - start)) * (1.0 - ease((t - leave) / (end - leave)))


def on_body(
    model: BodyModel, shape: Shape, source_m: np.ndarray, style: Style | None = None
) -> np.ndarray:
    """[T, 21, 3] a source motion with a body's own bones, the pelvis where the source has it."""
    result = np.empty_like(source_m)
    for t, joints in enumerate(source_m):
        rotations = bone_rotations(model, shape, joints, style)
        posed, _ = model.pose(shape, rotations)
        result[t] = posed - posed[PELVIS] + joints[PELVIS]
    return result


def settled(
    model: BodyModel, shape: Shape, joints_m: np.ndarray, sigma_frames: float = 1.2,
    style: Style | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The sequence as bone rotations, smooth in time, and the joints that they give.

    Returns:
        [T, B, 3, 3] rotations and [T, 21, 3] joints, the pelvis where it was.
    """
    turns = np.stack([bone_rotations(model, shape, joints, style) for joints in joints_m])
    u, _, vt = np.linalg.svd(gaussian_filter1d(turns, sigma_frames, axis=0))
    flip = np.sign(np.linalg.det(u @ vt))
    u[..., 2] *= flip[..., None]
    turns = u @ vt
    result = np.empty_like(joints_m)
    pelvis = gaussian_filter1d(joints_m[:, PELVIS], sigma_frames, axis=0)
    for t, rotations in enumerate(turns):
        posed, _ = model.pose(shape, rotations)
        result[t] = posed - posed[PELVIS] + pelvis[t]
    return turns, result


def sole_heights(shape: Shape) -> np.ndarray:
    """[4] height of right ankle and toe, left ankle and toe over the floor when standing."""
    floor = shape.vertices_m[:, 2][shape.vertices_m[:, 2] > -9].min()
    return np.array([shape.joints_m[j, 2] - floor for foot in _FEET for j in foot[2:]])


def _contacts(joints_m: np.ndarray) -> np.ndarray:
    """[T, 4, 3] the points a body stands on: ankles and toes."""
    return joints_m[:, [j for foot in _FEET for j in foot[2:]]]


def standing(joints_m: np.ndarray, shape: Shape) -> np.ndarray:
    """The sequence lifted or lowered so that the lower foot is always on the floor."""
    gap = (_contacts(joints_m)[..., 2] - sole_heights(shape)).min(axis=1)
    result = joints_m.copy()
    result[..., 2] -= gaussian_filter1d(gap, 1.0)[:, None]
    return result


def walked(joints_m: np.ndarray, shape: Shape) -> np.ndarray:
    """The sequence moved through the world as its own feet push it (motion without a path)."""
    relative = joints_m - joints_m[:, PELVIS : PELVIS + 1]
    points = _contacts(relative)
    height = points[..., 2] - sole_heights(shape)
    low = height - height.min(axis=1, keepdims=True)
    weights = np.exp(-low / 0.015)
    weights /= weights.sum(axis=1, keepdims=True)
    step = np.diff(points, axis=0, prepend=points[:1])
    both = (weights + np.roll(weights, 1, axis=0)) / 2.0
    moved = -(both[..., None] * step).sum(axis=1)
    path = gaussian_filter1d(np.cumsum(moved, axis=0), 2.0, axis=0)
    path[:, 2] = 0.0
    return standing(relative + path[:, None], shape)


def locked(joints_m: np.ndarray, rate_hz: float, shape: Shape) -> np.ndarray:
    """The sequence with each foot held still while it bears the body; knees follow.

    A foot bears while it is low and slow.  What holding it takes is spread over
    the swing before and after, so nothing jumps.
    """
    result = joints_m.copy()
    heights = sole_heights(shape).reshape(2, 2)
    for foot, rest in zip(_FEET, heights):
        middle = joints_m[:, foot[2:]].mean(axis=1)
        speed = np.linalg.norm(np.gradient(middle[:, :2], axis=0), axis=-1) * rate_hz
        low = (joints_m[:, foot[2:], 2] - rest).mean(axis=1)
        bears = _closed((speed < 0.55) & (low < 0.05))
        runs = _runs(bears, shortest=3)
        if not runs:
            continue
        knots, shift = [], []
        for begin, end in runs:
            anchor = np.median(joints_m[begin:end, foot[2:]], axis=0)
            # heel and toe share one correction: the foot keeps its shape
            want = anchor.mean(axis=0) - middle[begin:end]
            want[:, 2] = np.maximum(0.0, -(joints_m[begin:end, foot[2:], 2] - rest).min(axis=1))
            knots.append(np.arange(begin, end))
            shift.append(want)
        at, by = np.concatenate(knots), np.concatenate(shift)
        frames = np.arange(len(joints_m))
        total = np.stack([np.interp(frames, at, by[:, k]) for k in range(3)], axis=-1)
        total = gaussian_filter1d(total, 1.2, axis=0)
        for joint in foot[2:]:
            result[:, joint] += total
    return bent(result, joints_m)


def bent(joints_m: np.ndarray, before_m: np.ndarray) -> np.ndarray:
    """The sequence with its knees where hips and ankles need them.

    Args:
        joints_m: whose hips and ankles count.
        before_m: whose knees say which way to bend, and whose bones give the lengths.
    """
    result = joints_m.copy()
    for hip, knee, ankle, toe in _FEET:
        upper = np.linalg.norm(before_m[:, knee] - before_m[:, hip], axis=-1)
        lower = np.linalg.norm(before_m[:, ankle] - before_m[:, knee], axis=-1)
        line = result[:, ankle] - result[:, hip]
        far = np.linalg.norm(line, axis=-1)
        reach = np.minimum(far, 0.9985 * (upper + lower))
        line = line / far[:, None]
        pulled = result[:, hip] + reach[:, None] * line - result[:, ankle]
        result[:, ankle] += pulled
        result[:, toe] += pulled
        along = (reach**2 + upper**2 - lower**2) / (2 * reach)
        pole = before_m[:, knee] - (before_m[:, hip] + before_m[:, ankle]) / 2.0
        ahead = before_m[:, toe] - before_m[:, ankle]
        pole = pole + 0.25 * ahead * [1.0, 1.0, 0.0]
        pole -= (pole * line).sum(axis=-1, keepdims=True) * line
        pole /= np.maximum(np.linalg.norm(pole, axis=-1, keepdims=True), 1e-9)
        out = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
        result[:, knee] = result[:, hip] + along[:, None] * line + out[:, None] * pole
    return result


def lowered(joints_m: np.ndarray, down_m: np.ndarray, lean_rad: np.ndarray) -> np.ndarray:
    """The sequence with the body sunk between its feet: a crouch.

    Args:
        joints_m: [T, 21, 3].
        down_m: [T] how far the pelvis sinks.
        lean_rad: [T] how far pelvis and trunk lean forward.
    """
    legs = [j for foot in _FEET for j in foot[1:]]
    above = [j for j in range(joints_m.shape[1]) if j not in legs]
    result = joints_m.copy()
    for t, joints in enumerate(joints_m):
        turn = about([0, 0, 1], heading(joints))
        tilt = turn @ about([1, 0, 0], lean_rad[t]) @ turn.T
        pelvis = joints[PELVIS]
        back = turn @ np.array([0.0, 0.35 * down_m[t], -down_m[t]])
        result[t, above] = (joints[above] - pelvis) @ tilt.T + pelvis + back
    # knees go forward and a little out
    guide = joints_m.copy()
    for hip, knee, ankle, toe in _FEET:
        ahead = joints_m[:, toe] - joints_m[:, ankle]
        out = joints_m[:, hip] - joints_m[:, PELVIS]
        guide[:, knee] += (down_m[:, None] * (2.0 * ahead + 1.2 * out)) * [1.0, 1.0, 0.0]
    lengths = bent(result, joints_m)
    return bent(lengths, _with_lengths(guide, joints_m))


def _with_lengths(guide: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Poses whose knees point as in `guide` and whose leg bones are as long as in `source`."""
    result = source.copy()
    for hip, knee, ankle, _ in _FEET:
        for a, b in ((hip, knee), (knee, ankle)):
            bone = guide[:, b] - guide[:, a]
            length = np.linalg.norm(source[:, b] - source[:, a], axis=-1, keepdims=True)
            bone = bone / np.linalg.norm(bone, axis=-1, keepdims=True) * length
            result[:, b] = result[:, a] + bone
    return result


def _closed(mask: np.ndarray) -> np.ndarray:
    """The mask with gaps of one frame filled."""
    filled = mask.copy()
    filled[1:-1] |= mask[:-2] & mask[2:]
    return filled


def _runs(mask: np.ndarray, shortest: int) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist())
    return [(a, b) for a, b in pairs if b - a >= shortest]


def walk_cycle(clip_m: np.ndarray) -> np.ndarray:
    """[P, 21, 3] one stride of a walking clip, closed, pelvis at the origin, facing -y."""
    relative = clip_m - clip_m[:, PELVIS : PELVIS + 1]
    # the way walked, not the swing of the hips in each stride
    way = gaussian_filter1d(np.unwrap([heading(joints) for joints in relative]), 15.0)
    facing = np.stack([joints @ about([0, 0, 1], angle) for joints, angle in zip(relative, way)])
    swing = facing[:, INDEX["left_ankle"], 1] - facing[:, INDEX["right_ankle"], 1]
    best = None
    for period in range(24, min(48, len(clip_m) - 9)):
        for begin in range(4, len(clip_m) - period - 4):
            gap = np.abs(facing[begin : begin + 4] - facing[begin + period : begin + period + 4])
            score = gap.mean() + 0.002 * abs(swing[begin])
            if best is None or score < best[0]:
                best = score, begin, period
    if best is None:
        raise ValueError("clip: got too few frames, accepted: a walking clip of 40 or more")
    _, begin, period = best
    cycle = facing[begin : begin + period].copy()
    drift = facing[begin + period] - facing[begin]
    share = (np.arange(period) / period)[:, None, None]
    return cycle - share * drift


def stride_m(cycle_m: np.ndarray) -> float:
    """How far one stride of a cycle, already on the body and facing -y, carries it [m].

    Seen from the pelvis the foot that bears the body goes backwards as fast as
    the body walks, and no foot goes back faster.
    """
    relative = cycle_m - cycle_m[:, PELVIS : PELVIS + 1]
    feet = np.stack([relative[:, foot[2:], 1].mean(axis=1) for foot in _FEET], axis=1)
    back = np.diff(feet, axis=0, append=feet[:1])
    return float(back.max(axis=1).sum())


def sampled_cycle(cycle_m: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """[T, 21, 3] the cycle at phases [T] (1 is a whole stride)."""
    period = len(cycle_m)
    at = (phase % 1.0) * period
    low = np.floor(at).astype(int) % period
    share = (at - np.floor(at))[:, None, None]
    return (1 - share) * cycle_m[low] + share * cycle_m[(low + 1) % period]


def along_path(
    cycle_m: np.ndarray, stand_m: np.ndarray, shape: Shape, position_m: np.ndarray, rate_hz: float,
    hold: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """[T, 21, 3] a body that walks a path, standing where the path stands still.

    Args:
        cycle_m: [P, 21, 3] a stride on the body, facing -y.
        stand_m: [21, 3] the body standing, facing -y.
        position_m: [T, 2] of the pelvis on the floor.
        rate_hz: of the sequence.
        hold: [T] 0 to face along the path, 1 to face -y whatever the path.
    """
    step = np.gradient(position_m, axis=0)
    speed = np.linalg.norm(step, axis=-1) * rate_hz
    moving = speed > 0.05
    angle = np.unwrap(np.arctan2(step[moving, 0], -step[moving, 1]))
    frames = np.arange(len(position_m))
    facing = np.interp(frames, frames[moving], angle) if moving.any() else np.zeros(len(frames))
    facing = gaussian_filter1d(facing, 0.12 * rate_hz)
    if hold is not None:
        facing = (1.0 - hold) * facing
    phase = np.cumsum(speed / rate_hz) / stride_m(cycle_m)
    share = ease(speed / 0.5)[:, None, None]
    posed = share * sampled_cycle(cycle_m, phase) + (1 - share) * stand_m
    posed = posed - posed[:, PELVIS : PELVIS + 1]
    turned = np.stack([p @ about([0, 0, 1], a).T for p, a in zip(posed, facing)])
    turned[..., :2] += position_m[:, None]
    return standing(turned, shape)
