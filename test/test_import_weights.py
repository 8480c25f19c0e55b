"""Foreign weights come in whole and right, and hostile files do nothing."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the imported network is checked in torch")
for package in ("onnx", "onnxruntime", "onnxscript"):
    pytest.importorskip(package, reason="a bundle is exported")

from vnect_ros import inference  # noqa: E402
from vnect_ros.cli import import_weights  # noqa: E402
from vnect_ros.errors import ModelError  # noqa: E402
from vnect_ros.inference import bundles  # noqa: E402
from vnect_ros.networks.vnect import VNect  # noqa: E402
from vnect_ros.networks.weights import caffe, vnect  # noqa: E402

pytestmark = pytest.mark.timeout(300)  # the first export of a run takes long on a busy machine

FACTOR = 999.98


@pytest.fixture(scope="module")
def network() -> VNect:
    """Seeded weights in which no two layers could be mistaken for each other."""
    torch.manual_seed(8)
    made = VNect()
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            if name.endswith("bias"):
                tensor.uniform_(-0.2, 0.2)
        norm = made.bn5c_branch2a
        norm.weight.uniform_(0.5, 1.5)
        norm.running_mean.uniform_(-0.5, 0.5)
        norm.running_var.uniform_(0.1, 2.0)
    return made.eval()


@pytest.fixture(scope="module")
def messages() -> dict:
    """caffe.proto's messages, as far as needed, made with Google's own encoder."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    kinds = descriptor_pb2.FieldDescriptorProto

    def message(name, *fields):
        made = file.message_type.add(name=name)
        for number, field, kind, repeated in fields:
            packed = repeated and not isinstance(kind, str) and kind != kinds.TYPE_STRING
            added = made.field.add(
                name=field, number=number,
                label=kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL,
                type=kinds.TYPE_MESSAGE if isinstance(kind, str) else kind,
            )  # fmt: skip
            if isinstance(kind, str):
                added.type_name = f".caffe.{kind}"
            elif packed:
                added.options.packed = True

    message("BlobShape", (1, "dim", kinds.TYPE_INT64, True))
    message(
        "BlobProto",
        (1, "num", kinds.TYPE_INT32, False), (2, "channels", kinds.TYPE_INT32, False),
        (3, "height", kinds.TYPE_INT32, False), (4, "width", kinds.TYPE_INT32, False),
        (5, "data", kinds.TYPE_FLOAT, True), (6, "diff", kinds.TYPE_FLOAT, True),
        (7, "shape", "BlobShape", False), (8, "double_data", kinds.TYPE_DOUBLE, True),
    )  # fmt: skip
    message(
        "LayerParameter",
        (1, "name", kinds.TYPE_STRING, False), (2, "type", kinds.TYPE_STRING, False),
        (3, "bottom", kinds.TYPE_STRING, True), (7, "blobs", "BlobProto", True),
    )  # fmt: skip
    message(
        "V1LayerParameter",
        (4, "name", kinds.TYPE_STRING, False), (6, "blobs", "BlobProto", True),
    )  # fmt: skip
    message(
        "NetParameter",
        (1, "name", kinds.TYPE_STRING, False), (2, "layers", "V1LayerParameter", True),
        (100, "layer", "LayerParameter", True),
    )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))
        for name in ("NetParameter",)
    }


def blobs_of(network: VNect) -> dict[str, list[np.ndarray]]:
    """What the authors' file holds: layers by name, sums instead of means."""
    layers: dict[str, list[np.ndarray]] = {}
    for name, module in network.named_modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            layers[name] = [module.weight.detach().numpy()]
            if module.bias is not None:
                layers[name].append(module.bias.detach().numpy())
    norm = network.bn5c_branch2a
    layers["bn5c_branch2a"] = [
        norm.running_mean.numpy() * FACTOR,
        norm.running_var.numpy() * FACTOR,
        np.array([FACTOR], np.float32),
    ]
    layers["scale5c_branch2a"] = [norm.weight.detach().numpy(), norm.bias.detach().numpy()]
    return layers


