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

from vnect_ros.errors import ConfigError, describe


def smoothing(cutoff_hz: np.ndarray | float, dt_s: float) -> np.ndarray | float:
    """Share of the new value in a first-order low-pass: alpha(fc) above, in (0, 1)."""
    return 1.0 / (1.0 + 1.0 / (2.0 * math.pi * cutoff_hz * dt_s))


SAME_S = 1e-9
"""Stamps nearer than this are the same: messages count nanoseconds."""


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

    def filter(
        self,
        stamp_s: float,
        values: np.ndarray,
        *,
        unit: float = 1.0,
        mask: np.ndarray | None = None,
    ) -> np.ndarray:
        """The filtered values.

        Args:
            stamp_s: time of the values [s].  The same stamp again changes nothing
                and gives the last answer; an earlier one resets the filter.
            values: array of any shape; another shape than last time resets.
            unit: what beta counts the speed in, as a multiple of the values'
                unit: 0.1 for a beta per dm/s over metres.
            mask: bool over the leading axes of values; False (and NaN) elements
                pass as they are, and start afresh when they return.

        Returns:
            float64 array of the shape of values.
        """
        values = np.array(values, dtype=np.float64)
        seen = np.isfinite(values)
        if mask is not None:
            mask = np.asarray(mask)
            seen &= mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim))
        if self._stamp_s is None or stamp_s < self._stamp_s or values.shape != self._value.shape:
            self._stamp_s = stamp_s
            self._value = np.where(seen, values, np.nan)
            self._speed = np.zeros_like(values)
            return values.copy()
        if stamp_s - self._stamp_s < SAME_S:
            return np.where(np.isfinite(self._value), self._value, values)
        dt_s = stamp_s - self._stamp_s
        known = np.isfinite(self._value) & seen
        last = np.where(known, self._value, values)
        change = np.where(known, values - last, 0.0)
        share = smoothing(self._derivative_cutoff_hz, dt_s)
        speed = np.where(known, self._speed, 0.0)
        speed = speed + share * (change / dt_s - speed)
        cutoff_hz = self._min_cutoff_hz + self._beta * np.abs(speed) / unit
        answer = last + smoothing(cutoff_hz, dt_s) * change
        self._stamp_s, self._speed = stamp_s, speed
        self._value = np.where(seen, answer, np.nan)
        return answer
