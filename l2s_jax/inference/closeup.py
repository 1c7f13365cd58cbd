"""Squares around faces, so that the parser can look at each closely, and what it sees of them itself (ours).

Brows, eyes, nose and mouth that lie together make a face. Its square is that in which the training faces stand, whose
features are at a known place; the picture is cut there, parsed again, and put together from the cuts.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from input_pipeline.images.resize_rules import ResizeRule
from input_pipeline.labels import REGIONS, LabelSet
from l2s_jax.inference.processing import Planes

FEATURES = ("brows", "eyes", "nose", "lips")
"""From top to bottom; the lips, which go around the mouth, stand for it."""
CENTRE, EXTENT = (0.50, 0.59), (0.42, 0.41)
"""Middle and size (x, y) of the box around all features, as shares of an aligned portrait's side: means of 370 faces of
CelebAMask-HQ, of standard deviations .016, .014 and .050, .032."""

_KINDS = 3
"""Different features that make a face; fewer are a spot that looks like one."""
_SURE = 0.65
"""Mean probability of the features of a face; those that are seen in clouds and cloth are less sure."""
_SPECK = 4
"""Pixels of the network's square from which a feature counts."""
_SHARE = 0.004
"""Share of the box around all features from which one counts; eyes have six times as much, a badge's specks less."""
_OFF, _LEAST, _MOST = 0.25, 0.5, 2.0
"""How far from the middle of a cut a face may be, and how large, in sides of the cut, to be the one it was cut for."""
_MARGIN = 1.25
"""Side of a cut over that of an aligned portrait, for hair and shoulders; parsers know faces smaller than that."""
_STILL, _STEADY = 0.1, 0.2
"""Motion, in sides, and change of size, as a logarithm, below which a face of a film keeps its square."""
_FILLS = (0.95, 1.5)
"""Sides of a face that fills the picture, in shorter sides of it; an aligned portrait's is 1.25."""


class Square(NamedTuple):
    """A square, in pixels of the picture, around a face with hair and shoulders; it may go beyond the border.

    Attributes:
      left, top: its corner.
      side: its side.
    """

    left: int
    top: int
    side: int


