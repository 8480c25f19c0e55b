"""Writes one_euro.csv: the 1-Euro filter in scalar form, straight from the paper.

Independent of vnect_ros.perception.filters on purpose.  Run: python test/data/make_one_euro.py
"""

import csv
import math
import random
from pathlib import Path

MIN_CUTOFF_HZ, BETA, DERIVATIVE_CUTOFF_HZ = 1.7, 0.3, 1.0


class LowPass:
    def __init__(self):
        self.last = None

    def __call__(self, value, alpha):
        self.last = value if self.last is None else alpha * value + (1 - alpha) * self.last
        return self.last


def alpha(cutoff, dt):
    return 1 / (1 + 1 / (2 * math.pi * cutoff) / dt)


def main():
    random.seed(20171)
    value_filter, speed_filter = LowPass(), LowPass()
    rows, t, last_t = [], 12.0, 0.0
    for i in range(200):
        noisy = 40 * math.sin(2 * math.pi * 0.7 * t) + (15 if i > 120 else 0) + random.gauss(0, 2)
        if i:
            dt = t - last_t
            speed = speed_filter((noisy - value_filter.last) / dt, alpha(DERIVATIVE_CUTOFF_HZ, dt))
            filtered = value_filter(noisy, alpha(MIN_CUTOFF_HZ + BETA * abs(speed), dt))
        else:
            speed_filter(0.0, 1.0)
            filtered = value_filter(noisy, 1.0)
        rows.append((f"{t:.9f}", f"{noisy:.9f}", f"{filtered:.9f}"))
        last_t = float(rows[-1][0])
        t = last_t + random.choice((1 / 120, 1 / 60, 1 / 30, 1 / 25, 0.2))
    with open(Path(__file__).with_name("one_euro.csv"), "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("stamp_s", "noisy", "filtered"))
        writer.writerows(rows)


if __name__ == "__main__":
    main()
