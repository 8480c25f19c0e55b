"""Parameters derive from the dataclasses: names, defaults, ranges, refusals."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="needs ROS 2")
from rcl_interfaces.srv import DescribeParameters, ListParameters
from rclpy.parameter import Parameter
from ros_rig import fake_bundle, wait

from vnect_ros.config import NodeConfig, flatten, options
from vnect_ros.errors import ConfigError
from vnect_ros.ros import params
from vnect_ros.ros.convert import stamp_s
from vnect_ros.ros.node import VnectNode

pytestmark = pytest.mark.ros
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def fake(tmp_path):
    return {"model": fake_bundle(tmp_path), "backend": "fake", "diagnostics_period": 0.1}


def test_every_option_is_a_parameter_with_its_default_and_description(rig):
    rig.start(autostart=False, max_people=None)
    listed = rig.call(
        ListParameters, "/vnect/list_parameters", ListParameters.Request()
    ).result.names
    ours = [name for name in listed if not name.startswith(params.FOREIGN)]
    assert sorted(ours) == sorted(flatten(NodeConfig()))
    request = DescribeParameters.Request(names=ours)
    answer = rig.call(DescribeParameters, "/vnect/describe_parameters", request)
    for described in answer.descriptors:
        field = options(NodeConfig())[described.name]
        assert described.description == field.metadata["doc"]
        ranges = [*described.floating_point_range, *described.integer_range]
        bounded = field.metadata["low"] is not None and field.metadata["high"] is not None
        assert len(ranges) == bounded
        if bounded:
            assert (ranges[0].from_value, ranges[0].to_value) == (
                field.metadata["low"], field.metadata["high"]
            )  # fmt: skip
    values = {**flatten(NodeConfig()), "autostart": False}
    assert {name: rig.get(name) for name in ours} == values


def test_live_parameters_change_what_is_published(rig, fake):
    heard = rig.start(**fake)
    camera = rig.camera()
    camera.await_node()
    assert camera.follow(3)[-1].height == pytest.approx(1.7)
    assert rig.set(fit__person_height=1.9) == (True, "")
    heard.clear()
    assert camera.follow(3)[-1].height == pytest.approx(1.9)
    assert rig.get("fit.person_height") == 1.9
    assert rig.set(publish_markers=False)[0] and rig.set(publish_tf=False)[0]
    assert rig.set(publish_joint_states=False)[0]
    camera.play(2)
    heard.clear()
    camera.follow(3)
    assert not heard["markers"] and not heard["/tf"]
    assert not heard["bodies/human/joint_states"]


def test_max_rate_limits_the_work(rig, fake):
    heard = rig.start(max_rate=10.0, **fake)
    camera = rig.camera()
    camera.await_node()
    camera.follow(6)
    # of images: whoever is LOST because none came is so under the last one's stamp
    arrays = [a for a in heard["skeletons"] if all(s.state != s.LOST for s in a.skeletons)]
    stamps = [stamp_s(a.header.stamp) for a in arrays]
    assert min(b - a for a, b in itertools.pairwise(stamps)) > 0.085


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("fit__person_height", 9.0, "out of range"),
        ("fit__person_height", "tall", "type"),
        ("model", "other", "until the node is cleaned up"),
        ("image_transport", "theora", "until the node is cleaned up"),
    ],
)
def test_a_refused_value_says_why(rig, fake, name, value, why):
    rig.start(**fake)
    rig.await_state("active")
    before = rig.get(name.replace("__", "."))
    taken, reason = rig.set(**{name: value})
    assert not taken and why in reason.lower()
    assert rig.get(name.replace("__", ".")) == before


def test_choices_and_ids_are_checked_while_unconfigured(rig):
    rig.start(autostart=False)
    taken, reason = rig.set(image_transport="theora")
    assert not taken and "raw, compressed" in reason
    taken, reason = rig.set(body_id="1234")
    assert not taken and "body_id: got '1234'" in reason
    assert rig.set(body_id="alice")[0]


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("fit.person_hight", 1.8, "fit.person_height"),
        ("fit.person_height", 9.0, "fit.person_height"),
        ("image_transport", "theora", "raw, compressed"),
        ("timeout_s", "soon", "timeout_s"),
    ],
)
def test_a_wrong_start_value_names_the_parameter(rig, name, value, why):
    with pytest.raises(ConfigError, match=why.replace(".", r"\.")):
        VnectNode(context=rig.context, parameter_overrides=[Parameter(name, value=value)])


def test_whole_numbers_do_for_floats(rig):
    rig.start(autostart=False, fit__person_height=2, timeout_s=1)
    assert rig.get("fit.person_height") == 2.0


def test_timers_follow_their_parameters(rig, fake):
    heard = rig.start(**{**fake, "diagnostics_period": 5.0})
    rig.await_state("active")
    assert rig.set(diagnostics_period=0.05)[0]
    heard.clear()
    wait(lambda: len(heard["/diagnostics"]) > 10, "diagnostics at 20 Hz", 5.0)


def test_the_parameter_file_is_the_dataclasses():
    written = (ROOT / "config" / "vnect.yaml").read_text()
    assert written == params.yaml(), "run python -m vnect_ros.ros.params > config/vnect.yaml"
    values = yaml.safe_load(written)["/**"]["ros__parameters"]

    def flat(tree, prefix=""):
        for key, value in tree.items():
            if isinstance(value, dict):
                yield from flat(value, f"{prefix}{key}.")
            else:
                yield prefix + key, value

    assert dict(flat(values)) == flatten(NodeConfig())
