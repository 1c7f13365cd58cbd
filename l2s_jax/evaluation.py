"""Evaluation of a trained system, for any system that implements the contract.

`score` is the short form for the training loop: masks at network resolution. `evaluate` is the full one: masks at both
resolutions, components and boundaries, what the codec does (codec_scores.py), and the arrays behind the report
(codec_pictures.py). A system that does not segment brings its own scores (`types.Scorer`).
"""

import dataclasses
import functools
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict
from jax.sharding import Mesh

from input_pipeline import files
from input_pipeline.errors import UserError
from input_pipeline.images.resize_rules import PAD_SQUARE, ResizeRule
from input_pipeline.labels import IGNORE
from input_pipeline.loading.collate import OPTIONAL
from input_pipeline.loading.train import eval_batches
from input_pipeline.types import Source
from l2s_jax import codec_pictures, codec_scores
from l2s_jax.inference import processing
from l2s_jax.metrics import calibration, realism, segmentation, structure
from l2s_jax.pixels import to_bytes
from l2s_jax.report.run_data import GRID
from l2s_jax.training import exchange, parallel
from l2s_jax.types import Batch, PyTree, Scorer, System, unpacked

MEANS = ("mean_f1", "mean_iou", "pixel_accuracy")
CLASS_SCORE = "segmentation.f1."
"""Prefix of a class name in the name of its score."""
_WEIGHT = "weight"

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of a model on a data set.

    Attributes:
      metrics: JSON-able, the keys of docs/architecture.md: `segmentation`, `segmentation_by`, and those of
        `codec_scores.Tally.summary`; or those of the system's `Scorer.summary`.
      arrays: the arrays that the report draws, named as in docs/architecture.md.
    """

    metrics: dict
    arrays: dict[str, np.ndarray]

    def save(self, workdir: str | Path) -> None:
        """Write metrics.json and evaluation.npz.

        Raises:
          UserError: the folder cannot be written.
        """
        packed = io.BytesIO()
        np.savez_compressed(packed, **self.arrays)
        files.replace(Path(workdir) / "evaluation.npz", packed.getvalue())
        files.replace_json(Path(workdir) / "metrics.json", self.metrics)


def score_names(system: System) -> list[str]:
    """Return the names of all scores that `score` may give; `score` omits classes in neither data nor predictions."""
    if system.predict is None:
        return list(system.scorer.names)
    means = [f"segmentation.{name}" for name in MEANS]
    return means + [f"{CLASS_SCORE}{name}" for name in system.label_set.names]


def lacking(source: Source, needs: Sequence[str], points: int | None) -> str:
    """Name the first thing that a system reads and that the first example of a source lacks; "" if it has all.

    Args:
      source: the data; nothing is missing in an empty source.
      needs, points: as in `System`; masks and what is made of them do not count.
    """
    example = source[0] if len(source) else dict.fromkeys(needs)
    missing = next((name for name in needs if name in ("image", *OPTIONAL) and name not in example), "")
    if not missing and points is not None and len(source) and len(example["landmarks"]) != points:
        return f"{points} landmarks"
    return missing


def check_scored(system: System, source: Source) -> None:
    """Check that a source has what the system's own scorer reads.

    Raises:
      UserError: an array is missing.
    """
    if system.predict is None and (lack := lacking(source, system.needs, system.points)):
        raise UserError(f"{system.name} is scored by {lack}, which these faces do not have: score data with {lack}")


def score(
    system: System,
    variables: PyTree,
    source: Source,
    *,
    image_size: int,
    batch_size: int,
    resize: ResizeRule = PAD_SQUARE,
    devices: Sequence[jax.Device] | None = None,
) -> dict[str, float]:
    """Compute the scores that training watches, flat: `segmentation.mean_f1`, `.mean_iou`, `.f1.NAME` ... at network
    resolution, or those of a system's own `scorer`.

    The devices of all processes share each batch by rows, and every process reads its own; all return the scores.

    Args:
      system: the system that is scored.
      variables: exported variables, whole in every process; they are put on the devices once.
      source: labelled examples.
      image_size: network resolution.
      batch_size: examples a call, over all processes.
      resize: rule that makes a face a square of the network's size.
      devices: devices that share each batch; None = all of every process.

    Raises:
      UserError: unreadable or empty data.
    """
    data = {"label_set": system.label_set, "image_size": image_size, "batch_size": batch_size, "resize": resize}
    mesh = parallel.make_mesh("jit", 1, devices)
    variables = parallel.replicated(variables, mesh)
    batches = (placed for _, placed, _ in _batches(mesh, source, data))
    if system.predict is None:
        rows = _stacked([_collect(system.scorer, variables, batch) for batch in batches])
        return _named_scores(system.scorer, _real(rows))
    classes = len(system.label_set)
    counts = np.zeros((classes, classes), np.int64)
    for batch in batches:
        counts += exchange.on_host(_segment(system.predict, classes, variables, batch)[2])
    scores = segmentation.scores(counts, system.label_set.names)
    means = {f"segmentation.{name}": scores[name] for name in MEANS}
    per_class = {f"{CLASS_SCORE}{name}": entry["f1"] for name, entry in scores["per_class"].items()}
    # Scalars in JSON lines cannot be null: a class that the data lack is left out.
    return {name: value for name, value in (means | per_class).items() if value is not None}


def evaluate(
    system: System,
    variables: PyTree,
    source: Source,
    *,
    image_size: int,
    batch_size: int,
    seed: int,
    resize: ResizeRule = PAD_SQUARE,
    panels: int = 8,
    features: realism.Features = realism.PYRAMID,
    progress: Progress | None = None,
    devices: Sequence[jax.Device] | None = None,
) -> Evaluation:
    """Compute all scores of a model, every example exactly once.

    The devices of all processes share each batch by rows, so that noise and swap partners are those of one process.
    Every process reads its own rows, does for them what is done on the host, and returns the same scores.

    Those of a system with a codec are in codec_scores.py, those of a system that does not segment its own.

    Args:
      system: the system.
      variables: exported by `System.variables`, whole in every process; they are put on the devices once.
      source: labelled examples of any size.
      image_size: network resolution.
      batch_size: examples a call; the scores do not depend on it, except through the noise drawn and the swap partners.
      seed: seed of the region effects' noise, the random generator and the permutations.
      resize: rule that makes a face a square, as the model was trained.
      panels: examples whose images go into `arrays`.
      features: what the realism of decoded faces is measured in, if the system has a codec.
      progress: called with (examples done, examples in total).
      devices: devices that share each batch; None = all of every process.

    Raises:
      UserError: unreadable or empty data, or data without an array that the system's own scorer reads.
    """
    check_scored(system, source)
    rng, mesh = jax.random.key(seed), parallel.make_mesh("jit", 1, devices)
    variables = parallel.replicated(variables, mesh)
    if system.predict is None:
        tally = _ScorerTally(system.scorer, variables, rng, mesh)
    else:
        tally = _Tally(system, variables, rng, resize, panels, features)
    data = {"label_set": system.label_set, "image_size": image_size, "batch_size": batch_size, "resize": resize}
    for number, (batch, placed, full_size_masks) in enumerate(_batches(mesh, source, data)):
        tally.add(number, batch, placed, full_size_masks)
        if progress is not None:
            progress(min((number + 1) * batch_size, len(source)), len(source))
    return tally.result()


HostBatch = dict[str, np.ndarray]
FullSizeMasks = list[np.ndarray | None]


def _batches(
    mesh: Mesh, source: Source, options: Mapping[str, Any]
) -> Iterator[tuple[HostBatch, Batch, FullSizeMasks]]:
    """Yield this process's rows of the batches of `eval_batches`, equally many for all devices; and those of all
    processes on the devices, unpacked."""
    share = {"process_index": jax.process_index(), "process_count": jax.process_count()}
    for batch, full_size_masks in eval_batches(source, **options, **share, multiple=len(mesh.local_devices)):
        yield batch, _compiled(unpacked)(parallel.global_batch(batch, mesh)), full_size_masks


class _ScorerTally:
    """What a system's own scorer collects of all batches."""

    def __init__(self, scorer: Scorer, variables: PyTree, rng: jax.Array, mesh: Mesh):
        self.scorer, self.models = scorer, [variables]
        if scorer.untrained is not None:
            self.models.append(parallel.put_state(scorer.untrained(variables, rng), mesh))
        self.rows: list[list[dict[str, np.ndarray]]] = [[] for _ in self.models]
        self.arrays: dict[str, np.ndarray] = {}

    def add(self, number: int, batch: HostBatch, placed: Batch, full_size_masks: FullSizeMasks) -> None:
        del batch, full_size_masks
        for variables, rows in zip(self.models, self.rows, strict=True):
            rows.append(_collect(self.scorer, variables, placed))
        if number == 0 and self.scorer.pictures is not None:
            pictures = jax.jit(self.scorer.pictures)(self.models[0], placed)
            pictures = exchange.on_host(pictures)
            self.arrays = {GRID + title: to_bytes(grid) for title, grid in pictures.items()}

    def result(self) -> Evaluation:
        trained, *untrained = (_real(_stacked(rows)) for rows in self.rows)
        return Evaluation(self.scorer.summary(trained, untrained[0] if untrained else None), self.arrays)


