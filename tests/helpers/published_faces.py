"""Upright faces drawn by the ids of each data set's own files, at the places where its publication shows them."""

import numpy as np

from input_pipeline.labels import LABEL_SETS

# Data set -> part -> (id on the left of the image, id on its right), as published: numbers, not our names.
PUBLISHED = {
    "celebamask": {"eye": (5, 4), "brow": (7, 6), "ear": (9, 8)},
    "farl19": {"eye": (9, 8), "brow": (7, 6), "ear": (5, 4)},
    "bisenet19": {"eye": (5, 4), "brow": (3, 2), "ear": (8, 7)},
    "lapa": {"eye": (4, 5), "brow": (2, 3)},
    "helen": {"eye": (4, 5), "brow": (2, 3)},
    "facesynthetics": {"eye": (4, 3), "brow": (6, 5), "ear": (8, 7)},
}
SIDE = 64
PLACES = {"eye": (0.35, 0.42, 0.08, 0.045), "brow": (0.33, 0.3, 0.1, 0.045), "ear": (0.12, 0.45, 0.06, 0.1)}
"""Centre and radii (x, y) of the part on the left of the image, in sides of the picture."""


def ellipse(x, y, across, down):
    """bool [SIDE, SIDE]."""
    rows, columns = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE
    return ((columns - x) / across) ** 2 + ((rows - y) / down) ** 2 <= 1


def draw(name):
    """uint8 [SIDE, SIDE]: a face of a data set, its own mirror image but for the ids."""
    return draw_parts(PUBLISHED[name], skin=LABEL_SETS[name]["skin"])


def draw_parts(parts, skin):
    """uint8 [SIDE, SIDE]: part -> (id on the left of the image, id on its right), on skin."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[ellipse(0.5, 0.5, 0.35, 0.45)] = skin
    for part, ids in parts.items():
        x, *place = PLACES[part]
        mask[ellipse(x, *place)], mask[ellipse(1 - x, *place)] = ids
    return mask
