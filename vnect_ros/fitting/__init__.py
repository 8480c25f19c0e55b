"""The kinematic fit: from joints of single frames to one continuous metric body."""

from vnect_ros.fitting.fitter import Fitter

__all__ = ["Fitter"]
