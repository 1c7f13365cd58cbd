"""Label the connected components of a mask, and remove small ones, on the host.

Labels are for losses that make predictions consistent within each component.

Blobs are constants of the loss, but cropping and rotation split and join them: they are computed from the augmented
mask that the network sees. Background is a class like any other (Masi et al., CVPR 2020, section 3).
"""

import cv2
import numpy as np
import scipy

from input_pipeline.errors import require
from input_pipeline.labels import IGNORE

NONE = -1
"""Blob id of ignored pixels."""


def blobs(mask: np.ndarray, max_blobs: int, *, min_pixels: int) -> np.ndarray:
    """Label the 4-connected components of each class, with at most `max_blobs` ids.

    Components smaller than `min_pixels`, and the smallest ones if there are too many, are merged with the others of
    their class that are left over: a blob may have several pieces, but only one class. The merging rule is ours.

    Args:
      mask: [H, W] class ids, 255 = ignore.
      max_blobs: number of ids, a static size of the loss.
      min_pixels: area below which a component gets no blob of its own; 1 keeps all.

    Returns:
      int32 [H, W]: 0, 1, ... from the largest component to the smallest (equal ones in raster order of their first
      pixel), then the merged remainders in the order of their classes; -1 on ignored pixels.

    Raises:
      UserError: the mask holds more classes than `max_blobs`.
    """
    numbered, count = components(mask)
    owned = numbered > 0
    # From here on component k of OpenCV is number k - 1.
    numbers = numbered[owned] - 1
    sizes = np.bincount(numbers, minlength=count)
    classes = np.zeros(count, np.int64)
    classes[numbers] = mask[owned]
    order = np.argsort(-sizes, kind="stable")  # OpenCV numbers in raster order
    keep = _affordable(classes[order], max_blobs, at_most=int((sizes >= min_pixels).sum()))
    ids = np.empty(count, np.int32)
    ids[order[:keep]] = np.arange(keep)
    _, remainder = np.unique(classes[order[keep:]], return_inverse=True)
    ids[order[keep:]] = keep + remainder
    result = np.full(mask.shape, NONE, np.int32)
    result[owned] = ids[numbers]
    return result


def components(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Label the 4-connected components of all classes.

    Args:
      mask: [H, W] class ids, H and W at least 1, 255 = ignore.

    Returns:
      their numbers int32 [H, W], from 1 in raster order (0 = ignored), and how many there are.

    OpenCV labels two values only. One pass for all classes: pixels are laid out with gaps, and a gap is filled if both
    its neighbours have the same class. So the time does not grow with the number of classes (512 px, 15 classes, one
    thread: 4 ms; a call for each class 80 ms, within its bounding box 11 ms).
    """
    height, width = mask.shape
    valid = mask != IGNORE
    spread = np.zeros((2 * height - 1, 2 * width - 1), np.uint8)
    spread[::2, ::2] = valid
    spread[1::2, ::2] = valid[1:] & (mask[1:] == mask[:-1])
    spread[::2, 1::2] = valid[:, 1:] & (mask[:, 1:] == mask[:, :-1])
    count, numbers = cv2.connectedComponents(spread, connectivity=4)
    return numbers[::2, ::2], count - 1


def _affordable(classes: np.ndarray, max_blobs: int, at_most: int) -> int:
    """Return how many of the components, sorted from large to small, can keep a blob of their own.

    Keeping k costs k ids, plus one for every class among the rest. That grows with k, so the last k that fits is best.
    """
    _, last = np.unique(classes[::-1], return_index=True)
    last = len(classes) - 1 - last  # index of the last occurrence of each class
    kept = np.arange(at_most + 1)
    cost = kept + (last[None, :] >= kept[:, None]).sum(axis=1)
    require(cost[0] <= max_blobs, f"{max_blobs} blobs are too few for a mask of {cost[0]} classes: raise data.blobs")
    return int(np.flatnonzero(cost <= max_blobs)[-1])


def remove_islands(labels: np.ndarray, min_pixels: int) -> np.ndarray:
    """Give small components the class of their surroundings (ours).

    A 4-connected component of at least `min_pixels` is kept. The others are filled from outside to inside: in each
    round every small component next to kept ones takes the majority class among them along their common border (pairs
    of 4-neighbours are counted; the lower class wins a tie) and is kept from then on. No small component remains,
    except in two cases: if all components are small, or if ignored pixels isolate a component.

    Components are nodes of a graph, with the length of their common border on the edges; each edge is visited once.

    Args:
      labels: uint8 or int [H, W] classes, 255 = ignore; ignored pixels stay and have no influence.
      min_pixels: area in pixels of the smallest component that is kept; up to 1 changes nothing.

    Returns:
      the labels, in shape and dtype of `labels`.
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
        classes[fresh] = scipy.sparse.coo_array((votes, (row, neighbour))).toarray().argmax(axis=1)
        stays[fresh] = True


def _borders(numbers: np.ndarray, small: np.ndarray) -> "scipy.sparse.csr_array":
    """Count the 4-neighbour pairs, int32 [N, N], symmetric, between components i and j of which one is small."""
    across, down = (numbers[:, :-1], numbers[:, 1:]), (numbers[:-1], numbers[1:])
    one, other = np.concatenate([_meeting(*across, small), _meeting(*down, small)], axis=1)
    pairs = np.concatenate([one, other]), np.concatenate([other, one])
    return scipy.sparse.coo_array((np.ones(2 * one.size, np.int32), pairs), (small.size, small.size)).tocsr()


def _meeting(one: np.ndarray, other: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Return [2, P]: the two components of each neighbour pair of which one is small; without ignored pixels."""
    pairs = np.stack([side[one != other] for side in (one, other)])
    return pairs[:, (pairs > 0).all(axis=0) & small[pairs].any(axis=0)]
