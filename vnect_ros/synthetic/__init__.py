"""Synthetic people: rendered bodies with exact 2D, 3D, visibility and camera truth.

Importing this package is light: anny, torch and moderngl load inside the
modules that own them.
"""
