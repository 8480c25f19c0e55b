"""Batches from several data sets, each sample a function of (seed, its number)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from vnect_ros.datasets.sample import Sample
from vnect_ros.learning.augmentation import Augmentation, augment

_PERIOD = 64


class Source(Protocol):
    """A data set: a length and samples by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> Sample: ...


class Mixture:
    """An endless, numbered stream of augmented samples.

    The sources alternate in a fixed pattern of their shares; within a source each
    epoch is a fresh permutation.  Sample n is the same whoever asks, in whatever
    order: so a training resumes, and processes share work, without any state.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        shares: Sequence[float],
        how: Augmentation | Sequence[Augmentation],
        size: int,
        seed: int,
    ) -> None:
        if not sources or len(sources) != len(shares):
            raise ValueError(
                f"sources: got {len(sources)} with {len(shares)} shares, "
                "accepted: at least one, each with its share"
            )
        self._sources = list(sources)
        self._how = [how] * len(sources) if isinstance(how, Augmentation) else list(how)
        self._size, self._seed = size, seed
        total = np.asarray(shares, float) / np.sum(shares)
        used = np.zeros(len(sources))
        pattern = []
        for slot in range(_PERIOD):
            chosen = int(np.argmax(total * (slot + 1) - used))
            pattern.append(chosen)
            used[chosen] += 1
        self._pattern = np.array(pattern)
        self._orders: dict[tuple[int, int, int], np.ndarray] = {}

    def place(self, n: int) -> tuple[int, int]:
        """Source and index within it of sample `n`."""
        slot = n % _PERIOD
        source = int(self._pattern[slot])
        a_period = int((self._pattern == source).sum())
        before = int((self._pattern[:slot] == source).sum())
        count = n // _PERIOD * a_period + before
        length = len(self._sources[source])
        epoch, place = divmod(count, length)
        key = (source, epoch, length)
        if key not in self._orders:
            self._orders = {k: v for k, v in self._orders.items() if k[0] != source}
            rng = np.random.default_rng([self._seed, source, epoch])
            self._orders[key] = rng.permutation(length)
        return source, int(self._orders[key][place])

    def refresh(self) -> None:
        """Let sources that grow take in what is new; their order changes from here on."""
        for source in self._sources:
            if hasattr(source, "refresh"):
                source.refresh()

    def sample(self, n: int) -> Sample:
        """The augmented sample number `n`."""
        source, index = self.place(n)
        rng = np.random.default_rng([self._seed, n])
        data = self._sources[source]
        other = None
        if rng.random() < 0.6:
            other = data[int(rng.integers(len(data)))].image
        return augment(rng, self._how[source], data[index], self._size, other)

    def batch(self, first: int, count: int) -> dict[str, np.ndarray]:
        """Samples `first` to `first + count`, stacked."""
        return collate([self.sample(n) for n in range(first, first + count)])


def collate(samples: Sequence[Sample]) -> dict[str, np.ndarray]:
    """Stack samples of one size along a new first axis."""
    names = ("image", "joints_px", "visible", "joints_m", "weight_3d", "gravity")
    stacked = {name: np.stack([getattr(s, name) for s in samples]) for name in names}
    return stacked | {"present": np.array([s.present for s in samples], np.float32)}
