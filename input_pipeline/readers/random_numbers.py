"""Seeds of random draws as data, for systems that make their images themselves: `random:COUNT?SPLIT`."""

import dataclasses
import operator
import zlib
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from input_pipeline.errors import lookup, require
from input_pipeline.labels import CELEBAMASK, LabelSet
from input_pipeline.licences import OURS
from input_pipeline.types import Example, OpenOptions, numbered_names

SPLITS = ("train", "val", "test")
MOST = 100_000_000


@dataclasses.dataclass(frozen=True)
class RandomSource:
    """`count` seeds, each of which stands for one draw; the draws of different splits are different.

    Attributes:
      count: number of seeds, at least 1.
      seed: of the family of streams, any integer.
      split: one of `SPLITS`.
    """

    label_set: ClassVar[LabelSet] = CELEBAMASK  # there are no masks, but every source has a label set
    licence: ClassVar[str] = OURS  # numbers take nothing from anybody
    count: int
    seed: int
    split: str

    @property
    def names(self) -> Sequence[str]:
        """Return one name per seed."""
        return numbered_names(self.split, self.count)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        """Return `seed` uint32 [2], the data of a typed JAX key (threefry).

        Raises:
          IndexError: index outside -count .. count - 1.
        """
        position = range(self.count)[operator.index(index)]
        words = np.random.SeedSequence((zlib.crc32(self.split.encode()), abs(self.seed), self.seed < 0, position))
        return {"seed": words.generate_state(2, np.uint32)}


def splits(where: str) -> tuple[str, ...]:
    """Return (): there are no splits to list, since a stream is as long as requested."""
    del where
    return ()


def open_split(where: str, split: str, options: OpenOptions) -> RandomSource:
    """Open `random:WHERE?split`, where `where` is the number of draws.

    Raises:
      UserError: it is not a number, or there is no such split.
    """
    fits = where.isascii() and where.isdigit() and 0 < int(where) <= MOST
    require(fits, f"'{where}' is not a number of draws: write for example 'random:70000?train'")
    return RandomSource(
        int(where), options.seed, lookup(dict(zip(SPLITS, SPLITS, strict=True)), split or "train", "split")
    )
