"""Write a film as MP4 with H.264, which browsers play, too. Needs PyAV: `pip install 'l2s_jax[video]'`."""

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from input_pipeline.errors import UserError


class H264:
    """An MP4 file to which frames are added, as `video.Mp4` is.

    Args:
      path: the file; it must end in `.mp4`.
      rate: frames a second.
    """

    def __init__(self, path: str | os.PathLike, rate: float):
        self._path = os.fspath(path)
        self._file = av.open(self._path, "w", options={"movflags": "faststart"})
        self._stream = self._file.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
        self._stream.pix_fmt = "yuv420p"  # the one that all browsers know
        self._empty = True

    def add(self, frame: np.ndarray) -> None:
        """Add a frame, uint8 [H, W, 3], all of one size; of odd sizes the last row or column is repeated.

        Raises:
          UserError: the file cannot be written.
        """
        height, width = frame.shape[:2]
        even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._empty:
            self._stream.height, self._stream.width = even.shape[:2]
            self._empty = False
        with self._written():
            self._file.mux(self._stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))

    def close(self) -> None:
        """Finish the file.

        Raises:
          UserError: it cannot be written.
        """
        with self._written():
            if not self._empty:
                self._file.mux(self._stream.encode(None))
            self._file.close()

    @contextlib.contextmanager
    def _written(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(f"cannot write the film '{self._path}': {error.strerror or error}") from error
