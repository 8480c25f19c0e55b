"""Several processes that share each batch.

On a CPU, one single-threaded process a core beats one process of many threads:
nothing waits at the barrier of every operator, only once a step.
"""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


class Distributed:
    """This process's place among those that train together."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def is_main(self) -> bool:
        """Whether this process logs, and writes files."""
        return self.rank == 0

    def mean(self, tensors: list[torch.Tensor]) -> None:
        """Replace each tensor by its mean over the processes."""
        if self.size == 1:
            return
        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        at = 0
        for t in tensors:
            t.copy_(flat[at : at + t.numel()].view_as(t))
            at += t.numel()

    def broadcast(self, value: float) -> float:
        """The main process's value, in every process."""
        if self.size == 1:
            return value
        held = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(held, 0)
        return float(held)

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, in the order of their ranks."""
        if self.size == 1:
            return [value]
        out: list[Any] = [None] * self.size
        dist.all_gather_object(out, value)
        return out


def _member(
    rank: int, size: int, meet: str, work: Callable[..., None], args: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{meet}",
        rank=rank,
        world_size=size,
        timeout=datetime.timedelta(minutes=20),
    )
    try:
        work(Distributed(rank, size), *args)
    finally:
        dist.destroy_process_group()


def run(size: int, work: Callable[..., None], *args: Any) -> None:
    """Call `work(distributed, *args)` in `size` processes (one: in this one) and wait."""
    if size == 1:
        work(Distributed(), *args)
        return
    with tempfile.TemporaryDirectory() as folder:
        meet = str(Path(folder) / "meet")
        mp.start_processes(_member, (size, meet, work, args), size, start_method="spawn")