def find(probabilities: np.ndarray, shape: tuple[int, int], rule: ResizeRule, label_set: LabelSet) -> list[Square]:
    """Return the squares of the faces of a picture, the largest first.

    Args:
      probabilities: float32 [S, S, K], the parsing of the whole picture.
      shape: height and width of the picture.
      rule: rule that made it square.
      label_set: the classes; at least three of `FEATURES` must be among them, or nothing is found.
    """
    size = probabilities.shape[0]
    box = rule.box(*shape, size)
    ids = probabilities[box.top : box.bottom, box.left : box.right].argmax(axis=-1)
    sure = probabilities[box.top : box.bottom, box.left : box.right].max(axis=-1)
    kinds = np.stack([np.isin(ids, classes) for classes in _features(label_set)] or [np.zeros(ids.shape, bool)])
    reach = 2 * (size // 40) + 1
    near = cv2.dilate(kinds.any(axis=0).astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    count, places = cv2.connectedComponents(near)
    scale = np.divide(shape, ids.shape)[::-1]  # pixels of the picture in one of the network's, (x, y)
    faces = []
    for number in range(1, count):
        parts = kinds & (places == number)
        if _is_face(parts) and sure[parts.any(axis=0)].mean() >= _SURE:
            faces.append(_square(parts.any(axis=0), scale))
    return sorted(faces, key=lambda face: -face.side)


def surety(probabilities: np.ndarray, label_set: LabelSet) -> float:
    """Return the mean probability of the features, whichever they are, in the parsing [S, S, K] of a cut; 0 if none."""
    features = sorted({k for classes in _features(label_set) for k in classes})
    seen = np.isin(probabilities.argmax(axis=-1), features)
    return float(probabilities.max(axis=-1)[seen].mean()) if seen.any() else 0.0


def _is_face(parts: np.ndarray) -> bool:
    """Return whether features bool [F, S, S], in the order from top to bottom, make a face that stands upright."""
    rows, columns = np.nonzero(parts.any(axis=0))
    least = max(_SPECK, _SHARE * np.ptp(rows) * np.ptp(columns))
    heights = [np.nonzero(part)[0].mean() for part in parts if part.sum() >= least]
    return len(heights) >= _KINDS and all(above < below for above, below in itertools.pairwise(heights))


def _features(label_set: LabelSet) -> list[tuple[int, ...]]:
    """Return the classes of each feature that the label set tells apart."""
    parts = ({name, *REGIONS.get(name, ())} & set(label_set.names) for name in FEATURES)
    return [label_set.region(*names) for names in parts if names]


def _square(pixels: np.ndarray, scale: np.ndarray) -> Square:
    y, x = np.nonzero(pixels)
    low, high = np.array([x.min(), y.min()]) * scale, np.array([x.max() + 1, y.max() + 1]) * scale
    side = max((high - low) / EXTENT)
    return around((low + high) / 2 - side * (np.array(CENTRE) - 0.5), side)


def around(middle: np.ndarray, side: float) -> Square:
    """Return the square around an aligned portrait with this middle (x, y) and side, pixels of the picture."""
    side = _MARGIN * side
    left, top = middle - side / 2
    return Square(round(float(left)), round(float(top)), max(round(float(side)), 1))


def distinct(faces: Sequence[Square]) -> list[Square]:
    """Return every face once, the largest first: of those whose middles are near one another, the first given."""
    kept: list[Square] = []
    for face in faces:
        near = (max(abs(_middle(face) - _middle(other))) < max(face.side, other.side) / 4 for other in kept)
        if not any(near):
            kept.append(face)
    return sorted(kept, key=lambda face: -face.side)


def held(before: Sequence[Square], faces: Sequence[Square]) -> list[Square]:
    """Return the faces of a film, each in the square of before if it has hardly moved: what is cut holds still."""
    return [next((old for old in before if _is_same(face, old)), face) for face in faces]


def _is_same(face: Square, old: Square) -> bool:
    moved = abs(_middle(face) - _middle(old)).max() / old.side
    return moved < _STILL and abs(np.log(face.side / old.side)) < _STEADY


def _middle(square: Square) -> np.ndarray:
    return np.array([square.left, square.top]) + square.side / 2


def confirmed(square: Square, probabilities: np.ndarray, rule: ResizeRule, label_set: LabelSet) -> Square | None:
    """Return the square of a face as it is found at a closer look, or None: it was none.

    Args:
      square: where the picture was cut.
      probabilities: float32 [S, S, K], the parsing of the cut.
      rule, label_set: as for `find`.
    """
    for face in find(probabilities, (square.side, square.side), rule, label_set):
        if abs(_middle(face) / square.side - 0.5).max() < _OFF and _LEAST < face.side / square.side < _MOST:
            return Square(square.left + face.left, square.top + face.top, face.side)
    return None


def worth(faces: Sequence[Square], shape: tuple[int, ...]) -> bool:
    """Return whether to look closer: at several faces, or at one that does not just fill the picture [H, W, ...]."""
    smallest, largest = np.multiply(_FILLS, min(shape[:2]))
    return len(faces) > 1 or (len(faces) == 1 and not smallest <= faces[0].side <= largest)


def turned(square: Square, shape: tuple[int, ...], quarters: int) -> Square:
    """Return where a square of a picture [H, W, ...] lies after `np.rot90(picture, quarters)`."""
    height, width = shape[:2]
    for _ in range(quarters % 4):
        square, height, width = Square(square.top, width - square.left - square.side, square.side), width, height
    return square


def cut(image: np.ndarray, square: Square) -> np.ndarray:
    """Cut a square out of a picture uint8 [H, W, 3] -> [side, side, 3]; beyond the border its pixels are repeated."""
    height, width = image.shape[:2]
    rows = np.clip(np.arange(square.top, square.top + square.side), 0, height - 1)
    columns = np.clip(np.arange(square.left, square.left + square.side), 0, width - 1)
    return image[rows[:, None], columns[None]]


class Mosaic:
    """`Planes` of a picture put together from those of its squares: a pixel is of the nearest one, background outside.

    Args:
      pieces: squares and the planes [side, side] of each.
      shape: height and width of the picture.
    """

    def __init__(self, pieces: Sequence[tuple[Square, Planes]], shape: tuple[int, int]):
        self.shape = shape
        self._pieces = pieces
        y, x = np.ogrid[: shape[0], : shape[1]]
        nearest = np.full(shape, 0.5, np.float32)  # half a side: the border of a square
        self._owner = np.full(shape, -1, np.int16)
        for number, (square, _) in enumerate(pieces):
            middle_x, middle_y = square.left + square.side / 2, square.top + square.side / 2
            distance = np.maximum(abs(x + 0.5 - middle_x), abs(y + 0.5 - middle_y)) / square.side
            self._owner[distance < nearest] = number
            nearest = np.minimum(nearest, distance)

    def __len__(self) -> int:
        return len(self._pieces[0][1])

    def __getitem__(self, k: int) -> np.ndarray:
        plane = np.full(self.shape, 1.0 if k == 0 else 0.0, np.float32)
        height, width = self.shape
        for number, (square, planes) in enumerate(self._pieces):
            top, left = max(square.top, 0), max(square.left, 0)
            bottom, right = min(square.top + square.side, height), min(square.left + square.side, width)
            if top >= bottom or left >= right:
                continue
            piece = planes[k][top - square.top : bottom - square.top, left - square.left : right - square.left]
            mine = self._owner[top:bottom, left:right] == number
            np.copyto(plane[top:bottom, left:right], piece, where=mine)
        return plane
