"""All that knows ROS: the node, its outputs, the video publisher, launch and RViz."""
