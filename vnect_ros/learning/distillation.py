"""The int8 form of a network learns to give what its float32 form gives.

No labels: the float32 network is the teacher, on the crops of a training recipe.  The
student computes as the int8 file does (`learning.quantised`).
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from vnect_ros.errors import ConfigError, describe
from vnect_ros.inference.model import Model
from vnect_ros.learning import checkpoints
from vnect_ros.learning.batches import made_ahead, some_gravity
from vnect_ros.learning.checkpoints import LATEST, LOG
from vnect_ros.learning.config import TrainConfig
from vnect_ros.learning.distributed import Distributed
from vnect_ros.learning.quantised import ExportedNetwork
from vnect_ros.learning.schedule import Progress, rate_share
from vnect_ros.learning.sources import of_recipe
from vnect_ros.networks.lift import pose_features, shares
from vnect_ros.skeleton import NUM_JOINTS

_READ: Final = {
    "logits": "head.heatmaps.maps.weight",
    "delta": "head.delta.weight",
    "locations": "head.locations.weight",
    "summary": "head.summary.weight",
    "presence": "presence.2.weight",
}
"""What is compared, and the layer that gives it."""


_LEAST_LOGIT: Final = -8.0
"""Of heatmaps: what is below is 0 (3e-4) all the same, and finer steps are left for the rest."""


@dataclasses.dataclass(frozen=True)
class DistillationConfig:
    """How long and how fast the int8 form learns."""

    batch: int = 8
    """Crops a step."""
    steps: int = 0
    """Length in steps; 0 takes it from `minutes`."""
    minutes: float = 40.0
    """Length on the clock [min]."""
    rate: float = 1e-5
    """Peak learning rate of weights, relative to their channels' largest, and of biases.  At 1e-4
    the optimiser's own noise exceeds that of the rounding."""
    scale_rate: float = 3e-3
    """Peak learning rate of the logarithms of the activations' scales."""
    warm_up_steps: int = 50
    clip_norm: float = 20.0
    checkpoint_minutes: float = 4.0

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ConfigError(describe("batch", self.batch, "at least 1"))
        if self.steps <= 0 and self.minutes <= 0:
            raise ConfigError(describe("minutes", self.minutes, "above 0, or steps"))
        for name in ("rate", "scale_rate"):
            if not 0.0 < getattr(self, name) <= 0.1:
                raise ConfigError(describe(name, getattr(self, name), "above 0, at most 0.1"))


def readings(
    network: ExportedNetwork, image: torch.Tensor, gravity: torch.Tensor
) -> dict[str, torch.Tensor]:
    """What a network gives, as the loss compares it.

    Returns:
        "logits" [B, 21, h, w]; "delta" and "locations" [B, 63, h/2, w/2] and "lifted" [B, 63]
        in decimetres; "summary" [B, E]; "presence" [B], a logit; "places" [B, 42], x and y of
        the joints in crops from -1 to 1; "peaks" [B, 21].
    """
    names = {name: network.read_out(layer) for name, layer in _READ.items()}
    given = network(image, gravity, [*names.values(), *network.outputs])
    out = {name: given[tensor] for name, tensor in names.items()}
    maps = given[network.outputs[0]]
    features = pose_features(*shares(maps[:, :NUM_JOINTS]))
    return out | {
        "lifted": maps[:, NUM_JOINTS:, 0, 0],
        "presence": out["presence"][:, 0],
        "places": features[:, : 2 * NUM_JOINTS],
        "peaks": features[:, 2 * NUM_JOINTS :],
    }


def _distances(a: torch.Tensor, b: torch.Tensor, axes: int) -> torch.Tensor:
    """[B, 21] of points [B, axes * 21], rounded off near zero."""
    return ((a - b).unflatten(1, (axes, NUM_JOINTS)).square().sum(1) + 1e-6).sqrt()


