"""TensorRT without a GPU: real parsing and building, the cache, and every refusal."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib.util
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_bundles

from vnect_ros import inference
from vnect_ros.errors import BackendError
from vnect_ros.inference import bundles, cache
from vnect_ros.inference.tensorrt import build, graph, loader, probe
from vnect_ros.inference.tensorrt.backend import TensorRTBackend, key_of

pytestmark = pytest.mark.timeout(300)  # the first export of a run takes long on a busy machine

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = sorted(p.parent for p in (ROOT / "models").glob("*/bundle.json"))
API = ROOT / "test" / "data" / "tensorrt_api"
NETWORKS = ("vnect", "vnect_lite")
GPU = probe.Device("Orin", "8.7", "12060")

needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="tensorrt_rtx is not installed (pip install tensorrt-rtx)",
)


@functools.cache
def has_gpu() -> bool:
    try:
        probe.device()
    except BackendError:
        return False
    return True


@pytest.fixture
def rtx(monkeypatch):
    monkeypatch.setenv(loader.VARIABLE, "tensorrt_rtx")
    return loader.load()


def key(**changes) -> cache.Key:
    fields = {
        "model_sha256": "a" * 64, "precision": "fp16", "runtime": "tensorrt 10.3.0",
        "gpu": "Orin", "compute_capability": "8.7", "driver": "12060",
    }  # fmt: skip
    return cache.Key(**{**fields, **changes})


# --- the graph that goes to the parser ---------------------------------------------------


def outputs(onnx_model, feed) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(
        onnx_model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    if "gravity" in [i.name for i in session.get_inputs()]:
        feed = feed | {"gravity": np.zeros((1, 3), np.float32)}
    return session.run(["maps"], feed)[0]


def feed(model, name, image) -> dict[str, np.ndarray]:
    """The image under its name, and some direction of gravity where the network takes one."""
    gravity = np.array([[0.0, 0.96, 0.28]], np.float32)
    return {name: image, **({model.gravity_input: gravity} if model.gravity_input else {})}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_normalising_on_the_gpu_equals_the_cpu(network, precision) -> None:
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    model = tiny_bundles.load(network, precision)
    image = tiny_bundles.crops(1, seed=9)[0]
    expected = outputs(onnx.load(model.file), feed(model, "image", model.prepare(image)))
    got = outputs(graph.prepared(model), feed(model, graph.INPUT, image[None]))
    tolerance = 1e-5 if precision == "fp32" else 5e-3
    np.testing.assert_allclose(got, expected, atol=tolerance * max(1.0, np.abs(expected).max()))


def test_gravity_and_presence_stay_in_the_engines_graph(tmp_path) -> None:
    model = bundles.write_bundle(**tiny_bundles.aware(tmp_path))
    converted = graph.prepared(model)
    assert sorted(i.name for i in converted.graph.input) == ["down", graph.INPUT]
    image, down = tiny_bundles.crops(1)[0], np.array([[0.0, 0.5, 0.0]], np.float32)
    session = inference.create(model, "onnxruntime")
    (expected,) = session.infer([image], [down[0]])
    import onnxruntime

    run = onnxruntime.InferenceSession(converted.SerializeToString()).run
    somebody, maps = run(["somebody", "maps"], {graph.INPUT: image[None], "down": down})
    got = model.maps(maps, somebody)
    np.testing.assert_allclose(got.heatmaps, expected.heatmaps, atol=1e-5)
    assert got.presence == pytest.approx(expected.presence, abs=1e-5)


@needs_rtx
def test_tensorrt_builds_a_network_with_gravity_and_presence(tmp_path, rtx) -> None:
    model = bundles.write_bundle(**tiny_bundles.aware(tmp_path))
    assert len(build.build_apart(model.folder, "fp32")) > 1000


@pytest.mark.parametrize("network", NETWORKS)
def test_symmetric_int8_gives_what_the_cpu_form_gives(network) -> None:
    model = tiny_bundles.load(network, "int8")
    exact = tiny_bundles.load(network, "fp32")
    converted = graph.prepared(model)
    zeros = [
        w.data_type
        for node in converted.graph.node
        if node.op_type in ("QuantizeLinear", "DequantizeLinear")
        for w in converted.graph.initializer
        if w.name == node.input[2]
    ]
    import onnx

    assert zeros and set(zeros) == {onnx.TensorProto.INT8}
    errors = {}
    for image in tiny_bundles.crops(3, seed=11):
        truth = outputs(onnx.load(exact.file), feed(model, "image", model.prepare(image)))
        cpu = outputs(onnx.load(model.file), feed(model, "image", model.prepare(image)))
        symmetric = outputs(converted, feed(model, graph.INPUT, image[None]))
        scale = np.abs(truth).mean()
        errors.setdefault("cpu", []).append(np.abs(cpu - truth).mean() / scale)
        errors.setdefault("symmetric", []).append(np.abs(symmetric - truth).mean() / scale)
    # One bit of the activations goes to the sign.
    assert np.mean(errors["symmetric"]) < max(0.05, 2.5 * np.mean(errors["cpu"]))


# --- builds --------------------------------------------------------------------------------


@needs_rtx
@pytest.mark.parametrize("precision", bundles.PRECISIONS)
@pytest.mark.parametrize("network", NETWORKS)
def test_tensorrt_builds_every_precision(network, precision, rtx) -> None:
    model = tiny_bundles.load(network, precision)
    reports: list[tuple[str, float]] = []
    engine = build.build_apart(model.folder, precision, lambda *report: reports.append(report))
    assert len(engine) > 1_000_000
    shares = [share for _, share in reports]
    assert shares == sorted(shares) and shares[0] >= 0.0 and shares[-1] <= 1.0
    assert len({phase for phase, _ in reports}) > 2


@needs_rtx
@pytest.mark.parametrize("bundle", SHIPPED, ids=lambda p: p.name)
def test_tensorrt_builds_what_ships(bundle, rtx) -> None:
    for precision in bundles.load(bundle).precisions:
        assert len(build.build_apart(bundle, precision)) > 1_000_000, precision


@needs_rtx
def test_the_parsers_refusal_is_told(rtx) -> None:
    from onnx import TensorProto, helper

    def value(name):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3])

    node = helper.make_node("Frobnicate", ["x"], ["y"])
    bad = helper.make_model(
        helper.make_graph([node], "bad", [value("x")], [value("y")]),
        opset_imports=[helper.make_opsetid("", 18)],
    )
    with pytest.raises(BackendError, match=r"parser refuses the network.*Frobnicate"):
        build.build(bad.SerializeToString())
    with pytest.raises(BackendError, match="parser refuses"):
        build.build(b"not a network")


@needs_rtx
def test_onnxruntimes_own_quantisation_is_refused_without_ours(rtx) -> None:
    """Why `make_symmetric` exists: the parser does not take the file as it ships."""
    model = tiny_bundles.load("vnect", "int8")
    with pytest.raises(BackendError):
        build.build(model.file.read_bytes())


@needs_rtx
def test_the_child_reports_a_damaged_bundle(tmp_path, rtx) -> None:
    copy = shutil.copytree(tiny_bundles.folder("vnect_lite"), tmp_path / "bundle")
    with (copy / "model.onnx").open("r+b") as file:
        file.write(b"\0\0\0\0")
    with pytest.raises(BackendError, match=r"build failed \(status 1\).*sha256"):
        build.build_apart(copy, "fp32")


@needs_rtx
def test_a_build_that_takes_too_long_is_ended(rtx) -> None:
    model = tiny_bundles.load("vnect", "fp32")
    with pytest.raises(BackendError, match=r"longer than 0\.05 s"):
        build.build_apart(model.folder, "fp32", timeout_s=0.05)


# --- the cache -----------------------------------------------------------------------------


def test_what_is_written_is_read_back(tmp_path) -> None:
    store = cache.Cache(tmp_path / "engines")
    assert store.read(key()) is None
    store.write(key(), b"engine\nwith lines\n\0")
    assert store.read(key()) == b"engine\nwith lines\n\0"
    assert [p.suffix for p in store.folder.iterdir()] == [".engine"]  # nothing half-written
    assert store.folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"model_sha256": "b" * 64},
        {"precision": "int8"},
        {"runtime": "tensorrt 10.3.1"},
        {"gpu": "Xavier"},
        {"compute_capability": "7.2"},
        {"driver": "12040"},
        {"batch": 2},
        {"format": 2},
    ],
    ids=lambda c: next(iter(c)),
)
def test_any_change_of_the_key_is_a_miss(tmp_path, changes) -> None:
    store = cache.Cache(tmp_path)
    store.write(key(), b"engine")
    assert store.read(key(**changes)) is None
    # Even a file that lies under the other key's name is not taken for it.
    store.path(key()).rename(store.path(key(**changes)))
    assert store.read(key(**changes)) is None


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "head", "not json"])
def test_a_damaged_entry_is_a_miss(tmp_path, damage) -> None:
    store = cache.Cache(tmp_path)
    store.write(key(), bytes(range(256)) * 20)
    file = store.path(key())
    content = file.read_bytes()
    file.write_bytes(
        {
            "cut": content[:-7],
            "flipped": content[:-1] + bytes([content[-1] ^ 1]),
            "empty": b"",
            "head": b"[]" + content,
            "not json": b"\xff\xfe" + content,
        }[damage]
    )
    assert store.read(key()) is None
    loaded, cached = store.engine(key(), lambda: b"anew", lambda engine: engine)
    assert (loaded, cached) == (b"anew", False)
    assert store.read(key()) == b"anew"


def test_the_second_start_does_not_build(tmp_path) -> None:
    store, built = cache.Cache(tmp_path), []

    def make() -> bytes:
        built.append(1)
        return b"engine"

    assert store.engine(key(), make, bytes) == (b"engine", False)
    assert cache.Cache(tmp_path).engine(key(), make, bytes) == (b"engine", True)
    assert len(built) == 1


def test_an_entry_the_runtime_refuses_is_built_anew(tmp_path) -> None:
    store = cache.Cache(tmp_path)
    store.write(key(), b"stale")

    def load(engine: bytes) -> bytes:
        if engine == b"stale":
            raise BackendError("deserialisation gave None")
        return engine

    assert store.engine(key(), lambda: b"fresh", load) == (b"fresh", False)
    assert store.read(key()) == b"fresh"


def test_an_engine_that_never_loads_is_not_kept(tmp_path) -> None:
    store = cache.Cache(tmp_path)

    def load(engine: bytes) -> bytes:
        raise BackendError("no")

    with pytest.raises(BackendError, match="no"):
        store.engine(key(), lambda: b"bad", load)
    assert store.read(key()) is None


def test_old_entries_go(tmp_path) -> None:
    store = cache.Cache(tmp_path)
    for i in range(cache.KEEP + 3):
        store.write(key(driver=str(i)), b"engine")
        os.utime(store.path(key(driver=str(i))), (i, i))
    store.write(key(), b"engine")
    kept = {i for i in range(cache.KEEP + 3) if store.read(key(driver=str(i))) is not None}
    assert kept == set(range(4, cache.KEEP + 3))


def test_the_cache_is_the_users(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "vnect_ros" / "engines"
    for relative in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        assert cache.folder() == Path.home() / ".cache" / "vnect_ros" / "engines"
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match="cannot be made"):
        cache.Cache(tmp_path / "file" / "engines")


def _build_once(folder: Path, log: Path) -> None:
    def make() -> bytes:
        with log.open("a") as file:
            file.write("built\n")
        return os.urandom(1 << 20)

    cache.Cache(folder).engine(key(), make, bytes)


def test_two_processes_build_once(tmp_path) -> None:
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    several = [
        context.Process(target=_build_once, args=(tmp_path / "engines", log)) for _ in range(4)
    ]
    for process in several:
        process.start()
    for process in several:
        process.join(60)
        assert process.exitcode == 0
    assert log.read_text() == "built\n"


# --- refusals ------------------------------------------------------------------------------


@pytest.mark.skipif(has_gpu(), reason="there is a GPU: the refusal cannot be seen")
def test_without_a_gpu_the_backend_names_what_is_missing() -> None:
    model = tiny_bundles.load("vnect_lite", "fp16")
    with pytest.raises(BackendError, match=r"no usable NVIDIA GPU: .*libcuda.*nvidia-smi"):
        inference.create(model, "tensorrt")


def test_without_tensorrt_the_remedy_is_named(monkeypatch) -> None:
    monkeypatch.setenv(loader.VARIABLE, "tensorrt_that_nobody_has")
    with pytest.raises(BackendError, match=r"tensorrt_that_nobody_has .*system-site-packages"):
        loader.load()


def test_a_silent_driver_is_not_waited_for(monkeypatch) -> None:
    monkeypatch.setattr(probe, "DRIVER", "libc.so.6")  # one that loads
    with pytest.raises(BackendError, match="did not answer within"):
        probe.device(timeout_s=0.001)


@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
def test_the_process_that_asks_the_driver_reports_its_failure(monkeypatch) -> None:
    monkeypatch.setattr(probe, "DRIVER", "libc.so.6")
    with pytest.raises(BackendError, match=r"no usable NVIDIA GPU: libcuda.*nvidia-smi"):
        probe.device()


@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
def test_without_a_driver_no_process_is_started(monkeypatch) -> None:
    monkeypatch.setattr(probe.subprocess, "run", None)
    with pytest.raises(BackendError, match="no usable NVIDIA GPU"):
        probe.device()


@needs_rtx
@pytest.mark.skipif(has_gpu(), reason="there is a GPU: the engine would load")
def test_the_runner_refuses_before_it_touches_the_runtime(rtx) -> None:
    pytest.importorskip("cuda.bindings", reason="cuda-bindings is not installed")
    from vnect_ros.inference.tensorrt.runner import Runner

    with pytest.raises(BackendError, match=r"CUDA: looking for a GPU failed: .*driver"):
        Runner(b"no engine")


@needs_rtx
@pytest.mark.skipif(has_gpu(), reason="there is a GPU: the engine would load")
def test_deserialising_without_a_driver_gives_none(rtx, tmp_path) -> None:
    """TensorRT's own answer to an engine it cannot load is a miss for the cache."""
    model = tiny_bundles.load("vnect_lite", "fp16")
    runtime = rtx.Runtime(build.make_logger([]))
    store, built = cache.Cache(tmp_path), []

    def load(engine: bytes) -> None:
        if runtime.deserialize_cuda_engine(engine) is None:
            raise BackendError("TensorRT refuses the engine")

    def make() -> bytes:
        built.append(1)
        return build.build_apart(model.folder, model.precision)

    store.write(key_of(model, GPU, "tensorrt_rtx"), b"an engine of another machine")
    with pytest.raises(BackendError, match="refuses the engine"):
        store.engine(key_of(model, GPU, "tensorrt_rtx"), make, load)
    assert built == [1]
    assert store.read(key_of(model, GPU, "tensorrt_rtx")) is None