def _collect(scorer: Scorer, variables: PyTree, batch: Batch) -> dict[str, np.ndarray]:
    """Return what the scorer says of every row of a batch, padding too, and the rows' weights."""
    return exchange.on_host({**_compiled(scorer.collect)(variables, batch), _WEIGHT: batch["weight"]})


@functools.cache
def _compiled(function: Callable) -> Callable:
    return jax.jit(function)


def _stacked(batches: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return the arrays of all batches, one below the other."""
    return {name: np.concatenate([each[name] for each in batches]) for name in batches[0]}


def _real(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays of `_stacked` without padding and weights."""
    return {name: array[rows[_WEIGHT] > 0] for name, array in rows.items() if name != _WEIGHT}


def _named_scores(scorer: Scorer, rows: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a summary that `scorer.names` lists, as far as they are finite."""
    flat = flatten_dict(scorer.summary(rows, None), sep=".")
    return {name: float(flat[name]) for name in scorer.names if flat.get(name) is not None}


class _Tally:
    """Running sums over batches."""

    def __init__(
        self,
        system: System,
        variables: PyTree,
        rng: jax.Array,
        resize: ResizeRule,
        panels: int,
        features: realism.Features,
    ):
        self.system, self.variables = system, variables
        self.resize, self.panels = resize, panels
        self.classes = len(system.label_set)
        self.counts = np.zeros((2, self.classes, self.classes), np.int64)  # at network and at native resolution
        # Native counts, positions and reliability are sums over this process's rows; all others are over all rows.
        self.positions = 0  # int32 [H, W, K], see `segmentation.position_counts`
        self.structure = None
        self.reliability = np.zeros((calibration.BINS, 3))
        self.codec = None
        if system.codec is not None:
            self.codec = codec_scores.Tally(system.codec, variables, rng, system.label_set.names, features)
        self.by = {name: np.zeros((self.classes, self.classes), np.int64) for name in system.segmenters}
        self.shown: list[dict[str, np.ndarray]] = []  # rows of batches, for the report

    def add(self, number: int, batch: HostBatch, placed: Batch, full_size_masks: FullSizeMasks) -> None:
        probabilities, labels, counts = _segment(self.system.predict, self.classes, self.variables, placed)
        self.counts[0] += exchange.on_host(counts)
        for name, segment in self.system.segmenters.items():
            default = segment is self.system.predict
            found = counts if default else _segment(segment, self.classes, self.variables, placed)[2]
            self.by[name] += exchange.on_host(found)
        sums = _structure(self.classes, labels, placed["mask"], placed["weight"])
        self.structure = codec_scores.added(self.structure, sums)
        self.positions = self.positions + segmentation.position_counts(batch["mask"], batch["weight"], self.classes)
        probabilities = exchange.own_rows(probabilities)
        valid = (batch["mask"] != IGNORE) & (batch["weight"] > 0)[:, None, None]
        self.reliability += calibration.reliability_sums(probabilities, batch["mask"], valid)
        for row, mask in zip(probabilities, full_size_masks, strict=True):
            if mask is not None:
                ids, _ = processing.upsample_argmax(row, *mask.shape, self.resize)
                self.counts[1] += segmentation.confusion_on_host(ids, mask, self.classes)
        if self.codec is not None:
            self.codec.add(number, batch, placed)
        if len(self.shown) < self.panels:
            seen = {
                _WEIGHT: batch["weight"],
                "image": batch["image"],
                "truth": batch["mask"],
                "prediction": probabilities.argmax(-1).astype(np.uint8),
                "confidence": np.round(255 * probabilities.max(-1)).astype(np.uint8),
            }
            faces = _real(exchange.all_rows(seen))
            missing = min(self.panels - len(self.shown), len(faces["image"]))
            self.shown += [{name: values[row] for name, values in faces.items()} for row in range(missing)]

    def _pictures(self) -> dict[str, np.ndarray]:
        """Return the arrays of the report's panels, all examples as one batch."""
        pictures = {name: np.stack([row[name] for row in self.shown]) for name in self.shown[0]}
        if self.codec is not None:
            pictures |= codec_pictures.pictures(self.system.codec, self.variables, unpacked(pictures)["image"])
        return pictures

    def result(self) -> Evaluation:
        names = self.system.label_set.names
        native, positions, reliability = map(exchange.total, (self.counts[1], self.positions, self.reliability))
        scores = segmentation.scores(self.counts[0], names)
        scores["native"] = segmentation.scores(native, names)
        scores["baselines"] = segmentation.baselines(positions, names)
        scores |= structure.summary(self.structure, names)
        scores["calibration"] = calibration.summary(reliability)
        metrics = {"segmentation": scores}
        if self.by:
            metrics["segmentation_by"] = {name: segmentation.scores(counts, names) for name, counts in self.by.items()}
        arrays = {"confusion": self.counts[0]}
        if self.shown:
            arrays |= self._pictures()
        if self.codec is not None:
            metrics |= self.codec.summary()
            arrays |= self.codec.arrays()
        return Evaluation(metrics, arrays)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _segment(predict, classes: int, variables: PyTree, batch) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return probabilities [B, H, W, K], class ids [B, H, W] and the confusion matrix int32 [K, K] of a batch."""
    prediction = predict(variables, batch["image"], batch.get("landmarks"))
    counts = segmentation.confusion(prediction.labels, batch["mask"], classes, batch["weight"])
    return prediction.probabilities, prediction.labels, counts


@functools.partial(jax.jit, static_argnums=0)
def _structure(classes: int, labels: jax.Array, mask: jax.Array, weight: jax.Array) -> structure.StructureSums:
    return structure.structure_sums(labels, mask, classes, weight)
