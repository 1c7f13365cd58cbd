"""Make batches for training: an infinite stream that can be resumed. (`eval_batches` is in `loading.eval`.)

Row r of global batch s is sample number `s * batch_size + r` of ONE stream: its example and its augmentation depend on
(seed, sample number) alone. So the number of processes, workers or threads never changes a batch, and the step is the
complete state of the stream.

Resume: a run continues at its global step. With the same number of processes each one gets the examples that it would
have got without the interruption; with another number the same global batches are divided differently. Either way no
example is seen twice in an epoch and none is left out (with a mixture: in each source's own epoch).
"""

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grain
import numpy as np
from absl import flags

from input_pipeline import processes
from input_pipeline.errors import UserError, require
from input_pipeline.images.augment import Augment, random_view
from input_pipeline.images.components import blobs as blobs_of
from input_pipeline.images.resize_rules import PAD_SQUARE, ResizeRule
from input_pipeline.labels import LabelSet
from input_pipeline.loading.collate import Batch, Row, local_batch, stack, to_row
from input_pipeline.loading.eval import eval_batches
from input_pipeline.loading.mixture import MixtureSchedule, shared_keys
from input_pipeline.loading.resolution_schedule import check_resolution_schedule
from input_pipeline.loading.views import CachedSource, RelabelledSource, ShrunkSource
from input_pipeline.types import Example, Source, Weighted

__all__ = ["Batch", "TrainBatches", "eval_batches", "train_batches"]

OVERSAMPLE = 1.25
"""Working size over network size: what a typical magnification by `Augment` can still use. A JPEG that can be decoded
between the two sizes keeps that size: decoding more only to discard it would take longer than all other steps."""


def train_batches(
    source: Source | Sequence[Weighted],
    *,
    label_set: LabelSet,
    image_size: int,
    batch_size: int,
    seed: int,
    augment: Augment,
    resize: ResizeRule = PAD_SQUARE,
    resolution_schedule: Sequence[tuple[int, int]] = (),
    blobs: int = 0,
    blob_pixels: int = 8,
    process_index: int = 0,
    process_count: int = 1,
    workers: int = 0,
    threads: int = 2,
    prefetch: int = 4,
    cache: bool = False,
) -> "TrainBatches":
    """Return this process's rows of an infinite stream of global batches.

    Args:
      source: the examples; every epoch visits each once, in a new order. Or the weighted sources of a mixture: they are
        drawn in proportion to their weights, and each has its own epochs. A mixture keeps those of
        `collate.OPTIONAL` that all its sources have, with one shape, but not `identity` (`mixture.shared_keys`).
      label_set: of the masks of the batches; each source is mapped to it first.
      image_size: side of the images, pixels.
      resolution_schedule: pairs (step, side): until this step the images have this side, then that of the next pair,
        finally `image_size` (progressive resizing). The order of examples and their augmentation do not depend on it.
      batch_size: rows of the GLOBAL batch; row r belongs to process `r // (batch_size // process_count)`.
      seed: 0 <= seed < 2**32, of the order and the augmentation.
      augment: the random augmentation.
      resize: how a face is resized to a square (`augment.random_view`).
      blobs: maximum number of blobs per mask, below 2**15; above 0, batches hold `blobs` int16 [B, H, W] of the
        augmented mask (see `input_pipeline.images.components`), -1 = none.
      blob_pixels: components of fewer pixels get no blob of their own.
      process_index, process_count: this process among those that share each batch.
      workers: processes that prepare batches; 0 uses threads of this process.
      threads: number of threads without workers.
      prefetch: batches prepared ahead (by each worker).
      cache: keep the examples in memory at working size (threads only).

    Returns:
      an iterator of batches (docs/architecture.md), all rows with weight 1.

    Raises:
      UserError: an empty source, weights or sides that are not positive, a batch not divisible among the processes, a
        label set the masks cannot be mapped to; and, from the iterator, an example that cannot be read, or a worker
        that died.
    """
    parts = [Weighted(1.0, source)] if isinstance(source, Source) else list(source)
    if not parts or not all(len(part.source) for part in parts):
        raise UserError("the training data holds no example" + (" in one of its parts" if len(parts) > 1 else ""))
    require(not (workers and cache), "a cache lives in one process: use it with workers=0, or workers without a cache")
    local = local_batch(batch_size, process_count)
    schedule = MixtureSchedule([part.weight for part in parts], seed)
    samples = _sample_stream(_working(parts, label_set, image_size, cache), schedule, seed)
    stages = []
    check_resolution_schedule(resolution_schedule)
    for until, side in [*resolution_schedule, (None, image_size)]:
        view = _TrainView(augment, resize, label_set, side, blobs, blob_pixels)
        batches = samples.random_map(view).batch(local, drop_remainder=True, batch_fn=stack)
        # Batches before processes: the batch of process p at step s is number `s * process_count + p`.
        stages.append((until, batches[process_index::process_count]))
    read = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=max(prefetch, threads))
    position = {"seed": seed, "batch_size": batch_size, "examples": len(parts[0].source)}
    if len(parts) > 1:
        position |= {"examples": [len(part.source) for part in parts], "shares": list(schedule.shares)}
    return TrainBatches(
        stages,
        grain.ReadOptions(num_threads=0, prefetch_buffer_size=0) if workers else read,
        grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=max(prefetch, 1)),
        position,
    )


