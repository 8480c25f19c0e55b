"""For pip users of the ROS-free core; a ROS workspace builds with CMakeLists.txt instead."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
RUNTIME = [
    "av>=8.1", "matplotlib", "numpy>=1.21", "onnxruntime", "opencv-python-headless", "pin",
    "PyYAML", "rosbags", "scipy>=1.8", "tqdm",
]  # fmt: skip
EXECUTABLES = {
    "vnect": "vnect_ros.ros.node",
    "video_publisher": "vnect_ros.ros.video_publisher",
    "process": "vnect_ros.cli.process",
    "benchmark": "vnect_ros.cli.benchmark",
    "demo": "vnect_ros.cli.demo",
    "evaluate": "vnect_ros.cli.evaluate",
    "train": "vnect_ros.cli.train",
    "export": "vnect_ros.cli.export",
    "import_weights": "vnect_ros.cli.import_weights",
}
"""As in CMakeLists.txt: `ros2 run vnect_ros NAME`."""


def console_name(name: str) -> str:
    """How NAME is called outside of `ros2 run`, where `train` or `export` says too little."""
    return name if name == "vnect" else "vnect-" + name.replace("_", "-")


if __name__ == "__main__":
    version = re.search(
        r'^__version__ = "(.+)"', (HERE / "vnect_ros/__init__.py").read_text(), re.M
    )
    setup(
        name="vnect_ros",
        version=version.group(1),
        description="One person, one RGB camera, one metric 3D skeleton",
        license="Apache-2.0",
        python_requires=">=3.10",
        packages=find_packages(include=["vnect_ros", "vnect_ros.*"]),
        data_files=[
            (f"share/vnect_ros/{folder}", sorted(map(str, Path(folder).glob("*.*"))))
            for folder in ["launch", "config", "assets", *map(str, Path("models").glob("*/"))]
        ],
        install_requires=RUNTIME,
        extras_require={"train": ["torch", "onnx", "onnxscript", "anny", "moderngl"]},
        entry_points={
            "console_scripts": [
                f"{console_name(name)} = {module}:main" for name, module in EXECUTABLES.items()
            ]
        },
    )
