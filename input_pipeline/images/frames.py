"""Read the frames of an animation or a video, one by one."""

import os
from collections.abc import Iterator

import cv2
import numpy as np

from input_pipeline import files
from input_pipeline.errors import UserError, require
from input_pipeline.images import decode


def read_frames(path: str | os.PathLike) -> Iterator[np.ndarray]:
    """Yield the frames of a local file in order: uint8 [H, W, 3], upright.

    Args:
      path: an animation (`decode.read_animation`), or a video that OpenCV's reader can decode; what the file begins
        with tells, not its name.

    Raises:
      UserError: no such file; and when a frame is asked for: it is damaged, larger than `decode.MAX_PIXELS`, or
        neither kind of file.
    """
    return _video(path) if is_video(path) else decode.read_animation(path)


def is_video(path: str | os.PathLike) -> bool:
    """Tell a video by its container. Nothing else reaches OpenCV: a playlist, say, would make it open other files.

    Raises:
      UserError: no such file.
    """
    with files.reading(path, "check the path"), open(path, "rb") as file:
        start = file.read(12)
    # HEIC and AVIF pictures begin with the `ftyp` of MP4, too.
    mp4 = start[4:8] == b"ftyp" and start[8:12] not in (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1")
    avi = start[:4] == b"RIFF" and start[8:12] == b"AVI "
    return mp4 or avi or start[:4] == b"\x1a\x45\xdf\xa3"  # EBML, of MKV and WebM


def frames_per_second(path: str | os.PathLike) -> float:
    """Return the rate that a video names; 25 if it names none between 1 and 240."""
    capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG)
    rate = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return rate if 1 <= rate <= 240 else 25.0


def read_camera(number: int) -> Iterator[np.ndarray]:
    """Yield the pictures of a camera that is connected, until the caller stops: uint8 [H, W, 3].

    Raises:
      UserError: when a frame is asked for: there is no such camera, or it gives no more.
    """
    capture = cv2.VideoCapture(number)
    try:
        while (frame := capture.read()[1]) is not None:
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()
    raise UserError(f"camera {number} gives no pictures: connect it, or name another (camera:0 is the first)")


def _video(path: str | os.PathLike) -> Iterator[np.ndarray]:
    capture, empty = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG), True
    try:
        size = (capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        require(
            size[0] * size[1] <= decode.MAX_PIXELS,
            f"'{os.fspath(path)}' has frames of {size[0]:.0f} x {size[1]:.0f} pixels: make a smaller copy",
        )
        while (frame := capture.read()[1]) is not None:
            empty = False
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()
    require(
        not empty,
        f"'{os.fspath(path)}' is a video of which OpenCV's reader can decode no frame: write its frames into a "
        "folder as PNG, and give the folder",
    )
