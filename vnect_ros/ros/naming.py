"""Names of bodies and frames; known to the node and to the launch files."""

from __future__ import annotations

import hashlib

DEFAULT_ID = "human"
CAMERA_FRAME = "camera_optical_frame"
"""Of recordings that name no frame."""


def body_id(configured: str, namespace: str) -> str:
    """The REP-155 id (5 characters) that everyone tracked gets.

    Args:
        configured: the parameter `body_id`.
        namespace: of the node.

    Returns:
        What is configured; for "auto" "human", or in a namespace one made of
        it: TF is global, and two nodes must not publish the same frames.  It
        begins with a letter, as the names of topics must.
    """
    if configured != "auto":
        return configured
    name = namespace.strip("/")
    return "n" + hashlib.sha256(name.encode()).hexdigest()[:4] if name else DEFAULT_ID
