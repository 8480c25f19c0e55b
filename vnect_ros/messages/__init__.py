"""Messages of ROS as arrays and cameras, without ROS: bags hold them too."""
