"""Camera files: ROS camera_calibration, Kalibr, and what `ros2 topic echo` prints.

A Kalibr file of several cameras is named with the one that is meant: FILE#cam1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vnect_ros.camera import Camera
from vnect_ros.errors import CameraError, describe

ACCEPTED = (
    "a YAML file of camera_calibration, a Kalibr camchain, or the output of"
    " `ros2 topic echo --once .../camera_info`"
)
_KALIBR_MODELS = {"radtan": "plumb_bob", "equidistant": "equidistant", "none": "plumb_bob"}


def read_camera_file(file: str | Path, rectified: bool = False) -> Camera:
    """The camera that a file describes.

    Args:
        file: the path; behind a # the name of a Kalibr camera.
        rectified: for images that are undistorted already: the projection matrix
            P holds, and K and the distortion do not.

    Raises:
        CameraError: the file cannot be read, is of another kind, or no real camera
            has what it states; the field is named.
    """
    path, name = str(file), ""
    if "#" in path and not Path(path).exists():
        path, _, name = path.rpartition("#")
    try:
        content, read = _recognised(Path(path).read_bytes(), name)
        return read(content, rectified)
    except CameraError as error:
        raise CameraError(f"{file}: {error}") from error
    except KeyError as error:
        raise CameraError(describe(f"{file}: {error.args[0]}", None, ACCEPTED)) from error
    except OSError as error:
        raise CameraError(f"{file}: cannot be read: {error}") from error
    except (ValueError, TypeError, AttributeError) as error:
        got = f"what cannot be read as a camera: {error}"
        raise CameraError(describe(f"{file}: content", got, ACCEPTED)) from error


Reader = Callable[[Mapping[str, Any], bool], Camera]


def _recognised(data: bytes, name: str) -> tuple[Mapping[str, Any], Reader]:
    """The fields of a file and the function that reads them."""
    documents = _documents(data)
    if not documents:
        raise CameraError(describe("content", "an empty file", ACCEPTED))
    for content in documents:
        if not isinstance(content, Mapping):
            continue
        fields = {str(key).lower(): value for key, value in content.items()}
        if "camera_matrix" in fields or "image_width" in fields:
            return fields, _from_calibration
        if "k" in fields and "width" in fields:
            return fields, _from_echo
        cameras = {k: v for k, v in fields.items() if isinstance(v, Mapping) and "intrinsics" in v}
        if cameras or "intrinsics" in fields:
            return _chosen(cameras or {"": fields}, name), _from_kalibr
    found = documents[0]
    got = f"the fields {', '.join(map(str, found))[:80]}" if isinstance(found, Mapping) else "text"
    raise CameraError(describe("content", got, ACCEPTED))


def _documents(data: bytes) -> list[Any]:
    """The YAML documents of a file that are not empty."""
    import yaml

    if data[:2] == b"\x1f\x8b" or data[:2] == b"PK":
        raise CameraError(describe("content", "an archive", "the YAML file in it (ost.yaml)"))
    text = data.decode("utf-8-sig")
    if "opencv-matrix" in text or "opencv_storage" in text or text.startswith("%YAML:1.0"):
        raise CameraError(describe("content", "a file of OpenCV's FileStorage", ACCEPTED))
    if text.lstrip().startswith("<"):
        raise CameraError(describe("content", "XML", ACCEPTED))
    if re.search(r"^\[\w+\]\s*$", text, re.MULTILINE):
        raise CameraError(describe("content", "an INI file (ost.txt)", ACCEPTED))
    documents, faults = [], []
    for part in re.split(r"^---.*$", text, flags=re.MULTILINE):
        try:  # what was interrupted, or is mixed with warnings, has whole documents too
            documents.append(yaml.safe_load(part))
        except yaml.YAMLError as error:
            faults.append(" ".join(str(error).split()))
    documents = [content for content in documents if content is not None]
    if faults and not documents:
        raise CameraError(describe("content", f"no YAML: {faults[0]}", ACCEPTED))
    return documents


def _chosen(cameras: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The camera of that name, or the only one."""
    if name not in cameras and (name or len(cameras) > 1):
        accepted = "FILE#NAME with one of " + ", ".join(cameras)
        raise CameraError(describe("camera", name or f"{len(cameras)} cameras", accepted))
    chosen: Mapping[str, Any] = cameras[name] if name else next(iter(cameras.values()))
    return chosen


def _from_calibration(content: Mapping[str, Any], rectified: bool) -> Camera:
    return Camera.from_info(
        int(content["image_width"]),
        int(content["image_height"]),
        content["camera_matrix"]["data"],
        () if rectified else content["distortion_coefficients"]["data"],
        content.get("distortion_model", "plumb_bob"),
        rectified=rectified,
        p=content["projection_matrix"]["data"] if rectified else (),
    )


def _from_echo(content: Mapping[str, Any], rectified: bool) -> Camera:
    """A CameraInfo of ROS 2, or of ROS 1, where K and D are written large."""
    window = content.get("roi") or {}
    left, top, width, height = (
        int(window.get(key, 0)) for key in ("x_offset", "y_offset", "width", "height")
    )
    return Camera.from_info(
        int(content["width"]),
        int(content["height"]),
        content["k"],
        content["d"],
        content["distortion_model"],
        binning=(int(content.get("binning_x", 0)), int(content.get("binning_y", 0))),
        roi=(left, top, width, height),
        rectified=rectified,
        p=content["p"] if rectified else (),
    )


def _from_kalibr(content: Mapping[str, Any], rectified: bool) -> Camera:
    if rectified:
        raise CameraError(describe("rectified", True, "a file with a projection matrix"))
    if content["camera_model"] != "pinhole":
        raise CameraError(describe("camera_model", content["camera_model"], "pinhole"))
    model = content["distortion_model"]
    if model not in _KALIBR_MODELS:
        raise CameraError(describe("distortion_model", model, ", ".join(_KALIBR_MODELS)))
    fx, fy, cx, cy = content["intrinsics"]
    width, height = content["resolution"]
    k = (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0)
    d = content.get("distortion_coeffs") or ()
    return Camera.from_info(int(width), int(height), k, d, _KALIBR_MODELS[model])
