"""Every error a caller of vnect_ros may catch.

Messages name the field, the value received and what is accepted, so that they
can be put on `/diagnostics` as they are.
"""


class VnectError(Exception):
    """Root of the tree: anything this package raises on purpose."""


class ConfigError(VnectError, ValueError):
    """A configuration value is missing, unknown or out of its range."""


class CameraError(VnectError, ValueError):
    """Intrinsics, distortion or image size that cannot describe a camera."""


class ImageError(VnectError, ValueError):
    """An image whose encoding, step, size or data cannot be read."""


class ModelError(VnectError):
    """A model bundle that is incomplete, corrupt or not what it declares."""


class BackendError(VnectError, RuntimeError):
    """An inference runtime that is missing, or failed to load or run a model."""


def describe(field: str, value: object, accepted: str) -> str:
    """Word a refusal: the field, the value received and what is accepted."""
    return f"{field}: got {value!r}, accepted: {accepted}"
