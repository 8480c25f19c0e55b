"""Tiny data sets for the training tests, drawn and written in the public layouts."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from vnect_ros.datasets.human36m import JOINTS as HUMAN36M_JOINTS
from vnect_ros.datasets.lspet import TO_VNECT
from vnect_ros.datasets.mpi_inf_3dhp import TRAINING_JOINTS as MPI_INF_3DHP_JOINTS
from vnect_ros.datasets.mpii import JOINTS as MPII_JOINTS
from vnect_ros.skeleton import BONES, INDEX, NUM_JOINTS

STANDING_M = np.array(
    [
        [0, -0.75, 0],
        [0, -0.5, 0],
        [-0.18, -0.48, 0],
        [-0.35, -0.3, 0.05],
        [-0.4, -0.05, 0.0],
        [0.18, -0.48, 0],
        [0.45, -0.5, -0.05],
        [0.6, -0.7, -0.1],
        [-0.1, 0.03, 0],
        [-0.12, 0.45, -0.05],
        [-0.13, 0.85, 0.05],
        [0.1, 0.03, 0],
        [0.12, 0.45, 0.05],
        [0.13, 0.85, 0.1],
        [0, 0, 0],
        [0, -0.25, 0],
        [0, -0.62, 0],
        [-0.42, 0.03, 0],
        [0.63, -0.77, -0.12],
        [-0.15, 0.9, -0.1],
        [0.15, 0.9, -0.05],
    ]
)
"""[21, 3] a person facing the camera (whose left is the image's right), the left arm
raised, root-relative [m]."""


def body(rng: np.random.Generator) -> np.ndarray:
    """[21, 3] a standing person turned a little, root-relative [m]."""
    angle = rng.uniform(-0.6, 0.6)
    turn = cv2.Rodrigues(np.array([0.0, angle, 0.0]))[0]
    return (STANDING_M + rng.normal(0, 0.02, STANDING_M.shape)) @ turn.T


def picture(joints_px: np.ndarray, width: int, height: int, seed: int = 0) -> np.ndarray:
    """[height, width, 3] uint8 RGB: a stick figure with sides in different colours."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), rng.integers(60, 200, 3), np.uint8)
    points = np.nan_to_num(joints_px).round().astype(int)
    for parent, joint in BONES:
        colour = (230, 30, 30) if joint in RIGHT else (30, 30, 230)
        cv2.line(
            image,
            tuple(map(int, points[parent])),
            tuple(map(int, points[joint])),
            colour,
            max(2, width // 40),
        )
    return image


RIGHT = {i for name, i in INDEX.items() if name.startswith("right_")}
K = np.array([[500.0, 0.0, 160.0], [0.0, 500.0, 120.0], [0.0, 0.0, 1.0]])


def project(points_m: np.ndarray, k: np.ndarray = K) -> np.ndarray:
    """[..., 2] pixels of points [..., 3] in the camera frame."""
    flat = points_m @ k.T
    return flat[..., :2] / flat[..., 2:]


def write_lspet(folder: Path, count: int = 40, size: int = 64) -> Path:
    """The LSPET layout with stick figures, as JPEG files in the folder `images`."""
    rng = np.random.default_rng(3)
    images = folder / "images"
    images.mkdir(parents=True)
    joints14 = np.zeros((count, 14, 3), np.float32)
    for i in range(count):
        joints_px = body(rng)[:, :2] * size * 0.36 + size / 2
        image = picture(joints_px, size, size, i)
        cv2.imwrite(str(images / f"im{i:05d}.jpg"), image[..., ::-1])
        joints14[i, :, :2] = joints_px[list(TO_VNECT)]
        joints14[i, :, 2] = 1
    np.savez(folder / "labels.npz", index=np.arange(count), joints14=joints14)
    return folder


def write_mpi_inf_3dhp(folder: Path) -> tuple[Path, np.ndarray]:
    """One sequence, two cameras, three extracted frames; returns the folder and camera joints."""
    from scipy.io import savemat

    rng = np.random.default_rng(4)
    sequence = folder / "S1" / "Seq1"
    truth = np.stack([body(rng) + [0.3, 0.1, 4.0] for _ in range(3)])
    annot2, annot3 = np.empty((2, 1), object), np.empty((2, 1), object)
    for c in range(2):
        points = np.zeros((3, 28, 3))
        points[..., 2] = 4.0
        points[:, list(MPI_INF_3DHP_JOINTS)] = truth
        annot3[c, 0] = (points * 1e3).reshape(3, 84)
        annot2[c, 0] = project(points).reshape(3, 56)
        images = sequence / "imageSequence" / f"video_{c}"
        images.mkdir(parents=True)
        for f in range(3):
            image = picture(project(truth[f]), 320, 240, f)
            cv2.imwrite(str(images / f"frame_{f + 1:06d}.jpg"), image[..., ::-1])
    savemat(sequence / "annot.mat", {"annot2": annot2, "annot3": annot3})
    full = np.eye(4)
    full[:3, :3] = K
    line = "  intrinsic   " + " ".join(f"{v:g}" for v in full.ravel())
    (sequence / "camera.calibration").write_text("\n".join(["Skeletool", line, line]) + "\n")
    return folder, truth


def write_human36m(folder: Path) -> tuple[Path, np.ndarray]:
    """Two frames of S1; returns the folder and camera joints."""
    rng = np.random.default_rng(5)
    rotation = cv2.Rodrigues(np.array([0.2, 0.5, -0.1]))[0]
    shift = np.array([100.0, -50.0, 4000.0])
    truth = np.stack([body(rng) + [0.1, 0.1, 4.0] for _ in range(2)])
    names = [INDEX[n] for n in HUMAN36M_JOINTS]
    frames, rows = {}, []
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for f in range(2):
        world = (truth[f, names] * 1e3 - shift) @ rotation
        frames[str(f * 5)] = world.tolist()
        name = f"s1_{f}.jpg"
        rows.append(
            {
                "action_idx": 2,
                "subaction_idx": 1,
                "cam_idx": 1,
                "frame_idx": f * 5,
                "file_name": name,
                "width": 320,
                "height": 240,
            }
        )
        cv2.imwrite(str(folder / "images" / name), picture(project(truth[f]), 320, 240)[..., ::-1])
    camera = {"R": rotation.tolist(), "t": shift.tolist(), "f": [500.0, 500.0], "c": [160.0, 120.0]}
    stem = str(folder / "annotations" / "Human36M_subject1_")
    Path(stem + "data.json").write_text(json.dumps({"images": rows}))
    Path(stem + "camera.json").write_text(json.dumps({"1": camera}))
    Path(stem + "joint_3d.json").write_text(json.dumps({"2": {"1": frames}}))
    return folder, truth


def write_mpii(folder: Path) -> tuple[Path, np.ndarray]:
    """One image with one unknown joint (the left wrist); returns the folder and our joints."""
    joints_px = project(body(np.random.default_rng(6)) + [0.0, 0.0, 4.0])
    (folder / "images").mkdir(parents=True)
    (folder / "annot").mkdir()
    cv2.imwrite(str(folder / "images" / "1.jpg"), picture(joints_px, 320, 240)[..., ::-1])
    points = [joints_px[INDEX[n]].tolist() if n else [1.0, 1.0] for n in MPII_JOINTS]
    points[MPII_JOINTS.index("left_wrist")] = [-1.0, -1.0]
    row = {"image": "1.jpg", "joints": points, "joints_vis": [1] * 16}
    (folder / "annot" / "train.json").write_text(json.dumps([row]))
    return folder, joints_px


assert STANDING_M.shape == (NUM_JOINTS, 3)
