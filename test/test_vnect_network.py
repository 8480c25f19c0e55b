"""The paper's network: its size, its shapes, and the traps of its re-implementations."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the networks need torch")

from vnect_ros.networks.fold import fold_batch_norm  # noqa: E402
from vnect_ros.networks.vnect import VNect  # noqa: E402

pytestmark = pytest.mark.timeout(300)  # the first export of a run takes long on a busy machine


@pytest.fixture(scope="module")
def network() -> VNect:
    torch.manual_seed(3)
    return VNect().eval()


def test_size_of_the_published_network(network: VNect) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    assert sum(p.numel() for p in network.parameters()) == 14_615_680
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        maps = network(torch.zeros(1, 3, 368, 368))
    assert tuple(maps.shape) == (1, 84, 46, 46)
    assert counter.get_total_flops() / 2 == pytest.approx(12.05e9, rel=1e-3)


def test_stages_have_the_papers_sizes(network: VNect) -> None:
    shapes = {}
    handles = [
        network.get_submodule(name).register_forward_hook(
            lambda _m, _i, out, name=name: shapes.__setitem__(name, tuple(out.shape[1:]))
        )
        for name in ("conv1", "res2c_branch2c", "res3d_branch2c", "res4f_branch2c",
                     "res5b_branch2b_new", "res5c_branch1a")
    ]  # fmt: skip
    with torch.no_grad():
        network(torch.zeros(1, 3, 368, 368))
    for handle in handles:
        handle.remove()
    assert shapes == {
        "conv1": (64, 184, 184),
        "res2c_branch2c": (256, 92, 92),
        "res3d_branch2c": (512, 46, 46),
        "res4f_branch2c": (1024, 23, 23),
        "res5b_branch2b_new": (128, 23, 23),
        "res5c_branch1a": (63, 46, 46),
    }


def test_every_block_reads_the_layer_before_it(network: VNect) -> None:
    """One re-implementation feeds res2c_branch2b from block 2b: here the chain holds."""
    inputs, outputs = {}, {}

    def keep(name):
        def hook(_module, given, out):
            inputs[name], outputs[name] = given[0], out

        return hook

    names = [n for n, _ in network.named_children() if n.startswith("res") and "_branch" in n]
    handles = [network.get_submodule(n).register_forward_hook(keep(n)) for n in names]
    with torch.no_grad():
        network(torch.rand(1, 3, 64, 64) - 0.4)
    for handle in handles:
        handle.remove()
    for after, before in (("2b", "2a"), ("2c", "2b")):
        for name in names:
            if name.endswith(f"branch{after}") and not name.startswith("res5c"):
                source = name.replace(f"branch{after}", f"branch{before}")
                assert torch.equal(inputs[name], outputs[source].relu()), name


def test_bone_lengths_feed_the_head_behind_the_deltas(network: VNect) -> None:
    seen = {}
    first = network.res5c_branch1a.register_forward_hook(lambda _m, _i, o: seen.update(delta=o))
    second = network.res5c_branch2b.register_forward_hook(lambda _m, i, _o: seen.update(cat=i[0]))
    with torch.no_grad():
        network(torch.rand(1, 3, 64, 64) - 0.4)
    first.remove()
    second.remove()
    cat, delta = seen["cat"], seen["delta"]
    assert cat.shape[1] == 212
    assert torch.equal(cat[:, 128:191], delta)
    length = delta.reshape(1, 3, 21, 8, 8).norm(dim=1)
    torch.testing.assert_close(cat[:, 191:], length)


def test_training_returns_what_the_losses_need() -> None:
    network = VNect(batch_norm=True, supervision=True).train()
    out = network(torch.zeros(2, 3, 64, 64))  # black: deltas of 0 must not give NaN slopes
    assert tuple(out["maps"].shape) == (2, 84, 8, 8)
    assert tuple(out["delta"].shape) == (2, 63, 8, 8)
    assert [tuple(m.shape) for m in out["intermediate"]] == [(2, 84, 8, 8)] * 2
    with torch.no_grad():
        network.res5c_branch1a.weight.zero_()
    out = network(torch.zeros(2, 3, 64, 64))
    (out["maps"].sum() + sum(m.sum() for m in out["intermediate"])).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


def test_folding_the_normalisations_changes_nothing() -> None:
    torch.manual_seed(5)
    network = VNect(batch_norm=True, supervision=True).train()
    with torch.no_grad():
        for _ in range(2):
            network(torch.rand(2, 3, 64, 64) - 0.4)
        network.eval()
        image = torch.rand(1, 3, 64, 64) - 0.4
        expected = network(image)
        folded = fold_batch_norm(network)
        torch.testing.assert_close(folded(image), expected, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())
