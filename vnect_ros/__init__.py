"""vnect_ros: one person, one RGB camera, one metric skeleton in the robot's TF tree."""

from pkgutil import extend_path

from vnect_ros.privacy import disable_telemetry

# A checkout and the generated messages (vnect_ros.msg) share this package's name.
__path__ = extend_path(__path__, __name__)

disable_telemetry()

__version__ = "0.1.0"
