"""Every default of the program, once.

Each section is a frozen dataclass.  ROS parameters, command lines and the YAML
files in `config/` derive from these fields: the field's name is the key, its
metadata the description, the bounds and whether it may change while running.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from vnect_ros.errors import ConfigError, describe
from vnect_ros.options import Section, option
from vnect_ros.options import flatten as flatten
from vnect_ros.options import from_texts as from_texts
from vnect_ros.options import options as options
from vnect_ros.options import replace as replace


@dataclass(frozen=True)
class ModelConfig(Section):
    """Which network runs, and on what."""

    model: str = option("vnect_lite", "Name or folder of the model bundle", live=False)
    precision: str = option("", "fp32, fp16 or int8; empty: the bundle's own default", live=False)
    backend: str = option("auto", "Runtime; auto takes the fastest that works here", live=False)
    threads: int = option(
        0, "CPU threads of one inference; 0 leaves it to the runtime", low=0, high=256, live=False
    )


@dataclass(frozen=True)
class CameraConfig(Section):
    """What is assumed of a camera without calibration."""

    fallback_fov: float = option(
        54.0, "Vertical field of view taken for a camera without calibration [deg]",
        low=1.0, high=170.0,
    )  # fmt: skip


@dataclass(frozen=True)
class CropConfig(Section):
    """How the window that the network sees follows the person."""

    margin: float = option(
        1.2, "Edge of the window over the larger edge of the joints' box", low=1.0, high=3.0
    )
    momentum: float = option(
        0.75,
        "Share of the previous window kept in each new one, at 30 frames a second",
        low=0.0,
        high=0.99,
    )
    min_size_px: float = option(48.0, "Smallest window [px]", low=16.0, high=4096.0)
    multi_scale: bool = option(
        False, "Average the maps over windows of scale 1.0 and 0.7 (twice the network's time)"
    )
    search_scales: int = option(
        3, "Window sizes tried over the whole frame when nobody is tracked", low=1, high=5
    )
    windows_per_frame: int = option(
        2, "Windows tried in each frame of a search: bounds its latency", low=1, high=32
    )
    search_rate: float = option(
        10.0,
        "Windows a second tried for further people, for each person who is tracked, where the"
        " image changed (somebody alone does not count); a tenth of it where it did not",
        low=0.0,
        high=1e3,
    )


@dataclass(frozen=True)
class DecodeConfig(Section):
    """How maps become joints."""

    min_confidence: float = option(
        0.25, "Joints below this confidence do not count as seen", low=0.0, high=1.0
    )
    min_joints: int = option(
        6, "Joints that must be seen for the frame to count as measured", low=1, high=21
    )
    hysteresis: float = option(
        0.3,
        "Share by which a maximum counts less far from where the last pose expects the joint",
        low=0.0,
        high=0.9,
    )


@dataclass(frozen=True)
class FilterConfig(Section):
    """1-Euro filters; beta is per the filtered unit a second ([1/px], [1/m])."""

    enabled: bool = option(True, "Filter at all")
    pixels_min_cutoff_hz: float = option(4.0, "Cut-off of K at rest [Hz]", low=0.01, high=1e3)
    pixels_beta: float = option(
        0.3, "Rise of K's cut-off with its speed [Hz per px/s of the input]", low=0.0, high=1e3
    )
    local_min_cutoff_hz: float = option(4.0, "Cut-off of P^L at rest [Hz]", low=0.01, high=1e3)
    local_beta: float = option(
        1.0, "Rise of P^L's cut-off with its speed [Hz per dm/s]", low=0.0, high=1e3
    )
    global_min_cutoff_hz: float = option(5.0, "Cut-off of P^G at rest [Hz]", low=0.01, high=1e3)
    global_beta: float = option(
        0.3, "Rise of P^G's cut-off with its speed [Hz per dm/s]", low=0.0, high=1e3
    )


@dataclass(frozen=True)
class FitConfig(Section):
    """The energy of the kinematic fit (VNect eq. 3) and the person's scale."""

    person_height: float = option(
        1.70, "Height of the person: the metric scale [m]", low=0.5, high=2.5
    )
    weight_ik: float = option(1.0, "Weight of E_IK", low=0.0, high=1e4)
    weight_proj: float = option(44.0, "Weight of E_proj", low=0.0, high=1e4)
    weight_smooth: float = option(0.2, "Weight of E_smooth", low=0.0, high=1e4)
    weight_depth: float = option(0.11, "Weight of E_depth", low=0.0, high=1e4)
    weight_ground: float = option(
        0.3, "Weight of E_ground, where the floor is known; 0: feet may leave it", low=0.0, high=1e4
    )
    max_iterations: int = option(10, "Levenberg-Marquardt steps a frame at most", low=1, high=200)
    calibration_frames: int = option(
        50, "Measured frames the bone lengths are averaged over", low=1, high=10000
    )
    predict_for_s: float = option(
        0.5, "How long an unseen person is PREDICTED before LOST [s]", low=0.0, high=10.0
    )
    max_speed: float = option(12.0, "Joint speed no human exceeds [m/s]", low=0.1, high=100.0)
    max_acceleration: float = option(
        250.0, "Joint acceleration no human exceeds [m/s^2]", low=1.0, high=5000.0
    )


