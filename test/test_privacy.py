"""Nothing reports home: no connection to another machine, no process of somebody else's.

A trap that is preloaded into the processes writes down what they try, native code
included.  Only loopback addresses and Python processes of this package pass.
"""

from __future__ import annotations

import os
import pkgutil
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_backend import standing_bundle

import vnect_ros
from vnect_ros.recordings.writer import VideoWriter

CHECKOUT = Path(vnect_ros.__file__).parents[1]
COMPILER = shutil.which("cc") or shutil.which("gcc")
pytestmark = [
    pytest.mark.skipif(not COMPILER, reason="the trap needs a C compiler"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="LD_PRELOAD is Linux's"),
    pytest.mark.timeout(300),
]
LOCAL = {
    Path(sys.executable).name: "of a tool that measures a process of its own",
    "ldconfig": "asked by ctypes for a library",
    "fc-list": "asked by matplotlib for fonts, once",
}
"""Programs that may be started."""
MODULES = sorted(
    m.name
    for m in pkgutil.walk_packages([str(CHECKOUT / "vnect_ros")], "vnect_ros.")
    if not m.name.startswith(("vnect_ros.msg", "vnect_ros.ros", "vnect_ros.cli.demo"))
)


class Trap:
    """Environment for a process, and what the trap wrote down about it."""

    def __init__(self, library: Path, folder: Path) -> None:
        self.home, self._file = folder / "home", folder / "trapped"
        self._library = library
        self.home.mkdir()

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to run in the trap, as a user outside of CI would."""
        paths = [str(CHECKOUT), str(CHECKOUT / "test")]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CI", "XDG_", "ORT_"))}
        return {
            **kept, "HOME": str(self.home), "LD_PRELOAD": str(self._library),
            "TRAP_FILE": str(self._file), "PYTHONPATH": os.pathsep.join(paths),
        }  # fmt: skip

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run Python with these arguments to its end; its standard output."""
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == status, done.stderr
        return done.stdout

    def caught(self) -> list[str]:
        """What went out or was started, less what is ours."""
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        started = [re.match(r"\w+ \S+: (\S+)", line) for line in lines]
        ours = [m is not None and Path(m[1]).name in LOCAL for m in started]
        return [line for line, known in zip(lines, ours, strict=True) if not known]

    def assert_silent(self) -> None:
        """Nothing was caught, and no library made itself a file to know the user by."""
        assert self.caught() == []
        made = {str(p.relative_to(self.home)) for p in self.home.rglob("*")}
        assert not [m for m in made if "icrosoft" in m or "intel" in m], made


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("trap") / "trap.so"
    source = CHECKOUT / "test" / "data" / "trap.c"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True)
    return made


@pytest.fixture
def trap(library, tmp_path) -> Trap:
    return Trap(library, tmp_path)


def test_the_trap_catches_what_it_is_for(trap):
    code = """
        import os, socket, subprocess
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect(("192.0.2.1", 9))
            s.connect(("127.0.0.1", 9))
            try: s.sendto(b"", ("192.0.2.2", 9))
            except OSError: pass
        try: socket.getaddrinfo("host.invalid", 80)
        except OSError: pass
        subprocess.run(["/bin/true"])
        if not os.fork(): os._exit(0)
        os.system("true")
    """
    trap.run("-c", textwrap.dedent(code))
    caught = "\n".join(trap.caught())
    for what in ("connect 192.0.2.1", "sendto 192.0.2.2", "getaddrinfo host.invalid",
                 "/bin/true", "fork", "system true"):  # fmt: skip
        assert what in caught
    assert "127.0.0.1" not in caught