def write_caffemodel(messages, layers, file, legacy: bool = False) -> None:
    net = messages["NetParameter"](name="VNect")
    net.layer.add(name="data", type="Input")
    for name, blobs in layers.items():
        layer = (net.layers if legacy else net.layer).add(name=name)
        for values in blobs:
            blob = layer.blobs.add()
            if legacy:
                four = (1,) * (4 - values.ndim) + values.shape
                blob.num, blob.channels, blob.height, blob.width = four
            else:
                blob.shape.dim.extend(values.shape)
            blob.data.extend(values.ravel().tolist())
    file.write_bytes(net.SerializeToString())


@pytest.fixture(scope="module")
def caffemodel(network, messages, tmp_path_factory):
    file = tmp_path_factory.mktemp("caffe") / "vnect_model.caffemodel"
    write_caffemodel(messages, blobs_of(network), file)
    return file


def same_outputs(a: VNect, b: VNect) -> None:
    image = torch.from_numpy(np.random.default_rng(3).random((1, 3, 64, 64), np.float32) - 0.4)
    with torch.no_grad():
        expected, got = a(image), b(image)
    assert (got - expected).abs().max() <= 1e-4 * max(1.0, float(expected.abs().max()))


# --- whole and right -------------------------------------------------------------------------


def test_a_caffemodel_becomes_a_bundle_that_says_the_same(network, caffemodel, tmp_path, capsys):
    out = tmp_path / "vnect"
    assert import_weights.main([str(caffemodel), "--out", str(out)]) == 0
    assert "wrote" in capsys.readouterr().out
    model = bundles.load(out)
    assert (model.colour_order, model.mean, model.std) == ("BGR", (0.4,) * 3, (1.0,) * 3)
    assert (model.unit_m, model.stride_px, model.input_size) == (0.1, 8, 368)
    assert model.location_frame == "camera" and "non-commercial" in model.licence
    image = np.random.default_rng(4).integers(0, 256, (368, 368, 3), dtype=np.uint8)
    bgr = image[:, :, ::-1].astype(np.float32) / 255.0 - 0.4
    with torch.no_grad():
        expected = network(torch.from_numpy(bgr.transpose(2, 0, 1).copy())[None]).numpy()[0]
    maps = inference.create(model, "onnxruntime").infer([image])[0]
    groups = expected.reshape(4, 21, 46, 46)
    tolerance = 1e-4 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(maps.heatmaps, groups[0], atol=tolerance)
    np.testing.assert_allclose(maps.locations_m, groups[1:] * 0.1, atol=tolerance * 0.1)


def test_the_old_layer_format_and_shapes_are_read(network, messages, tmp_path) -> None:
    file = tmp_path / "old.caffemodel"
    write_caffemodel(messages, blobs_of(network), file, legacy=True)
    same_outputs(network, vnect.from_caffe(caffe.read_caffemodel(file)))


# --- nothing silently left out ----------------------------------------------------------------


def test_a_missing_a_foreign_and_a_misshapen_layer_are_named(network) -> None:
    layers = blobs_of(network)
    missing = {k: v for k, v in layers.items() if k != "res3b_branch2b"}
    with pytest.raises(ModelError, match="layer res3b_branch2b: blobs: got 0, accepted: 2"):
        vnect.from_caffe(missing)
    foreign = {**layers, "bn_conv1": [np.zeros(64)]}
    with pytest.raises(ModelError, match=r"weights that the network does not: bn_conv1"):
        vnect.from_caffe(foreign)
    same_outputs(network, vnect.from_caffe(foreign, ignore=["bn_conv1"]))
    other = {**layers, "conv1": [np.zeros((64, 3, 5, 5)), np.zeros(64)]}
    with pytest.raises(ModelError, match=r"conv1\.weight: shape: got \(64, 3, 5, 5\)"):
        vnect.from_caffe(other)
    broken = {**layers, "conv1": [layers["conv1"][0] * np.nan, layers["conv1"][1]]}
    with pytest.raises(ModelError, match=r"conv1\.weight: got 'NaN"):
        vnect.from_caffe(broken)


