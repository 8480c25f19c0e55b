"""Imports point one way, light stays light, and only ros/ knows ROS."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "vnect_ros"
VENDORS = (
    "onnxruntime",
    "openvino",
    "tensorrt",
    "tensorrt_rtx",
    "torch",
    "matplotlib",
    "rclpy",
    "scipy",
)

IMPORTS = {
    "halves": set(),
    "stopwatch": set(),
    "budget": set(),
    "privacy": set(),
    "errors": set(),
    "options": {"errors"},
    "share": set(),
    "steady": {"errors"},
    "skeleton": set(),
    "clock": set(),
    "config": {"errors", "options"},
    "lens": {"errors"},
    "plausibility": {"errors", "lens"},
    "camera": {"errors", "lens", "plausibility"},
    "records": {"camera", "errors", "skeleton"},
    "networks": {"errors", "halves", "skeleton"},
    "body": {"skeleton"},
    "inference": {"config", "errors", "halves", "options", "records", "share", "skeleton"},
    "perception": {"camera", "config", "errors", "records", "skeleton"},
    "drawing": {"records", "skeleton"},
    "fitting": {"body", "camera", "config", "records", "skeleton"},
    "person": {"config", "fitting", "inference", "perception", "records", "skeleton"},
    "memory": {"perception", "person", "skeleton"},
    "crowds": {"perception", "person", "records"},
    "pipeline": {
        "budget", "clock", "config", "crowds", "errors", "inference", "memory", "perception",
        "person", "records", "stopwatch",
    },
    "messages": {"camera", "errors"},
    "recordings": {"camera", "clock", "errors", "messages"},
    "ros": {
        "body", "budget", "camera", "clock", "config", "drawing", "errors", "inference", "messages",
        "pipeline", "recordings", "records", "share", "skeleton", "steady",
    },
    "datasets": {
        "body", "camera", "config", "drawing", "errors", "perception", "recordings", "records",
        "skeleton",
    },
    "synthetic": {
        "camera", "config", "datasets", "errors", "perception", "recordings", "records", "skeleton",
    },
    "evaluation": {
        "camera", "config", "datasets", "drawing", "errors", "inference", "perception", "pipeline",
        "records", "skeleton",
    },
    "learning": {
        "camera", "config", "datasets", "errors", "evaluation", "halves", "inference", "networks",
        "options", "perception", "records", "skeleton", "synthetic",
    },
    "cli": {
        "camera", "config", "datasets", "drawing", "errors", "evaluation", "inference", "learning",
        "networks", "perception", "pipeline", "recordings", "records", "ros", "share", "skeleton",
        "steady", "synthetic",
    },
}  # fmt: skip
"""Exactly what each module or folder of the package imports of ours; each imports only what
stands above it."""


def load_script(name: str):
    loader = SourceFileLoader(name, str(PACKAGE.parent / "scripts" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def architecture():
    """The script that draws the modules; it reads the checkout, whatever is installed."""
    return load_script("architecture")


def sources():
    files = sorted(set(PACKAGE.rglob("*.py")) - {PACKAGE / "__init__.py"})
    return [pytest.param(file, id=str(file.relative_to(PACKAGE))) for file in files]


def test_the_imports_are_exactly_these(architecture):
    assert architecture.groups(architecture.modules()) == IMPORTS


def test_imports_point_one_way():
    above: set[str] = set()
    for name, used in IMPORTS.items():
        assert used <= above, f"{name} imports {sorted(used - above)}, which stand below it"
        above.add(name)


def test_no_module_reaches_itself(architecture):
    """Also not through imports in functions, or for type checking alone."""
    graph = architecture.modules()
    assert "learning.mixture" in graph["learning.sources"]
    circles = [name for name in graph if name in architecture.reachable(graph, name)]
    assert not circles


def test_what_runs_on_a_robot_reaches_no_training(architecture):
    graph = architecture.modules()
    robot = ["pipeline", "cli.process", *(name for name in graph if name.startswith("ros"))]
    for name in robot:
        reached = {used.partition(".")[0] for used in architecture.reachable(graph, name)}
        assert not reached & architecture.OFFLINE, name


def test_the_picture_of_the_modules_is_up_to_date(architecture):
    document = architecture.DOCUMENT.read_text(encoding="utf-8")
    assert architecture.updated(document) == document, "run scripts/architecture"


def test_the_table_names_every_module(architecture):
    table = architecture.DOCUMENT.read_text(encoding="utf-8").partition("| module | holds |")[2]
    cells = [line.split("|")[1] for line in table.partition("\n\n")[0].splitlines()[2:]]
    named = [name.rstrip("/") for cell in cells for name in re.findall("`([a-z]+/?)`", cell)]
    assert sorted(named) == sorted(IMPORTS)


def test_the_picture_leaves_out_only_what_it_implies(architecture):
    graph = {"a": {"b", "c", "d"}, "b": {"c"}, "c": set(), "d": set()}
    assert architecture.drawn(graph) == {"a": {"b", "d"}, "b": {"c"}, "c": set(), "d": set()}


@pytest.mark.parametrize("file", sources())
def test_only_ros_imports_ros(architecture, file):
    ros = {"rclpy", "std_msgs", "sensor_msgs", "geometry_msgs", "visualization_msgs", "tf2_msgs"}
    ros |= {"vision_msgs", "hri_msgs", "lifecycle_msgs", "rcl_interfaces"}
    ros |= {"diagnostic_msgs", "std_srvs", "cv_bridge", "tf2_ros", "launch", "launch_ros"}
    used = {name.split(".")[0] for name in architecture.imported(file)} & ros
    assert not used or file.relative_to(PACKAGE).parts[0] == "ros"


@pytest.mark.parametrize(
    "module", ["vnect_ros", "vnect_ros.pipeline", "vnect_ros.cli.process", "vnect_ros.drawing"]
)
def test_what_takes_long_to_import_loads_on_demand(module):
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
