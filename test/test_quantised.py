"""The int8 form as torch computes it is what the file computes, learns, and is stored."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")
onnx = pytest.importorskip("onnx", reason="the int8 form is an ONNX file")
ort = pytest.importorskip("onnxruntime", reason="its quantiser makes the int8 form")

import tiny_bundles  # noqa: E402
import training_fixtures as made  # noqa: E402

from vnect_ros.cli import _pictures  # noqa: E402
from vnect_ros.cli import quantise as tool  # noqa: E402
from vnect_ros.errors import ConfigError, ModelError  # noqa: E402
from vnect_ros.inference import bundles  # noqa: E402
from vnect_ros.learning import config, distillation, quantised  # noqa: E402
from vnect_ros.learning.export import graph  # noqa: E402
from vnect_ros.learning.export.bundle import Row, replace_table, table  # noqa: E402
from vnect_ros.learning.export.compare import Difference  # noqa: E402
from vnect_ros.networks.weights.exported import read_model  # noqa: E402

pytestmark = pytest.mark.timeout(300)

SHIPPED = Path(__file__).resolve().parents[1] / "models" / "vnect_lite"


def quantised_file(bundle, crops, folder: Path) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """A bundle's float32 graph, and the int8 form of it before any training."""
    exported = read_model(bundle.file)
    plain, file = folder / "plain.onnx", folder / "int8.onnx"
    onnx.save(exported, str(plain))
    graph.to_int8(plain, file, lambda: map(bundle.prepare, crops), float_layers=graph.TRAINED_FLOAT)
    return exported, onnx.load(str(file))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The shipped network's bundle, 4 crops, its float32 graph and an int8 form of it."""
    bundle = bundles.load(SHIPPED, "fp32")
    crops = _pictures.clip_crops(bundle.input_size, 4)
    return bundle, crops, *quantised_file(bundle, crops, tmp_path_factory.mktemp("shipped"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The same of a network of 64 px with random weights."""
    bundle = tiny_bundles.load("vnect_lite", "fp32")
    crops = tiny_bundles.crops(4)
    return bundle, crops, *quantised_file(bundle, crops, tmp_path_factory.mktemp("tiny"))


def student_of(bundle_and_files) -> quantised.ExportedNetwork:
    _, _, exported, int8 = bundle_and_files
    copy = onnx.ModelProto()
    copy.CopyFrom(int8)
    return quantised.ExportedNetwork(copy, quantised.weights_of(exported))


def run(model: onnx.ModelProto, image: np.ndarray, outputs=None) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(outputs, {"image": image, "gravity": np.zeros((1, 3), np.float32)})


def test_the_float_graph_gives_what_the_runtime_gives(shipped) -> None:
    bundle, crops, exported, _ = shipped
    images = [bundle.prepare(crop) for crop in crops]
    network = quantised.ExportedNetwork(exported)
    with torch.no_grad():
        got = network(torch.from_numpy(np.concatenate(images)), torch.zeros(4, 3))
    for k, image in enumerate(images):
        maps, presence = run(exported, image)
        assert np.abs(got["maps"][k].numpy() - maps[0]).max() < 5e-4
        assert np.abs(got["presence"][k].numpy() - presence[0]).max() < 1e-4


def test_every_layer_is_quantised_as_the_runtime_does(shipped) -> None:
    """Each layer on the runtime's own input gives the runtime's output, to a rounding.

    (Whole networks drift apart: what is rounded the other way in one layer moves the next.)
    """
    bundle, crops, _, _ = shipped
    network = student_of(shipped)
    file = network.stored()
    steps = [n.output[0] for n in file.graph.node if n.op_type == "QuantizeLinear"]
    for name in steps:
        file.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    zeros, scales = {}, {}
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in file.graph.initializer}
    for node in file.graph.node:
        if node.op_type == "QuantizeLinear":
            scales[node.output[0]], zeros[node.output[0]] = (arrays[i] for i in node.input[1:])
    found = dict(zip(steps, run(file, bundle.prepare(crops[0]), steps), strict=True))
    assert len(found) > 60 and all(v.dtype == np.uint8 for v in found.values())
    values = {"image": torch.from_numpy(bundle.prepare(crops[0])), "gravity": torch.zeros(1, 3)}
    off, most = 0.0, 0
    with torch.no_grad():
        for node in network.nodes:
            values.update(zip(node.output, network.compute(node, values)))
            name = node.output[0]
            if name not in found:
                continue
            wanted = (found[name].astype(np.float32) - zeros[name]) * scales[name]
            apart = np.abs(values[name].numpy() - wanted) / scales[name]
            off, most = max(off, float((apart > 0.5).mean())), max(most, round(apart.max()))
            values[name] = torch.from_numpy(wanted)
    assert most <= 1, "more than a rounding: saturated, or another arithmetic"
    assert off < 0.1, "a few values lie on the edge between two steps; of half a step all would"


def test_neighbouring_weights_never_saturate_16_bits() -> None:
    """255 times the steps of two neighbours of one sign fits: CPUs without VNNI add them so."""
    torch.manual_seed(1)
    for shape in ((8, 6, 1, 1), (8, 7, 1, 1), (8, 1, 3, 3)):
        weight = torch.randn(shape)
        steps = (weight / quantised.channel_scales(weight).view(-1, 1, 1, 1)).round().flatten(1)
        assert steps.abs().max() <= 127
        if shape[1] > 1:
            steps = torch.nn.functional.pad(steps, (0, shape[1] % 2)).unflatten(1, (-1, 2))
            assert 255 * steps.clamp_min(0).sum(2).max() <= 32767
            assert 255 * steps.clamp_max(0).sum(2).min() >= -32768
        else:
            assert (steps.abs().amax(1) == 127).all()
        assert steps.abs().flatten(1).amax(1).min() > 60, "the steps are not used"


def test_gradients_pass_inside_the_range_alone() -> None:
    x = torch.tensor([-5.0, -0.31, 0.0, 0.77, 300.0], requires_grad=True)
    scale = torch.tensor(0.5, requires_grad=True)
    y = quantised.fake_quantise(x, scale, 4)
    assert y.tolist() == [-2.0, -0.5, 0.0, 1.0, 125.5]
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
    # outside: the steps of the limit (a true derivative); inside: what rounding added, in steps
    assert scale.grad.item() == pytest.approx(-4 + 251 + (-0.19 + 0.0 + 0.23) / 0.5, abs=1e-4)


def test_what_was_learnt_is_in_the_file(tiny) -> None:
    bundle, crops, _, int8 = tiny
    network = student_of(tiny)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in network.learning.values():
            parameter.add_(0.02 * torch.randn_like(parameter))
        for log in network.log_scales.values():
            log.add_(0.05)
    file = network.stored()
    again = {t.name: onnx.numpy_helper.to_array(t) for t in file.graph.initializer}
    before = {t.name: onnx.numpy_helper.to_array(t) for t in int8.graph.initializer}
    for name, log in network.log_scales.items():
        assert again[name] == pytest.approx(log.exp().item(), rel=1e-6)
        assert again[name] == pytest.approx(before[name] * np.exp(0.05), rel=1e-4)
    for name in network.learning:
        stored = again[f"{name}_quantized"]
        assert stored.dtype == before[f"{name}_quantized"].dtype
        assert (stored != before[f"{name}_quantized"]).any()
    image = bundle.prepare(crops[0])
    with torch.no_grad():
        got = network(torch.from_numpy(image), torch.zeros(1, 3))["maps"].numpy()
    maps = run(file, image)[0]
    moved = np.abs(run(int8, image)[0] - maps).mean()
    assert np.abs(got - maps).mean() < 0.1 * moved, "the file is not what learnt"


def test_a_range_begins_no_lower_than_told(tiny, tmp_path) -> None:
    bundle, crops, exported, _ = tiny
    onnx.save(exported, str(tmp_path / "plain.onnx"))
    graph.to_int8(
        tmp_path / "plain.onnx", tmp_path / "int8.onnx", lambda: map(bundle.prepare, crops),
        float_layers=("trunk.stem.", "head.delta.", "head.summary."),
    )  # fmt: skip
    weights = quantised.weights_of(exported)
    network = quantised.ExportedNetwork(onnx.load(str(tmp_path / "int8.onnx")), weights)
    logits = network.read_out("head.heatmaps.maps.weight")
    image, gravity = torch.from_numpy(bundle.prepare(crops[0])), torch.zeros(1, 3)
    with torch.no_grad():
        before = network(image, gravity, [logits])[logits]
        low = float(before.min()) / 2
        network.raise_floor(logits, low)
        after = network(image, gravity, [logits])[logits]
    step = (before.max() - before.min()) / 100
    assert before.min() < low - step and abs(after.min() - low) < step
    assert abs(after.max() - before.max()) < step


def recipe_of(lspet: Path, **changes) -> config.TrainConfig:
    options = {"folder": str(lspet), "images": str(lspet / "images")}
    values = {"size": 64, "steps": 1, "sources": [{"kind": "lspet", "options": options}]}
    return config.from_mapping(values | changes)


@pytest.fixture(scope="module")
def lspet(tmp_path_factory) -> Path:
    return made.write_lspet(tmp_path_factory.mktemp("lspet"))


def distiller_of(tiny, **changes) -> distillation.Distiller:
    how = distillation.DistillationConfig(**{"batch": 4, "steps": 40, **changes})
    teacher = quantised.ExportedNetwork(tiny[2])
    return distillation.Distiller(teacher, student_of(tiny), tiny[0], how)


def test_the_student_comes_nearer(tiny, lspet, tmp_path) -> None:
    distiller = distiller_of(tiny, steps=20, scale_rate=0.05, warm_up_steps=1)
    with torch.no_grad():
        for log in distiller.student.log_scales.values():
            log.add_(2.0)  # steps seven times too coarse
    image = distiller.prepared(torch.from_numpy(np.stack(tiny_bundles.crops(4))))

    def loss(network: quantised.ExportedNetwork) -> float:
        with torch.no_grad():
            both = [
                distillation.readings(n, image, torch.zeros(4, 3))
                for n in (network, distiller.teacher)
            ]
        return float(distillation.distillation_loss(*both, 64)[0])

    least = loss(distiller.teacher)  # distances are rounded off near zero
    before = loss(distiller.student) - least
    distillation.distil(distiller, recipe_of(lspet), tmp_path)
    assert loss(distiller.student) - least < 0.6 * before
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [10, 20]
    assert {"px", "mm", "heat", "presence"} <= set(rows[-1])


def test_a_resumed_training_goes_on(tiny, lspet, tmp_path) -> None:
    whole = distiller_of(tiny, steps=4)
    distillation.distil(whole, recipe_of(lspet), tmp_path / "whole")
    first = distiller_of(tiny, steps=4)
    mixture = distillation.of_recipe(recipe_of(lspet))
    torch.manual_seed(recipe_of(lspet).seed)
    for k in range(2):
        batch = {n: torch.from_numpy(v) for n, v in mixture.batch(4 * k, 4).items()}
        first.step(batch)
        first.progress.advance(1.0)
    distillation.checkpoints.save(tmp_path / "part" / distillation.LATEST, first.state())
    second = distiller_of(tiny, steps=4)
    distillation.distil(second, recipe_of(lspet), tmp_path / "part", resume=True)
    assert second.progress.step == 4
    for (name, a), (_, b) in zip(
        whole.student.named_parameters(), second.student.named_parameters(), strict=True
    ):
        assert torch.allclose(a, b, atol=2e-3), name


def test_a_training_that_has_ended_is_followed_by_another(tiny, lspet, tmp_path) -> None:
    distillation.distil(distiller_of(tiny, steps=2), recipe_of(lspet), tmp_path)
    ended = distillation.checkpoints.read(tmp_path / distillation.LATEST)["average"]
    more = distiller_of(tiny, steps=3, rate=1e-4, warm_up_steps=1)
    distillation.distil(more, recipe_of(lspet), tmp_path, resume=True)
    assert more.progress.step == 3 and more.batches_before == 2
    again = distillation.checkpoints.read(tmp_path / distillation.LATEST)
    assert again["step"] == 3 and again["batches_before"] == 2
    assert any(not torch.equal(again["average"][k], ended[k]) for k in ended)
    ended.pop(sorted(ended)[0])
    with pytest.raises(ConfigError, match="accepted: in float32 as in the checkpoint"):
        more.restore(again | {"average": ended})


def test_nothing_is_lost_where_the_student_is_the_teacher(tiny) -> None:
    network = quantised.ExportedNetwork(tiny[2])
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        same = distillation.readings(network, image, torch.zeros(2, 3))
        other = distillation.readings(network, image.flip(3), torch.zeros(2, 3))
        loss, terms = distillation.distillation_loss(same, same, 64)
        worse, _ = distillation.distillation_loss(other, same, 64)
    assert 0.0 <= loss < 0.1 and terms["mm"] == pytest.approx(0.1, abs=0.02)
    assert worse > loss


@pytest.mark.parametrize(
    "changes", [{"batch": 0}, {"minutes": 0.0}, {"rate": 0.0}, {"scale_rate": 1.0}]
)
def test_a_bad_setting_is_refused_by_name(changes) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        distillation.DistillationConfig(**changes)


def test_crops_of_another_size_are_refused(tiny, lspet, tmp_path) -> None:
    with pytest.raises(ConfigError, match="size of the recipe: got 96, accepted: 64"):
        distillation.distil(distiller_of(tiny), recipe_of(lspet, size=96), tmp_path)


def test_unknown_layers_and_weights_are_refused(tiny, tmp_path) -> None:
    bundle, crops, exported, int8 = tiny
    onnx.save(exported, str(tmp_path / "plain.onnx"))
    with pytest.raises(ModelError, match=r"float_layers: got 'trunk\.stm\.'"):
        graph.to_int8(
            tmp_path / "plain.onnx", tmp_path / "int8.onnx",
            lambda: map(bundle.prepare, crops), float_layers=("trunk.stm.",),
        )  # fmt: skip
    with pytest.raises(ModelError, match="weights: got 'none of that name'"):
        quantised.ExportedNetwork(onnx.ModelProto.FromString(int8.SerializeToString()), {})
    network = quantised.ExportedNetwork(exported)
    with pytest.raises(ModelError, match=r"no layer head\.else\.weight"):
        network.read_out("head.else.weight")
    strange = onnx.ModelProto.FromString(exported.SerializeToString())
    strange.graph.node[-1].op_type = "Sin"
    with pytest.raises(ModelError, match=r"operator of .*: got 'Sin', accepted: Add, "):
        quantised.ExportedNetwork(strange)
    (tmp_path / "no.onnx").write_bytes(b"no")
    with pytest.raises(ModelError, match="file: got"):
        read_model(tmp_path / "no.onnx")


def test_the_command_replaces_the_int8_file_alone(tiny, lspet, tmp_path, capsys) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(tiny[0].folder, folder)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "network: vnect_lite\nsize: 64\nsteps: 1\nsources:\n"
        '  - {kind: lspet, options: {folder: "${LSPET}", images: "${LSPET}/images"}}\n'
    )
    command = [
        str(folder), str(recipe), "--data", f"LSPET={lspet}", "--out", str(tmp_path / "new"),
        "--run", str(tmp_path / "run"), "--steps", "2", "--batch", "2",
    ]  # fmt: skip
    assert tool.main(command) == 1
    assert "images: got 0" in capsys.readouterr().err
    command += ["--images", str(lspet / "images"), "--json", str(tmp_path / "rows.json")]
    assert tool.main([*command, "--count", "6"]) == 0
    old, new = bundles.load(folder, "int8"), bundles.load(tmp_path / "new", "int8")
    assert old.sha256 != new.sha256
    for precision in ("fp32", "fp16"):
        before, after = bundles.load(folder, precision), bundles.load(tmp_path / "new", precision)
        assert before.sha256 == after.sha256
    assert new.training["int8"]["steps"] == 2
    assert new.training["int8"]["float_layers"] == list(graph.TRAINED_FLOAT)
    assert "Default precision" in (tmp_path / "new" / "MODEL_CARD.md").read_text()
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert [row["precision"] for row in rows] == ["fp32", "fp16", "int8"]
    assert f"{rows[2]['size_mib']:.1f}" in (tmp_path / "new" / "MODEL_CARD.md").read_text()


def test_a_card_gets_another_table() -> None:
    rows = [Row("int8", 1.0, 2.0, 3.0, Difference(1, 0.1, 0.2, 0.3, 0.4))]
    card = f"# x\n\n## Files\n\n{table([])}\n| int8 | 9 |\n\nMore.\n"
    assert replace_table(card, rows) == f"# x\n\n## Files\n\n{table(rows)}\n\nMore.\n"
    assert replace_table("# no table\n", rows) == "# no table\n"
