"""Readers on real people, against two other networks' labels where these agree.

The labels are no truth: `datasets.people` names whose they are.  2D is MoveNet Thunder's,
3D BlazePose heavy's, both kept only where the two agree, so that a joint is judged by
what two independent networks found alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from vnect_ros.datasets.people import Labels
from vnect_ros.evaluation import metrics, pck, sides
from vnect_ros.evaluation.reading import Readings


def score(readings: Readings, labels: Labels) -> dict[str, Any]:
    """The figures over all crops, by set, and by view of the person.

    Returns:
        Of all, and of each set below `sets`: `n` crops; `pck02`, `pck05` of the torso;
        `scaled_mm` and `pa_mm` of
        `metrics.limb_figures`; `exchanged`, the share with left and right exchanged.  Below
        `views` that share by the side from which the person is seen.
    """
    truth14 = pck.annotation(labels.joints_px, labels.visible >= 1.0)
    truth_m = np.where(labels.weight_3d[..., None] > 0.0, labels.joints_m, np.nan)
    view = sides.views(labels.joints_m)
    flags = sides.exchanged(readings.pixels_px, truth14)

    def figures(rows: np.ndarray) -> dict[str, Any]:
        found = pck.pck(readings.pixels_px[rows], truth14[rows])
        return {
            "n": int(rows.sum()),
            **{k: found[k] for k in ("pck02", "pck05", "pck02_low", "pck02_high")},
            **metrics.limb_figures(readings.root_relative_m[rows], truth_m[rows]),
            "exchanged": float(flags[rows].mean()),
        }

    return {
        **figures(np.ones(len(view), bool)),
        "sets": {str(name): figures(labels.sets == name) for name in dict.fromkeys(labels.sets)},
        "views": sides.by_view(flags, view),
    }
