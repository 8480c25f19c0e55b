"""The loop: the loss falls, a resumed training is the uninterrupted one, processes agree."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch")

import training_fixtures as made  # noqa: E402

from vnect_ros.cli import train as tool  # noqa: E402
from vnect_ros.errors import ConfigError  # noqa: E402
from vnect_ros.inference import bundles  # noqa: E402
from vnect_ros.learning import checkpoints, config, loop, losses, plots, validation  # noqa: E402
from vnect_ros.learning.batches import made_ahead  # noqa: E402
from vnect_ros.learning.distributed import Distributed  # noqa: E402
from vnect_ros.learning.schedule import Progress, rate_share  # noqa: E402
from vnect_ros.learning.sources import of_recipe  # noqa: E402
from vnect_ros.networks import build_network  # noqa: E402
from vnect_ros.networks.weights.exported import load_exported  # noqa: E402

RECIPES = sorted((Path(__file__).parent.parent / "config" / "train").glob("*.yaml"))


@pytest.fixture(scope="module")
def lspet(tmp_path_factory) -> Path:
    return made.write_lspet(tmp_path_factory.mktemp("lspet"))


def recipe(folder: Path, **changes) -> config.TrainConfig:
    options = {"folder": str(folder), "images": str(folder / "images")}
    values = {
        "size": 64,
        "batch": 4,
        "steps": 4,
        "bfloat16": False,
        "trunk_rate_share": 1.0,
        "warm_up_steps": 1,
        "rate": 2e-3,
        "clip_norm": 5.0,
        "sources": [{"kind": "lspet", "options": options}],
    }
    return config.from_mapping(values | changes)


def test_a_few_steps_on_a_tiny_set_make_the_loss_fall(lspet, tmp_path):
    options = {"folder": str(lspet), "images": str(lspet / "images"), "part": "heldout"}
    held_out = [{"kind": "lspet", "options": options}]
    how = {"rotation_deg": 5.0, "upside_down": 0.0, "occlusion": 0.0, "fill": 0.0, "colour": 0.0}
    made_recipe = recipe(lspet, steps=40, batch=8, validation=held_out, augmentation=how)
    file = loop.train(made_recipe, tmp_path)
    steps, figures = plots.read_log(tmp_path / "log.jsonl")
    assert [row["step"] for row in steps] == [20, 40]
    first, last = (row["heat"] for row in steps)
    assert last < 0.9 * first
    assert figures[-1]["step"] == 40 and 0 <= figures[-1]["lspet pck05"] <= 1
    assert "lspet pck02_strict" in validation.table(figures)
    assert plots.plot(tmp_path).stat().st_size > 1000
    network, meta = checkpoints.load(file)
    assert meta["samples"] == 320 and meta["bundle"]["input_size"] == 64
    with torch.no_grad():
        maps, presence = network(torch.zeros(1, 3, 64, 64))
    assert maps.shape == (1, 84, 16, 16) and presence.shape == (1, 1)


def weights(file: Path) -> dict[str, torch.Tensor]:
    content = checkpoints.read(file)
    return {
        **{f"n.{k}": v for k, v in content["network"].items()},
        **{f"a.{k}": v for k, v in content["average"].items()},
    }


def test_a_resumed_training_equals_the_uninterrupted_one_bit_for_bit(lspet, tmp_path):
    whole = loop.train(recipe(lspet), tmp_path / "whole")
    mixture = of_recipe(recipe(lspet))
    learner = loop.Learner(recipe(lspet), Distributed())
    stream = made_ahead(mixture, recipe(lspet), Distributed(), 0, torch.device("cpu"))
    for _ in range(2):
        learner.step(next(stream))
        learner.progress.advance(0.1)
    stream.close()
    checkpoints.save(tmp_path / "half" / checkpoints.LATEST, learner.state())
    resumed = loop.train(recipe(lspet), tmp_path / "half", resume=True)
    theirs = weights(resumed)
    for name, value in weights(whole).items():
        assert torch.equal(value, theirs[name]), name


def test_a_start_takes_the_averaged_weights_and_refuses_another_networks(lspet, tmp_path):
    file = loop.train(recipe(lspet, steps=1), tmp_path)
    content = checkpoints.read(file)
    learner = loop.Learner(recipe(lspet, start_from=str(file)), Distributed())
    for name, value in learner.network.state_dict().items():
        assert torch.equal(value, content["average"][name]), name
    with pytest.raises(ConfigError, match="start_from"):
        other = {"network": "vnect_large", "start_from": str(file)}
        loop.Learner(recipe(lspet, **other), Distributed())


def test_the_lifter_may_start_from_a_bundles(lspet):
    pytest.importorskip("onnx")
    file = str(bundles.load("vnect_lite", "fp32").file)
    poses = {"count": 8, "batch": 8, "start_from": file}
    learner = loop.Learner(recipe(lspet, network="vnect_large", poses=poses), Distributed())
    shipped = build_network("vnect_lite", 192)
    load_exported(shipped, file)
    for name, value in shipped.lifter.pose.state_dict().items():
        assert torch.equal(learner.network.lifter.pose.state_dict()[name], value), name


def test_two_processes_learn_what_one_learns(lspet, tmp_path):
    one = loop.train(recipe(lspet, steps=2), tmp_path / "one")
    two = loop.train(recipe(lspet, steps=2, processes=2), tmp_path / "two")
    theirs = weights(two)
    for name, value in weights(one).items():
        torch.testing.assert_close(value, theirs[name], rtol=1e-3, atol=2e-5)


def test_vnect_trains_with_the_same_loss():
    torch.manual_seed(0)
    network = build_network("vnect", batch_norm=True, supervision=True).train()
    batch = {
        "joints_px": torch.rand(2, 21, 2) * 96,
        "visible": torch.ones(2, 21),
        "joints_m": torch.randn(2, 21, 3) * 0.3,
        "weight_3d": torch.ones(2, 21),
    }
    loss, terms = losses.total_loss(
        network(torch.randn(2, 3, 96, 96)), batch, 96, losses.LossWeights(), 0.0
    )
    loss.backward()
    assert {"maps_heat", "maps_loc", "delta", "early0_heat", "early1_loc"} <= set(terms)
    assert network.conv1.weight.grad.abs().max() > 0


def test_the_trunk_is_held_for_its_share_of_the_training(lspet):
    learner = loop.Learner(recipe(lspet, steps=2, trunk_held=0.5), Distributed())
    mixture = of_recipe(recipe(lspet))
    before = {k: v.clone() for k, v in learner.network.state_dict().items()}

    def moved() -> set[str]:
        now = learner.network.state_dict()
        return {k.split(".")[0] for k, v in before.items() if not torch.equal(v, now[k])}

    for expected in (False, True):
        learner.step({k: torch.from_numpy(v) for k, v in mixture.batch(0, 4).items()})
        learner.progress.advance(0.1)
        assert ("trunk" in moved()) == expected and "head" in moved()


def test_the_trunks_first_blocks_are_held_throughout(lspet):
    learner = loop.Learner(recipe(lspet, held_blocks=3), Distributed())
    batch = of_recipe(recipe(lspet)).batch(0, 4)
    before = {k: v.clone() for k, v in learner.network.trunk.state_dict().items()}
    learner.step({k: torch.from_numpy(v) for k, v in batch.items()})
    now = learner.network.trunk.state_dict()
    moved = {k for k, v in before.items() if not torch.equal(v, now[k])}
    held = ("stem.", "blocks.0.", "blocks.1.", "blocks.2.")
    assert not [k for k in moved if k.startswith(held)]
    assert "blocks.3.expand.weight" in moved and "top.weight" in moved


def test_the_lifter_learns_from_poses_without_images(lspet):
    poses = {"count": 40, "batch": 16}
    learner = loop.Learner(recipe(lspet, poses=poses, trunk_held=1.0), Distributed())
    batch = {k: torch.from_numpy(v) for k, v in of_recipe(recipe(lspet)).batch(0, 4).items()}
    first = learner.step(batch)["poses"]
    for _ in range(15):
        last = learner.step(batch)["poses"]
    assert last < 0.9 * first


def test_the_lifter_learns_from_poses_before_the_first_image(lspet):
    poses = {"count": 40, "batch": 64, "first_steps": 60}
    learner = loop.Learner(recipe(lspet, poses=poses), Distributed())
    before = {k: v.clone() for k, v in learner.network.state_dict().items()}
    learner.learn_poses_first()
    now = learner.network.state_dict()
    moved = {k for k, v in before.items() if not torch.equal(v, now[k])}
    assert moved and all(k.startswith("lifter.pose.") for k in moved)
    for name in moved:
        torch.testing.assert_close(learner.average[name], now[name])
    sampler = learner.poses
    features, gravity, locations = sampler.batch(256)

    def error(state):
        learner.network.load_state_dict(state)
        learner.network.eval()
        with torch.no_grad():
            found = learner.network.lifter.pose(torch.cat([features, gravity], dim=1))
        return float((found - locations).abs().mean())

    trained = {k: v.clone() for k, v in now.items()}
    assert error(trained) < 0.8 * error(before)


def heat(joints_px):
    from vnect_ros.learning.targets import heatmaps

    return heatmaps(joints_px, 8, 8.0, 9.0)


def perfect(batch, size=64):
    """What a `VNectLite` that knows the truth gives."""
    from vnect_ros.learning.targets import heatmaps, locations_dm, offsets_dm

    true = heatmaps(batch["joints_px"], size // 4, 4.0, 6.0)
    locations, offsets = locations_dm(batch["joints_m"]), offsets_dm(batch["joints_m"])
    wide = (-1, -1, size // 8, size // 8)
    return {
        "logits": torch.logit(true, 1e-7),
        "locations": locations[..., None, None].expand(wide),
        "delta": offsets[..., None, None].expand(wide),
        "alone": locations,
        "lifted": locations,
        "presence": 30.0 * (2.0 * batch["present"] - 1.0),
    }


def test_the_truth_costs_least_and_what_is_unknown_nothing():
    torch.manual_seed(0)
    batch = {
        "joints_px": torch.rand(2, 21, 2) * 63,
        "joints_m": torch.randn(2, 21, 3) * 0.3,
        "visible": torch.ones(2, 21),
        "weight_3d": torch.ones(2, 21),
        "present": torch.tensor([1.0, 0.0]),
    }
    how = losses.LossWeights(sigma_px=6.0)
    _, best = losses.total_loss(perfect(batch), batch, 64, how, 0.0)
    assert best["loc"] == best["delta"] == 0.0 and best["presence"] < 1e-9
    assert best["lifted"] == pytest.approx(0.1)  # the rounding near zero
    for name, term in (
        ("logits", "heat"), ("locations", "loc"), ("delta", "delta"),
        ("alone", "alone"), ("lifted", "lifted"), ("presence", "presence"),
    ):  # fmt: skip
        output = perfect(batch)
        output[name] = -output[name]
        _, worse = losses.total_loss(output, batch, 64, how, 0.0)
        assert worse[term] > best[term] + 1e-3, name
        assert all(worse[k] == pytest.approx(best[k]) for k in best if k != term), name
    unknown = batch | {"visible": torch.zeros(2, 21), "weight_3d": torch.zeros(2, 21)}
    output = {k: -v if k != "presence" else v for k, v in perfect(batch).items()}
    assert float(losses.total_loss(output, unknown, 64, how, 0.0)[0]) < 1e-6


def test_location_errors_far_from_the_joint_do_not_count():
    joints_px = torch.full((1, 21, 2), 12.0)
    h = heat(joints_px)
    maps = torch.zeros(1, 63, 8, 8)
    maps[..., 6:, 6:] = 100.0
    loss = losses.location_loss(maps, torch.zeros(1, 63), h, torch.ones(1, 21), 1.0)
    assert float(loss) < 1e-3


def test_early_losses_taper_to_nothing():
    maps = torch.randn(1, 84, 8, 8)
    batch = {
        "joints_px": torch.rand(1, 21, 2) * 63,
        "joints_m": torch.randn(1, 21, 3),
        "visible": torch.ones(1, 21),
        "weight_3d": torch.ones(1, 21),
    }
    how = losses.LossWeights(offset=0.0)
    last = {"maps": maps, "delta": maps[:, 21:]}
    alone, _ = losses.total_loss(last, batch, 64, how, 1.0)
    both = last | {"intermediate": [maps, maps]}
    end, _ = losses.total_loss(both, batch, 64, how, 1.0)
    start, _ = losses.total_loss(both, batch, 64, how, 0.0)
    assert float(end) == pytest.approx(float(alone))
    assert float(start) == pytest.approx(2 * float(alone), rel=1e-5)


def test_progress_by_the_clock_ends_at_one_when_steps_change_their_pace():
    p = Progress(0, 100.0)
    values = []
    while not p.done:
        p.advance(1.0 if p.elapsed_s < 50 else 3.0)
        values.append(p.value)
    assert values == sorted(values) and values[-1] > 0.97
    assert 0.4 < values[49] < 0.6


def test_rate_warms_up_and_falls_to_its_end():
    shares = [rate_share(s / 100, s, 10, 0.01) for s in range(101)]
    assert shares[0] == pytest.approx(0.1, rel=0.01) and max(shares) == max(shares[9:11])
    assert shares[-1] == pytest.approx(0.01)


@pytest.mark.parametrize("file", RECIPES, ids=lambda f: f.stem)
def test_shipped_recipes_load(file):
    places = dict.fromkeys(
        (
            "LSPET",
            "PEOPLE",
            "SYNTHETIC",
            "NOBODY",
            "NOBODY_MORE",
            "MOVENET",
            "MOVENET_THUNDER",
            "VNECT_LITE",
            "MOTION",
            "DATA",
        ),
        "somewhere",
    )
    made_recipe = config.load(file, places)
    assert made_recipe.sources
    again = config.from_mapping(json.loads(json.dumps(config.to_mapping(made_recipe))))
    assert again == made_recipe


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batchh": 3}, "batchh"),
        ({"losses": {"heat": 1}}, "losses.heat"),
        ({"batch": 3, "processes": 2}, "batch"),
        ({"size": 100}, "size"),
        ({"steps": 0}, "steps"),
    ],
)
def test_a_wrong_recipe_names_the_field(changes, words):
    with pytest.raises(ConfigError, match=words):
        config.from_mapping({"steps": 1} | changes)


def test_a_recipe_without_its_data_says_how_to_name_them(tmp_path):
    file = tmp_path / "r.yaml"
    file.write_text("steps: 1\nstart_from: ${NOWHERE_TO_BE_FOUND}\n")
    with pytest.raises(ConfigError, match="--data NOWHERE_TO_BE_FOUND=PATH"):
        config.load(file)


def test_command_trains_and_draws_a_sheet(lspet, tmp_path, capsys):
    import yaml

    values = dataclasses.asdict(recipe(lspet, steps=1, batch=2))
    values["sources"] = [
        {"kind": "lspet", "options": {"folder": "${TINY}", "images": "${TINY}/images"}}
    ]
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(json.loads(json.dumps(values))))
    data = ["--data", f"TINY={lspet}"]
    assert tool.main([str(file), *data, "--sheet", str(tmp_path / "s.png")]) == 0
    assert (tmp_path / "s.png").stat().st_size > 1000
    assert tool.main([str(file), *data, "--out", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "latest.pt").exists() and (tmp_path / "run" / "curves.png").exists()
    assert tool.main([str(file), "--data", "TINY"]) == 1
    assert "NAME=PATH" in capsys.readouterr().err
    assert np.isfinite(checkpoints.read(tmp_path / "run" / "latest.pt")["progress"])