@dataclass(frozen=True)
class PipelineConfig(Section):
    """All that `Pipeline.step` needs besides the model."""

    crop: CropConfig = field(default_factory=CropConfig)
    decode: DecodeConfig = field(default_factory=DecodeConfig)
    filter: FilterConfig = field(default_factory=FilterConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    max_people: int = option(6, "People tracked at the same time at most", low=1, high=32)
    people_per_frame: int = option(
        4,
        "People whom the network looks at in each frame at most: bounds the latency. Of more"
        " those come first whose last observation is the oldest",
        low=1,
        high=32,
    )
    remember_for_s: float = option(
        5.0,
        "How long somebody who was lost may come back under the same id [s]",
        low=0.0,
        high=3600.0,
    )


@dataclass(frozen=True)
class NodeConfig(PipelineConfig, CameraConfig, ModelConfig):
    """All parameters of the ROS node: those of the pipeline, and what only ROS needs."""

    image_transport: str = option(
        "raw", "How images come: sensor_msgs/Image or CompressedImage",
        choices=("raw", "compressed"), live=False,
    )  # fmt: skip
    rectified: str = option(
        "auto", "Whether the images are rectified, so that P of CameraInfo holds and no distortion;"
        " auto: where their topic is named image_rect...",
        choices=("auto", "true", "false"),
    )  # fmt: skip
    target_frame: str = option(
        "", "Frame of skeletons and markers; empty: the image's own", live=False
    )
    ground_frame: str = option(
        "", "Frame of TF whose z axis points up from a floor at z = 0, on which feet stand: the"
        " metric scale of people; empty: the floor is not known",
        live=False,
    )  # fmt: skip
    depth_image: str = option(
        "", "Topic of depth images registered to the images, 16UC1 in mm or 32FC1 in m: distance"
        " and metric scale of people; empty: none",
        live=False,
    )  # fmt: skip
    detections: str = option(
        "", "Topic of a detector's vision_msgs/Detection2DArray, whose boxes take the place of the"
        " search for people; empty: none",
        live=False,
    )  # fmt: skip
    detection_labels: str = option(
        "person", "Labels (class_id) of detections that are people, separated by commas; empty: all"
    )
    body_id: str = option(
        "auto", "REP-155 id of the person: a letter and 4 letters or digits; auto: human, or one"
        " made of the namespace; empty: a new one for each person",
        live=False,
    )  # fmt: skip
    niceness: int = option(
        0, "Niceness of all threads of the node's process; 0 leaves that which it was started with;"
        " below 0 goes before other programs, and needs the right to it",
        low=-20, high=19, live=False,
    )  # fmt: skip
    autostart: bool = option(True, "Configure and activate without being asked", live=False)
    timeout_s: float = option(
        0.5, "Without an image for this long the person is LOST [s]", low=0.02, high=60.0
    )
    camera_info_timeout_s: float = option(
        1.0, "How long the first image waits for a CameraInfo before fallback_fov is taken [s]",
        low=0.0, high=60.0,
    )  # fmt: skip
    max_rate: float = option(
        0.0, "Images processed a second at most; 0: all the machine can do [Hz]", low=0.0, high=1e3
    )
    diagnostics_period: float = option(
        1.0, "Time between two messages on /diagnostics [s]", low=0.05, high=60.0
    )
    debug_rate: float = option(
        15.0, "Debug images a second at most, while someone subscribes [Hz]", low=0.1, high=1e3
    )
    publish_tf: bool = option(True, "Publish the body's frames on /tf")
    publish_markers: bool = option(True, "Publish markers for RViz")
    publish_joint_states: bool = option(True, "Publish the body's joint angles")
    publish_hri: bool = option(
        False, "Publish bodies on /humans/bodies as ROS4HRI (REP-155) has them; needs hri_msgs",
        live=False,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch("([a-zA-Z][a-zA-Z0-9]{4}|auto|)", self.body_id):
            accepted = "a letter and 4 letters or digits, auto, or none"
            raise ConfigError(describe("body_id", self.body_id, accepted))
