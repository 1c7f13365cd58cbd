"""Write a film as MP4."""

import os

import cv2
import numpy as np

from input_pipeline.errors import require


class Mp4:
    """An MP4 file to which frames are added. OpenCV's wheels have no H.264 encoder: it is MPEG-4 Part 2, which players
    know and browsers do not (`h264.H264` is for these).

    Args:
      path: the file; it must end in `.mp4`.
      rate: frames a second.
    """

    def __init__(self, path: str | os.PathLike, rate: float):
        self._path, self._rate = os.fspath(path), rate
        self._writer: cv2.VideoWriter | None = None

    def add(self, frame: np.ndarray) -> None:
        """Add a frame, uint8 [H, W, 3], all of one size; of odd sizes the last row or column is repeated.

        Raises:
          UserError: the file cannot be opened, or this OpenCV has no such encoder.
        """
        height, width = frame.shape[:2]
        even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._writer is None:
            code = cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(self._path, cv2.CAP_FFMPEG, code, self._rate, even.shape[1::-1])
            require(
                self._writer.isOpened(),
                f"OpenCV cannot write the film '{self._path}': `pip install opencv-python-headless` can",
            )
        self._writer.write(cv2.cvtColor(even, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()
