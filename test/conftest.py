"""ROS for the tests: heard on this machine only, each test in a domain of its own."""

from __future__ import annotations

import itertools
import os

import pytest

from vnect_ros import inference

os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
if os.environ.get("ROS_DISTRO") == "humble":
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")  # what it was before ROS 2 Iron

inference.BACKENDS["fake"] = ("fake_backend", "FakeBackend")


@pytest.fixture(scope="session", autouse=True)
def cache_of_the_tests(tmp_path_factory):
    """Compiled networks of the tests do not push the user's own out of the cache."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


_DOMAINS = itertools.count(os.getpid())


@pytest.fixture
def ros_domain():
    """A domain that no other test of this run uses, also for processes it starts."""
    domain = 1 + next(_DOMAINS) % 100
    before = os.environ.get("ROS_DOMAIN_ID")
    os.environ["ROS_DOMAIN_ID"] = str(domain)
    yield domain
    if before is None:
        del os.environ["ROS_DOMAIN_ID"]
    else:
        os.environ["ROS_DOMAIN_ID"] = before


@pytest.fixture
def rig(ros_domain):
    """A `ros_rig.Rig`: nodes, a scripted camera and everything the nodes say."""
    ros_rig = pytest.importorskip("ros_rig", reason="needs ROS 2 and the built messages")
    made = ros_rig.Rig(ros_domain)
    yield made
    made.close()