def _working(parts: Sequence[Weighted], label_set: LabelSet, image_size: int, cache: bool) -> list[Source]:
    """Return the sources at working size, made uniform: one label set, the same arrays."""
    keys = shared_keys([part.source for part in parts])
    alike = [RelabelledSource(part.source, label_set, keys) for part in parts]
    sides = {"side": math.ceil(OVERSAMPLE * image_size), "at_least": image_size}
    return [(CachedSource if cache else ShrunkSource)(source, **sides) for source in alike]


def _sample_stream(sources: Sequence[Source], schedule: MixtureSchedule, seed: int) -> grain.MapDataset:
    """Return the map from sample index to example."""
    shuffled = [
        grain.MapDataset.source(source).seed((seed + part) % 2**32).shuffle().repeat()
        for part, source in enumerate(sources)
    ]
    return shuffled[0] if len(shuffled) == 1 else grain.MapDataset.select_from_datasets(shuffled, schedule)


class TrainBatches(Iterator[Batch]):
    """The iterator of `train_batches`; close it, or use it as a context manager."""

    def __init__(
        self,
        stages: Sequence[tuple[int | None, grain.MapDataset]],
        read: grain.ReadOptions,
        processes: grain.MultiprocessingOptions,
        stream: Mapping[str, Any],
    ):
        self._stages, self._read, self._processes, self._stream = stages, read, processes, dict(stream)
        self._step = 0
        self._until: int | None = None  # the step at which the iterator ends
        self._iterator: grain.DatasetIterator | None = None

    def __next__(self) -> Batch:
        if self._step == self._until:
            self.close()
        if self._iterator is None:
            if not flags.FLAGS.is_parsed():
                flags.FLAGS.mark_as_parsed()  # grain checks absl's flags before it starts a worker.
            self._until, batches = next(s for s in self._stages if s[0] is None or self._step < s[0])
            rest = batches[self._step : self._until].to_iter_dataset(self._read)
            self._iterator = iter(rest.mp_prefetch(self._processes, _begin_worker))
        try:
            batch = next(self._iterator)
        except UserError:
            self.close()  # grain's iterator is unusable after an error; a new one meets the same error.
            raise
        except RuntimeError as error:
            self.close()
            if "process was terminated unexpectedly" not in str(error):
                raise
            raise UserError(
                "a worker process that prepares batches was killed, as happens when memory runs out: lower "
                "data.workers or data.prefetch"
            ) from error
        self._step += 1
        return batch

    def get_state(self) -> dict[str, Any]:
        """Return the state for `set_state` to continue after the last batch taken; plain JSON, equal everywhere."""
        return {"step": self._step, **self._stream}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue where a stream of the same data, seed and batch size stopped; processes and workers may differ.

        Raises:
          UserError: the state belongs to another stream.
        """
        for key in [*self._stream, *(key for key in state if key not in self._stream and key != "step")]:
            require(
                state.get(key) == self._stream.get(key),
                f"cannot resume: the checkpoint's data has {key} {json.dumps(state.get(key))}, this run has "
                f"{json.dumps(self._stream.get(key))}: resume with the data and settings of the checkpoint, "
                "or start in a new workdir",
            )
        self.close()
        self._step = int(state["step"])

    def close(self) -> None:
        """Stop threads and worker processes; the next batch starts them again."""
        if self._iterator is not None:
            self._iterator.close()
            self._iterator = self._until = None

    def __enter__(self) -> "TrainBatches":
        return self

    def __exit__(self, *_) -> None:
        self.close()


@dataclasses.dataclass(frozen=True, eq=False)
class _TrainView(grain.transforms.RandomMap):
    """The map from an example in the label set of the batch to a row of the batch."""

    augment: Augment
    resize: ResizeRule
    label_set: LabelSet
    side: int
    blobs: int
    blob_pixels: int

    def random_map(self, example: Example, rng: np.random.Generator) -> Row:
        if "image" in example:
            example = random_view(example, self.augment, self.label_set, self.side, rng, self.resize)
        row = to_row(example)
        if self.blobs:
            row["blobs"] = blobs_of(row["mask"], self.blobs, min_pixels=self.blob_pixels).astype(np.int16)
        return row


def _begin_worker(worker_index: int, worker_count: int) -> None:
    processes.begin_worker()
