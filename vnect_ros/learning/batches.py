"""Batches made ahead, here or in processes of their own, and as networks take them."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Final

import numpy as np
import torch
from torch import nn

from vnect_ros.learning.config import TrainConfig
from vnect_ros.learning.distributed import Distributed
from vnect_ros.learning.mixture import Mixture
from vnect_ros.learning.sources import of_recipe

GRAVITY_GIVEN: Final = 0.6
"""Share of the samples whose gravity is known in which a network is given it."""


def normalise(image: torch.Tensor, network: nn.Module) -> torch.Tensor:
    """[B, S, S, 3] uint8 RGB to the network's [B, 3, S, S] float32 input, channels last.

    A network without `mean` and `std` is VNect: BGR, value / 255 - 0.4.
    """
    mean, std = float(getattr(network, "mean", 0.4)), float(getattr(network, "std", 1.0))
    x = image.permute(0, 3, 1, 2).float()
    if not hasattr(network, "mean"):
        x = x.flip(1)
    return x.mul_(1.0 / (255.0 * std)).sub_(mean / std)


def some_gravity(gravity: torch.Tensor) -> torch.Tensor:
    """[B, 3], zeros (unknown) in a random part of the samples: networks do without as well."""
    return gravity * (torch.rand(len(gravity), 1, device=gravity.device) < GRAVITY_GIVEN)


def made_ahead(
    mixture: Mixture, config: TrainConfig, distributed: Distributed, step: int, device: torch.device
) -> Iterator[dict[str, torch.Tensor]]:
    """This process's share of each batch from `step` on, made ahead.

    Args:
        mixture: what the samples come from; without effect where `config.loaders` open it
            themselves.
        config: the recipe.
        distributed: the processes that share each batch.
        step: number of the first batch.
        device: where the tensors go.
    """
    own = config.batch // distributed.size
    pool: Executor
    if config.loaders:
        pool = ProcessPoolExecutor(
            config.loaders, multiprocessing.get_context("spawn"), _open_mixture, (config,)
        )
        make: Callable[[int, int], dict[str, np.ndarray]] = _make_elsewhere
    else:
        pool = ThreadPoolExecutor(1)
        make = mixture.batch
    with pool:
        ahead: deque[Future[dict[str, np.ndarray]]] = deque()
        try:
            while True:
                while len(ahead) < 2 + 2 * config.loaders:
                    first = (step + len(ahead)) * config.batch + distributed.rank * own
                    ahead.append(pool.submit(make, first, own))
                batch = ahead.popleft().result()
                step += 1
                yield {
                    k: torch.from_numpy(v).to(device, non_blocking=True) for k, v in batch.items()
                }
        finally:
            for waiting in ahead:
                waiting.cancel()


_elsewhere: Mixture | None = None


def _open_mixture(config: TrainConfig) -> None:
    global _elsewhere
    import cv2

    cv2.setNumThreads(1)
    _elsewhere = of_recipe(config)


def _make_elsewhere(first: int, count: int) -> dict[str, np.ndarray]:
    assert _elsewhere is not None
    if first % (512 * count) == 0:
        _elsewhere.refresh()
    return _elsewhere.batch(first, count)
