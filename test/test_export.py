"""Exported files say what torch says, in each precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="export starts from a torch network")
onnx = pytest.importorskip("onnx", reason="export writes ONNX")
onnxruntime = pytest.importorskip("onnxruntime", reason="export folds and checks with ONNX Runtime")
pytest.importorskip("onnxscript", reason="torch.onnx exports through onnxscript")

from vnect_ros.errors import ImageError, ModelError  # noqa: E402
from vnect_ros.halves import restore, store_in_half  # noqa: E402
from vnect_ros.inference import bundles  # noqa: E402
from vnect_ros.inference.model import Model  # noqa: E402
from vnect_ros.learning.export import graph  # noqa: E402
from vnect_ros.learning.export.bundle import VNECT, export_bundle, table  # noqa: E402
from vnect_ros.learning.export.compare import person_crops  # noqa: E402
from vnect_ros.networks.vnect import VNect  # noqa: E402

pytestmark = pytest.mark.timeout(300)  # the first export of a run takes long on a busy machine

SIZE = 64


def trained_looking(seed: int) -> VNect:
    """A network whose normalisations and deltas are not those of the start."""
    torch.manual_seed(seed)
    network = VNect(batch_norm=True)
    with torch.no_grad():
        network.train()
        for _ in range(3):
            network(torch.rand(4, 3, SIZE, SIZE) - 0.4)
        network.res5c_branch1a.weight.mul_(5.0)
    return network.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[VNect, Model, list]:
    network = trained_looking(1)
    crops = list(np.random.default_rng(2).integers(0, 256, (6, SIZE, SIZE, 3), dtype=np.uint8))
    folder = tmp_path_factory.mktemp("models") / "tiny"
    model, rows = export_bundle(
        network,
        folder,
        fields={**VNECT, "input_size": SIZE},
        licence="CC0-1.0",
        crops=crops,
        precisions=("fp32", "fp16", "int8"),
        training={"seed": 1},
        card={"Data": "random numbers", "Seeds": {"network": 1}},
    )
    return network, model, rows


def run(file: Path, prepared: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: prepared})[0]


def test_fp32_equals_torch(exported) -> None:
    network, model, _ = exported
    prepared = (np.random.default_rng(7).random((1, 3, SIZE, SIZE)) - 0.4).astype(np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(prepared)).numpy()
    got = run(bundles.load(model.folder, "fp32").file, prepared)
    np.testing.assert_allclose(got, expected, atol=1e-4 * max(1.0, np.abs(expected).max()))


def test_reduced_precisions_stay_near_and_get_smaller(exported) -> None:
    network, model, rows = exported
    assert [row.precision for row in rows] == ["fp32", "fp16", "int8"]
    prepared = model.prepare(np.full((SIZE, SIZE, 3), 90, np.uint8))
    with torch.no_grad():
        expected = network(torch.from_numpy(prepared)).numpy()
    for precision, share in (("fp16", 0.01), ("int8", 0.5)):
        got = run(bundles.load(model.folder, precision).file, prepared)
        assert got.dtype == np.float32
        assert np.abs(got - expected).mean() < share * np.abs(expected).mean(), precision
    sizes = [row.size_mib for row in rows]
    assert sizes[1] < 0.55 * sizes[0] and sizes[2] < 0.35 * sizes[0]


def test_normalisations_are_folded(exported) -> None:
    _, model, _ = exported
    ops = {n.op_type for n in onnx.load(bundles.load(model.folder, "fp32").file).graph.node}
    assert "BatchNormalization" not in ops
    expected = {"Conv", "ConvTranspose", "Relu", "Add", "Mul", "MaxPool", "Split", "Sqrt", "Concat"}
    assert ops <= expected


@pytest.mark.parametrize("precision", bundles.PRECISIONS)
@pytest.mark.parametrize("is_shipped", [False, True])
def test_depthwise_convolutions_compute_no_more_than_they_give(is_shipped, precision) -> None:
    """With gradients the trunk takes every other cell of a whole one, which is slow to run."""
    import tiny_bundles

    shipped = Path(__file__).resolve().parents[1] / "models" / "vnect_lite"
    folder = shipped if is_shipped else tiny_bundles.folder("vnect_lite")
    graph = onnx.load(bundles.load(folder, precision).file).graph
    assert "Slice" not in {node.op_type for node in graph.node}
    taken = [{a.name: onnx.helper.get_attribute_value(a) for a in n.attribute} for n in graph.node]
    strided = [t for t in taken if t.get("group", 1) > 1 and t.get("strides") == [2, 2]]
    assert len(strided) == 4


def test_the_output_of_int8_is_not_quantised() -> None:
    """Heatmaps and decimetres on one scale: five times the error."""
    import tiny_bundles

    # layers that are read out, or lie behind those; of ours 14 at strides 2 and 4 besides
    unquantised = {"vnect": 1, "vnect_lite": 4 + 14}
    for network, count in unquantised.items():
        stored = onnx.load(tiny_bundles.load(network, "int8").file)
        restore(stored)
        graph_of = stored.graph
        producer = {out: node for node in graph_of.node for out in node.output}
        assert producer[graph_of.output[0].name].op_type != "DequantizeLinear", network
        # a quantised convolution takes its weights through a node, the others as they are
        wide = [n for n in graph_of.node if n.op_type == "Conv" and n.input[1] not in producer]
        assert len(wide) == count, f"{network}: {[n.name for n in wide]} are not quantised"


@pytest.mark.parametrize("network", ["vnect", "vnect_lite"])
def test_int8_gives_the_same_where_products_are_added_in_16_bits(network) -> None:
    """CPUs without VNNI multiply two inputs of 255 at most at once, and saturate."""
    import tiny_bundles

    stored = onnx.load(tiny_bundles.load(network, "int8").file)
    steps = {t.name: onnx.numpy_helper.to_array(t).astype(int) for t in stored.graph.initializer}
    given = {n.output[0]: n.input[0] for n in stored.graph.node if n.op_type == "DequantizeLinear"}
    layers = []
    for node in stored.graph.node:
        if "Conv" in node.op_type and node.input[1] in given:
            layer = steps[given[node.input[1]]]
            layers.append(layer.swapaxes(0, 1) if node.op_type == "ConvTranspose" else layer)
    assert layers
    for layer in (layer for layer in layers if layer.shape[1] > 1):
        if layer.shape[2:] == (1, 1):
            pairs = layer[:, : layer.shape[1] // 2 * 2].reshape(len(layer), -1, 2)
        else:
            ordered = np.sort(layer.reshape(len(layer), -1), axis=1)
            pairs = np.stack([ordered[:, :2], ordered[:, -2:]], axis=1)
        sums = pairs.sum(axis=2)
        assert sums.max() * 255 <= 32767 and sums.min() * 255 >= -32768
        assert sums.max() > 64, "of 127 steps half would be lost"


def test_exact_halves_are_stored_in_half_and_give_the_same() -> None:
    import tiny_bundles

    for precision in ("fp32", "int8"):
        model = tiny_bundles.load("vnect_lite", precision)
        stored = onnx.load(model.file)
        whole = onnx.ModelProto.FromString(stored.SerializeToString())
        restore(whole)
        large = {f"{w.name}_half" for w in whole.graph.initializer
                 if w.data_type == onnx.TensorProto.FLOAT and len(w.dims) > 1
                 and np.prod(w.dims) >= 1024}  # fmt: skip
        halves = {w.name for w in stored.graph.initializer
                  if w.data_type == onnx.TensorProto.FLOAT16}  # fmt: skip
        assert large and large <= halves, precision
        again = onnx.ModelProto.FromString(whole.SerializeToString())
        store_in_half(again)
        assert {w.name for w in again.graph.initializer} == {
            w.name for w in stored.graph.initializer
        }
        image = model.prepare(tiny_bundles.crops(1)[0])
        feed = {"image": image, "gravity": np.zeros((1, 3), np.float32)}
        results = []
        for graph_of in (stored, whole):
            session = onnxruntime.InferenceSession(
                graph_of.SerializeToString(), providers=["CPUExecutionProvider"]
            )
            results.append(session.run(None, feed))
        for own, other in zip(*results):
            np.testing.assert_array_equal(own, other)


def test_weights_that_fp16_does_not_hold_stay(tmp_path) -> None:
    values = np.full(2048, 0.1, np.float32)
    tensors = {"inexact": values, "large": np.full(2048, 1e6, np.float32),
               "exact": np.full(2048, 0.5, np.float32), "few": np.ones(4, np.float32)}  # fmt: skip
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    made = helper.make_graph([], "g", [], [], [numpy_helper.from_array(v, k)
                                              for k, v in tensors.items()])  # fmt: skip
    model = helper.make_model(made)
    store_in_half(model)
    kinds = {w.name: w.data_type for w in model.graph.initializer}
    full, half = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
    assert kinds == {"inexact": full, "large": full, "exact_half": half, "few": full}
    restore(model)
    for tensor in model.graph.initializer:
        np.testing.assert_array_equal(numpy_helper.to_array(tensor), tensors[tensor.name])


def test_bone_lengths_stay_in_fp32(exported) -> None:
    """Every node that squares, sums or takes the root reads and writes float32."""
    _, model, _ = exported
    half = onnx.shape_inference.infer_shapes(onnx.load(bundles.load(model.folder, "fp16").file))
    kinds = {v.name: v.type.tensor_type.elem_type for v in half.graph.value_info}
    roots = [n for n in half.graph.node if n.op_type in ("Sqrt", "Mul")]
    assert len(roots) == 4
    for node in roots:
        assert kinds[node.output[0]] == onnx.TensorProto.FLOAT, node.name
    convolutions = [n for n in half.graph.node if n.op_type == "Conv"]
    assert kinds[convolutions[0].output[0]] == onnx.TensorProto.FLOAT16


def test_card_and_bundle_tell_where_it_came_from(exported) -> None:
    _, model, rows = exported
    card = (model.folder / "MODEL_CARD.md").read_text()
    for text in ("# tiny", "CC0-1.0", "## Data\n\nrandom numbers", "- network: 1", table(rows)):
        assert text in card
    assert model.training == {"seed": 1}
    assert model.colour_order == "BGR" and model.location_frame == "camera"


def test_int8_without_images_is_refused(tmp_path) -> None:
    with pytest.raises(ModelError, match="images: got 0, accepted: at least 2"):
        export_bundle(
            VNect(), tmp_path, fields={**VNECT, "input_size": SIZE}, licence="x",
            precisions=("int8",),
        )  # fmt: skip
    with pytest.raises(ModelError, match="precisions: got 'int4'"):
        export_bundle(
            VNect(), tmp_path, fields={**VNECT, "input_size": SIZE}, licence="x",
            precisions=("int4",),
        )  # fmt: skip


def test_a_network_with_another_output_is_refused(tmp_path) -> None:
    with pytest.raises(ModelError, match=r"output: got \(1, 3, 64, 64\)"):
        graph.export_onnx(torch.nn.Identity(), SIZE, tmp_path / "model.onnx")


def test_crops_are_square_rgb(tmp_path) -> None:
    import cv2

    blue = np.zeros((100, 300, 3), np.uint8)
    blue[:, 100:200, 0] = 255
    cv2.imwrite(str(tmp_path / "a.png"), blue)
    (crop,) = person_crops(tmp_path, 32, 10)
    assert crop.shape == (32, 32, 3) and crop.dtype == np.uint8
    assert (crop == [0, 0, 255]).all()
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"b\.png"):
        person_crops(tmp_path, 32, 10)
    with pytest.raises(ImageError, match="images: got"):
        person_crops(tmp_path / "none", 32, 10)


def test_a_checkpoints_paths_do_not_travel() -> None:
    from vnect_ros.cli.export import split_meta

    meta = {
        "config": {"size": 224, "sources": [{"folder": "/home/me/lspet"}], "rate": 0.1},
        "bundle": {"unit_m": 0.1},
        "card": {"Data": "x"},
        "step": 7,
        "tensor": object(),
    }
    fields, card, training = split_meta(meta)
    assert fields == {"unit_m": 0.1, "input_size": 224} and card == {"Data": "x"}
    assert training["config"]["sources"] == [{"folder": "lspet"}]
    assert training["step"] == 7 and "tensor" not in training


def test_the_command_exports_a_checkpoint(tmp_path, capsys) -> None:
    from vnect_ros.cli import export
    from vnect_ros.learning import checkpoints

    torch.manual_seed(0)
    from vnect_ros.networks import build_network

    network = build_network("vnect_lite", 64)
    content = {
        "config": {"network": "vnect_lite", "network_options": {}, "size": 64},
        "average": network.state_dict(),
        "step": 3,
    }
    checkpoints.save(tmp_path / "latest.pt", content)
    out, table_file = tmp_path / "mine", tmp_path / "table.json"
    arguments = [str(tmp_path / "latest.pt"), "--out", str(out), "--precisions", "fp16"]
    assert export.main([*arguments, "--json", str(table_file)]) == 0
    assert "| fp32 |" in capsys.readouterr().out
    model = bundles.load(out)
    assert (model.input_size, model.precisions) == (64, ("fp32", "fp16"))
    assert model.training["step"] == 3
    assert '"fp16"' in table_file.read_text()
    assert export.main([*arguments, "--precisions", "int8"]) == 1
    assert "images: got 0" in capsys.readouterr().err


def test_the_command_exports_a_bundle_in_further_precisions(exported, tmp_path, capsys) -> None:
    from vnect_ros.cli import export

    shipped, out = bundles.load("vnect_lite", "fp32"), tmp_path / "mine"
    assert export.main(["vnect_lite", "--out", str(out), "--precisions", "fp16"]) == 0
    model = bundles.load(out)
    assert model.precisions == ("fp32", "fp16") and model.licence == shipped.licence
    for field in export.READ_FIELDS:
        assert getattr(model, field) == getattr(shipped, field), field
    trained_int8 = {"int8"}  # not of these files
    assert dict(model.training).keys() == dict(shipped.training).keys() - trained_int8
    weights = [load_weights(m.file) for m in (model, shipped)]
    assert weights[0].keys() == weights[1].keys() and len(weights[0]) > 50
    assert all(np.array_equal(w, weights[1][name]) for name, w in weights[0].items())
    folder = exported[1].folder
    assert export.main([str(folder), "--out", str(tmp_path / "other")]) == 1
    assert "training.config.network: got None" in capsys.readouterr().err


def load_weights(file: Path) -> dict[str, np.ndarray]:
    from vnect_ros.networks.weights.exported import read_model

    graph = read_model(file).graph
    named = (i for i in graph.initializer if i.name.endswith((".weight", ".bias")))
    return {i.name: onnx.numpy_helper.to_array(i) for i in named}


def test_synthetic_samples_serve_as_pictures(tmp_path) -> None:
    from vnect_ros.datasets.shards import LABELS, ShardWriter

    writer = ShardWriter(tmp_path, "train")
    for level in (40, 200):
        sample = {key: np.zeros(shape, kind) for key, (shape, kind) in LABELS.items()}
        writer.add({**sample, "image": np.full((SIZE, SIZE, 3), level, np.uint8)})
    writer.flush()
    crops = person_crops(tmp_path, 32, 10)
    assert [c.shape for c in crops] == [(32, 32, 3)] * 2
    assert [int(c.mean().round()) for c in crops] == [40, 200]