def test_every_module_and_runtime_loads_in_silence(trap, tmp_path):
    """Each runtime that is installed also runs once."""
    bundle = standing_bundle(tmp_path / "bundle", 64).folder
    code = f"""
        import importlib
        import numpy as np
        for module in {MODULES!r}:
            try: importlib.import_module(module)
            except ImportError as error: assert not str(error.name).startswith("vnect_ros")
        from vnect_ros import inference
        from vnect_ros.errors import BackendError
        model = inference.bundles.load({str(bundle)!r})
        for name in inference.AUTO:
            try: backend = inference.create(model, name, threads=1)
            except BackendError as error: continue
            backend.infer([np.zeros((64, 64, 3), np.uint8)])
            print(name)
            backend.close()
    """
    assert "onnxruntime" in trap.run("-c", textwrap.dedent(code)).split()
    trap.assert_silent()


@pytest.fixture
def images(tmp_path) -> str:
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(6):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((120, 160, 3), 20 * i, np.uint8))
    return str(folder)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_process_and_benchmark_in_silence(trap, tmp_path, images, backend):
    pytest.importorskip(backend)
    model = ["--model", str(standing_bundle(tmp_path / "bundle").folder), "--backend", backend]
    out = ["--out", str(tmp_path / "out")]
    trap.run("-m", "vnect_ros.cli.process", images, *out, *model)
    trap.run("-m", "vnect_ros.cli.benchmark", images, "--frames", "6", *model)
    trap.assert_silent()


def test_train_export_and_evaluate_in_silence(trap, tmp_path):
    for package in ("torch", "onnx", "onnxscript"):
        pytest.importorskip(package)
    from training_fixtures import write_lspet

    write_lspet(tmp_path / "lspet", 8)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "size: 64\nbatch: 2\nsteps: 1\nbfloat16: false\n"
        "sources: [{kind: lspet, options: {folder: '${TINY}', images: '${TINY}/images'}}]\n"
    )
    out = str(tmp_path / "run")
    data = ["--data", f"TINY={tmp_path / 'lspet'}"]
    trap.run("-m", "vnect_ros.cli.train", str(recipe), *data, "--out", out)
    bundle = str(tmp_path / "bundle")
    trap.run("-m", "vnect_ros.cli.export", f"{out}/latest.pt", "--out", bundle)
    lspet = ["--lspet", str(tmp_path / "lspet")]
    trap.run("-m", "vnect_ros.cli.evaluate", "--model", bundle, *lspet)
    trap.assert_silent()


def test_a_refused_import_of_weights_in_silence(trap, tmp_path):
    (tmp_path / "a.caffemodel").write_bytes(b"nothing")
    given = [str(tmp_path / "a.caffemodel"), "--out", str(tmp_path / "out")]
    trap.run("-m", "vnect_ros.cli.import_weights", *given, status=1)
    trap.assert_silent()


@pytest.mark.ros
def test_demo_in_silence(trap, tmp_path, ros_domain):
    pytest.importorskip("rclpy", reason="needs ROS 2")
    video = str(tmp_path / "a.mp4")
    with VideoWriter(video, 30.0) as writer:
        for i in range(30):
            writer.write(np.full((120, 160, 3), 5 * i, np.uint8))
    bundle = str(standing_bundle(tmp_path / "bundle").folder)
    out = ["--out", str(tmp_path / "out"), "--no-overlay"]
    trap.run("-m", "vnect_ros.cli.demo", video, "--model", bundle, *out)
    trap.assert_silent()


@pytest.mark.ros
def test_node_and_video_publisher_in_silence(trap, tmp_path, images, rig):
    """DDS is bound to this machine by the tests' environment."""
    from ros_rig import Heard, wait

    bundle = standing_bundle(tmp_path / "bundle").folder
    heard = Heard(rig, "")
    commands = (
        ["-m", "vnect_ros.ros.start", "--ros-args", "-p", f"model:={bundle}"],
        ["-m", "vnect_ros.ros.video_publisher", images, "--fps", "10"],
    )
    started = []
    try:
        for command in commands:
            started.append(subprocess.Popen([sys.executable, *command], env=trap.environment))
        wait(lambda: len(heard.tracked()) > 5, "a person", 60.0)
    finally:
        for process in started:
            process.send_signal(signal.SIGINT)
        for process in started:
            process.wait(30.0)
    trap.assert_silent()
