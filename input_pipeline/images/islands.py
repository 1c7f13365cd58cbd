"""Removal of small connected components from one mask of any size, on the host.

The rule of `l2s_jax.layers.islands`, which documents it in full; that version would be compiled again for every photo
size. Where it works on pixels, this one works on components: they are nodes of a graph, with the length of their
common border on the edges, and each edge is visited once.
"""

import numpy as np
from scipy import sparse

from input_pipeline.images.components import components
from input_pipeline.labels import IGNORE


def remove_islands(labels: np.ndarray, min_pixels: int) -> np.ndarray:
    """Give small components the class of their surroundings, from outside to inside (ours).

    Args:
      labels: uint8 or int [H, W] classes, 255 = ignore; ignored pixels stay and have no influence.
      min_pixels: area in pixels of the smallest 4-connected component that is kept; up to 1 changes nothing.

    Returns:
      the labels, in shape and dtype of `labels`; unchanged if no small component borders on a large one.
    """
    numbers, count = components(labels)
    stays = np.bincount(numbers.ravel(), minlength=count + 1) >= min_pixels
    stays[0] = True  # the ignored pixels: not a component, and without borders
    if stays.all():
        return labels.copy()
    classes = np.full(count + 1, IGNORE, labels.dtype)
    classes[numbers] = labels
    borders = _borders(numbers, ~stays)
    fresh = np.flatnonzero(stays)
    while True:
        touching = borders[fresh].tocoo()
        taken = ~stays[touching.col]
        if not taken.any():
            return classes[numbers]
        neighbour, votes = classes[fresh[touching.row[taken]]], touching.data[taken]
        fresh, row = np.unique(touching.col[taken], return_inverse=True)
        # The first of the largest: the lower class wins a tie.
        classes[fresh] = sparse.coo_array((votes, (row, neighbour))).toarray().argmax(axis=1)
        stays[fresh] = True


def _borders(numbers: np.ndarray, small: np.ndarray) -> sparse.csr_array:
    """Count the 4-neighbour pairs, int32 [N, N], symmetric, between components i and j of which one is small."""
    across, down = (numbers[:, :-1], numbers[:, 1:]), (numbers[:-1], numbers[1:])
    one, other = np.concatenate([_meeting(*across, small), _meeting(*down, small)], axis=1)
    pairs = np.concatenate([one, other]), np.concatenate([other, one])
    return sparse.coo_array((np.ones(2 * one.size, np.int32), pairs), (small.size, small.size)).tocsr()


def _meeting(one: np.ndarray, other: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Return [2, P]: the two components of each neighbour pair of which one is small; without ignored pixels."""
    pairs = np.stack([side[one != other] for side in (one, other)])
    return pairs[:, (pairs > 0).all(axis=0) & small[pairs].any(axis=0)]
