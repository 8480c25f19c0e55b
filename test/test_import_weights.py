"""Foreign weights come in whole and right, and hostile files do nothing."""

from __future__ import annotations

import collections
import os
import pickle
import struct

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
from vnect_ros.networks.weights import caffe, pickles, tensorflow, vnect  # noqa: E402

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


def variables_of(network: VNect) -> dict[str, np.ndarray]:
    """What the re-implementations pickle, by their names and axes."""
    variables: dict[str, np.ndarray] = collections.OrderedDict()
    for name, blobs in blobs_of(network).items():
        if name == "bn5c_branch2a":
            variables[f"{name}/moving_mean"] = blobs[0] / blobs[2]
            variables[f"{name}/moving_variance"] = blobs[1] / blobs[2]
        elif name == "scale5c_branch2a":
            variables["bn5c_branch2a/gamma"], variables["bn5c_branch2a/beta"] = blobs
        elif len(blobs) == 2:
            variables[f"{name}/weights"] = blobs[0].transpose(2, 3, 1, 0)
            variables[f"{name}/biases"] = blobs[1]
        else:
            variables[f"{name}/kernel"] = blobs[0].transpose(2, 3, 1, 0)
    return variables


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


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_of_any_age_is_read(network, tmp_path, protocol) -> None:
    file = tmp_path / "params.pkl"
    file.write_bytes(pickle.dumps(variables_of(network), protocol=protocol))
    imported, passed = vnect.from_tensorflow(pickles.read_pickle(file))
    assert passed == []
    same_outputs(network, imported)


def write_checkpoint(prefix, variables) -> None:
    """A V2 checkpoint as TensorFlow lays it out: sorted keys, shared prefixes, restarts."""

    def varint(value: int) -> bytes:
        out = b""
        while value >= 0x80:
            out += bytes([value & 0x7F | 0x80])
            value >>= 7
        return out + bytes([value])

    def field(number: int, value) -> bytes:
        if isinstance(value, int):
            return varint(number << 3) + varint(value)
        return varint(number << 3 | 2) + varint(len(value)) + value

    def block(entries) -> bytes:
        body, restarts, last = b"", [], b""
        for i, (key, value) in enumerate(entries):
            shared = 0
            if i % 16 == 0:
                restarts.append(len(body))
            else:
                shared = next(
                    (n for n in range(len(key)) if last[n : n + 1] != key[n : n + 1]), len(key)
                )
            body += varint(shared) + varint(len(key) - shared) + varint(len(value))
            body += key[shared:] + value
            last = key
        return (
            body
            + b"".join(struct.pack("<I", r) for r in restarts or [0])
            + struct.pack("<I", len(restarts or [0]))
        )

    data, entries = b"", [(b"", field(1, 1))]
    kinds = {np.dtype("float32"): 1, np.dtype("int64"): 9}
    for name in sorted(variables):
        values = np.ascontiguousarray(variables[name])
        shape = b"".join(field(2, field(1, n)) for n in variables[name].shape)
        entry = field(1, kinds[values.dtype]) + field(2, shape)
        entry += (field(4, len(data)) if data else b"") + field(5, values.nbytes)
        entries.append((name.encode(), entry + varint(6 << 3 | 5) + b"\0\0\0\0"))
        data += values.tobytes()
    table, index = b"", []
    for i in range(0, len(entries), 40):
        part = block(entries[i : i + 40])
        index.append((entries[min(i + 39, len(entries) - 1)][0], len(table), len(part)))
        table += part + b"\0" + b"crc!"
    handles = [(key, varint(offset) + varint(size)) for key, offset, size in index]
    meta_at = len(table)
    meta = block([])
    table += meta + b"\0crc!"
    index_at = len(table)
    index_block = block(handles)
    table += index_block + b"\0crc!"
    footer = varint(meta_at) + varint(len(meta)) + varint(index_at) + varint(len(index_block))
    footer = footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    prefix.with_name(prefix.name + ".index").write_bytes(table + footer)
    prefix.with_name(prefix.name + ".data-00000-of-00001").write_bytes(data)


def test_a_tensorflow_checkpoint_is_read(network, tmp_path) -> None:
    variables = {
        **variables_of(network),
        "conv1/weights/Adam": np.zeros(3, np.float32),
        "global_step": np.array(7, np.int64),
    }
    write_checkpoint(tmp_path / "vnect_tf", variables)
    for path in (tmp_path / "vnect_tf", tmp_path / "vnect_tf.index"):
        read = tensorflow.read_checkpoint(path)
        assert set(read) == set(variables)
        imported, passed = vnect.from_tensorflow(read)
        assert sorted(passed) == ["conv1/weights/Adam", "global_step"]
        same_outputs(network, imported)


