"""Other nodes that publish what is ours alone: a body of theirs tears ours between two places."""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.node import Node

from vnect_ros.ros import hri


def conflicts(node: Node, ids: Iterable[str]) -> str:
    """Which other nodes publish bodies of the same ids, in words; "" for none.

    They may be in any namespace: /tf is global, and names its frames by the id.

    Args:
        ids: of the bodies that the node publishes.
    """
    topics = [name for name, _ in node.get_topic_names_and_types()]
    found = []
    for body_id in ids:
        ending = f"/bodies/{body_id}/urdf"
        if others := _others(node, [topic for topic in topics if topic.endswith(ending)]):
            found.append(f"body_{body_id} is published by {others} too: give each a body_id")
    tracked = f"{hri.ROOT}/tracked"
    if others := _others(node, [tracked]):
        found.append(f"{tracked} is published by {others} too: each list ends the other's bodies")
    return "; ".join(found)


def _others(node: Node, topics: list[str]) -> str:
    """Who else publishes on topics; "" for nobody, or where the node does not itself."""
    own, is_ours, others = node.get_fully_qualified_name(), False, set()
    for topic in topics:
        names = [
            f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            for info in node.get_publishers_info_by_topic(topic)
        ]
        if own in names:
            is_ours = True
            names.remove(own)  # once: another node may have the very same name
        others.update(names)
    return ", ".join(sorted(others)) if is_ours else ""
