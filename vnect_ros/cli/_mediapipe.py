"""MediaPipe's pose tracking in a process of its own: it needs NumPy 1.

`benchmark --baselines` starts it, with the folder that scripts/get_baselines fills first
on the path: frames [F, H, W, 3] (.npy), their period [s], complexity 1 (full) or 2 (heavy),
frames to play and how many of them warm up.  It prints the figures of `_pace.play` as JSON.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence

import numpy as np

from vnect_ros.cli import _pace


def main(argv: Sequence[str] | None = None) -> int:
    """The child's command line; returns the exit status."""
    from mediapipe.python.solutions.pose import Pose

    file, step_s, complexity, count, skip = sys.argv[1:] if argv is None else argv
    seen = 0
    with Pose(model_complexity=int(complexity)) as pose:

        def step(image: np.ndarray, stamp_s: float) -> None:
            nonlocal seen
            seen += pose.process(image).pose_landmarks is not None

        frames = _pace.there_and_back(np.load(file), float(step_s))
        found = _pace.play(itertools.islice(frames, int(count)), step, int(skip))
    print(json.dumps({**found, "seen": seen / int(count)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
