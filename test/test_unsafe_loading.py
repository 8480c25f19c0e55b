"""Nothing that is loaded is run: no pickle, no eval, no path out of a bundle."""

from __future__ import annotations

import ast
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vnect_ros
from vnect_ros import inference
from vnect_ros.errors import BackendError, ModelError
from vnect_ros.inference import bundles

PACKAGE = Path(vnect_ros.__file__).parent
CHECKOUT = PACKAGE.parent
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
FORBIDDEN_CALLS = {
    "eval", "exec", "compile", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load",
    "yaml.full_load", "torch.jit.load", "tempfile.mktemp",
}  # fmt: skip


def sources():
    tops = ("vnect_ros", "examples", "launch")
    files = [file for top in tops for file in (CHECKOUT / top).rglob("*.py")]
    return [pytest.param(f, id=str(f.relative_to(CHECKOUT))) for f in sorted(files)]


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def findings(source: str) -> list[str]:
    """What of a source could run code that somebody else wrote into a file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module.split(".")[0] in FORBIDDEN_MODULES:
                found.append(node.module)
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            given = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
            unsafe = (
                name in FORBIDDEN_CALLS
                or (name == "torch.load" and given.get("weights_only") is not True)
                or (name.endswith(".load") and given.get("allow_pickle", False) is not False)
                or given.get("shell", False) is not False
            )
            if unsafe:
                found.append(f"{name}({', '.join(filter(None, given))})")
    return found


@pytest.mark.parametrize("file", sources())
def test_no_source_runs_what_it_loads(file):
    assert findings(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "from pickle import loads", "eval(text)", "torch.load(file)",
        "torch.load(file, weights_only=False)", "np.load(file, allow_pickle=True)",
        "yaml.load(text)", "subprocess.run(line, shell=True)", "numpy.load(f, allow_pickle=x)",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(source):
    assert findings(source)


def test_the_runtime_path_does_not_import_the_readers_of_weights():
    code = (
        "import sys, vnect_ros.pipeline, vnect_ros.inference.bundles\n"
        "import vnect_ros.inference.onnxruntime\n"
        "print('vnect_ros.networks.weights' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_a_pickle_for_a_network_is_refused_and_not_run(tmp_path, backend):
    trace = tmp_path / "trace"
    bomb = pickle.dumps(Bomb(trace))
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(bomb)
    model = bundles.write_bundle(
        folder, {"fp32": folder / "model.onnx"}, licence="MIT", input_size=64,
        mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0),
    )  # fmt: skip
    with pytest.raises(BackendError):
        made = inference.create(model, backend)
        made.infer([np.zeros((64, 64, 3), np.uint8)])
    assert not trace.exists()
    pickle.loads(bomb)
    assert trace.exists()  # it would have


def test_only_the_declared_file_is_opened_and_its_checksum_counts(tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"network")
    bundles.write_bundle(
        folder, {"fp32": folder / "model.onnx"}, licence="MIT", input_size=64,
        mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0),
    )  # fmt: skip
    (folder / "model.onnx").write_bytes(b"netw0rk")  # as long as before
    with pytest.raises(ModelError, match="sha256"):
        bundles.load(folder)
    (tmp_path / "outside").write_bytes(b"network")
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to(tmp_path / "outside")
    with pytest.raises(ModelError, match="inside"):
        bundles.load(folder)
    declared = json.loads((folder / "bundle.json").read_text())
    declared["files"]["fp32"]["path"] = "../outside"
    (folder / "bundle.json").write_text(json.dumps(declared))
    with pytest.raises(ModelError, match="inside"):
        bundles.load(folder)
