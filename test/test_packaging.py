"""What is built, installed, launched and documented is one and the same."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

import vnect_ros
from vnect_ros.config import NodeConfig, flatten

ROOT = Path(__file__).resolve().parents[1]


def executables() -> dict[str, str]:
    """What `ros2 run` calls it, and its module, by [project.scripts] of pyproject.toml."""
    text = (ROOT / "pyproject.toml").read_text()
    section = text.partition("[project.scripts]\n")[2].partition("\n[")[0]
    found = re.findall(r'^(?:vnect-)?([\w-]+) = "([\w.]+):main"$', section, re.M)
    assert len(found) == len(section.strip().splitlines())
    return {name.replace("-", "_"): module for name, module in found}


def test_cmake_reads_the_executables_of_pyproject(tmp_path):
    if shutil.which("cmake") is None:
        pytest.skip("needs cmake")
    text = (ROOT / "CMakeLists.txt").read_text()
    reading = text[text.index("file(STRINGS ") : text.index("  file(WRITE ")]
    script = tmp_path / "executables.cmake"
    script.write_text(
        f'set(metadata "{ROOT / "pyproject.toml"}")\n{reading}'
        '  message("${name}=${module}")\nendforeach()\n'
    )
    done = subprocess.run(["cmake", "-P", script], capture_output=True, text=True, check=True)
    assert dict(line.split("=") for line in done.stderr.split()) == executables()


@pytest.mark.parametrize(("name", "module"), sorted(executables().items()))
def test_every_executable_is_a_module_with_main(name, module):
    file = ROOT / (module.replace(".", "/") + ".py")
    tree = ast.parse(file.read_text())
    assert any(isinstance(n, ast.FunctionDef) and n.name == "main" for n in tree.body), name
    assert '__name__ == "__main__"' in file.read_text()


@pytest.mark.parametrize("name", sorted(executables()))
def test_every_tool_explains_itself(name):
    module = executables()[name]
    if module.startswith("vnect_ros.ros."):
        pytest.importorskip("rclpy", reason="needs ROS 2")
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ") and len(done.stdout) > 200


def test_versions_agree():
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    assert package.findtext("version") == vnect_ros.__version__
    assert f"## {vnect_ros.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def ros_packages_imported() -> set[str]:
    """ROS packages that ros/, launch/ and examples/ import."""
    folders = [ROOT / folder for folder in ("vnect_ros/ros", "launch", "examples")]
    found = set()
    for file in (f for folder in folders for f in folder.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    suffixes = ("_msgs", "_srvs", "_interfaces", "launch", "launch_ros", "rclpy", "tf2_ros")
    return {name for name in found if name.endswith(suffixes)}


def test_package_xml_names_what_is_imported():
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    depends = {e.text for tag in ("depend", "exec_depend") for e in package.findall(tag)}
    # The Python half of tf2_ros is a package of its own since Galactic; not all distributions
    # have hri_msgs, without which `publish_hri` is refused.
    assert ros_packages_imported() - {"tf2_ros", "hri_msgs"} <= depends
    assert "tf2_ros_py" in depends


@pytest.mark.parametrize("file", sorted((ROOT / "msg").glob("*.msg")), ids=lambda f: f.stem)
def test_every_field_of_a_message_has_a_comment(file):
    for line in file.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            assert "  #" in line, line


def test_messages_match_the_records():
    vnect_msg = pytest.importorskip("vnect_ros.msg", reason="needs the built messages")
    from vnect_ros import records

    for state in records.JointState:
        assert getattr(vnect_msg.Joint, state.name) == state.value
    for state in records.State:
        assert hasattr(vnect_msg.Skeleton, state.name)
    for state in records.Calibration:
        assert hasattr(vnect_msg.Skeleton, f"CALIBRATION_{state.name}")


def constant(file: str, name: str) -> dict:
    """A dictionary of a file that imports the package launch, less what it unpacks."""
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            own = {k.value: v for k, v in zip(node.value.keys, node.value.values) if k is not None}
            return {key: ast.literal_eval(value) for key, value in own.items()}
    raise AssertionError(f"{file}: no {name}")


def launch_arguments() -> dict[str, set[str]]:
    """The arguments of each launch file."""
    short = constant("vnect_ros/ros/launching.py", "SHORT_NAMES")
    common = {short.get(key, key) for key in flatten(NodeConfig())}
    others = set(constant("vnect_ros/ros/launching.py", "OTHERS"))
    assert not common & others
    found = {"vnect.launch.py": common | others}
    for file in {f.name for f in (ROOT / "launch").glob("*.launch.py")} - set(found):
        own = set(constant(f"launch/{file}", "ARGUMENTS"))
        assert not own & common, file
        found[file] = common | others | own
    return found


def test_short_names_of_launch_arguments_are_those_of_options():
    short = constant("vnect_ros/ros/launching.py", "SHORT_NAMES")
    assert set(short) <= set(flatten(NodeConfig()))


def test_rviz_shows_the_topics_of_the_node():
    shown = yaml.safe_load((ROOT / "config" / "vnect.rviz").read_text())
    displays = shown["Visualization Manager"]["Displays"]
    by_class = {d["Class"].split("/")[1]: d for d in displays}
    assert {"TF", "MarkerArray", "RobotModel", "Image"} <= set(by_class)
    assert by_class["MarkerArray"]["Topic"]["Value"] == "/markers"
    assert by_class["Image"]["Topic"]["Value"] == "/debug/image"
    urdf = by_class["RobotModel"]["Description Topic"]
    assert urdf["Value"] == "/bodies/human/urdf"
    assert urdf["Durability Policy"] == "Transient Local"


def test_the_shared_memory_profile_is_well_formed():
    tree = ElementTree.parse(ROOT / "config" / "shared_memory.xml")
    space = "{http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles}"
    size = int(next(tree.iter(f"{space}segment_size")).text)
    assert size >= 4 * 1280 * 720 * 3


def documented_parameters() -> list[tuple[str, str]]:
    """`name:=value` and `-p name:=` in the docs' code, with the file they stand in."""
    found = []
    for file in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        if file.is_file():
            for name in re.findall(r"-p ([a-z_.]+):=", file.read_text()):
                found.append((file.name, name))
            for name in re.findall(r"param (?:set|get) \S*vnect ([a-z_.]+)", file.read_text()):
                found.append((file.name, name))
    return found


