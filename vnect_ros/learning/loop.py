"""The training loop: steps, averaging, validation, checkpoints, log."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm, trange

from vnect_ros.errors import ConfigError, describe
from vnect_ros.learning import checkpoints, losses, validation
from vnect_ros.learning.batches import made_ahead, normalise, some_gravity
from vnect_ros.learning.checkpoints import LATEST, LOG
from vnect_ros.learning.config import TrainConfig, to_mapping
from vnect_ros.learning.distributed import Distributed, run
from vnect_ros.learning.poses import PoseSampler, world_poses
from vnect_ros.learning.schedule import Progress, rate_share
from vnect_ros.learning.sources import of_recipe, open_source
from vnect_ros.networks import build_network
from vnect_ros.networks.weights.exported import load_exported
from vnect_ros.skeleton import NUM_JOINTS


class Learner:
    """Network, averaged copy, optimiser and schedule of one process."""

    def __init__(self, config: TrainConfig, distributed: Distributed) -> None:
        self.config, self.distributed = config, distributed
        torch.manual_seed(config.seed)
        self.device = torch.device(config.device)
        self.network = build_network(config.network, config.size, **config.network_options)
        self._initialise()
        self.network.to(self.device, memory_format=torch.channels_last).train()
        self.average = {k: v.detach().clone().float() for k, v in self.network.state_dict().items()}
        self.optimizer = self._optimizer(getattr(self.network, "trunk", None))
        self.poses = self._poses()
        self.progress = Progress(config.steps, config.budget_minutes * 60.0)
        self.validation: list[dict[str, float]] = []

    def _initialise(self) -> None:
        config = self.config
        if config.movenet:
            from vnect_ros.networks.lite import VNectLite
            from vnect_ros.networks.movenet import MoveNet
            from vnect_ros.networks.weights.movenet import load_movenet

            if not isinstance(self.network, VNectLite):
                raise ConfigError(describe("movenet", config.movenet, '"" for this network'))
            movenet = MoveNet(self.network.trunk.variant)
            load_movenet(movenet, config.movenet)
            self.network.start_from(movenet)
        if config.poses is not None and config.poses.start_from:
            load_exported(self.network.lifter.pose, config.poses.start_from, "lifter.pose")
        if config.start_from.endswith(".onnx"):
            load_exported(self.network, config.start_from)
        elif config.start_from:
            state = checkpoints.read(config.start_from)["average"]
            own = self.network.state_dict()
            strange = sorted(k for k in state if k not in own or state[k].shape != own[k].shape)
            if strange:
                raise ConfigError(describe("start_from", strange[0], "weights of this network"))
            # layers that the checkpoint lacks keep their initial weights
            self.network.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)

    def _poses(self) -> PoseSampler | None:
        """This process's poses for the lifter."""
        poses = self.config.poses
        if poses is None:
            return None
        drawn = world_poses(poses.motion, poses.count, self.config.seed)
        return PoseSampler(drawn, 1000 * self.config.seed + self.distributed.rank)

    def _optimizer(self, trunk: Any) -> torch.optim.Optimizer:
        config = self.config
        in_trunk = {id(p) for p in trunk.parameters()} if isinstance(trunk, nn.Module) else set()
        groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for p in self.network.parameters():
            if p.requires_grad:
                groups.setdefault((id(p) in in_trunk, p.ndim > 1), []).append(p)
        return torch.optim.AdamW(
            [
                {
                    "params": params,
                    "share": config.trunk_rate_share if trunk_part else 1.0,
                    "lr": 0.0,
                    "weight_decay": config.weight_decay if decays else 0.0,
                }
                for (trunk_part, decays), params in groups.items()
            ]
        )

    def step(self, batch: dict[str, torch.Tensor]) -> dict[str, float]:
        """Learn from one (share of a) batch; returns the values of the losses."""
        config = self.config
        share = rate_share(
            self.progress.value, self.progress.step, config.warm_up_steps, config.final_rate_share
        )
        for group in self.optimizer.param_groups:
            group["lr"] = config.rate * share * group["share"]
        kind = self.device.type
        inputs = [normalise(batch["image"], self.network)]
        if hasattr(self.network, "lifter"):
            self.network.trunk_held = self.progress.value < config.trunk_held
            self.network.trunk.held_blocks = config.held_blocks
            inputs.append(some_gravity(batch["gravity"]))
        with torch.autocast(kind, torch.bfloat16, enabled=config.bfloat16):
            output = self.network(*inputs)
        loss, terms = losses.total_loss(
            output, batch, config.size, config.losses, self.progress.value
        )
        if self.poses is not None:
            terms["poses"] = self._learn_poses(self.poses)
        loss.backward()
        learning = [p for g in self.optimizer.param_groups for p in g["params"]]
        grads = [p.grad for p in learning if p.grad is not None]
        self.distributed.mean(grads)
        norm = nn.utils.clip_grad_norm_(learning, config.clip_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._update_average()
        terms["loss"], terms["rate"], terms["norm"] = (
            float(loss.detach()),
            config.rate * share,
            float(norm),
        )
        return terms

    def learn_poses_first(self) -> None:
        """Train the lifter on poses alone, for the recipe's `poses.first_steps`."""
        poses, sampler = self.config.poses, self.poses
        if poses is None or sampler is None or not poses.first_steps:
            return
        learning = list(self.network.lifter.pose.parameters())
        optimizer = torch.optim.AdamW(learning, weight_decay=self.config.weight_decay)
        for step in trange(poses.first_steps, disable=not self.distributed.is_main, mininterval=20):
            share = rate_share(step / poses.first_steps, step, self.config.warm_up_steps, 0.01)
            optimizer.param_groups[0]["lr"] = self.config.rate * share
            self._learn_poses(sampler)
            self.distributed.mean([p.grad for p in learning if p.grad is not None])
            nn.utils.clip_grad_norm_(learning, self.config.clip_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        for name, value in self.network.state_dict().items():
            self.average[name].copy_(value)

    def _learn_poses(self, sampler: PoseSampler) -> float:
        """Add the gradients of the lifter's error on poses without images; returns it [dm]."""
        assert self.config.poses is not None
        features, gravity, locations = (
            t.to(self.device)
            for t in sampler.batch(self.config.poses.batch // self.distributed.size)
        )
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bfloat16):
            found = self.network.lifter.pose(torch.cat([features, gravity], dim=1))
        everywhere = torch.ones(len(found), NUM_JOINTS, device=self.device)
        error = losses.lifted_loss(found.float(), locations, everywhere)
        (self.config.losses.lifted * error).backward()
        return float(error.detach())

    def _update_average(self) -> None:
        n = self.progress.step
        keep = min(self.config.average_decay, (1.0 + n) / (10.0 + n))
        state = self.network.state_dict()
        with torch.no_grad():
            for name, mean in self.average.items():
                mean.lerp_(state[name].float(), 1.0 - keep)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """Lend the network with its averaged weights, in eval mode."""
        own = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        self.network.eval()
        try:
            yield self.network
        finally:
            self.network.load_state_dict(own)
            self.network.train()

    def state(self) -> dict[str, Any]:
        """All that a resumed training needs."""
        p = self.progress
        return {
            "config": to_mapping(self.config),
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": p.step,
            "samples": p.step * self.config.batch,
            "progress": p.value,
            "elapsed_s": p.elapsed_s,
            "validation": self.validation,
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Continue from what `state` gave."""
        self.network.load_state_dict(content["network"])
        self.average = {k: v.float() for k, v in content["average"].items()}
        self.optimizer.load_state_dict(content["optimizer"])
        p = self.progress
        p.step, p.value, p.elapsed_s = content["step"], content["progress"], content["elapsed_s"]
        self.validation = list(content["validation"])


def _train(distributed: Distributed, config: TrainConfig, folder: Path, resume: bool) -> None:
    import cv2

    cv2.setNumThreads(1)
    learner = Learner(config, distributed)
    if resume and (folder / LATEST).exists():
        learner.restore(checkpoints.read(folder / LATEST))
    else:
        learner.learn_poses_first()
    mixture = of_recipe(config)
    held_out = [(v.kind, open_source(v)) for v in config.validation]
    p = learner.progress
    log = (folder / LOG).open("a") if distributed.is_main else None
    bar = tqdm(
        disable=not distributed.is_main,
        unit="img",
        initial=p.step * config.batch,
        mininterval=20,
        dynamic_ncols=False,
    )
    since = dict.fromkeys(("validate", "checkpoint"), p.elapsed_s)
    smooth: dict[str, float] = {}
    stream = made_ahead(mixture, config, distributed, p.step, learner.device)
    last = time.perf_counter()
    while not p.done:
        terms = learner.step(next(stream))
        now = time.perf_counter()
        p.advance(distributed.broadcast(now - last))
        last = now
        for k, v in terms.items():
            smooth[k] = v if k not in smooth else 0.95 * smooth[k] + 0.05 * v
        bar.update(config.batch)
        if log is not None and p.step % 20 == 0:
            line = {
                "step": p.step,
                "minutes": round(p.elapsed_s / 60, 2),
                "progress": round(p.value, 4),
            } | {k: round(v, 5) for k, v in smooth.items()}
            log.write(json.dumps(line) + "\n")
            log.flush()
            bar.set_postfix_str(f"loss {smooth['loss']:.3f}, {p.left_s / 60:.0f} min left")
        due = p.elapsed_s - since["validate"] > config.validate_minutes * 60 or p.done
        if held_out and due:
            since["validate"] = p.elapsed_s
            mixture.refresh()
            with learner.averaged() as network:
                row = validation.validate(network, held_out, config, distributed)
            learner.validation.append({"step": p.step, "minutes": p.elapsed_s / 60} | row)
            if log is not None:
                log.write(json.dumps({"validation": learner.validation[-1]}) + "\n")
                log.flush()
                print("\n" + validation.table(learner.validation), flush=True)
            now = time.perf_counter()
            p.elapsed_s += distributed.broadcast(now - last)
            last = now
        if distributed.is_main and (
            p.elapsed_s - since["checkpoint"] > config.checkpoint_minutes * 60 or p.done or due
        ):
            since["checkpoint"] = p.elapsed_s
            checkpoints.save(folder / LATEST, learner.state())
    bar.close()
    if log is not None:
        log.close()


def train(config: TrainConfig, folder: str | Path, resume: bool = False) -> Path:
    """Run a recipe.

    Args:
        config: the recipe.
        folder: where checkpoint and log go.
        resume: continue from the folder's checkpoint if there is one.

    Returns:
        The checkpoint.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    run(config.processes, _train, config, folder, resume)
    return folder / LATEST
