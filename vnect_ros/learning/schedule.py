"""How far a training is, and the learning rate that follows."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass
class Progress:
    """Goes from 0 to 1, by steps or by the clock.

    By steps it is exactly step / steps.  By the clock each step advances by an
    equal share of what the remaining time allows at the rate seen so far; the
    value is kept in the checkpoint, so a resumed training continues the same curve.
    """

    steps: int
    budget_s: float
    step: int = 0
    value: float = 0.0
    elapsed_s: float = 0.0

    def advance(self, step_s: float) -> None:
        """Count one step that took `step_s` seconds."""
        self.step += 1
        self.elapsed_s += step_s
        if self.steps > 0:
            self.value = min(1.0, self.step / self.steps)
            return
        left_s = self.budget_s - self.elapsed_s
        mean_s = self.elapsed_s / self.step
        left = max(1.0, left_s / mean_s)
        self.value = 1.0 if left_s <= 0 else min(1.0, self.value + (1.0 - self.value) / (left + 1))

    @property
    def done(self) -> bool:
        """Whether the training has had its steps or its time."""
        return self.step >= self.steps if self.steps > 0 else self.elapsed_s >= self.budget_s

    @property
    def left_s(self) -> float:
        """Estimated time to the end [s]."""
        if self.steps <= 0:
            return max(0.0, self.budget_s - self.elapsed_s)
        return (self.steps - self.step) * self.elapsed_s / max(1, self.step)


def rate_share(progress: float, step: int, warm_up_steps: int, final_share: float) -> float:
    """Share of the peak learning rate: a linear warm-up times half a cosine."""
    warm = min(1.0, (step + 1) / max(1, warm_up_steps))
    return warm * (final_share + (1.0 - final_share) * 0.5 * (1.0 + math.cos(math.pi * progress)))
