"""What a backend is: `infer` and `close`; and what the runtimes share of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from vnect_ros.errors import BackendError, ModelError, describe
from vnect_ros.inference.model import Model
from vnect_ros.records import Maps


class Backend(Protocol):
    """Runs one model.  The runtime's errors become BackendError."""

    name: str
    """What diagnostics call it: "onnxruntime", "tensorrt", ..."""
    model: Model
    detail: str
    """One line for diagnostics: version, precision, device, and why "auto" took it."""

    def infer(
        self, images: Sequence[np.ndarray], gravities: Sequence[np.ndarray] | None = None
    ) -> list[Maps]:
        """Run the network on each crop.

        Args:
            images: crops [S, S, 3] uint8 RGB, S the model's input size.
            gravities: direction of gravity [3] of each crop, of unit length, in the
                axes of the model's location_frame; zeros where it is unknown, as None
                is for all.  A model without that input does without them.

        Returns:
            The maps of each crop, in the model-independent layout.

        Raises:
            BackendError: the runtime failed.
        """
        ...

    def close(self) -> None:
        """Give back what the runtime holds; calling it twice is harmless."""
        ...


class RuntimeBackend(ABC):
    """A backend that runs the crops one by one, by the names of the network's tensors."""

    name = ""

    def __init__(self, model: Model, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Tell the image and the maps from the tensors that the bundle declares.

        Args:
            inputs: names of the network's inputs.
            outputs: of its outputs.

        Raises:
            BackendError: there are others, or fewer.
        """
        self.model, self.detail = model, f"{self.name}, {model.precision}"
        self._image = undeclared(model, "inputs", inputs, model.gravity_input)
        self._maps = undeclared(model, "outputs", outputs, model.presence_output)

    def infer(
        self, images: Sequence[np.ndarray], gravities: Sequence[np.ndarray] | None = None
    ) -> list[Maps]:
        """Run the network on each crop; see `Backend.infer`."""
        if not self._is_open():
            raise BackendError(f"{self.name}: the backend is closed")
        if gravities is None:
            gravities = [np.zeros(3)] * len(images)
        if len(gravities) != len(images):
            raise BackendError(describe("gravities", len(gravities), f"{len(images)}, one a crop"))
        return [self._infer_one(image, g) for image, g in zip(images, gravities, strict=True)]

    def _infer_one(self, image: np.ndarray, gravity: np.ndarray) -> Maps:
        feed = {self._image: self._prepared(image)}
        if self.model.gravity_input:
            feed[self.model.gravity_input] = np.asarray(gravity, np.float32).reshape(1, 3)
        try:
            outputs = self._run(feed)
        except BackendError:
            raise
        except Exception as error:  # the runtimes' errors share no narrower base
            raise BackendError(f"{self.name} failed on {self.model.name}: {error}") from error
        try:
            return self.model.maps(outputs[self._maps], outputs.get(self.model.presence_output))
        except ModelError as error:
            raise BackendError(f"{self.name}: {error}") from error

    def _prepared(self, image: np.ndarray) -> np.ndarray:
        """The network's input for one crop."""
        return self.model.prepare(image)

    @abstractmethod
    def _is_open(self) -> bool:
        """Whether `close` has not been called."""

    @abstractmethod
    def _run(self, feed: dict[str, np.ndarray]) -> Mapping[str, Any]:
        """Run the network: inputs by name to outputs by name, in memory of their own.

        The maps may come in parts, see `Model.maps`.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what the runtime holds; calling it twice is harmless."""


def undeclared(model: Model, what: str, names: Sequence[str], declared: str) -> str:
    """The one tensor of a network that is left beside a declared one ("" for none).

    Raises:
        BackendError: there are others, or fewer.
    """
    rest = [name for name in names if name != declared]
    if len(rest) != 1 or (declared and declared not in names):
        accepted = f"{declared} and one other" if declared else "one"
        raise BackendError(describe(f"{model.file}: {what}", ", ".join(names), accepted))
    return rest[0]
