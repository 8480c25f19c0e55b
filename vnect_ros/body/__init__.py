"""The body that is fitted: its URDF and kinematics."""
