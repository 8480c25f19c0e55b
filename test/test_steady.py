"""What keeps single frames from taking long; by what is run and collected, not by the clock."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from vnect_ros import steady
from vnect_ros.errors import ConfigError

FOLLOW = """
import os
from pathlib import Path

import numpy as np
from fake_backend import FakeBackend

from vnect_ros import steady
from vnect_ros.camera import Camera
from vnect_ros.config import PipelineConfig
from vnect_ros.inference import bundles
from vnect_ros.pipeline import Pipeline
from vnect_ros.records import Frame, State

def run_ns():
    tasks = (t for t in Path("/proc/self/task").iterdir() if t.name != str(os.getpid()))
    return sum(int((t / "schedstat").read_text().split()[0]) for t in tasks)

steady.use_one_thread()
pipeline = Pipeline(PipelineConfig(), FakeBackend(bundles.load("vnect_lite")))
image, camera = np.zeros((720, 1280, 3), np.uint8), Camera.from_field_of_view(1280, 720, 54.0)
for i in range(40):
    if i == 10:
        before = run_ns()
    poses = pipeline.step(Frame(image, camera, 1.0 + i / 30.0))
assert poses[0].state is State.MEASURED
print(run_ns() - before)
"""


NICENESSES = """
import threading
from pathlib import Path

from vnect_ros import steady

idle = threading.Event()
threading.Thread(target=idle.wait, daemon=True).start()
steady.set_niceness(min(steady.niceness() + 3, 19))
threading.Thread(target=idle.wait, daemon=True).start()
for task in Path("/proc/self/task").iterdir():
    print((task / "stat").read_text().rpartition(")")[2].split()[16])
"""


@pytest.mark.skipif(not Path("/proc/self/schedstat").is_file(), reason="no times of threads")
def test_a_frame_is_worked_on_by_its_callers_thread_alone():
    """But for the network: whatever the number of threads that BLAS would take."""
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", FOLLOW], env=environment, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == 0


def test_opencv_keeps_to_one_thread():
    before = cv2.getNumThreads()
    try:
        steady.use_one_thread()
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)


def test_what_was_loaded_is_not_gone_through_again():
    try:
        steady.settle()
        assert len(gc.get_objects()) < gc.get_freeze_count()
        old = gc.get_freeze_count()
        steady.settle()  # after another model was loaded, say
        assert gc.get_freeze_count() == pytest.approx(old, rel=0.1)
        circle: list = []
        circle.append(circle)
        del circle
        assert gc.collect() >= 1, "what comes later is collected"
    finally:
        gc.unfreeze()


def test_a_niceness_is_that_of_all_threads_those_to_come_too():
    wanted = min(steady.niceness() + 3, 19)
    done = subprocess.run(
        [sys.executable, "-c", NICENESSES], capture_output=True, text=True, check=True
    )
    found = [int(line) for line in done.stdout.split()]
    assert len(found) >= 3 and set(found) == {wanted}


def test_a_niceness_without_the_right_to_it_is_refused(monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "setpriority", refuse)
    with pytest.raises(
        ConfigError, match=f"niceness: got -10, accepted: {steady.niceness()} to 19"
    ):
        steady.set_niceness(-10)
