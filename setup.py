"""For pip users of the ROS-free core; a ROS workspace builds with CMakeLists.txt instead.

The metadata are in pyproject.toml; here are the files that CMake installs to share/ as well.
"""

from pathlib import Path

from setuptools import setup

MODELS = sorted(map(str, Path("models").glob("*/")))

if __name__ == "__main__":
    setup(
        data_files=[
            (f"share/vnect_ros/{folder}", sorted(map(str, Path(folder).glob("*.*"))))
            for folder in ["launch", "config", "config/train", "assets", *MODELS]
        ]
    )