def test_the_format_is_told_by_the_name(tmp_path) -> None:
    assert import_weights.format_of("a.caffemodel") == "caffe"
    assert import_weights.format_of("a.pkl") == "pickle"
    (tmp_path / "vnect_tf.index").write_bytes(b"")
    assert import_weights.format_of(str(tmp_path / "vnect_tf")) == "tensorflow"
    with pytest.raises(ModelError, match="--format: got ''"):
        import_weights.format_of("weights")


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


def test_a_variable_too_few_or_too_many_is_named(network) -> None:
    variables = variables_of(network)
    fewer = {k: v for k, v in variables.items() if k != "res5c_branch1a/kernel"}
    with pytest.raises(ModelError, match="res5c_branch1a/weights or res5c_branch1a/kernel"):
        vnect.from_tensorflow(fewer)
    with pytest.raises(ModelError, match="does not: extra/weights"):
        vnect.from_tensorflow({**variables, "extra/weights": np.zeros(3)})


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
    with pytest.raises(ModelError, match=r"prototxt: layer conv1: got .*'pad': 0"):
        vnect.check_prototxt(caffe.read_prototxt(file))
    file.write_text(text + "layer {")
    with pytest.raises(ModelError, match="do not close"):
        caffe.read_prototxt(file)
    file.write_text("layer { name: $ }")
    with pytest.raises(ModelError, match="line 1"):
        caffe.read_prototxt(file)


# --- hostile and damaged files ------------------------------------------------------------------


class Hostile:
    """Touches a file when it is unpickled the ordinary way."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_hostile_pickle_does_nothing(tmp_path) -> None:
    trap = tmp_path / "trap"
    for content in (Hostile(trap), {"conv1/weights": Hostile(trap)}):
        (tmp_path / "bad.pkl").write_bytes(pickle.dumps(content))
        with pytest.raises(ModelError, match=r"no pickle of arrays: refuses posix\.mkdir"):
            pickles.read_pickle(tmp_path / "bad.pkl")
        assert not trap.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cos\nsystem\n(S'true'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"c_codecs\nencode\n(Vx\nVrot13\ntR.",
        b"P1\n.",
    ],
)
def test_words_beyond_arrays_are_refused(program, tmp_path) -> None:
    (tmp_path / "bad.pkl").write_bytes(program)
    with pytest.raises(ModelError, match="refuses"):
        pickles.read_pickle(tmp_path / "bad.pkl")


@pytest.mark.parametrize("content", [[1, 2], {"a": "text"}, {"a": [object]}, {3: np.zeros(2)}])
def test_a_pickle_of_something_else_is_refused(content, tmp_path) -> None:
    (tmp_path / "other.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(ModelError):
        pickles.read_pickle(tmp_path / "other.pkl")


@pytest.mark.parametrize("length", [0, 1, 7, 1000, 5_000_001])
def test_a_cut_off_caffemodel_is_refused(caffemodel, tmp_path, length) -> None:
    (tmp_path / "cut.caffemodel").write_bytes(caffemodel.read_bytes()[:length])
    with pytest.raises(ModelError, match=r"cut\.caffemodel: "):
        caffe.read_caffemodel(tmp_path / "cut.caffemodel")


def test_noise_is_refused_everywhere(tmp_path, capsys) -> None:
    rng = np.random.default_rng(0)
    for i in range(60):
        noise = rng.bytes(int(rng.integers(1, 400)))
        for suffix, read in (
            (".caffemodel", caffe.read_caffemodel),
            (".pkl", pickles.read_pickle),
            (".index", tensorflow.read_checkpoint),
        ):
            file = tmp_path / f"noise{i}{suffix}"
            file.write_bytes(noise)
            with pytest.raises(ModelError):
                read(file)
    assert import_weights.main([str(tmp_path / "noise0.pkl"), "--out", str(tmp_path / "o")]) == 1
    assert "import_weights: " in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_a_checkpoint_whose_data_is_short_is_refused(network, tmp_path) -> None:
    write_checkpoint(tmp_path / "tf", {"a": np.zeros((4, 5), np.float32)})
    data = tmp_path / "tf.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:-4])
    with pytest.raises(ModelError, match=r"variable a of shape \[4, 5\] does not fit"):
        tensorflow.read_checkpoint(tmp_path / "tf")
    data.unlink()
    with pytest.raises(ModelError, match="cannot be read"):
        tensorflow.read_checkpoint(tmp_path / "tf")