def distillation_loss(
    student: Mapping[str, torch.Tensor], teacher: Mapping[str, torch.Tensor], size: int
) -> tuple[torch.Tensor, dict[str, float]]:
    """How far the student is from the teacher, where the teacher sees something.

    Heatmaps: the divergence of each cell's probability, so that also empty maps stay
    empty; the joints' places in the picture, and in 3D: distances, weighted by the
    teacher's peak; the maps behind them likewise.

    Args:
        student, teacher: of `readings`.
        size: edge of the input [px].

    Returns:
        The loss, and the value of each term for the log ("px" and "mm" are mean distances).
    """
    seen = teacher["peaks"].clamp(0.0, 1.0)
    person = torch.sigmoid(teacher["presence"])
    total = seen.sum().clamp_min(1.0)
    given, wanted = (r["logits"].clamp_min(_LEAST_LOGIT) for r in (student, teacher))
    target = torch.sigmoid(wanted)
    entropy = F.binary_cross_entropy_with_logits(wanted, target, reduction="none")
    crossed = F.binary_cross_entropy_with_logits(given, target, reduction="none")
    px = (_distances(student["places"], teacher["places"], 2) * seen).sum() * (0.5 * size) / total
    dm = (_distances(student["lifted"], teacher["lifted"], 3) * person[:, None]).sum() / (
        NUM_JOINTS * person.sum().clamp_min(1.0)
    )
    near = F.avg_pool2d(target, 2)
    near = (near / near.sum((2, 3), keepdim=True).clamp_min(1e-3) * seen[..., None, None]).repeat(
        1, 3, 1, 1
    )
    terms = {
        "heat": (0.3, (crossed - entropy).sum((2, 3)).mean()),
        "px": (0.3, px),
        "dm": (2.0, dm),
        "locations": (
            0.3,
            ((student["locations"] - teacher["locations"]).abs() * near).sum() / total,
        ),
        "delta": (0.3, ((student["delta"] - teacher["delta"]).abs() * near).sum() / total),
        "summary": (0.1, F.l1_loss(student["summary"], teacher["summary"])),
        "presence": (
            0.3,
            F.binary_cross_entropy_with_logits(student["presence"], person)
            - F.binary_cross_entropy_with_logits(teacher["presence"], person),
        ),
    }
    loss = torch.stack([weight * value for weight, value in terms.values()]).sum()
    logged = {name: float(value.detach()) for name, (_, value) in terms.items()}
    return loss, logged | {"mm": 100.0 * logged.pop("dm"), "loss": float(loss.detach())}


