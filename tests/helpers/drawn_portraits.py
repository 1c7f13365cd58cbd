"""Portraits of boxes in the classes' own colours, so that a scene shows what every pixel is."""

import numpy as np

from input_pipeline.labels import CELEBAMASK

BOXES = {  # top, bottom, left, right in 64ths
    "hair": (4, 60, 8, 56),
    "skin": (12, 56, 14, 50),
    "r_eye": (28, 33, 21, 27),
    "l_eye": (28, 33, 37, 43),
    "nose": (33, 41, 29, 35),
    "l_lip": (45, 50, 26, 38),
}
EYES, NOSE, LIPS = ([24, 30.5], [40, 30.5]), [32, 37], ([26, 47.5], [38, 47.5])
COLOURS = {"background": (-0.5, -0.5, -0.5), "hair": (-0.9, -0.9, 0), "skin": (0.5, 0.2, 0)}
COLOURS |= {"r_eye": (-1, 1, 1), "l_eye": (-1, 1, 1), "nose": (1, 1, -1), "l_lip": (1, -1, -1)}


def batch(count: int, size: int = 64, seed: int = 0) -> dict[str, np.ndarray]:
    """A batch of the same face before noise."""
    mask, scale = np.zeros((count, size, size), np.int32), size // 64
    for name, box in BOXES.items():
        top, bottom, left, right = (edge * scale for edge in box)
        mask[:, top:bottom, left:right] = CELEBAMASK[name]
    table = np.zeros((len(CELEBAMASK), 3), np.float32)
    for name, colour in COLOURS.items():
        table[CELEBAMASK[name]] = colour
    noise = np.random.default_rng(seed).normal(0, 0.05, (count, size, size, 3))
    return {
        "image": (table[mask] + noise).astype(np.float32),
        "mask": mask,
        "weight": np.ones(count, np.float32),
    }
