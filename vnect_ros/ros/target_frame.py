"""Frames of the user's choice: where skeletons and markers are placed, and where the floor is."""

from __future__ import annotations

import math

from std_msgs.msg import Header

from vnect_ros.errors import ImageError
from vnect_ros.records import Plane
from vnect_ros.ros.convert import Placement
from vnect_ros.ros.transforms import TransformListener


class TargetFrame:
    """Places the camera in the frame of skeletons and markers."""

    def __init__(self, transforms: TransformListener, frame: str) -> None:
        self._transforms, self.frame = transforms, frame

    def placement(self, header: Header) -> tuple[Placement, Header]:
        """The camera in the target frame at the image's time, and the header that says so.

        Raises:
            ImageError: there is no such transform.
        """
        try:
            transform = self._transforms.lookup(self.frame, header)
        except ImageError as error:
            raise ImageError(f"target_frame: {error}") from error
        placement = Placement(transform[:3, :3], transform[:3, 3])
        return placement, Header(stamp=header.stamp, frame_id=self.frame)


class GroundFrame:
    """Gives the floor, z = 0 of a frame whose z axis points up, as the camera sees it."""

    def __init__(self, transforms: TransformListener, frame: str) -> None:
        self._transforms, self.frame = transforms, frame
        self.used = ""
        """Where the floor was in the last image, in words; "" if it is not known."""
        self.fault = ""
        """Why it is not known; "" if it is."""

    def plane(self, header: Header) -> Plane | None:
        """The floor at the image's time; None where it is not known.

        Args:
            header: the image's.
        """
        self.used = ""
        try:
            plane = Plane.of_ground(self._transforms.lookup(self.frame, header))
        except ImageError as error:
            self.fault = f"ground_frame: {error}; the floor is not used"
            return None
        if plane.offset_m >= 0.0:
            below = f"the camera is {plane.offset_m:.2f} m below z = 0 of {self.frame!r}"
            self.fault = f"ground_frame: {below}; the floor is not used"
            return None
        pitch_deg = math.degrees(math.asin(max(-1.0, min(1.0, -float(plane.normal[2])))))
        self.fault = ""
        self.used = (
            f"camera {-plane.offset_m:.2f} m above z = 0 of {self.frame!r}, "
            f"looking {abs(pitch_deg):.0f} degrees {'down' if pitch_deg >= 0.0 else 'up'}"
        )
        return plane