def test_the_moving_average_factor_must_make_sense(network) -> None:
    layers = blobs_of(network)
    mean, variance, _ = layers["bn5c_branch2a"]
    for factor in (0.0, -1.0, np.nan):
        layers["bn5c_branch2a"] = [mean, variance, np.array([factor])]
        with pytest.raises(ModelError, match="moving-average factor"):
            vnect.from_caffe(layers)


def prototxt_of(network: VNect) -> str:
    text = 'name: "VNect"  # a comment\ninput: "data"\n'
    for name, m in network.named_modules():
        if isinstance(m, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            text += f'layer {{ name: "{name}" type: "Convolution" bottom: "x" top: "y"\n'
            text += f"  convolution_param {{ num_output: {m.out_channels} "
            text += f"kernel_size: {m.kernel_size[0]} stride: {m.stride[0]} pad: {m.padding[0]}"
            text += "" if m.bias is not None else " bias_term: false"
            text += ' weight_filler { type: "msra" } } }\n'
    return text


def test_a_prototxt_that_differs_is_refused(network, tmp_path) -> None:
    file = tmp_path / "vnect_net.prototxt"
    text = prototxt_of(network)
    file.write_text(text)
    layers = caffe.read_prototxt(file)
    assert len(layers) == 54
    vnect.check_prototxt(layers)
    file.write_text(text.replace("kernel_size: 7 stride: 2 pad: 3", "kernel_size: 7 stride: 2"))
    with pytest.raises(ModelError, match=r"prototxt: layer conv1: got .*'pad': \[0\]"):
        vnect.check_prototxt(caffe.read_prototxt(file))
    file.write_text(text + "layer {")
    with pytest.raises(ModelError, match="cannot be read as a network's text: "):
        caffe.read_prototxt(file)
    file.write_text("layer { name: $ }")
    with pytest.raises(ModelError, match=r"1:15"):
        caffe.read_prototxt(file)


def test_a_text_of_the_old_layer_format_is_read(network, tmp_path) -> None:
    file = tmp_path / "old.prototxt"
    text = prototxt_of(network).replace("layer {", "layers {")
    file.write_text(text.replace('type: "Convolution"', "type: CONVOLUTION"))
    vnect.check_prototxt(caffe.read_prototxt(file))


def test_the_generated_classes_are_those_of_the_proto_file() -> None:
    """Name, number and type of every field."""
    from vnect_ros.networks.weights import caffe_pb2

    text = Path(caffe.__file__).with_name("caffe.proto").read_text()
    declared = {
        (message, *field)
        for message, body in re.findall(r"message (\w+) \{(.*?)\n\}", text, re.DOTALL)
        for field in re.findall(r"(?:optional|repeated) (\w+) (\w+) = (\d+)", body)
    }
    kinds = {1: "double", 2: "float", 3: "int64", 8: "bool", 9: "string", 13: "uint32"}
    generated = {
        (name, f.message_type.name if f.message_type else kinds[f.type], f.name, str(f.number))
        for name, message in caffe_pb2.DESCRIPTOR.message_types_by_name.items()
        for f in message.fields
    }
    assert generated == declared and len(declared) == 21


# --- hostile and damaged files ------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 7, 1000, 5_000_001])
def test_a_cut_off_caffemodel_is_refused(caffemodel, tmp_path, length) -> None:
    (tmp_path / "cut.caffemodel").write_bytes(caffemodel.read_bytes()[:length])
    with pytest.raises(ModelError, match=r"cut\.caffemodel: "):
        caffe.read_caffemodel(tmp_path / "cut.caffemodel")


def test_noise_is_refused_everywhere(tmp_path, capsys) -> None:
    rng = np.random.default_rng(0)
    for i in range(60):
        file = tmp_path / f"noise{i}"
        file.write_bytes(rng.bytes(int(rng.integers(1, 400))))
        for read in (caffe.read_caffemodel, caffe.read_prototxt):
            with pytest.raises(ModelError, match=f"noise{i}: "):
                read(file)
    assert import_weights.main([str(tmp_path / "noise0"), "--out", str(tmp_path / "o")]) == 1
    assert "import_weights: " in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
