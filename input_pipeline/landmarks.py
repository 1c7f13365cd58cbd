"""Landmark schemes: their mirror images, the five points that every scheme shares, and alignment by these.

A scheme is identified by its number of points:

| points | scheme |
|---|---|
| 5 | eyes, nose tip, mouth corners |
| 68 | iBUG 300-W (Helen) |
| 70 | the same and the two pupils (FaceSynthetics) |
| 106 | JD-landmark (LaPa) |

All number from the left of the image, the subject's right: the first eye and brow are the classes `r_eye`, `r_brow`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from input_pipeline.errors import require


def _mirrored(count: int, *pairs: tuple[int, int]) -> np.ndarray:
    """Return the permutation that swaps the pairs and keeps the points on the midline."""
    order = np.arange(count)
    for a, b in pairs:
        order[[a, b]] = b, a
    return order


_IBUG = (
    *((k, 16 - k) for k in range(8)),  # jaw
    *((17 + k, 26 - k) for k in range(5)),  # brows
    *((31, 35), (32, 34)),  # nostrils
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),  # eyes
    *((48, 54), (49, 53), (50, 52), (55, 59), (56, 58)),  # outer lips
    *((60, 64), (61, 63), (65, 67)),  # inner lips
)
_JD = (
    *((k, 32 - k) for k in range(16)),  # contour, chin at 16
    *((33 + k, 46 - k) for k in range(5)),  # upper edge of the brows, outer end to inner end
    *((38 + k, 50 - k) for k in range(4)),  # lower edge of the brows
    *((55 + k, 65 - k) for k in range(5)),  # sides of the nose and nostrils; 51..54 and 60 lie on the midline
    *((66 + k, 79 - k) for k in range(5)),  # upper lids with both corners
    *((71 + k, 82 - k) for k in range(3)),  # lower lids
    (74, 83),  # centres between the lids
    *((84, 90), (85, 89), (86, 88), (91, 95), (92, 94)),  # outer lips
    *((96, 100), (97, 99), (101, 103)),  # inner lips
    (104, 105),  # pupils
)
_MIRRORED: Mapping[int, np.ndarray] = {
    5: _mirrored(5, (0, 1), (3, 4)),
    68: _mirrored(68, *_IBUG),
    70: _mirrored(70, *_IBUG, (68, 69)),
    106: _mirrored(106, *_JD),
}

_IBUG_FIVE = ((*range(36, 42),), (*range(42, 48),), (30,), (48,), (54,))
_FIVE: Mapping[int, Sequence[Sequence[int]]] = {
    5: ((0,), (1,), (2,), (3,), (4,)),
    68: _IBUG_FIVE,
    70: _IBUG_FIVE,  # lids, not pupils: the pupils follow the gaze
    106: ((74, 104), (83, 105), (54,), (84,), (90,)),
}

TEMPLATE = np.array([[196, 226], [316, 226], [256, 286], [220, 360.4], [292, 360.4]]) / 512
"""Positions of the five points in an aligned face, fractions of its side (FaRL, SegFace)."""


def mirror_order(count: int) -> np.ndarray:
    """Return the permutation of points under mirroring: int64 [count], its own inverse.

    The orders of 68 and 70 points are iBUG's. That of 106 was taken from the LaPa data set description of mmpose and
    checked against what other projects know of the scheme: contour and brows are numbered and mirrored as in WFLW, the
    points that the scheme shares with iBUG-68 are mirrored as there, and the five points pair up. The tests repeat the
    last two and place all schemes on a symmetric face, where mirrored points must coincide with their partners.

    Raises:
      UserError: a scheme whose mirror order is not known.
    """
    require(count in _MIRRORED, f"faces of {count} landmarks cannot be mirrored: set the flip probability to 0")
    return _MIRRORED[count]


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """Return the eyes, nose tip and mouth corners of a face, of each pair the one on the left of the image first.

    Args:
      landmarks: [K, 2] of a scheme of this module (SegFace's choice of points for 68 and 106).

    Returns:
      float64 [5, 2].

    Raises:
      UserError: an unknown scheme.
    """
    require(
        len(landmarks) in _FIVE,
        f"faces of {len(landmarks)} landmarks cannot be aligned: known are those of {', '.join(map(str, _FIVE))}",
    )
    points = np.asarray(landmarks, np.float64)
    return np.stack([points[list(part)].mean(axis=0) for part in _FIVE[len(points)]])


def similarity(points: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Compute the similarity (rotation, scale and shift) that maps points to targets in the least-squares sense.

    In the plane Umeyama's problem (PAMI 1991) is linear: with points p and targets q as complex numbers about their
    means, q = a p has the solution a = sum(conj(p) q) / sum(|p|^2), and never mirrors.

    Args:
      points, targets: [N, 2].

    Returns:
      float64 [2, 3] matrix M with `target ~ M @ (x, y, 1)`.

    Raises:
      UserError: points that are not finite or all coincide.
    """
    points, targets = np.asarray(points, np.float64), np.asarray(targets, np.float64)
    centre, aim = points.mean(axis=0), targets.mean(axis=0)
    p, q = (points - centre) @ (1, 1j), (targets - aim) @ (1, 1j)
    spread = np.vdot(p, p).real
    require(0 < spread < np.inf, "the landmarks of a face are all in one place or not finite: correct or remove them")
    a = np.vdot(p, q) / spread
    linear = np.array([[a.real, -a.imag], [a.imag, a.real]])
    return np.column_stack([linear, aim - linear @ centre])


def alignment_matrix(landmarks: np.ndarray, template: np.ndarray, side: int) -> np.ndarray:
    """Compute the similarity that maps the five points of a face to a template.

    Args:
      landmarks: [K, 2] (x, y) pixels, see `five_points`.
      template: [5, 2] fractions of the side, e.g. `TEMPLATE`. (The published code multiplies by side - 1 and counts
        pixel centres from 0: a quarter of a pixel away at most.)
      side: of the aligned square, pixels.

    Returns:
      float64 [2, 3], see `similarity`.

    Raises:
      UserError: as `five_points` and `similarity`.
    """
    return similarity(five_points(landmarks), np.asarray(template) * side)
