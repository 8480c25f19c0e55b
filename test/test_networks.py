"""The networks on MoveNet's trunk: the ports' fidelity, where they start, what they give."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch")

from vnect_ros.errors import ModelError  # noqa: E402
from vnect_ros.networks import NETWORKS, build_network  # noqa: E402
from vnect_ros.networks.blazepose import BlazePose  # noqa: E402
from vnect_ros.networks.head import bone_length_maps  # noqa: E402
from vnect_ros.networks.movenet import KEYPOINTS, MoveNet, SameConv  # noqa: E402
from vnect_ros.networks.weights.blazepose import load_blazepose  # noqa: E402
from vnect_ros.networks.weights.movenet import layer_names, load_movenet  # noqa: E402
from vnect_ros.skeleton import INDEX  # noqa: E402

GOLDEN = Path(__file__).parent / "data" / "trunks.npz"
"""By data/make_trunks.py."""


def published(name: str) -> Path:
    """A published network's file; without it the test is skipped."""
    file = Path(os.environ.get("VNECT_TRUNKS", "")) / name
    if not file.is_file():
        pytest.skip(f"VNECT_TRUNKS names no folder with {name}")
    return file


def published_form(network: MoveNet, file: Path) -> None:
    """Write a network's weights as the published files hold them: by the layers' names."""
    from onnx import helper, numpy_helper, save

    nodes, weights = [], []
    for number, (module, layer) in enumerate(layer_names(network)):
        conv = network.get_submodule(module)
        inputs = ["x"]
        for k, tensor in enumerate((conv.weight, conv.bias)):
            if tensor is not None:
                inputs.append(f"k{2 * number + k}")
                weights.append(numpy_helper.from_array(tensor.detach().numpy(), inputs[-1]))
        scope = "center_net_mobile_net_v2fpn_feature_extractor/model_1/"
        prefix = "" if layer[:4] in ("kpt_", "cent") else scope
        output = f"StatefulPartitionedCall/{prefix}{layer}/BiasAdd/c"
        nodes.append(helper.make_node("Conv", inputs, [output]))
    graph = helper.make_graph(nodes, "g", [], [], weights)
    save(helper.make_model(graph), str(file))


@pytest.mark.parametrize(("variant", "size"), [("lightning", 192), ("thunder", 256)])
def test_movenets_port_equals_the_published_network_on_a_real_image(variant, size):
    network = MoveNet(variant).eval()
    load_movenet(network, published(f"movenet-{variant}.onnx"))
    golden = np.load(GOLDEN)
    x = torch.from_numpy(golden[f"image_{size}"]).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        found = torch.sigmoid(network(x / 127.5 - 1.0)["heatmaps"]).numpy()
    expected = golden[f"{variant}_heatmaps"] / 65535.0
    assert expected.max() > 0.5
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_blazeposes_port_equals_the_published_network_on_a_real_image():
    pytest.importorskip("ai_edge_litert", reason="reads the published file")
    network = BlazePose().eval()
    load_blazepose(network, published("pose_landmark_full.tflite"))
    golden = np.load(GOLDEN)
    x = torch.from_numpy(golden["image_256"]).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        found = network(x / 255.0)
    expected = golden["blazepose_heatmaps"] / 65535.0
    assert expected.max() > 0.5
    np.testing.assert_allclose(torch.sigmoid(found["heatmaps"]).numpy(), expected, atol=1e-3)
    np.testing.assert_allclose(found["world"].numpy(), golden["blazepose_world"], atol=1e-3)


def test_weights_load_by_the_layers_names_and_other_files_are_refused(tmp_path):
    pytest.importorskip("onnx", reason="reads ONNX")
    torch.manual_seed(0)
    network, other = MoveNet(), MoveNet()
    published_form(network, tmp_path / "m.onnx")
    load_movenet(other, tmp_path / "m.onnx")
    for name, value in network.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name
    with pytest.raises(ModelError, match="Conv1_relu"):
        load_movenet(MoveNet("thunder"), tmp_path / "m.onnx")
    (tmp_path / "text.onnx").write_text("no protobuf")
    with pytest.raises(ModelError, match="ONNX"):
        load_movenet(other, tmp_path / "text.onnx")


