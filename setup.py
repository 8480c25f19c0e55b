"""For pip users of the ROS-free core; a ROS workspace builds with CMakeLists.txt instead.

The metadata are in pyproject.toml; here are the C code, which CMake compiles with the same
options, and the files that CMake installs to share/ as well.
"""

from pathlib import Path

from setuptools import Extension, setup

MODELS = sorted(map(str, Path("models").glob("*/")))
NATIVE = Extension(
    "vnect_ros.native",
    sorted(map(str, Path("src").glob("*.c"))),
    depends=sorted(map(str, Path("src").glob("*.h"))),
    extra_compile_args=["-std=gnu11", "-O3", "-fvisibility=hidden"],
    libraries=["m"],
)

if __name__ == "__main__":
    setup(
        ext_modules=[NATIVE],
        data_files=[
            (f"share/vnect_ros/{folder}", sorted(map(str, Path(folder).glob("*.*"))))
            for folder in ["launch", "config", "config/train", "assets", *MODELS]
        ],
    )