def test_the_docs_name_real_parameters():
    known = {*flatten(NodeConfig()), "use_sim_time"}
    assert [(f, n) for f, n in documented_parameters() if n not in known] == []


def test_the_docs_name_real_launch_arguments():
    known = launch_arguments()
    lines = []
    for file in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"),
                 *(ROOT / "docker").iterdir(), *(ROOT / "launch").glob("*.py")]:  # fmt: skip
        text = file.read_text().replace("\\\n", " ")
        lines += re.findall(r"ros2 launch vnect_ros (\S+\.launch\.py)([^\n`]*)", text)
    assert len(lines) >= 5
    for file, arguments in lines:
        for name in re.findall(r"([\w.-]+):=", arguments):
            assert name in known[file], f"{file}: {name}"


def test_the_docs_name_files_that_exist():
    folders = (
        "docs|scripts|config|test|vnect_ros|examples|launch|models|docker|requirements|.github"
    )
    for file in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        names = re.findall(rf"(?:`|\]\()((?:{folders})/[\w./*-]+)[`)]", file.read_text())
        for name in set(names) - {"vnect_ros/SkeletonArray"}:  # a message
            assert list(ROOT.glob(name.rstrip("/"))), f"{file.name}: {name}"


def test_pip_would_install_the_core():
    pytest.importorskip("setuptools", minversion="77", reason="as [build-system] asks for")
    done = subprocess.run(
        [sys.executable, "setup.py", "--quiet", "--name", "--version"],
        cwd=ROOT, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.stdout.split()[-2:] == ["vnect_ros", vnect_ros.__version__], done.stderr


def test_pip_compiles_the_same_c_code(tmp_path):
    """What setup.py describes is compiled, imported and calculates."""
    pytest.importorskip("setuptools", minversion="77", reason="as [build-system] asks for")
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    built = ["--build-lib", str(tmp_path), "--build-temp", str(tmp_path / "temp")]
    subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext", *built],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    (file,) = (tmp_path / "vnect_ros").glob("native.*")
    code = (
        "import importlib.util as u, numpy as np\n"
        f"spec = u.spec_from_file_location('vnect_ros.native', {str(file)!r})\n"
        "native = u.module_from_spec(spec)\n"
        "spec.loader.exec_module(native)\n"
        "out = np.empty((2, 2))\n"
        "native.inverse(np.array([[2.0, 1.0], [1.0, 2.0]]), 0.0, out)\n"
        "print(out.ravel() * 3.0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[ 2. -1. -1.  2.]"


def test_the_c_code_is_declared():
    """`native.pyi`, which mypy and readers believe, names what there is."""
    from vnect_ros import native

    tree = ast.parse((ROOT / "vnect_ros" / "native.pyi").read_text())
    (body,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    declared = {n.name for n in body.body if isinstance(n, ast.FunctionDef)} - {"__new__"}
    assert declared == {name for name in vars(native.Body) if not name.startswith("__")}
    declared = {n.name for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    declared |= {n.target.id for n in tree.body if isinstance(n, ast.AnnAssign)}
    assert declared == {name for name in vars(native) if not name.startswith("__")}


def test_pip_users_get_what_the_tests_run_on():
    metadata = (ROOT / "pyproject.toml").read_text()
    (listed,) = re.findall(r"^dependencies = \[(.*?)^\]", metadata, re.S | re.M)
    names = {re.split("[><=]", text)[0] for text in re.findall(r'"(.+?)"', listed)}
    lines = (ROOT / "requirements" / "runtime.txt").read_text().splitlines()
    assert names == {line.partition("==")[0] for line in lines if not line.startswith("#")}


def test_pre_commit_runs_the_same_ruff():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    revision = next(r["rev"] for r in config["repos"] if r["repo"].endswith("ruff-pre-commit"))
    assert f"ruff=={revision.removeprefix('v')}\n" in (ROOT / "requirements/test.txt").read_text()


def test_versions_of_the_citation_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == vnect_ros.__version__
    assert citation["license"] == "Apache-2.0"
