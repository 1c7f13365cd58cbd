"""Find the faces of pictures, confirmed by a closer look of the parser, and follow them through a film (ours)."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from input_pipeline.images.resize_rules import ResizeRule
from input_pipeline.labels import LabelSet
from l2s_jax.inference import closeup
from l2s_jax.inference.closeup import Square

STRETCH = 8
"""Frames of a film that are cut at the same squares."""
_SEARCH, _LOST = 8, 2
"""Stretches after which more faces are looked for, and after which any are if there was none."""

_SURE = 0.75
"""Surety of the parser above which nobody looks whether a picture is upright. Of held-out faces one in thirty is below,
of what is taken for a face in turned pictures nearly all; chosen on these."""

Look = np.ndarray
"""A parsing, float32 [S, S, K]."""


class Found(NamedTuple):
    """The faces of a picture.

    Attributes:
      faces: their squares, the largest first; None where nobody looked for them.
      parts: those at which it was looked at closely, with what was seen.
      whole: the parsing of the whole picture, if there are no parts.
      quarters: turns by 90 degrees, clockwise, after which the faces stand upright: 0 to 3.
    """

    faces: list[Square] | None
    parts: list[tuple[Square, Look]]
    whole: Look | None
    quarters: int = 0


@dataclasses.dataclass(frozen=True)
class Finder:
    """A way to find faces.

    Attributes:
      detect: yields the squares of each picture uint8 [H, W, 3] that may hold a face, the largest first.
      look: yields the parsing of each picture, in order, as they are asked for.
      rule: rule by which it makes pictures square.
      label_set: the classes.
    """

    detect: Callable[[Iterable[np.ndarray]], Iterator[list[Square]]]
    look: Callable[[Iterable[np.ndarray]], Iterator[Look]]
    rule: ResizeRule
    label_set: LabelSet

    def faces(self, images: Sequence[np.ndarray]) -> list[Found]:
        """Return the faces of pictures: those that stand upright or, if none surely does, those that lie or hang.

        Where no face is sure, the picture is turned by quarters, and it is looked closer at what is detected then. The
        turn in which most faces are surest is kept.
        """
        found = self.upright(images)
        best = [sum(self._sureties(each)) for each in found]
        turns = [(number, k) for number, score in enumerate(best) if not score for k in (1, 2, 3)]
        views = [np.rot90(images[number], -k) for number, k in turns]
        for (number, k), view, parts in zip(turns, views, self._parts(views, list(self.detect(views))), strict=True):
            back = [(closeup.turned(face, view.shape, k), np.rot90(look, k)) for face, look in parts]
            each = Found([face for face, _ in back], back, None, k)
            if (score := sum(self._sureties(each))) > best[number]:
                found[number], best[number] = each, score
        return found

    def _sureties(self, found: Found) -> list[float]:
        """Return how sure the looks are that show a face without a doubt."""
        looks = [look for _, look in found.parts] or [found.whole] * bool(found.faces)
        sureties = (closeup.surety(look, self.label_set) for look in looks)
        return [surety for surety in sureties if surety >= _SURE]

    def upright(self, images: Sequence[np.ndarray]) -> list[Found]:
        """Return the faces of pictures that stand upright.

        What is detected and does not just fill the picture is confirmed by a closer look. Where nothing is, the parser
        looks at the whole picture, and closer at what it finds there.
        """
        found = self._closely(images, list(self.detect(images)))
        rest = [number for number, each in enumerate(found) if not each.parts]
        pictures = [images[number] for number in rest]
        wholes = list(self.look(pictures))
        seen = [
            closeup.find(whole, image.shape[:2], self.rule, self.label_set)
            for whole, image in zip(wholes, pictures, strict=True)
        ]
        for number, whole, each in zip(rest, wholes, self._closely(pictures, seen), strict=True):
            found[number] = each if each.parts else each._replace(whole=whole)
        return found

    def _closely(self, images: Sequence[np.ndarray], squares: Sequence[list[Square]]) -> list[Found]:
        """Look closer at the squares of each picture, if that is worth it, and keep those in which a face is seen."""
        doubtful = [own if closeup.worth(own, image.shape) else [] for own, image in zip(squares, images, strict=True)]
        return [
            Found([face for face, _ in seen] if own else every, seen, None)
            for own, every, seen in zip(doubtful, squares, self._parts(images, doubtful), strict=True)
        ]

    def _parts(self, images: Sequence[np.ndarray], squares: Sequence[list[Square]]) -> list[list[tuple[Square, Look]]]:
        """Return those squares of each picture in which a closer look sees a face, with what it sees.

        One that is not quite where it was looked for is looked at once more, where it is.
        """
        looks, parts = self._looks(images, squares), []
        for own in squares:
            seen = [(self._held(square, look), square, look) for square, look in zip(own, looks, strict=False)]
            moved = {face: look if face == square else None for face, square, look in seen if face is not None}
            parts.append([(face, moved[face]) for face in closeup.distinct(list(moved))])
        again = self._looks(images, [[face for face, look in own if look is None] for own in parts])
        return [[(face, next(again) if look is None else look) for face, look in own] for own in parts]

    def _looks(self, images: Sequence[np.ndarray], squares: Sequence[Sequence[Square]]) -> Iterator[Look]:
        return self.look(
            closeup.cut(image, square) for image, own in zip(images, squares, strict=True) for square in own
        )

    def _held(self, square: Square, look: Look) -> Square | None:
        """Return where a look sees the face for which it was taken: the same square, if it has hardly moved."""
        return next(iter(closeup.held([square], self.confirmed([square], [look]))), None)

    def confirmed(self, squares: Sequence[Square], looks: Iterable[Look]) -> list[Square]:
        """Return the faces in squares that closer looks confirm, where these find them."""
        closer = (
            closeup.confirmed(square, look, self.rule, self.label_set)
            for square, look in zip(squares, looks, strict=True)
        )
        return [face for face in closer if face is not None]


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
            (found,) = self._finder.upright([image])
            self._faces, self._due = closeup.held(self._faces, found.faces), _SEARCH if found.faces else _LOST
        self._due -= 1
        self.cuts = self._faces if closeup.worth(self._faces, image.shape) else []
        return self._faces

    def end(self, looks: Sequence[Look]) -> None:
        """Follow the faces to the last frame of the stretch; `looks`: its parsing at each of `cuts`."""
        if self.cuts:
            self._faces = closeup.held(self.cuts, self._finder.confirmed(self.cuts, looks))
            self._due = self._due if self._faces else 0
