"""vnect_ros: people in an RGB camera as metric 3D skeletons in a robot's TF tree.

What a Python user needs, without ROS, is exported here and loaded on first use:

    Pipeline(PipelineConfig(), load_backend()).step(Frame(image, camera, stamp_s))
"""

from importlib import import_module
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vnect_ros.camera import Camera as Camera
    from vnect_ros.config import ModelConfig as ModelConfig
    from vnect_ros.config import PipelineConfig as PipelineConfig
    from vnect_ros.errors import VnectError as VnectError
    from vnect_ros.inference import load_backend as load_backend
    from vnect_ros.pipeline import Pipeline as Pipeline
    from vnect_ros.recordings.camera_file import read_camera_file as read_camera_file
    from vnect_ros.recordings.video import Video as Video
    from vnect_ros.records import Frame as Frame
    from vnect_ros.records import JointState as JointState
    from vnect_ros.records import Plane as Plane
    from vnect_ros.records import Pose as Pose
    from vnect_ros.records import State as State
    from vnect_ros.skeleton import BONES as BONES
    from vnect_ros.skeleton import JOINT_NAMES as JOINT_NAMES

from vnect_ros.privacy import disable_telemetry

# A checkout and the generated messages (vnect_ros.msg) share this package's name.
__path__ = extend_path(__path__, __name__)

disable_telemetry()

__version__ = "0.1.0"

_MODULES = {
    "BONES": "skeleton",
    "Camera": "camera",
    "Frame": "records",
    "JOINT_NAMES": "skeleton",
    "JointState": "records",
    "ModelConfig": "config",
    "Pipeline": "pipeline",
    "PipelineConfig": "config",
    "Plane": "records",
    "Pose": "records",
    "State": "records",
    "Video": "recordings.video",
    "VnectError": "errors",
    "load_backend": "inference",
    "read_camera_file": "recordings.camera_file",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
