"""Camera files: the YAML of ROS camera_calibration and camera_info_manager."""

from __future__ import annotations

from pathlib import Path

from vnect_ros.camera import Camera
from vnect_ros.errors import CameraError, describe


def read_camera_file(file: str | Path) -> Camera:
    """The camera of a YAML file as camera_calibration and camera_info_manager write it.

    Raises:
        CameraError: the file cannot be read; the field is named.
    """
    import yaml

    try:
        content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
        return Camera.from_info(
            int(content["image_width"]),
            int(content["image_height"]),
            content["camera_matrix"]["data"],
            content["distortion_coefficients"]["data"],
            content.get("distortion_model", "plumb_bob"),
        )
    except KeyError as error:
        raise CameraError(describe(f"{file}: {error.args[0]}", None, "a field")) from error
    except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise CameraError(f"{file}: cannot be read as a camera: {error}") from error
