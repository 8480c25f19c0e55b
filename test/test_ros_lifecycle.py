"""Round trips through the lifecycle, failures and the way back from them."""

from __future__ import annotations

import gc
import json
import os

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from ros_rig import fake_bundle, wait

from vnect_ros import steady
from vnect_ros.ros.node import VnectNode

pytestmark = pytest.mark.ros
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@pytest.fixture
def fake(tmp_path):
    return {"model": fake_bundle(tmp_path), "backend": "fake", "diagnostics_period": 0.1}


def follow(rig, heard, count=5):
    """Images until so many new skeletons came."""
    heard.clear()
    rig.camera().await_node()
    rig.camera().follow(count)


def test_round_trips(rig, fake):
    heard = rig.start(autostart=False, **fake)
    assert rig.state() == "unconfigured"
    for _ in range(2):
        assert rig.change("configure") and rig.state() == "inactive"
        for _ in range(2):
            assert rig.change("activate") and rig.state() == "active"
            follow(rig, heard)
            assert rig.change("deactivate") and rig.state() == "inactive"
            heard.await_diagnostics(OK, "inactive")
        assert rig.change("cleanup") and rig.state() == "unconfigured"
        assert rig.here.count_publishers("/skeletons") == 0
    assert rig.change("configure") and rig.change("activate")
    assert rig.change("shutdown") and rig.state() == "finalized"


def test_an_inactive_node_hears_nothing_and_refuses_services(rig, fake):
    rig.start(autostart=False, **fake)
    assert rig.change("configure")
    assert rig.here.count_subscribers("/image") == 0
    for service in ("/vnect/reset", "/vnect/calibrate"):
        taken, reason = rig.trigger(service)
        assert not taken and "inactive" in reason


def test_whoever_is_tracked_is_lost_when_the_node_deactivates(rig, fake):
    heard = rig.start(**fake)
    follow(rig, heard)
    assert rig.change("deactivate")
    wait(lambda: heard.skeletons()[-1].state == heard.skeletons()[-1].LOST, "LOST")
    last, lost = heard.tracked()[-1], heard.skeletons()[-1]
    assert lost.header == last.header and lost.id == last.id and not lost.joints
    wait(lambda: all(m.action == m.DELETE for m in heard["markers"][-1].markers), "no markers")
    assert {(m.ns, m.id) for m in heard["markers"][-1].markers} == {
        (m.ns, m.id) for m in heard["markers"][-2].markers
    }


def test_reset_and_calibrate(rig, fake):
    heard = rig.start(fit__calibration_frames=5, **fake)
    follow(rig, heard, 15)
    assert heard.tracked()[-1].calibration == heard.tracked()[-1].CALIBRATION_DONE
    taken, answer = rig.trigger("/vnect/calibrate")
    assert taken and "5 frames" in answer
    heard.clear()
    rig.camera().play(3)
    wait(lambda: bool(heard.tracked()), "a skeleton")
    assert heard.tracked()[0].calibration != heard.tracked()[0].CALIBRATION_DONE
    assert rig.trigger("/vnect/reset")[0]
    wait(lambda: heard.skeletons()[-1].state == heard.skeletons()[-1].LOST, "LOST")
    follow(rig, heard)


@pytest.mark.parametrize("damage", ["missing", "checksum", "field"])
def test_a_wrong_bundle_is_refused_and_another_one_taken(rig, fake, tmp_path, damage):
    wrong = tmp_path / "wrong"
    if damage != "missing":
        wrong.mkdir()
        declared = json.loads((tmp_path / "fake" / "bundle.json").read_text())
        if damage == "field":
            del declared["input"]["size_px"]
        (wrong / "bundle.json").write_text(json.dumps(declared))
        network = b"another network!!" if damage == "checksum" else b"no network at all"
        (wrong / declared["files"]["fp32"]["path"]).write_bytes(network)
    heard = rig.start(**{**fake, "model": str(wrong)})
    named = {"missing": "model: got", "checksum": "sha256", "field": "input.size_px"}[damage]
    heard.await_diagnostics(ERROR, named)
    assert rig.state() == "unconfigured"
    assert rig.set(model=fake["model"]) == (True, "")
    assert rig.change("configure") and rig.change("activate")
    follow(rig, heard)
    heard.await_diagnostics(OK, "MEASURED")


def test_an_unknown_backend_is_refused_by_name(rig, fake):
    heard = rig.start(**{**fake, "backend": "abacus"})
    assert "onnxruntime" in heard.await_diagnostics(ERROR, "backend: got 'abacus'").message


def test_a_backend_that_fails_takes_the_error_path(rig, fake):
    heard = rig.start(**fake)
    follow(rig, heard)
    rig.nodes[""]._backend.close()  # as a GPU that is gone: the next inference fails
    rig.camera().play(3)
    rig.await_state("unconfigured")
    heard.await_diagnostics(ERROR, "fake: the backend is closed")
    wait(lambda: heard.skeletons()[-1].state == heard.skeletons()[-1].LOST, "LOST")
    assert rig.change("configure") and rig.change("activate")
    follow(rig, heard)
    heard.await_diagnostics(OK, "MEASURED")


def test_a_process_of_its_own_keeps_what_it_has_loaded_out_of_garbage_collections(rig, fake):
    parameters = [Parameter(key, value=value) for key, value in fake.items()]
    made = {"context": rig.context, "parameter_overrides": parameters}
    nodes = [VnectNode(namespace="guest", **made), VnectNode(owns_process=True, **made)]
    gc.unfreeze()  # what command lines that ran in this process have settled
    try:
        for node, expected in zip(nodes, (0, 10_000)):
            node.trigger_configure()
            node.trigger_activate()
            assert (gc.get_freeze_count() > expected) == bool(expected)
    finally:
        gc.unfreeze()
        for node in nodes:
            node.trigger_shutdown()
            node.destroy_node()


def test_a_niceness_without_the_right_to_it_is_told_and_the_node_works(rig, fake, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "setpriority", refuse)
    heard = rig.start(niceness=-10, owns_process=True, **fake)
    try:
        follow(rig, heard)
        told = heard.await_diagnostics(WARN, "niceness: got -10, accepted: ")
        assert {v.key: v.value for v in told.values}["niceness"] == str(steady.niceness())
    finally:
        gc.unfreeze()


def test_a_niceness_is_not_for_a_program_of_others(rig, fake):
    heard = rig.start(niceness=5, **fake)
    follow(rig, heard)
    heard.await_diagnostics(WARN, "niceness: got 5, accepted: 0 in a program that runs other")
