"""The lifter: what it reads from maps, what it is taught, and that it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

from vnect_ros.learning.lifter import Viewer, train_lifter  # noqa: E402
from vnect_ros.networks import build_network  # noqa: E402
from vnect_ros.networks.lift import FEATURES, Lifter, SoftMaxima, with_locations  # noqa: E402
from vnect_ros.skeleton import INDEX, bone_lengths  # noqa: E402

torch.set_num_threads(1)
MOTION = Path(__file__).parent / "data" / "motion.npz"


@pytest.fixture(scope="module")
def poses() -> np.ndarray:
    with np.load(MOTION) as data:
        joints = np.concatenate([data[k] for k in data.files if k.startswith("joints_")])
    return (joints - joints[:, INDEX["pelvis"], None]).astype(np.float32)


def _maps(places: torch.Tensor, peak: float = 0.5, cells: int = 28) -> torch.Tensor:
    """[B, 84, 28, 28] with a Gaussian at each of [B, 21, 2] places, locations all 3 dm."""
    centres = (torch.arange(cells) + 0.5) * (2.0 / cells) - 1.0
    dx = (centres - places[..., :1]) * cells / 2.0
    dy = (centres - places[..., 1:]) * cells / 2.0
    heat = torch.exp(-0.4 * dy.square())[..., :, None] * torch.exp(-0.4 * dx.square())[..., None, :]
    return torch.cat([peak * heat, torch.full((len(places), 63, cells, cells), 3.0)], dim=1)


def test_soft_maxima_lie_between_the_cells_whatever_the_peak() -> None:
    places = torch.rand(4, 21, 2, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    for peak in (0.1, 0.9):
        features = SoftMaxima()(_maps(places, peak))
        assert features.shape == (4, FEATURES)
        found = torch.stack([features[:, :21], features[:, 21:42]], dim=-1)
        # a third of a cell, which is 2 / 28 wide
        torch.testing.assert_close(found, places, atol=0.024, rtol=0.0)
        assert (features[:, 42:63] <= peak + 1e-6).all() and (features[:, 42:63] > 0.7 * peak).all()
        torch.testing.assert_close(features[:, 63:], torch.full((4, 63), 0.3), atol=5e-3, rtol=0.0)


def test_the_stronger_of_two_maxima_is_followed() -> None:
    near, far = torch.full((1, 21, 2), -0.5), torch.full((1, 21, 2), 0.5)
    features = SoftMaxima()(torch.maximum(_maps(near, 0.6), _maps(far, 0.3)))
    assert (features[:, :42] < -0.35).all()


def test_viewed_poses_keep_their_bones_and_fill_the_crop(poses: np.ndarray) -> None:
    viewer = Viewer(poses[::20], seed=1)
    features, locations = viewer.batch(256)
    joints = locations.view(256, 3, 21).transpose(1, 2).numpy() / 10.0
    own = bone_lengths(poses[::20])
    lengths = bone_lengths(joints)
    # mixing takes a bone from one pose or the other, mirroring swaps sides: none is stretched
    assert (lengths < own.max(axis=0).max() + 1e-4).all()
    assert np.abs(joints[:, INDEX["pelvis"]]).max() < 1e-5
    x, y = features[:, :21], features[:, 21:42]
    assert x.abs().max() <= 1.0 and y.abs().max() <= 1.0
    extent = torch.maximum(x.amax(1) - x.amin(1), y.amax(1) - y.amin(1))
    assert 1.1 < extent.median() < 1.7  # 2 / 1.45 without the errors


def test_places_are_the_projection_of_the_locations(poses: np.ndarray) -> None:
    viewer = Viewer(poses[::20], seed=2)
    turned = viewer._turned(viewer._drawn(64))
    places = viewer._seen(turned).numpy()
    for pose, seen in zip(turned.numpy(), places):
        # u (z + d) = s (x + t): linear in the four unknowns d/s, 1/s, tx, and the offset
        rows, right = [], []
        for axis in (0, 1):
            for j in range(21):
                unknown = np.zeros(6)
                # (u - o)(z + d) = f (x + t)  =>  u z = f x + ft - u d + o z + od
                unknown[0], unknown[1] = pose[j, axis], -seen[j, axis]
                unknown[2 + axis], unknown[4 + axis] = 1.0, pose[j, 2]
                rows.append(unknown)
                right.append(seen[j, axis] * pose[j, 2])
        _, residual, *_ = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)
        assert float(residual[0] if residual.size else 0.0) < 1e-6


def test_a_hundred_steps_take_a_third_off_the_error(poses: np.ndarray) -> None:
    torch.manual_seed(0)
    lifter = Lifter(width=128, blocks=1)
    viewer = Viewer(poses[::10], seed=0)
    history = train_lifter(lifter, viewer, 100, batch=64, rate=3e-3, log_every=20)
    assert history[-1] < 0.67 * history[0]


def test_the_network_lifts_in_eval_mode_only() -> None:
    torch.manual_seed(0)
    network = build_network("vnect_lite", lift=True)
    image = torch.randn(1, 3, 64, 64)
    assert isinstance(network.train()(image), dict)
    with torch.no_grad():
        maps = network.eval()(image)
    assert maps.shape == (1, 84, 8, 8)
    locations = maps[:, 21:]
    torch.testing.assert_close(locations, locations[:, :, :1, :1].expand_as(locations))
    same = with_locations(maps, locations[:, :, 0, 0])
    torch.testing.assert_close(same, maps)
