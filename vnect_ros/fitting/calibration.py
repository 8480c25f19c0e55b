"""Bone lengths of the person at hand, measured over the first frames.

The network's own bones are noisy, and noise across a bone makes it look longer;
so each is measured along the direction that the fit gives it, and the median
over the frames is taken.  Only proportions are measured: a picture does not
show size, that comes from the person's height.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from vnect_ros.body.urdf import mean_bone_lengths, scaled_to_height, symmetric
from vnect_ros.fitting.inverse import bone_directions
from vnect_ros.records import Calibration
from vnect_ros.skeleton import BONES, NUM_JOINTS, PARENTS

_STEPS: Final = (0.1, 0.3, 1.0)
"""Shares of the frames after which the lengths so far are taken over."""
_TRUST: Final = 0.75
"""Share of the measured deviation from the mean body that is taken over at the end."""
_MAX_DEVIATION: Final = 1.35
"""No adult's bone differs more than this from the mean body's, as a factor."""
_CHILDREN: Final = np.array([c for _, c in BONES])
_PARENTS: Final = np.array(PARENTS)


class BoneCalibration:
    """Collects frames until the bone lengths are known.

    Args:
        frames: to average over.
        height_m: of the person, standing.
    """

    def __init__(self, frames: int, height_m: float) -> None:
        self._frames = frames
        self._height_m = height_m
        self._mean = mean_bone_lengths(height_m)
        self.state = Calibration.DEFAULT
        self.lengths_m = self._mean.copy()
        """[21] bone lengths as known so far [m]."""
        self._samples: list[np.ndarray] = []
        self._seen: list[np.ndarray] = []

    def resize(self, frames: int, height_m: float) -> None:
        """Take over another count and height; what was measured is kept."""
        self._frames = frames
        self._height_m = height_m
        self._mean = mean_bone_lengths(height_m)
        self.lengths_m = scaled_to_height(self.lengths_m, height_m)

    def add(self, bones_m: np.ndarray, fitted_m: np.ndarray, confidence: np.ndarray) -> bool:
        """Take a measured frame into account.

        Args:
            bones_m: [21, 3] the network's bones that end in each joint, its own body size.
            fitted_m: [21, 3] the fitted joints, any origin.
            confidence: [21]; bones with an end of confidence 0 are not measured.

        Returns:
            Whether lengths_m changed.
        """
        if self.state is Calibration.DONE:
            return False
        self.state = Calibration.RUNNING
        along = np.einsum("ij,ij->i", bones_m, bone_directions(fitted_m))
        seen = (confidence > 0.0) & (confidence[_PARENTS] > 0.0)
        seen[_CHILDREN] &= along[_CHILDREN] > 0.0
        self._samples.append(along)
        self._seen.append(seen)
        count = len(self._samples)
        if count >= self._frames:
            self._take_over()
            self.state = Calibration.DONE
            self._samples, self._seen = [], []
            return True
        if count in [math.ceil(step * self._frames) for step in _STEPS]:
            self._take_over()
            return True
        return False

    def _take_over(self) -> None:
        """Lengths from the samples so far, drawn towards the mean body while they are few."""
        seen = np.array(self._seen)
        counts = seen.sum(axis=0)
        samples = np.where(seen, np.array(self._samples), np.nan)
        measured = np.full(NUM_JOINTS, np.nan)
        known = counts > 0
        measured[known] = np.nanmedian(samples[:, known], axis=0)
        with_both = symmetric(measured)
        measured = np.where(np.isfinite(with_both), with_both, measured)
        bones = np.isfinite(measured) & (self._mean > 0.0)
        if bones.sum() < NUM_JOINTS // 2:
            return
        ratio = np.ones(NUM_JOINTS)
        ratio[bones] = measured[bones] / self._mean[bones]
        ratio[bones] /= np.median(ratio[bones])
        trust = _TRUST * counts / (counts + 4.0)
        ratio = np.clip(ratio ** np.where(bones, trust, 0.0), 1.0 / _MAX_DEVIATION, _MAX_DEVIATION)
        self.lengths_m = scaled_to_height(symmetric(self._mean * ratio), self._height_m)
