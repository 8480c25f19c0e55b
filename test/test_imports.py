"""Imports point one way, light stays light, and only ros/ knows ROS."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vnect_ros

PACKAGE = Path(vnect_ros.__file__).parent
VENDORS = (
    "onnxruntime",
    "openvino",
    "tensorrt",
    "tensorrt_rtx",
    "torch",
    "matplotlib",
    "rclpy",
)

MAY_IMPORT = {
    "errors": set(),
    "skeleton": set(),
    "config": {"errors"},
    "clock": set(),
    "lens": {"errors"},
    "plausibility": {"errors", "lens"},
    "camera": {"errors", "lens", "plausibility"},
    "records": {"camera", "errors", "skeleton"},
    "drawing": {"records", "skeleton", "camera"},
    "recordings": {"camera", "errors"},
    "body": {"skeleton", "errors", "records"},
    "inference": {"records", "errors", "skeleton", "networks"},
    "perception": {"records", "config", "skeleton", "errors"},
    "fitting": {"body", "skeleton", "records", "camera", "config", "perception", "errors"},
    "person": {"config", "fitting", "inference", "perception", "records", "skeleton"},
    "memory": {"person", "records", "skeleton"},
    "pipeline": {
        "clock", "config", "errors", "inference", "memory", "perception", "person", "records",
    },
    "networks": {"errors", "skeleton"},
}  # fmt: skip
"""Module or folder of the package: what of ours it may import, besides itself."""
CORE = set(MAY_IMPORT)


def sources():
    files = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "__init__.py"})
    return [pytest.param(file, id=str(file.relative_to(PACKAGE))) for file in files]


def imported(file):
    """Dotted names of all that a file imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def ours(file):
    """The rooms of the package that a file imports."""
    found = set()
    for name in imported(file):
        parts = name.split(".")
        if parts[0] == "vnect_ros" and len(parts) > 1:
            found.add(parts[1])
    return {r for r in found if (PACKAGE / r).is_dir() or (PACKAGE / f"{r}.py").is_file()}


def room(file):
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", sources())
def test_imports_point_one_way(file):
    here, there = room(file), ours(file)
    if here in CORE:
        assert there - {here} <= MAY_IMPORT[here]
    elif here == "ros":
        assert not there & {"learning", "evaluation", "datasets", "synthetic"}
    elif here == "cli":
        hooks = {"demo.py", "benchmark.py"}
        assert "ros" not in there or file.name in hooks
    else:
        assert not there & {"ros", "cli"}, f"{here} is below the command lines and beside ros"


def dotted(file):
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)


def test_no_module_reaches_itself():
    """Also not through imports in functions, or for type checking alone."""
    graph = {dotted(p.values[0]): set() for p in sources()}
    for name in graph:
        for used in imported(PACKAGE.parent / Path(*name.split(".")).with_suffix(".py")):
            # a module, or something in it
            graph[name] |= {used, used.rpartition(".")[0]} & set(graph)
    assert "vnect_ros.learning.mixture" in graph["vnect_ros.learning.sources"]
    while ends := {name for name, used in graph.items() if not used & set(graph)}:
        graph = {name: used for name, used in graph.items() if name not in ends}
    assert not graph, "circles among these: " + ", ".join(sorted(graph))


@pytest.mark.parametrize("file", sources())
def test_only_ros_imports_ros(file):
    ros = {"rclpy", "std_msgs", "sensor_msgs", "geometry_msgs", "visualization_msgs", "tf2_msgs"}
    ros |= {"diagnostic_msgs", "std_srvs", "cv_bridge", "tf2_ros", "launch", "launch_ros"}
    used = {name.split(".")[0] for name in imported(file)} & ros
    assert not used or room(file) == "ros"


@pytest.mark.parametrize(
    "module", ["vnect_ros", "vnect_ros.pipeline", "vnect_ros.cli.process", "vnect_ros.drawing"]
)
def test_vendor_runtimes_load_lazily(module):
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & set({VENDORS!r})))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_the_package_itself_is_light():
    code = "import sys, vnect_ros; print(len({'numpy', 'cv2'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "0"
