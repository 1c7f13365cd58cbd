"""Find the faces of pictures by looking at them again and again, and follow them through a film (ours)."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from input_pipeline.images.resize_rules import ResizeRule
from input_pipeline.labels import LabelSet
from l2s_jax.inference import closeup
from l2s_jax.inference.closeup import Square

STRETCH = 8
"""Frames of a film that are cut at the same squares."""
_SEARCH, _LOST = 8, 2
"""Stretches after which more faces are looked for, and after which any are if there was none."""


@dataclasses.dataclass(frozen=True)
class Finder:
    """A way to find faces.

    Attributes:
      look: parses pictures uint8 [H, W, 3] -> float32 [S, S, K] of each, in order, as they are asked for.
      rule: rule by which it makes pictures square.
      label_set: the classes.
    """

    look: Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]
    rule: ResizeRule
    label_set: LabelSet

    def faces(self, images: Sequence[np.ndarray], wholes: Iterable[np.ndarray]) -> list[list[Square]]:
        """Return the faces of each picture, the largest first.

        Those that do not fill it are confirmed by a closer look; if none is seen, smaller ones are looked for in tiles.

        Args:
          images: uint8 [H, W, 3], of any sizes.
          wholes: the parsing of each, float32 [S, S, K].
        """
        first = [
            closeup.find(whole, image.shape[:2], self.rule, self.label_set)
            for whole, image in zip(wholes, images, strict=True)
        ]
        found = self._sure(images, first)
        tiles = [[] if faces else closeup.tiles(image.shape[:2]) for faces, image in zip(found, images, strict=True)]
        looks = self._closer(images, tiles)
        smaller = self._sure(images, [self._in_tiles(own, looks) for own in tiles])
        return [faces or small for faces, small in zip(found, smaller, strict=True)]

    def _sure(self, images: Sequence[np.ndarray], found: Sequence[list[Square]]) -> list[list[Square]]:
        """Return the faces of each picture without those that a closer look, where it is worth it, does not confirm."""
        doubtful = [
            faces if closeup.worth(faces, image.shape) else [] for faces, image in zip(found, images, strict=True)
        ]
        looks = self._closer(images, doubtful)
        return [
            self.confirmed(own, list(itertools.islice(looks, len(own)))) if own else faces
            for own, faces in zip(doubtful, found, strict=True)
        ]

    def confirmed(self, faces: Sequence[Square], looks: Iterable[np.ndarray]) -> list[Square]:
        """Return the faces that closer looks, float32 [S, S, K] of each, confirm, where these find them."""
        closer = (
            closeup.confirmed(face, look, self.rule, self.label_set) for face, look in zip(faces, looks, strict=True)
        )
        return [face for face in closer if face is not None]

    def _closer(self, images: Sequence[np.ndarray], squares: Sequence[Sequence[Square]]) -> Iterator[np.ndarray]:
        return self.look(
            closeup.cut(image, square) for image, own in zip(images, squares, strict=True) for square in own
        )

    def _in_tiles(self, tiles: Sequence[Square], looks: Iterator[np.ndarray]) -> list[Square]:
        found = []
        for tile in tiles:
            faces = closeup.find(next(looks), (tile.side, tile.side), self.rule, self.label_set)
            found += closeup.inside(tile, faces)
        return closeup.distinct(found)


class Follower:
    """The faces of a film from stretch to stretch: `begin`, parse the frames at `cuts`, `end`.

    Attributes:
      cuts: squares that the frames of the stretch are cut at; none: they are parsed as they are.
    """

    def __init__(self, finder: Finder):
        self._finder = finder
        self._faces: list[Square] = []
        self._due = 0  # stretches until faces are looked for
        self.cuts: list[Square] = []

    def begin(self, image: np.ndarray) -> list[Square]:
        """Return the faces of a stretch whose first frame is `image`, uint8 [H, W, 3]."""
        if self._due <= 0:
            (found,) = self._finder.faces([image], self._finder.look([image]))
            self._faces, self._due = closeup.held(self._faces, found), _SEARCH if found else _LOST
        self._due -= 1
        self.cuts = self._faces if closeup.worth(self._faces, image.shape) else []
        return self._faces

    def end(self, looks: Sequence[np.ndarray]) -> None:
        """Follow the faces to the last frame of the stretch; `looks`: its parsing [S, S, K] at each of `cuts`."""
        if self.cuts:
            self._faces = closeup.held(self.cuts, self._finder.confirmed(self.cuts, looks))
            self._due = self._due if self._faces else 0
