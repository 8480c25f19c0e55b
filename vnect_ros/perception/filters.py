"""The 1-Euro filter, for whole arrays and real time stamps.

Casiez, Roussel and Vogel, "1 Euro Filter", CHI 2012:

    alpha(fc) = 1 / (1 + tau / dt),  tau = 1 / (2 pi fc)
    dx^ = low-pass of the derivative with a constant cut-off
    fc  = min_cutoff + beta |dx^|

A low cut-off at rest takes the jitter away, a cut-off that rises with the speed
takes the lag away.
"""

from __future__ import annotations

import math

import numpy as np

from vnect_ros import native
from vnect_ros.errors import ConfigError, describe


class OneEuro:
    """A 1-Euro filter over every element of an array, each on its own.

    Args:
        min_cutoff_hz: cut-off at rest [Hz], above 0.
        beta: rise of the cut-off with the speed [Hz per unit/s]; the unit is
            that of the values, or what `unit` of the call makes it.
        derivative_cutoff_hz: cut-off of the speed [Hz], above 0.

    Raises:
        ConfigError: a constant out of its range.
    """

    def __init__(
        self, min_cutoff_hz: float, beta: float, derivative_cutoff_hz: float = 1.0
    ) -> None:
        self.configure(min_cutoff_hz, beta, derivative_cutoff_hz)
        self.reset()

    def configure(
        self, min_cutoff_hz: float, beta: float, derivative_cutoff_hz: float = 1.0
    ) -> None:
        """Change the constants; the state stays."""
        for name, value, low in (
            ("min_cutoff_hz", min_cutoff_hz, 0.0),
            ("derivative_cutoff_hz", derivative_cutoff_hz, 0.0),
        ):
            if not (math.isfinite(value) and value > low):
                raise ConfigError(describe(name, value, "a finite number above 0"))
        if not (math.isfinite(beta) and beta >= 0.0):
            raise ConfigError(describe("beta", beta, "a finite number from 0"))
        self._min_cutoff_hz = min_cutoff_hz
        self._beta = beta
        self._derivative_cutoff_hz = derivative_cutoff_hz

    def reset(self) -> None:
        """Forget the past: the next value passes as it is."""
        self._stamp_s: float | None = None
        self._value = np.empty(0)
        self._speed = np.empty(0)

    def filter(self, stamp_s: float, values: np.ndarray, *, unit: float = 1.0) -> np.ndarray:
        """The filtered values.

        Args:
            stamp_s: time of the values [s], after the last ones'.
            values: array of any shape; another shape than last time resets.  NaN
                passes, and what returns from it starts afresh.
            unit: what beta counts the speed in, as a multiple of the values'
                unit: 0.1 for a beta per dm/s over metres.

        Returns:
            float64 array of the shape of values.
        """
        values = np.array(values, dtype=np.float64, order="C")
        if self._stamp_s is None or values.shape != self._value.shape:
            self._stamp_s, self._value, self._speed = stamp_s, values, np.zeros_like(values)
            return values.copy()
        dt_s, self._stamp_s = stamp_s - self._stamp_s, stamp_s
        native.one_euro(
            values, dt_s, self._derivative_cutoff_hz, self._min_cutoff_hz, self._beta / unit,
            self._value, self._speed,
        )  # fmt: skip
        return self._value.copy()
