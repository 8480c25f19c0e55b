"""What the command lines of the tools have in common."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from vnect_ros import inference, share, steady
from vnect_ros.camera import Camera
from vnect_ros.config import (
    CameraConfig,
    ModelConfig,
    PipelineConfig,
    flatten,
    from_texts,
    options,
    replace,
)
from vnect_ros.errors import ConfigError, VnectError, describe
from vnect_ros.inference.base import Backend
from vnect_ros.recordings.camera_file import read_camera_file
from vnect_ros.recordings.video import Video

T = TypeVar("T")
_MODEL = ModelConfig()


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """A command line with `--json`."""
    made = argparse.ArgumentParser(prog=name, description=description)
    made.add_argument("--json", metavar="FILE", help="write what the table shows to this file")
    return made


def positive(text: str) -> int:
    """A whole number from 1 on, as the type of an argument."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(describe("number", value, "1 or more"))
    return value


def demo_clip(people: bool = False) -> str:
    """The bundled clip, in a checkout or where it is installed; "" if it is not there.

    Args:
        people: that of several people.
    """
    return str(share.find("assets/people.mp4" if people else "assets/demo.mp4") or "")


def add_model(to: argparse.ArgumentParser) -> None:
    """`--model`, `--precision`, `--backend`, `--threads`: the fields of ModelConfig."""
    group = to.add_argument_group("model")
    for key, field in options(_MODEL).items():
        default = getattr(_MODEL, key)
        shown = f" (default: {default})" if default != "" else ""
        metavar = "N" if type(default) is int else "NAME"
        text = field.metadata["doc"] + shown
        group.add_argument(
            f"--{key}", default=default, type=type(default), metavar=metavar, help=text
        )


def add_video(to: argparse.ArgumentParser) -> None:
    """`VIDEO`, `--topic` and `--fps`."""
    to.add_argument(
        "video", metavar="VIDEO", help="a video file, a folder of images, or a bag (ROS 1 or 2)"
    )
    to.add_argument(
        "--topic", default="", help="of a bag's images (default: the only one there is)"
    )
    to.add_argument("--fps", type=float, help="frame rate, in place of the recording's own times")


def add_camera(to: argparse.ArgumentParser) -> None:
    """`--camera`, `--rectified` and `--fov`."""
    section = to.add_argument_group("camera")
    section.add_argument(
        "--rectified",
        action="store_true",
        help="the images are undistorted already: the projection matrix holds"
        " (default: of a bag, by the topic's name)",
    )
    group = section.add_mutually_exclusive_group()
    group.add_argument(
        "--camera",
        metavar="FILE",
        help="YAML of ROS camera_calibration, Kalibr (FILE#cam0) or `ros2 topic echo`",
    )
    default = CameraConfig().fallback_fov
    group.add_argument(
        "--fov",
        type=float,
        metavar="DEG",
        help=f"vertical field of view in place of a calibration (default: {default:g}, a guess)",
    )


def open_video(args: argparse.Namespace) -> Video:
    """The recording of `add_video`'s and `add_camera`'s arguments.

    Raises:
        ImageError: it cannot be read.
    """
    rectified = "true" if args.rectified else "auto"
    return Video(args.video, args.fps, topic=args.topic, rectified=rectified)


def add_settings(to: argparse.ArgumentParser) -> None:
    """`--set KEY=VALUE` for every option of PipelineConfig."""
    keys = ", ".join(f"{key}={value}" for key, value in flatten(PipelineConfig()).items())
    to.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"change an option of the pipeline, as often as you like; the defaults: {keys}",
    )


def settings(changes: Sequence[str]) -> PipelineConfig:
    """The pipeline's configuration with the changes of `--set`.

    Raises:
        ConfigError: not KEY=VALUE, an unknown key, or a refused value.
    """
    texts: dict[str, str] = {}
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise ConfigError(describe("--set", change, "KEY=VALUE"))
        texts[key] = text
    config = PipelineConfig()
    changed: PipelineConfig = replace(config, from_texts(config, texts))
    return changed


def load_backend(args: argparse.Namespace) -> Backend:
    """The model of `add_model`'s arguments in its runtime.

    Raises:
        ConfigError, ModelError, BackendError: it cannot be had.
    """
    given = {key: getattr(args, key) for key in options(_MODEL)}
    return inference.load_backend(ModelConfig(**given))


def load_camera(
    args: argparse.Namespace, width: int, height: int, stated: Camera | None = None
) -> Camera:
    """The camera of `add_camera`'s arguments for images of that size.

    Args:
        stated: by the recording itself; taken where no argument gives another.

    Raises:
        CameraError: the file cannot be read, or is of another aspect ratio.
    """
    if stated is not None and not args.camera and args.fov is None:
        return stated
    if not args.camera:
        fov = CameraConfig().fallback_fov if args.fov is None else args.fov
        return Camera.from_field_of_view(width, height, fov)
    return read_camera_file(args.camera, args.rectified).for_image(width, height)


def write_json(file: str | None, content: Any) -> None:
    """Write what a tool found, if a file was named; NaN becomes null."""
    if file:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(json.dumps(_plain(content), indent=2) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    """Numbers and containers as JSON knows them."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns in line: the first to the left, the others to the right."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    drawn = [
        "  ".join(
            c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))
        )
        for line in lines
    ]
    return "\n".join([drawn[0], "-" * len(drawn[0]), *drawn[1:]])


def number(value: float) -> str:
    """A figure of a table: counts whole, shares with three digits, millimetres with one."""
    if isinstance(value, int):
        return str(value)
    return f"{value:.3f}" if abs(value) < 2.0 else f"{value:.1f}"


def run(name: str, do: Callable[[], T]) -> int:
    """Do a tool's work; an error of ours is one line and exit status 1."""
    steady.use_one_thread()
    try:
        do()
    except VnectError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130
    return 0
