"""The scene of a fault: the real node over real DDS, a scripted camera, a table of faults."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

_ROWS: list[tuple[str, str, str]] = []
_DOMAINS = itertools.count(os.getpid() * 7)


def pytest_addoption(parser):
    parser.addoption(
        "--fault-table",
        metavar="FILE",
        help="write the table of faults, with the recovery times measured, into this file",
    )


class FaultTable:
    """Rows of docs/faults.md; a scenario adds its own once it has passed."""

    def add(self, fault: str, seen: str, recovery: str | float | None = None) -> None:
        """What the user sees, and the time until the next skeleton [s] or a word for it."""
        if recovery is None:
            recovery = "–"
        elif not isinstance(recovery, str):
            recovery = f"{recovery * 1e3:.0f} ms"
        _ROWS.append((fault, seen, recovery))


@pytest.fixture
def fault_table():
    return FaultTable()


def pytest_sessionfinish(session):
    file = session.config.getoption("--fault-table", None)
    if file and _ROWS:
        from fault_table import update

        update(Path(file), _ROWS)


def _scene(folder):
    rig_module = pytest.importorskip("ros_rig", reason="needs ROS 2 and the built messages")
    from scene import Scene

    before = os.environ.get("ROS_DOMAIN_ID")
    domain = 1 + next(_DOMAINS) % 100
    os.environ["ROS_DOMAIN_ID"] = str(domain)
    made = Scene(rig_module.Rig(domain), folder)
    try:
        yield made
    finally:
        made.close()
        if before is None:
            del os.environ["ROS_DOMAIN_ID"]
        else:
            os.environ["ROS_DOMAIN_ID"] = before


@pytest.fixture
def scene(tmp_path):
    """A scene of the test's own; `scene.start()` starts the node."""
    yield from _scene(tmp_path)


@pytest.fixture(scope="module")
def lasting_scene(tmp_path_factory):
    """A scene for all tests of a module: what one of them does to it, the next must survive."""
    yield from _scene(tmp_path_factory.mktemp("scene"))
