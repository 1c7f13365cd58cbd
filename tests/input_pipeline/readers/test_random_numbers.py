"""Seeds as data: other draws for other indices and splits, and nothing that grows with their number."""

import time

import numpy as np
import pytest

from input_pipeline.datasets import open_source
from input_pipeline.types import View, read_reduced


def test_every_index_of_every_split_is_another_draw():
    sources = [open_source(f"random:50?{split}", size=8, require_masks=False) for split in ("train", "val", "test")]
    seeds = {tuple(source[k]["seed"]) for source in sources for k in range(50)}
    assert len(seeds) == 150
    assert list(sources[0][0]) == ["seed"]
    np.testing.assert_array_equal(sources[0][-1]["seed"], sources[0][49]["seed"])
    with pytest.raises(IndexError):
        sources[0][50]


def test_an_example_of_many_is_there_at_once():
    source = open_source("random:100000000?train", size=8, require_masks=False)
    started = time.perf_counter()
    assert source.names[99_999_999] == "train-99999999"
    assert read_reduced(View(View(source)), 7, 8).keys() == {"seed"}
    assert time.perf_counter() - started < 1  # a list of the names takes half a minute
