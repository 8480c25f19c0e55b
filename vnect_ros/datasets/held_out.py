"""Which rows of a data set training leaves out: the one place that decides it.

Two rules.  LSPET, whose rows are unrelated photographs, gives every twentieth row,
as published figures of it here always did.  Sets in which several rows show one
person, place or sequence are split by groups of rows: all rows of a group lie on
the same side, whichever set of rows is read and in whatever order.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np

from vnect_ros.errors import ConfigError, describe

PARTS: Final = ("all", "heldout", "train")
"""What a reader can be asked for: every row, those kept from training, or the others."""
_ROW_EVERY, _ROW_REMAINDER = 20, 7
_GROUP_EVERY, _GROUP_REMAINDER = 8, 7


def every_twentieth(count: int) -> np.ndarray:
    """[N] bool: the rows i with i % 20 == 7."""
    return np.arange(count) % _ROW_EVERY == _ROW_REMAINDER


def by_group(groups: Sequence[str]) -> np.ndarray:
    """[N] bool: the rows whose group's CRC-32, modulo 8, is 7: about an eighth of the groups."""
    chosen = {g: zlib.crc32(g.encode()) % _GROUP_EVERY == _GROUP_REMAINDER for g in set(groups)}
    return np.array([chosen[g] for g in groups], bool)


def rows_of(part: str, held_out: np.ndarray) -> np.ndarray:
    """[M] int64 the rows of a part.

    Args:
        part: one of PARTS.
        held_out: [N] bool of all rows, by one of the rules above.

    Raises:
        ConfigError: there is no such part.
    """
    if part not in PARTS:
        raise ConfigError(describe("part", part, ", ".join(PARTS)))
    kept = {"all": np.ones_like(held_out), "heldout": held_out, "train": ~held_out}[part]
    return np.flatnonzero(kept)