# --- the interfaces of the bindings ------------------------------------------------------------


def mypy(stubs: Path) -> subprocess.CompletedProcess:
    pytest.importorskip("mypy", reason="mypy is not installed")
    files = [f"vnect_ros/inference/tensorrt/{name}.py" for name in ("build", "runner")]
    return subprocess.run(
        [
            sys.executable, "-m", "mypy", "--config-file=", "--python-version", "3.12",
            "--follow-imports=silent", "--ignore-missing-imports", "--check-untyped-defs",
            "--cache-dir", os.devnull, "--no-site-packages", *files,
        ],
        cwd=ROOT, env={**os.environ, "MYPYPATH": str(stubs)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("version", ["10.3.0", "10.16.1", "11.4.0"])
def test_calls_fit_the_real_bindings(version) -> None:
    done = mypy(API / version)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_call_the_bindings_lack_would_be_seen(tmp_path) -> None:
    text = (API / "10.3.0" / "tensorrt.pyi").read_text()
    missing = re.sub(r".*def execute_async_v3.*\n", "", text)
    (tmp_path / "tensorrt.pyi").write_text(missing)
    done = mypy(tmp_path)
    assert done.returncode == 1 and "execute_async_v3" in done.stdout


def test_cuda_calls_fit_the_bindings() -> None:
    """Every CUDA function the runner calls exists and takes that many arguments."""
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings is missing")
    source = (ROOT / "vnect_ros/inference/tensorrt/runner.py").read_text()
    calls: dict[str, set[int]] = {}
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name, arguments = ast.unparse(node.func), [ast.unparse(a) for a in node.args]
        if name.endswith("_release.callback"):
            name, arguments = arguments[0], arguments[1:]
        if re.fullmatch(r"(self\.)?cuda\.cuda\w+", name):
            calls.setdefault(name.rpartition(".")[2], set()).add(len(arguments))
    assert len(calls) >= 14
    for name, counts in calls.items():
        signature = (getattr(runtime, name).__doc__ or "").splitlines()[0]
        inside = signature.partition("(")[2].rpartition(")")[0]
        assert counts == {len(inside.split(",")) if inside.strip() else 0}, (name, signature)


# --- on a GPU --------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not has_gpu(), reason="there is no NVIDIA GPU")
@pytest.mark.parametrize("use_graph", [True, False], ids=["graph", "launches"])
@pytest.mark.parametrize("precision", bundles.PRECISIONS)
def test_the_gpu_gives_what_the_cpu_gives(precision, use_graph, tmp_path) -> None:
    from vnect_ros.learning.export.compare import difference, read

    model = tiny_bundles.load("vnect", precision)
    backend = TensorRTBackend(model, use_graph=use_graph, cache=cache.Cache(tmp_path))
    reference = inference.create(model, "onnxruntime")
    images = tiny_bundles.crops(8, seed=21)
    ours = [read(backend.infer([image])[0], ((0.0, 1.0), (1.0, 1.0))) for image in images]
    theirs = [read(reference.infer([image])[0], ((0.0, 1.0), (1.0, 1.0))) for image in images]
    far = difference(theirs, ours)
    assert far.mean_px < (2.0 if precision == "int8" else 0.5)
    backend.close()
    backend.close()
    with pytest.raises(BackendError, match="closed"):
        backend.infer(images[:1])


# --- the script for a GPU -------------------------------------------------------------------


def gpu_script():
    place = ROOT / "scripts" / "check_gpu.py"
    spec = importlib.util.spec_from_file_location("check_gpu", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.skipif(has_gpu(), reason="there is a GPU: the script would run")
def test_the_gpu_script_names_what_is_missing() -> None:
    script = ROOT / "scripts" / "check_gpu.py"
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("check_gpu: no usable NVIDIA GPU")


def test_the_gpu_script_compares_and_tabulates() -> None:
    """Its arithmetic, on two backends that are here: fp16 in OpenVINO against ONNX Runtime."""
    script = gpu_script()
    model = tiny_bundles.load("vnect", "fp16")
    crops = tiny_bundles.crops(3, seed=51)
    row = script.compare(inference.create(model, "openvino"), model, crops, False)
    assert row["ok"] and 0.0 < row["largest_error"] < 0.03 * row["largest_value"]
    other = dataclasses.replace(model, mean=(0.0, 0.0, 0.0))
    row = script.compare(inference.create(other, "openvino"), model, crops, False)
    assert not row["ok"]
    timed = script.timed(inference.create(model, "onnxruntime"), crops, 3)
    assert 0.0 < timed["median_ms"] <= timed["p95_ms"]
    row |= {"model": "m", "precision": "fp16", "graph": timed, "launches": timed, "build_s": 1.0}
    row |= {"load_s": 0.1, "copy_in_ms": 0.01, "network_ms": 1.0, "copy_out_ms": 0.02}
    lines = script.table([row, {"model": "m", "precision": "int8", "error": "no"}]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "OFF" in lines[2] and "no" in lines[3]
