"""Pickles of arrays by name, read without running what they say.

A pickle is a program.  This unpickler knows the few words that dictionaries of
NumPy arrays are made of, and refuses all others before anything is called.
"""

from __future__ import annotations

import collections
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from vnect_ros.errors import ModelError


def _encode(text: str, encoding: str = "latin1", errors: str = "strict") -> bytes:
    """What Python 2's protocols write bytes with; only that use of it."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"refuses the codec {encoding!r}")
    return text.encode("latin1")


def _known() -> dict[tuple[str, str], Callable[..., Any]]:
    words: dict[tuple[str, str], Callable[..., Any]] = {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _encode,
    }
    array = np.arange(2.0)
    for word in (array.__reduce__()[0], np.float32(1).__reduce__()[0]):  # _reconstruct, scalar
        for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            words[module, word.__name__] = word
    from_buffer = array.__reduce_ex__(5)[0]  # protocol 5 writes arrays so
    for module in ("numpy.core.numeric", "numpy._core.numeric"):
        words[module, from_buffer.__name__] = from_buffer
    return words


class _Unpickler(pickle.Unpickler):
    known = _known()

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.known:
            raise pickle.UnpicklingError(f"refuses {module}.{name}: not part of an array")
        return self.known[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("refuses references to things outside the file")


def read_pickle(file: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a pickled dictionary, by name.

    Raises:
        ModelError: the file cannot be read, says more than arrays, or is no
            dictionary of numeric arrays.
    """
    try:
        data = Path(file).read_bytes()
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error}") from error
    try:
        content = _Unpickler(io.BytesIO(data), encoding="latin1").load()
    except Exception as error:  # a damaged pickle raises anything at all
        raise ModelError(f"{file}: no pickle of arrays: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"{file}: got a {type(content).__name__}, accepted: a dictionary")
    arrays = {}
    for name, value in content.items():
        array = np.asarray(value)
        if not isinstance(name, str) or array.dtype.kind not in "fiu":
            raise ModelError(f"{file}: entry {name!r}: got {array.dtype}, accepted: numbers")
        arrays[name] = array
    return arrays
