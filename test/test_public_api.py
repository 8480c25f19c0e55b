"""What `vnect_ros` exports, and the README's example of it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vnect_ros

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", vnect_ros.__all__)
def test_every_exported_name_is_that_of_its_module(name):
    module = sys.modules[f"vnect_ros.{vnect_ros._MODULES[name]}"] if hasattr(vnect_ros, name) else 0
    assert getattr(vnect_ros, name) is getattr(module, name)
    assert name in dir(vnect_ros)


def test_type_checkers_see_the_exported_names():
    tree = ast.parse(Path(vnect_ros.__file__).read_text())
    block = next(n for n in tree.body if isinstance(n, ast.If) and n.test.id == "TYPE_CHECKING")
    seen = {node.names[0].asname: node.module for node in block.body}
    assert seen == {name: f"vnect_ros.{module}" for name, module in vnect_ros._MODULES.items()}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Pipelin'"):
        _ = vnect_ros.Pipelin


def test_the_readmes_example_finds_the_person_in_metres(tmp_path):
    text = (ROOT / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len([line for line in example.splitlines() if line.strip()]) <= 8
    (tmp_path / "walk.mp4").symlink_to(ROOT / "assets" / "demo.mp4")
    here = f"import sys; sys.path.insert(0, {str(Path(vnect_ros.__file__).parents[1])!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", here + example],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    numbers = [re.findall(r"-?\d+\.\d+(?:e-?\d+)?", line) for line in done.stdout.splitlines()]
    wrist_m = np.array([row[-3:] for row in numbers if len(row) >= 3], dtype=np.float64)
    truth = np.load(ROOT / "assets" / "demo_truth.npz")
    true_m = truth["joints_camera_m"][:, vnect_ros.JOINT_NAMES.index("right_wrist")]
    assert len(wrist_m) > 0.9 * len(true_m)
    assert np.linalg.norm(np.median(wrist_m, axis=0) - np.median(true_m, axis=0)) < 0.4
