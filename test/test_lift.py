"""The lifter: soft maxima, poses without images, what it takes from the picture."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch")

from vnect_ros.learning.poses import PoseSampler, world_poses  # noqa: E402
from vnect_ros.networks import build_network  # noqa: E402
from vnect_ros.networks.lift import FEATURES, Lifter, pose_features, shares  # noqa: E402
from vnect_ros.skeleton import INDEX, bone_lengths, knee_neck_length  # noqa: E402


@pytest.fixture(scope="module")
def poses() -> np.ndarray:
    return world_poses("", 60)


def _maps(places: torch.Tensor, peak: float, cells: int = 28) -> torch.Tensor:
    """[B, 21, cells, cells] Gaussians of 1.1 cells at places [B, 21, 2] in -1 to 1."""
    centres = (torch.arange(cells) + 0.5) * (2.0 / cells) - 1.0
    d = ((centres - places[..., 0, None]) * cells / 2.2).square()[..., None, :]
    e = ((centres - places[..., 1, None]) * cells / 2.2).square()[..., :, None]
    return peak * torch.exp(-0.5 * (d + e))


def test_soft_maxima_lie_between_the_cells_whatever_the_peak() -> None:
    torch.manual_seed(0)
    places = torch.rand(4, 21, 2) * 1.6 - 0.8
    for peak in (0.9, 0.3):
        features = pose_features(*shares(_maps(places, peak)))
        assert features.shape == (4, FEATURES)
        assert (features[:, :21] - places[..., 0]).abs().max() < 0.01
        assert (features[:, 21:42] - places[..., 1]).abs().max() < 0.01
        assert ((features[:, 42:63] > 0.75 * peak) & (features[:, 42:63] <= peak)).all()


def test_the_stronger_of_two_maxima_is_followed() -> None:
    near, far = torch.full((1, 21, 2), -0.5), torch.full((1, 21, 2), 0.5)
    features = pose_features(*shares(torch.maximum(_maps(near, 0.6), _maps(far, 0.3))))
    assert (features[:, :42] + 0.5).abs().max() < 0.1


def test_views_of_poses_have_the_normal_size_and_fill_the_crop(poses: np.ndarray) -> None:
    features, _, locations = PoseSampler(poses, seed=1).batch(256)
    joints = locations.view(256, 3, 21).transpose(1, 2).numpy() / 10.0
    np.testing.assert_allclose(knee_neck_length(joints), 0.92, atol=1e-4)
    assert np.abs(joints[:, INDEX["pelvis"]]).max() < 1e-5
    x, y = features[:, :21], features[:, 21:42]
    assert x.abs().max() <= 1.0 and y.abs().max() <= 1.0
    extent = torch.maximum(x.amax(1) - x.amin(1), y.amax(1) - y.amin(1))
    assert 1.1 < extent.median() < 1.7  # 2 / 1.45 without the errors


def test_poses_stand_on_the_bodies_of_the_rendered_people(poses: np.ndarray) -> None:
    bones = np.median(bone_lengths(poses), axis=0)
    thigh, shin = bones[INDEX["right_knee"]], bones[INDEX["right_ankle"]]
    trunk = bones[INDEX["spine"]] + bones[INDEX["neck"]]
    # of the captured skeleton these are 1.04 and 0.98
    assert 0.8 < thigh / shin < 1.0
    assert 1.3 < trunk / thigh < 1.6


def test_gravity_points_from_the_head_of_a_standing_person_to_the_feet() -> None:
    standing = np.zeros((1, 21, 3), np.float32)
    heights = {"head_top": 0.6, "neck": 0.45, "spine": 0.2, "right_knee": -0.45, "left_knee": -0.45}
    for name, up in heights.items():
        standing[0, INDEX[name], 2] = up
    sampler = PoseSampler(standing, seed=3, gravity=1.0)
    _, gravity, locations = sampler.batch(64)
    joints = locations.view(64, 3, 21).transpose(1, 2)
    down = joints[:, INDEX["right_knee"]] - joints[:, INDEX["head_top"]]
    cosine = (down * gravity).sum(1) / down.norm(dim=1)
    assert cosine.min() > math.cos(0.25)  # the noise that the sampler adds
    assert (gravity.norm(dim=1) - 1.0).abs().max() < 1e-5
    assert PoseSampler(standing, gravity=0.0).batch(8)[1].abs().max() == 0.0


def test_places_are_the_projection_of_the_locations(poses: np.ndarray) -> None:
    sampler = PoseSampler(poses, seed=2)
    turned, _ = sampler._before_camera(sampler._drawn(32))
    places = sampler._places(turned).numpy()
    for pose, seen in zip(turned.numpy(), places):
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


def test_the_correction_starts_at_nothing() -> None:
    torch.manual_seed(0)
    lifter = Lifter(8).eval()
    alone, corrected = lifter(
        torch.rand(3, FEATURES), torch.zeros(3, 3), torch.randn(3, 63), torch.randn(3, 8)
    )
    torch.testing.assert_close(alone, corrected)


def test_gravity_that_is_not_given_is_zeros_and_given_it_counts() -> None:
    torch.manual_seed(0)
    network = build_network("vnect_lite", size=64).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        without, _ = network(image)
        zeros, _ = network(image, torch.zeros(1, 3))
        given, _ = network(image, torch.tensor([[0.0, 1.0, 0.0]]))
    assert torch.equal(without, zeros)
    assert torch.equal(without[:, :21], given[:, :21])
    assert not torch.equal(without[:, 21:], given[:, 21:])
    flat = without[:, 21:].flatten(2)
    assert torch.equal(flat.amax(2), flat.amin(2))


def test_errors_of_the_lifted_joints_do_not_teach_the_heatmaps() -> None:
    network = build_network("vnect_lite", size=64).train()
    torch.nn.init.normal_(network.lifter.correction.leave.weight)
    network(torch.randn(1, 3, 64, 64))["lifted"].square().sum().backward()
    assert network.head.heatmaps.maps.weight.grad is None
    assert network.trunk.stem.weight.grad.abs().max() > 0