@pytest.mark.parametrize(("c_in", "groups"), [(8, 8), (8, 1)])
def test_strided_convolutions_give_the_same_with_and_without_a_gradient(c_in, groups):
    """Padded as TensorFlow does, one pixel to the right and below, on both ways."""
    torch.manual_seed(0)
    conv = SameConv(c_in, 8, 3, stride=2, groups=groups)
    x = torch.randn(2, c_in, 12, 12)
    padded = torch.nn.functional.pad(x, (0, 1, 0, 1)).requires_grad_()
    expected = torch.nn.functional.conv2d(padded, conv.weight, conv.bias, 2, groups=groups)
    (slope,) = torch.autograd.grad(expected.square().sum(), padded)
    torch.testing.assert_close(conv(x), expected)
    x.requires_grad_()
    found = conv(x)
    torch.testing.assert_close(found, expected)
    (own,) = torch.autograd.grad(found.square().sum(), x)
    torch.testing.assert_close(own, slope[..., :-1, :-1])


def test_widths_are_those_of_the_published_files():
    count = {
        v: sum(p.numel() for p in MoveNet(v).trunk.parameters()) for v in ("lightning", "thunder")
    }
    assert count == {"lightning": 2_299_168, "thunder": 6_207_240}


def test_each_joint_starts_as_movenets_keypoint():
    torch.manual_seed(0)
    movenet, network = MoveNet(), build_network("vnect_lite", size=64)
    network.start_from(movenet)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        keypoints = movenet.eval()(x)["heatmaps"]
        joints = network.train()(x)["logits"]
    for name in ("left_wrist", "right_knee", "left_hip"):
        row = keypoints[:, KEYPOINTS.index(name)]
        torch.testing.assert_close(joints[:, INDEX[name]], row)
    hips = keypoints[:, [KEYPOINTS.index("left_hip"), KEYPOINTS.index("right_hip")]].mean(1)
    torch.testing.assert_close(joints[:, INDEX["pelvis"]], hips, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["vnect_lite", "vnect_large"])
def test_eval_gives_maps_at_stride_4_and_the_probability_of_a_person(name):
    network = build_network(name, size=64).eval()
    with torch.no_grad():
        maps, presence = network(torch.randn(2, 3, 64, 64))
    assert maps.shape == (2, 84, 16, 16) and presence.shape == (2, 1)
    assert ((maps[:, :21] >= 0) & (maps[:, :21] <= 1)).all()
    assert ((presence > 0) & (presence < 1)).all()


def test_training_mode_gives_what_the_losses_take():
    output = build_network("vnect_lite", size=64).train()(torch.zeros(1, 3, 64, 64))
    shapes = {k: tuple(v.shape[1:]) for k, v in output.items()}
    assert shapes == {
        "logits": (21, 16, 16), "locations": (63, 8, 8), "delta": (63, 8, 8),
        "alone": (63,), "lifted": (63,), "presence": (),
    }  # fmt: skip


def test_unknown_network_names_the_known():
    with pytest.raises(ValueError, match=NETWORKS[0]):
        build_network("resnet")


def test_bone_length_of_a_3_4_12_offset_is_13():
    delta = torch.zeros(1, 63, 2, 2)
    delta[:, 5], delta[:, 26], delta[:, 47] = 3.0, 4.0, 12.0
    lengths = bone_length_maps(delta)
    assert lengths[0, 5].allclose(torch.tensor(13.0), atol=1e-3)
    assert lengths[0, 6].abs().max() < 0.02


@pytest.mark.timeout(600)  # an export
def test_every_weight_comes_back_from_the_exported_file(tmp_path):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"the export needs {package}")
    from vnect_ros.learning.export.graph import export_onnx
    from vnect_ros.networks.weights.exported import load_exported

    torch.manual_seed(0)
    network, other = build_network("vnect_lite", size=64), build_network("vnect_lite", size=64)
    with torch.no_grad():
        other.head.delta.bias.fill_(1.0)
        network.head.delta.bias.zero_()  # the export drops it
    export_onnx(network, 64, tmp_path / "m.onnx")
    load_exported(other, tmp_path / "m.onnx")
    for name, value in network.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, rtol=0.0, atol=0.0, msg=name)
    larger = build_network("vnect_large", size=64)
    load_exported(larger.lifter.pose, tmp_path / "m.onnx", "lifter.pose")
    for name, value in network.lifter.pose.state_dict().items():
        assert torch.equal(larger.lifter.pose.state_dict()[name], value), name
    with pytest.raises(ModelError, match="summary"):
        load_exported(build_network("vnect_lite", size=96), tmp_path / "m.onnx")
