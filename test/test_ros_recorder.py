"""What `demo` records of a node over DDS: rows, counts, and the stages of an image."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from rclpy.serialization import serialize_message
from ros_rig import fake_bundle, wait
from tf2_msgs.msg import TFMessage

from vnect_ros.ros import stage_times
from vnect_ros.ros.convert import stamp_s
from vnect_ros.ros.recorder import Recorder

pytestmark = pytest.mark.ros


@pytest.fixture
def recorder(rig):
    made = Recorder(context=rig.context, namespace="cell")
    rig._spin(made)
    yield made
    made.destroy_node()


def test_everything_that_is_received_is_recorded(rig, recorder, tmp_path):
    rig.start("cell", model=fake_bundle(tmp_path), backend="fake", diagnostics_period=0.1)
    camera = rig.camera("cell")
    camera.await_node()
    camera.follow(20)
    sent = {stamp_s(header.stamp) for header in camera.sent}
    wait(lambda: recorder._stages, "diagnostics")
    recorder.save(tmp_path)
    received = dict(np.load(tmp_path / "received.npz"))
    assert len(received["stamps_s"]) == len(set(received["stamps_s"])) >= 10
    assert set(received["stamps_s"]) <= sent and set(received["tf_stamps_s"]) <= sent
    assert received["joints_m"].shape == (len(received["stamps_s"]), 21, 3)
    for kind in ("tf", "marker", "joint_state"):
        assert received[f"{kind}_count"] > 0
    assert len(received["tf_stamps_s"]) == received["tf_count"]
    # The stages are those of the whole: they add up to the latency.
    assert tuple(received["stages"]) == stage_times.STAGES
    medians, p95 = received["stages_ms"].T
    assert (medians >= 0.0).all() and (medians <= p95).all()
    latency_ms = received["latency_s"][received["state"] != "LOST"] * 1e3
    assert latency_ms.min() - 1.0 <= medians.sum() <= latency_ms.max() + 1.0


def test_a_message_without_transforms_is_counted(recorder):
    recorder._on_tf(bytes(serialize_message(TFMessage())))
    assert recorder.counts["tf_count"] == 1 and recorder.tf_stamps_s == []


def test_stages_are_read_as_they_are_told():
    stages = stage_times.StageTimes()
    assert stages.values() == {} == stage_times.read({"camera": "calibrated"})
    for ms in range(1, 101):
        stages.add(dict.fromkeys(stage_times.STAGES, ms * 1e-3))
    found = stage_times.read({**stages.values(), "camera": "calibrated"})
    assert found == dict.fromkeys(stage_times.STAGES, (50.5, 95.05))
