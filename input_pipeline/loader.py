"""Batches for networks: an infinite, restartable stream for training, and each example exactly once for evaluation.

Row r of global batch s is draw number `s * batch_size + r` of ONE shuffled stream, and its random changes depend on
(seed, draw number) alone. So neither the number of processes nor that of workers changes a batch, and the step is the
whole state of the stream.
"""

import collections
import dataclasses
import functools
import itertools
import json
import math
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import grain
import numpy as np
from absl import flags

from input_pipeline import labels
from input_pipeline.augment import Augment, random_view
from input_pipeline.cache import CachedSource, ShrunkSource
from input_pipeline.errors import UserError
from input_pipeline.labels import LabelSet
from input_pipeline.sources import Example, Source
from input_pipeline.transforms import fit_square

Batch = dict[str, np.ndarray]
OVERSAMPLE = 1.25
"""Working size over network size: what a typical magnification by `Augment` can still use."""


def train_batches(
    source: Source,
    *,
    label_set: LabelSet,
    image_size: int,
    batch_size: int,
    seed: int,
    augment: Augment,
    process_index: int = 0,
    process_count: int = 1,
    workers: int = 0,
    threads: int = 2,
    prefetch: int = 4,
    cache: bool = False,
) -> "TrainBatches":
    """This process's rows of an infinite stream of global batches.

    Args:
      source: the examples; every epoch visits each once, in a new order.
      label_set: of the masks of the batches.
      image_size: side of the images, pixels.
      batch_size: rows of the GLOBAL batch; row r belongs to process `r // (batch_size // process_count)`.
      seed: 0 <= seed < 2**32, of the order and of the random changes.
      augment: the random changes.
      process_index, process_count: this process among those that share each batch.
      workers: processes that prepare batches; 0 prepares them in threads of this process.
      threads: how many, if there are no workers.
      prefetch: batches prepared ahead (by each worker).
      cache: keep the examples in memory at working size (threads only).

    Returns:
      an iterator of batches (docs/architecture.md), all rows with weight 1.

    Raises:
      UserError: an empty source, a batch that does not divide among the processes, a label set the masks cannot be
        mapped to; and, from the iterator, an example that cannot be read.
    """
    if not len(source):
        raise UserError("the training data holds no example")
    if workers and cache:
        raise UserError("a cache lives in one process: use it with workers=0, or workers without a cache")
    if not 0 <= seed < 2**32:
        raise UserError(f"the data seed is {seed}, but it goes from 0 to {2**32 - 1}")
    working_side = math.ceil(OVERSAMPLE * image_size)
    working = CachedSource(source, working_side) if cache else ShrunkSource(source, working_side)
    local = _local_batch(batch_size, process_index, process_count)
    view = _TrainView(augment, source.label_set, labels.remap(source.label_set, label_set), image_size)
    stream = grain.MapDataset.source(working).seed(seed).shuffle().repeat().random_map(view)
    read = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(prefetch, threads))
    return TrainBatches(
        # Batches before processes: the batch of process p at step s is number `s * process_count + p`.
        stream.batch(local, drop_remainder=True, batch_fn=_stack)[process_index::process_count],
        grain.ReadOptions(num_threads=0, prefetch_buffer_size=0) if workers else read,
        grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=prefetch),
        {"seed": seed, "batch_size": batch_size, "examples": len(source)},
    )


