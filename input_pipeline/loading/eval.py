"""Make batches for evaluation: every example exactly once, in order, for any number of processes."""

import collections
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from input_pipeline import labels
from input_pipeline.errors import require
from input_pipeline.images.resize_rules import PAD_SQUARE, ResizeRule
from input_pipeline.labels import LabelSet
from input_pipeline.loading.collate import Batch, Row, local_batch, mask_of, padding_like, stack, to_row
from input_pipeline.types import Source


def eval_batches(
    source: Source,
    *,
    label_set: LabelSet,
    image_size: int,
    batch_size: int,
    resize: ResizeRule = PAD_SQUARE,
    process_index: int = 0,
    process_count: int = 1,
    multiple: int = 1,
    threads: int = 2,
) -> Iterator[tuple[Batch, list[np.ndarray | None]]]:
    """Yield this process's rows of the global batches that hold every example exactly once, in order.

    All processes yield the same number of batches of the same shapes; padding rows after the last example have weight
    0, image 0 and mask 255. Threads prefetch while the consumer computes.

    Args:
      source, label_set, image_size, batch_size, process_index, process_count: as in `train_batches`.
      resize: how a face is resized to a square of the network's size.
      multiple: number of devices of this process, or any other that shall divide its rows: more padding does it.
      threads: number of threads that prefetch.

    Yields:
      (batch, full_size_masks): the latter are uint8 [H, W] in `label_set`, all 255 for an example without labels, and
      None for padding and for examples without an image.

    Raises:
      UserError: as `train_batches`.
    """
    require(len(source), "the evaluation data holds no example")
    local = local_batch(batch_size, process_count)
    table = labels.remap(source.label_set, label_set)
    read = functools.partial(_eval_row, source, table, resize, image_size)
    starts = range(process_index * local, math.ceil(len(source) / batch_size) * batch_size, batch_size)
    indices = [index for start in starts for index in range(start, start + local)]
    return _in_batches(_read_ahead(read, indices, threads, ahead=local + threads), local, multiple, read)


EvalRow = tuple[Row, np.ndarray | None]


def _in_batches(
    rows: Iterator[EvalRow | None], local: int, multiple: int, read: Callable[[int], EvalRow | None]
) -> Iterator[tuple[Batch, list[np.ndarray | None]]]:
    padding = None
    while group := list(itertools.islice(rows, local)):
        group += [None] * (-local % multiple)
        if any(row is None for row in group) and padding is None:
            # A process may hold nothing but padding: then the first example gives the shapes.
            padding = padding_like((next(filter(None, group), None) or read(0))[0]), None
        filled = [row or padding for row in group]
        yield stack([row for row, _ in filled]), [full_size for _, full_size in filled]


def _eval_row(source: Source, table: np.ndarray, resize: ResizeRule, side: int, index: int) -> EvalRow | None:
    """Return the row and full-size mask of the example at `index`, or None after the last example."""
    if index >= len(source):
        return None
    example = source[index]
    if "image" not in example:
        return to_row(example), None
    full_size_mask = table[mask_of(example)]
    square = resize.fit(example, side)
    return to_row(square | {"mask": table[mask_of(square)]}), full_size_mask


def _read_ahead(function: Callable, items: Sequence[int], threads: int, ahead: int) -> Iterator:
    """Yield `map(function, items)` in order, computed in threads at most `ahead` items before the consumer."""
    with ThreadPoolExecutor(threads) as pool:
        pending: collections.deque[Future] = collections.deque()
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