class Distiller:
    """Teacher, student, optimiser and schedule.

    Attributes:
        batches_before: of the trainings that this one goes on from.
    """

    def __init__(
        self, teacher: ExportedNetwork, student: ExportedNetwork, bundle: Model,
        config: DistillationConfig,
    ) -> None:  # fmt: skip
        self.teacher, self.student, self.config = teacher.requires_grad_(False), student, config
        student.raise_floor(student.read_out(_READ["logits"]), _LEAST_LOGIT)
        self.size = bundle.input_size
        self._mean = torch.tensor(bundle.mean).view(3, 1, 1)
        self._std = torch.tensor(bundle.std).view(3, 1, 1)
        self._reversed = bundle.colour_order == "BGR"
        self.optimizer = torch.optim.AdamW(
            [
                {"params": list(student.learning.values()), "peak": config.rate},
                {"params": list(student.log_scales.values()), "peak": config.scale_rate},
            ],
            betas=(0.9, 0.99),
            weight_decay=0.0,
        )
        self.progress = Progress(config.steps, config.minutes * 60.0)
        self.batches_before = 0

    def prepared(self, image: torch.Tensor) -> torch.Tensor:
        """[B, S, S, 3] uint8 RGB to the network's input, channels last; see `Model.prepare`."""
        x = image.permute(0, 3, 1, 2).float()
        if self._reversed:
            x = x.flip(1)
        return (x / 255.0 - self._mean) / self._std

    def step(self, batch: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """Learn from one batch; returns the values of the losses."""
        config, p = self.config, self.progress
        share = rate_share(p.value, p.step, config.warm_up_steps, 0.0)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        image = self.prepared(batch["image"])
        gravity = some_gravity(batch["gravity"])
        with torch.no_grad():
            truth = readings(self.teacher, image, gravity)
        loss, terms = distillation_loss(readings(self.student, image, gravity), truth, self.size)
        loss.backward()
        learning = [q for g in self.optimizer.param_groups for q in g["params"]]
        norm = nn.utils.clip_grad_norm_(learning, config.clip_norm)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return terms | {"norm": float(norm)}

    def state(self) -> dict[str, Any]:
        """All that a resumed training needs."""
        p = self.progress
        return {
            "average": self.student.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": p.step,
            "progress": p.value,
            "elapsed_s": p.elapsed_s,
            "batches_before": self.batches_before,
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Continue from what `state` gave; from the end of a training begin another one.

        In another one more layers may be in float32; those have the teacher's weights again.

        Raises:
            ConfigError: the checkpoint lacks a layer that is quantised here.
        """
        own, stored = self.student.state_dict(), content["average"]
        has_ended = content["progress"] >= 1.0
        lacking = sorted(own.keys() - stored.keys() if has_ended else own.keys() ^ stored.keys())
        if lacking:
            accepted = "in float32 as in the checkpoint"
            raise ConfigError(describe("layer", lacking[0].replace("/", "."), accepted))
        self.student.load_state_dict({k: stored[k] for k in own})
        p, self.batches_before = self.progress, content["batches_before"]
        if has_ended:
            self.batches_before += content["step"]
            return
        self.optimizer.load_state_dict(content["optimizer"])
        p.step, p.value, p.elapsed_s = content["step"], content["progress"], content["elapsed_s"]


def distil(
    distiller: Distiller, recipe: TrainConfig, folder: str | Path, resume: bool = False
) -> None:
    """Let the student learn.

    Args:
        distiller: teacher and student.
        recipe: says where the crops come from: sources, augmentation, size, seed, loaders.
        folder: where checkpoint and log go.
        resume: go on from the folder's checkpoint if there is one; where that training has
            ended, with another one.

    Raises:
        ConfigError: the recipe's crops have another size than the network takes.
    """
    config, p = distiller.config, distiller.progress
    if recipe.size != distiller.size:
        raise ConfigError(describe("size of the recipe", recipe.size, str(distiller.size)))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    if resume and (folder / LATEST).exists():
        distiller.restore(checkpoints.read(folder / LATEST))
    recipe = dataclasses.replace(recipe, batch=config.batch, processes=1)
    first = distiller.batches_before + p.step
    stream = made_ahead(of_recipe(recipe), recipe, Distributed(), first, torch.device("cpu"))
    saved_s = p.elapsed_s
    last = time.perf_counter()
    with (folder / LOG).open("a") as log, tqdm(unit="img", mininterval=20) as bar:
        for terms in _smoothed(distiller.step(batch) for batch in stream):
            now = time.perf_counter()
            p.advance(now - last)
            last = now
            bar.update(config.batch)
            if p.step % 10 == 0 or p.done:
                line = {"step": p.step, "minutes": round(p.elapsed_s / 60, 2)}
                log.write(json.dumps(line | {k: round(v, 5) for k, v in terms.items()}) + "\n")
                log.flush()
                bar.set_postfix_str(
                    f"{terms['px']:.2f} px, {terms['mm']:.1f} mm, {p.left_s / 60:.0f} min left"
                )
            if p.done or p.elapsed_s - saved_s > config.checkpoint_minutes * 60:
                saved_s = p.elapsed_s
                checkpoints.save(folder / LATEST, distiller.state())
            if p.done:
                break
    stream.close()  # type: ignore[attr-defined]


def _smoothed(rows: Iterator[dict[str, float]]) -> Iterator[dict[str, float]]:
    """Each row averaged with those before it."""
    mean: dict[str, float] = {}
    for row in rows:
        mean = {k: 0.95 * mean.get(k, v) + 0.05 * v for k, v in row.items()}
        yield mean