class TrainBatches(Iterator[Batch]):
    """The stream of `train_batches`; close it, or use it as a context manager."""

    def __init__(
        self,
        batches: grain.MapDataset,
        read: grain.ReadOptions,
        processes: grain.MultiprocessingOptions,
        stream: Mapping[str, int],
    ):
        self._batches, self._read, self._processes, self._stream = batches, read, processes, dict(stream)
        self._step = 0
        self._iterator: grain.DatasetIterator | None = None

    def __next__(self) -> Batch:
        if self._iterator is None:
            if not flags.FLAGS.is_parsed():
                flags.FLAGS.mark_as_parsed()  # grain asks absl's flags before it starts a worker.
            rest = self._batches[self._step :].to_iter_dataset(self._read)
            self._iterator = iter(rest.mp_prefetch(self._processes, _ignore_interrupts))
        try:
            batch = next(self._iterator)
        except UserError:
            self.close()  # grain's iterator is of no use after an error; ours meets the same error again.
            raise
        self._step += 1
        return batch

    def get_state(self) -> dict[str, int]:
        """What `set_state` needs to go on after the last batch taken; plain JSON, the same in every process."""
        return {"step": self._step, **self._stream}

    def set_state(self, state: Mapping[str, int]) -> None:
        """Goes to where a stream of the same data, seed and batch size stood; processes and workers may differ.

        Raises:
          UserError: the state is of another stream.
        """
        for key, value in self._stream.items():
            if state.get(key) != value:
                raise UserError(
                    f"the saved position in the data has {key} {json.dumps(state.get(key))}, this run has {value}: "
                    "resume with the data and settings of the checkpoint, or start in a new workdir"
                )
        self.close()
        self._step = int(state["step"])

    def close(self) -> None:
        """Stops threads and worker processes; the next batch would start them anew."""
        if self._iterator is not None:
            self._iterator.close()
            self._iterator = None

    def __enter__(self) -> "TrainBatches":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def eval_batches(
    source: Source,
    *,
    label_set: LabelSet,
    image_size: int,
    batch_size: int,
    process_index: int = 0,
    process_count: int = 1,
    threads: int = 2,
) -> Iterator[tuple[Batch, list[np.ndarray | None]]]:
    """This process's rows of the global batches that hold every example exactly once, in order.

    All processes yield the same number of batches of the same shapes; rows beyond the last example have weight 0,
    image 0 and mask 255. Threads read ahead while the consumer computes.

    Args:
      source, label_set, image_size, batch_size, process_index, process_count: as in `train_batches`.
      threads: how many read ahead.

    Yields:
      (batch, natives): natives[b] is the mask uint8 [H, W] of row b at its own size in `label_set` (all 255 for an
      example without labels), or None for padding.

    Raises:
      UserError: as `train_batches`.
    """
    if not len(source):
        raise UserError("the evaluation data holds no example")
    local = _local_batch(batch_size, process_index, process_count)
    table = labels.remap(source.label_set, label_set)
    read = functools.partial(_eval_row, source, table, image_size)
    starts = range(process_index * local, math.ceil(len(source) / batch_size) * batch_size, batch_size)
    indices = [index for start in starts for index in range(start, start + local)]
    return _in_batches(_read_ahead(read, indices, threads, ahead=local + threads), local, read)


EvalRow = tuple[Batch, np.ndarray]


def _in_batches(
    rows: Iterator[EvalRow | None], local: int, read: Callable[[int], EvalRow | None]
) -> Iterator[tuple[Batch, list[np.ndarray | None]]]:
    padding = None
    while group := list(itertools.islice(rows, local)):
        if any(row is None for row in group) and padding is None:
            # A process may hold nothing but padding: then the first example tells the shapes.
            padding = _padding_like((next(filter(None, group), None) or read(0))[0]), None
        filled = [row or padding for row in group]
        yield _stack([row for row, _ in filled]), [native for _, native in filled]


def _eval_row(source: Source, table: np.ndarray, side: int, index: int) -> EvalRow | None:
    """Row and native mask of the example at `index`, None beyond the last one."""
    if index >= len(source):
        return None
    example = source[index]
    native = table[_mask(example)]
    return _row(fit_square(example, side), table), native


def _padding_like(row: Batch) -> Batch:
    padding = {key: np.zeros_like(array) for key, array in row.items()}
    return {**padding, "mask": np.full_like(row["mask"], labels.IGNORE)}


def _read_ahead(function: Callable, items: Sequence[int], threads: int, ahead: int) -> Iterator:
    """`map(function, items)` in order, computed in threads at most `ahead` items before the consumer."""
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


@dataclasses.dataclass(frozen=True, eq=False)
class _TrainView(grain.transforms.RandomMap):
    """From a source's example to a row of a training batch."""

    augment: Augment
    label_set: LabelSet
    table: np.ndarray
    side: int

    def random_map(self, example: Example, rng: np.random.Generator) -> Batch:
        return _row(random_view(example, self.augment, self.label_set, self.side, rng), self.table)


def _row(example: Example, table: np.ndarray) -> Batch:
    """A batch's row of an example that already has the network's size; `table` remaps its ids."""
    row = {
        "image": example["image"].astype(np.float32) / np.float32(127.5) - np.float32(1),
        "mask": table[_mask(example)].astype(np.int32),
        "weight": np.float32(1),
    }
    optional = (key for key in ("landmarks", "identity", "attributes") if key in example)
    return row | {key: example[key].astype(np.float32) for key in optional}


def _mask(example: Example) -> np.ndarray:
    return example["mask"] if "mask" in example else np.full(example["image"].shape[:2], labels.IGNORE, np.uint8)


def _stack(rows: Sequence[Batch]) -> Batch:
    return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


def _local_batch(batch_size: int, process_index: int, process_count: int) -> int:
    if batch_size < 1 or batch_size % process_count:
        raise UserError(f"a batch of {batch_size} does not divide among {process_count} processes: choose a multiple")
    if not 0 <= process_index < process_count:
        raise UserError(f"process {process_index} does not exist among {process_count} processes")
    return batch_size // process_count


def _ignore_interrupts(worker_index: int, worker_count: int) -> None:
    """Ctrl-C reaches every process of the terminal; the one that trains decides when its workers stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
