"""Pixels as networks see them, in [-1, 1], and as pictures hold them, in bytes."""

import numpy as np


def from_bytes(image):
    """Map 0..255 to float32 in [-1, 1].

    The bits are the same on every platform, in numpy too: the difference is exact, and a product is rounded once.

    Args:
      image: numbers of any dtype and shape: a numpy array, one of JAX or a tracer.
    """
    return (image.astype(np.float32) - np.float32(127.5)) * np.float32(1 / 127.5)


def to_bytes(image) -> np.ndarray:
    """Map floats of any shape, on a device or on the host, from [-1, 1] to uint8 0..255, clipping."""
    return np.round((np.clip(np.asarray(image, np.float32), -1, 1) + 1) * 127.5).astype(np.uint8)
