"""Hold class probabilities steady from frame to frame of a film, where the picture itself holds still."""

import numpy as np

STILL = 0.1
"""Mean difference of a pixel's colours, in [-1, 1], at which the frame before counts a third of what it may."""


def steady(
    probabilities: np.ndarray, image: np.ndarray, before: tuple[np.ndarray, np.ndarray], weight: float
) -> np.ndarray:
    """Mix the probabilities of a frame with those of the frame before: p + w (before - p), where w is `weight` in a
    pixel that has not changed, and falls off exponentially with its change, so that nothing drags behind a motion or
    survives a cut (ours).

    Args:
      probabilities: float32 [S, S, K] of a frame.
      image: float32 [S, S, 3] in [-1, 1], the frame as the network sees it.
      before: result of this function for the frame before, and its image.
      weight: in [0, 1); 0 changes nothing.
    """
    earlier, image_before = before
    change = np.abs(image - image_before).mean(-1, keepdims=True)
    return probabilities + weight * np.exp(-change / STILL) * (earlier - probabilities)
