"""Synthetic faces as a random-access source."""

import dataclasses
import operator
import re
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from input_pipeline.errors import UserError, nearest, require
from input_pipeline.labels import CELEBAMASK, LabelSet
from input_pipeline.licences import OURS
from input_pipeline.synthetic import rng
from input_pipeline.synthetic.face import check_size, render
from input_pipeline.synthetic.factors import sample_factors
from input_pipeline.types import OpenOptions, numbered_names

SPLITS = ("train", "val", "test")
_STREAM = re.compile(r"seed(0|[1-9][0-9]{0,17})")
_WHERE = re.compile(r"([0-9]{1,18})(?:/([0-9]{1,18}))?")


@dataclasses.dataclass(frozen=True)
class SyntheticSource:
    """`count` faces that are rendered on access; pickles as five values.

    Every split is a separate stream: the crc32 of its name is folded into the seed, so no face and no
    person of one split is in another.

    Attributes:
      count: number of faces, at least 1.
      size: side of the images in pixels, 16..4096.
      seed: of the family of streams, any integer.
      split: one of `SPLITS`, or one of the further streams `seed0`, `seed1`, ...
      people: number of people, 1..count; face i shows person i modulo `people`. None: every face shows another.

    Raises:
      UserError: count, size or people out of range, or an unknown split.
    """

    label_set: ClassVar[LabelSet] = CELEBAMASK
    licence: ClassVar[str] = OURS
    count: int
    size: int
    seed: int
    split: str = "train"
    people: int | None = None

    def __post_init__(self):
        require(self.count >= 1, f"synthetic:{self.count} asks for {self.count} faces; ask for at least 1")
        require(
            self.people is None or 1 <= self.people <= self.count,
            f"synthetic:{self.count}/{self.people} asks for {self.count} pictures of {self.people} people; "
            "ask for at least one person, and for no more people than pictures",
        )
        check_size(self.size)
        if self.split not in SPLITS and not _STREAM.fullmatch(self.split):
            hint = nearest(self.split, SPLITS, f"take {', '.join(SPLITS)}, or seed and a number, as in '?seed7'")
            raise UserError(f"'?{self.split}' is no stream of synthetic faces: {hint}")

    @property
    def names(self) -> Sequence[str]:
        """Return one name per face."""
        return numbered_names(self.split, self.count)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        """Render example `index`: what `render` returns, and `identity` int32 [], the number of its person.

        Raises:
          IndexError: index outside -count .. count - 1.
        """
        position = range(self.count)[operator.index(index)]
        key, person = rng.fold(self.seed, self.split), position % (self.people or self.count)
        face = render(key, position, self.size, factors=sample_factors(key, position, identity_index=person))
        return {**face, "identity": np.array(person, np.int32)}


def splits(where: str) -> tuple[str, ...]:
    """Return (): the data have no splits to list, since a stream is as long as requested."""
    del where
    return ()


def open_split(where: str, split: str, options: OpenOptions) -> SyntheticSource:
    """Open `synthetic:WHERE?split`, where `where` is COUNT or COUNT/PEOPLE: how many faces, of how many people.

    Raises:
      UserError: `where` has another form, there are too many faces or people, or there is no such stream.
    """
    match = _WHERE.fullmatch(where)
    count, people = (None if text is None else int(text) for text in match.groups()) if match else (0, None)
    require(
        0 < count <= 100_000_000,
        f"'{where}' is not a number of faces: write for example 'synthetic:2000?train', or "
        "'synthetic:20000/2000?train' for 20000 pictures of 2000 people",
    )
    return SyntheticSource(count, size=options.size or 128, seed=options.seed, split=split or "train", people=people)
