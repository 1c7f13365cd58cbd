"""Evaluation of a trained system, for any system that implements the contract.

`score` is the short form for the training loop: masks at network resolution. `evaluate` is the full one: masks at both
resolutions, components and boundaries, reconstruction, the region-effect matrix, and the arrays behind the report.
"""

import dataclasses
import functools
import io
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from input_pipeline import files
from input_pipeline.images.resize_rules import PAD_SQUARE, ResizeRule
from input_pipeline.labels import LabelSet
from input_pipeline.loading.train import eval_batches
from input_pipeline.types import Source
from l2s_jax.inference import processing
from l2s_jax.losses.reconstruction import region_masks
from l2s_jax.losses.reductions import append_axes
from l2s_jax.metrics import dependence, leakage, realism, reconstruction, region_effect, segmentation, structure, swap
from l2s_jax.types import Code, Codec, PyTree, System

NOISE = 0.03
"""Noise for the region effects, relative to a slice's own standard deviation. The paper adds 0.01 N(0, 1) to a code of
unit length over 8 channels, whose elements have a root mean square of 0.35: about 3 %."""
DRAWS = 2
"""Noise draws per slice and batch; their variance is unbiased, and it is averaged over batches."""
UNTRAINED_EVERY = 4
"""The random generator is measured on every fourth batch, starting with the first: a quarter more decodes."""
MEAN_FACES = 128
"""The mean of ALL faces is compared with the first batches, at least this many faces: these are kept as uint8."""

PROBED = 1000
"""Most faces that leakage and dependence are measured on; leave-one-out solves a system of this size."""
PERMUTATIONS = 20
"""Draws of each permutation null."""

MEANS = ("mean_f1", "mean_iou", "pixel_accuracy")
CLASS_SCORE = "segmentation.f1."
"""Prefix of a class name in the name of its score."""

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of a model on a data set.

    Attributes:
      metrics: JSON-able, the keys of docs/architecture.md: `segmentation`, `reconstruction`, `disentanglement`.
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


def score_names(label_set: LabelSet) -> list[str]:
    """Return the names of all scores that `score` may give; `score` omits classes in neither data nor predictions."""
    means = [f"segmentation.{name}" for name in MEANS]
    return means + [f"{CLASS_SCORE}{name}" for name in label_set.names]


def score(
    system: System,
    variables: PyTree,
    source: Source,
    *,
    image_size: int,
    batch_size: int,
    resize: ResizeRule = PAD_SQUARE,
) -> dict[str, float]:
    """Compute segmentation scores at network resolution, flat: `segmentation.mean_f1`, `.mean_iou`, `.f1.NAME` ...

    Every process scores its own shard of the data; all return the scores of the summed confusion matrix.

    Args:
      system: the system whose `predict` is scored.
      variables: exported variables, unsharded on this process.
      source: labelled examples.
      image_size: network resolution.
      batch_size: examples a call, over all processes.
      resize: rule that makes a face a square of the network's size.

    Raises:
      UserError: unreadable or empty data.
    """
    classes = len(system.label_set)
    counts = np.zeros((classes, classes), np.int64)
    options = {"process_index": jax.process_index(), "process_count": jax.process_count()}
    data = {"label_set": system.label_set, "image_size": image_size, "batch_size": batch_size, "resize": resize}
    for batch, _ in eval_batches(source, **data, **options):
        _, _, on_device = _segment(system.predict, classes, variables, batch)
        counts += np.asarray(on_device)
    if jax.process_count() > 1:
        # As uint32 halves: JAX would truncate int64 to int32.
        halves = np.asarray(multihost_utils.process_allgather(counts.view(np.uint32)))
        counts = np.ascontiguousarray(halves).view(np.int64).sum(axis=0)
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
    progress: Progress | None = None,
) -> Evaluation:
    """Compute all scores of a model, every example exactly once, on this process alone.

    With a codec these include reconstruction and region effects, the latter of a random generator too.

    Args:
      system: the system.
      variables: exported by `System.variables`.
      source: labelled examples of any size.
      image_size: network resolution.
      batch_size: examples a call; the scores do not depend on it, except through the noise drawn and the swap partners.
      seed: seed of the region effects' noise.
      resize: rule that makes a face a square, as the model was trained.
      panels: examples whose images go into `arrays`.
      progress: called with (examples done, examples in total).

    Raises:
      UserError: unreadable or empty data.
    """
    tally = _Tally(system, variables, jax.random.key(seed), resize, panels)
    done = 0
    data = {"label_set": system.label_set, "image_size": image_size, "batch_size": batch_size, "resize": resize}
    for number, (batch, full_size_masks) in enumerate(eval_batches(source, **data)):
        tally.add(number, batch, full_size_masks)
        done += int(np.sum(batch["weight"]))
        if progress is not None:
            progress(done, len(source))
    return tally.result()


class _Tally:
    """Running sums over batches."""

    def __init__(self, system: System, variables: PyTree, rng: jax.Array, resize: ResizeRule, panels: int):
        self.system, self.variables, self.rng = system, variables, rng
        self.resize, self.panels = resize, panels
        self.classes = len(system.label_set)
        self.counts = np.zeros((2, self.classes, self.classes), np.int64)  # at network and at native resolution
        self.positions = 0  # int [H, W, K], see `segmentation.position_counts`
        self.structure = None
        self.errors = None
        self.effects: dict = {}
        self.mean_face = _MeanFace(self.classes)
        self.random, self.random_effects, self.random_faces = None, {}, 0
        if system.codec is not None and system.codec.untrained is not None:
            key = jax.random.fold_in(rng, zlib.crc32(b"untrained") & 0x7FFFFFFF)
            self.random = _untrained(system.codec, variables, key)
        self.by = {name: np.zeros((self.classes, self.classes), np.int64) for name in system.segmenters}
        self.swaps, self.colours, self.probed, self.looks = None, None, [], []
        self.shown: list[dict[str, np.ndarray]] = []  # rows of batches, for the report

    def add(self, number: int, batch: dict[str, np.ndarray], full_size_masks: list[np.ndarray | None]) -> None:
        probabilities, labels, counts = _segment(self.system.predict, self.classes, self.variables, batch)
        self.counts[0] += np.asarray(counts)
        for name, segment in self.system.segmenters.items():
            own = (
                counts if segment is self.system.predict else _segment(segment, self.classes, self.variables, batch)[2]
            )
            self.by[name] += np.asarray(own)
        sums = _structure(self.classes, labels, batch["mask"], batch["weight"])
        self.structure = _added(self.structure, sums)
        self.positions = self.positions + segmentation.position_counts(batch["mask"], batch["weight"], self.classes)
        probabilities = np.asarray(probabilities)
        for row, mask in zip(probabilities, full_size_masks, strict=True):
            if mask is not None:
                ids, _ = processing.upsample_argmax(row, *mask.shape, self.resize)
                self.counts[1] += segmentation.confusion_on_host(ids, mask, self.classes)
        if self.system.codec is not None:
            self._add_codec(number, batch)
        missing = min(self.panels - len(self.shown), int(np.sum(batch["weight"])))
        self.shown += [{name: values[row] for name, values in batch.items()} for row in range(missing)]

    def _add_codec(self, number: int, batch: dict[str, np.ndarray]) -> None:
        errors = _reconstruct(self.system.codec, self.classes, self.variables, batch)
        self.errors = _added(self.errors, errors)
        self.mean_face.add(batch)
        self.colours = _added(self.colours, _colour_sums(self.classes, batch))
        code = _encode(self.system.codec, self.variables, batch["image"])
        self.swaps = _added(self.swaps, _swap_sums(self.system.codec, self.variables, code, batch))
        self.looks.append(
            _looks(self.system.codec, self.variables, code, batch, number % len(self.system.codec.classes))
        )
        if len(self.probed) < PROBED:
            self.probed += _probed(self.system.codec, code, batch)
        self.effects = _added(self.effects or None, self._effects(self.variables, number, batch))
        if self.random is not None and number % UNTRAINED_EVERY == 0:
            self.random_effects = _added(self.random_effects or None, self._effects(self.random, number, batch))
            self.random_faces += int(np.sum(batch["weight"] > 0))

    def _effects(self, variables: PyTree, number: int, batch: dict[str, np.ndarray]) -> dict[str, dict]:
        """Return sums by kind and view; noise and swap partners are the same for all variables."""
        key, faces = jax.random.fold_in(self.rng, number), (batch["image"], batch["mask"], batch["weight"])
        return {
            kind: region_effect.effects(self.system.codec, variables, *faces, key, kind, NOISE, DRAWS)
            for kind in ("noise", "swap")
        }

    def _levels(self, slices: Sequence[str]) -> dict[str, dict[str, float | None]]:
        """Return what a slice does to its region in grey levels of 255, beside what tells the region's photos apart."""
        total = region_effect.summary(self.effects["noise"]["image"], slices)["total"]
        count, first, second = self.colours
        size = np.maximum(count, 1)[:, None]
        deviation = np.sqrt(np.maximum(second / size - (first / size) ** 2, 0)).mean(axis=1)
        return {
            name: {
                # The variance of three channels for NOISE deviations -> root mean square of one, for one deviation.
                "a_deviation": None if total[name] is None else 127.5 * float(np.sqrt(total[name] / 3)) / NOISE,
                "photos": 127.5 * float(deviation[label]) if count[label] else None,
            }
            for name, label in zip(slices, self.system.codec.classes, strict=True)
        }

    def _pictures(self) -> dict[str, np.ndarray]:
        """Return the arrays of the report's panels, all examples as one batch."""
        batch = {name: np.stack([row[name] for row in self.shown]) for name in self.shown[0]}
        image, mask = batch["image"], batch["mask"]
        probabilities, _, _ = _segment(self.system.predict, self.classes, self.variables, batch)
        probabilities = np.asarray(probabilities)
        pictures = {
            "image": _to_bytes(image),
            "truth": mask.astype(np.uint8),
            "prediction": probabilities.argmax(-1).astype(np.uint8),
            "confidence": np.round(255 * probabilities.max(-1)).astype(np.uint8),
        }
        if self.system.codec is not None:
            decoded, swaps = _decode_all(self.system.codec, self.variables, image)
            pictures["reconstruction"] = _to_bytes(decoded.image)
            pictures["regions"] = _to_bytes(decoded.regions)
            pictures["swaps"] = np.stack([_to_bytes(swap) for swap in swaps], axis=1)
        return pictures

    def result(self) -> Evaluation:
        names = self.system.label_set.names
        scores = segmentation.scores(self.counts[0], names)
        scores["native"] = segmentation.scores(self.counts[1], names)
        scores["baselines"] = segmentation.baselines(self.positions, names)
        scores |= structure.summary(self.structure, names)
        metrics = {"segmentation": scores}
        if self.by:
            metrics["segmentation_by"] = {name: segmentation.scores(counts, names) for name, counts in self.by.items()}
        arrays = {"confusion": self.counts[0]}
        if self.shown:
            arrays |= self._pictures()
        if self.system.codec is not None:
            slices = [names[c] for c in self.system.codec.classes]
            metrics["reconstruction"] = reconstruction.summary(self.errors, names)
            metrics["reconstruction"]["mean_face"] = self.mean_face.summary(names)
            metrics["disentanglement"] = _disentanglement(self.effects, slices) | {"slices": slices, "noise": NOISE}
            if self.random is not None:
                random = _disentanglement(self.random_effects, slices) | {"examples": self.random_faces}
                metrics["disentanglement"]["random_generator"] = random
                metrics["disentanglement"]["untrained_macro_acs"] = random["macro_acs"]
            if "without_matte" in metrics["disentanglement"]:
                ungated = metrics["disentanglement"]["without_matte"]["macro_acs"]
                metrics["disentanglement"]["ungated_macro_acs"] = ungated
            metrics["disentanglement"]["levels"] = self._levels(slices)
            metrics["disentanglement"] |= _dependence(self.probed, slices, self.rng)
            metrics["swap"] = swap.summary(self.swaps, slices)
            photos, *decoded = (np.concatenate(rows) for rows in zip(*self.looks, strict=True))
            metrics["realism"] = realism.summary(photos, dict(zip(("reconstructions", "swaps"), decoded, strict=True)))
            arrays["slices"] = np.asarray(self.system.codec.classes, np.uint8)
            for view, name in (("image", "effect"), ("unmatted", "effect_unmatted")):
                if view in self.effects["noise"]:
                    arrays[name] = region_effect.matrix(self.effects["noise"][view])
        return Evaluation(metrics, arrays)


@functools.partial(jax.jit, static_argnums=0)
def _colour_sums(classes: int, batch) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the number of pixels of each class, float32 [K], and the sums of their colours and squares, [K, 3]."""
    masks = region_masks(batch["mask"], classes) * append_axes(batch["weight"], 4)
    sums = [jnp.einsum("bkhw,bhwc->kc", masks, batch["image"] ** power, precision="highest") for power in (1, 2)]
    return jnp.sum(masks, axis=(0, 2, 3)), *sums


class _MeanFace:
    """The errors of reconstructing every face as the mean of all: the baseline that any reconstruction must beat."""

    def __init__(self, classes: int):
        self.classes, self.total, self.faces, self.kept = classes, 0.0, 0, []

    def add(self, batch: dict[str, np.ndarray]) -> None:
        rows = batch["weight"] > 0
        self.total = self.total + np.sum(batch["image"][rows], axis=0, dtype=np.float64)
        if self.faces < MEAN_FACES:
            small = {"image": _to_bytes(batch["image"]), "mask": batch["mask"].astype(np.uint8)}
            self.kept.append(small | {"weight": batch["weight"]})
        self.faces += int(np.sum(rows))

    def summary(self, names: Sequence[str]) -> dict:
        """Return scores as `reconstruction.summary` does, with the number of `examples` the mean was compared with."""
        mean, errors = np.asarray(self.total / max(self.faces, 1), np.float32), None
        for batch in self.kept:
            errors = _added(errors, _mean_errors(self.classes, mean, batch))
        faces = sum(int(np.sum(batch["weight"] > 0)) for batch in self.kept)
        return reconstruction.summary(errors, names) | {"examples": faces}


@functools.partial(jax.jit, static_argnums=0)
def _mean_errors(classes: int, mean: jax.Array, batch) -> dict[str, reconstruction.ErrorSums]:
    image = batch["image"] / 127.5 - 1
    faces = jnp.broadcast_to(mean, image.shape)
    return reconstruction.region_errors(faces, image, batch["mask"].astype(jnp.int32), batch["weight"], classes)


def _disentanglement(effects: dict[str, dict], slices: Sequence[str]) -> dict:
    """Return the noise scores, under `swap` those of swaps, and under `without_matte` both if there is a matte."""
    silent = region_effect.silent(effects["swap"]["image"])
    found = {
        view: {kind: region_effect.summary(effects[kind][view], slices, silent) for kind in effects}
        for view in effects["noise"]
    }
    views = {view: {**kinds["noise"], "swap": kinds["swap"]} for view, kinds in found.items()}
    return views["image"] | ({"without_matte": views["unmatted"]} if "unmatted" in views else {})


@functools.partial(jax.jit, static_argnums=0)
def _untrained(codec: Codec, variables: PyTree, rng: jax.Array) -> PyTree:
    return codec.untrained(variables, rng)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _segment(predict, classes: int, variables: PyTree, batch) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return probabilities [B, H, W, K], class ids [B, H, W] and the confusion matrix int32 [K, K] of a batch."""
    prediction = predict(variables, batch["image"], batch.get("landmarks"))
    counts = segmentation.confusion(prediction.labels, batch["mask"], classes, batch["weight"])
    return prediction.probabilities, prediction.labels, counts


@functools.partial(jax.jit, static_argnums=0)
def _structure(classes: int, labels: jax.Array, mask: jax.Array, weight: jax.Array) -> structure.StructureSums:
    return structure.structure_sums(labels, mask, classes, weight)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _reconstruct(codec: Codec, classes: int, variables: PyTree, batch) -> dict[str, reconstruction.ErrorSums]:
    image = codec.decode(variables, codec.encode(variables, batch["image"])).image
    return reconstruction.region_errors(image, batch["image"], batch["mask"], batch["weight"], classes)


def _swap_sums(codec: Codec, variables: PyTree, code: Code, batch) -> swap.SwapSums:
    """Return the sums of swapping every slice of every face with that of the next face in the batch."""
    decoded, total = _decode(codec, variables, code), None
    for k in range(len(codec.classes)):
        total = _added(total, _swap_sum(codec, variables, code, decoded.image, batch, k))
    return total


@functools.partial(jax.jit, static_argnums=0)
def _swap_sum(codec: Codec, variables: PyTree, code: Code, before: jax.Array, batch, k: int) -> swap.SwapSums:
    partner = region_effect.next_example(batch["weight"])
    structure = code.structure.at[:, k].set(code.structure[partner, k])
    after = codec.decode(variables, code.replace(structure=structure))
    region = jnp.asarray(codec.classes)[k]
    own = (batch["mask"] == region).astype(jnp.float32)
    painted = (jnp.argmax(after.logits, axis=-1) == region).astype(jnp.float32)
    both = jnp.any(own > 0, axis=(1, 2)) & jnp.any(own[partner] > 0, axis=(1, 2))
    weight = batch["weight"] * both * (partner != jnp.arange(len(partner)))
    faces = batch["image"], own, own[partner], before, after.image, painted
    return swap.sums(k, len(codec.classes), *faces, weight)


def _looks(codec: Codec, variables: PyTree, code: Code, batch, k: int) -> tuple[np.ndarray, ...]:
    """Return the features of photos, reconstructions and faces with slice k of the next one, without padding."""
    faces = batch["image"], _decode(codec, variables, code).image, _swapped(codec, variables, code, k)
    rows = np.flatnonzero(batch["weight"])
    return tuple(np.asarray(_features(image))[rows] for image in faces)


@jax.jit
def _features(image: jax.Array) -> jax.Array:
    return realism.pyramid_features(image)


def _probed(codec: Codec, code: Code, batch) -> list[dict[str, np.ndarray]]:
    """Return, for each face, what the leakage probe and the dependence between slices are computed from."""
    structure, style = np.asarray(code.structure, np.float32), np.asarray(code.style, np.float32)
    b, k, h, w, c = structure.shape
    layouts = np.asarray(region_masks(batch["mask"], max(codec.classes) + 1))[:, list(codec.classes)]
    own = style if style.ndim == 3 else np.repeat(style[:, None], k, axis=1)  # a shared style belongs to every slice
    grids = leakage.pool(structure.reshape(b * k, h, w, c)).reshape(b, k, -1)
    features = np.concatenate((grids, own), axis=-1)
    layouts = leakage.pool(layouts.reshape(b * k, *layouts.shape[2:], 1)).reshape(b, k, -1)
    cells = structure[:, :, [h // 3, 2 * h // 3]][:, :, :, [w // 3, 2 * w // 3]].reshape(b, k, -1, c)
    rows = {"features": features, "layouts": layouts, "pooled": structure.mean((2, 3)), "cells": cells.swapaxes(1, 2)}
    return [{name: value[i] for name, value in rows.items()} for i in np.flatnonzero(batch["weight"])]


def _dependence(probed: list[dict[str, np.ndarray]], slices: Sequence[str], rng: jax.Array) -> dict:
    """Return the leakage probe, and the dependence between slices beside its permutation null."""
    rows = {name: np.stack([row[name] for row in probed[:PROBED]]) for name in (probed[0] if probed else ())}
    if len(probed) < 8:
        return {"probe_leakage": None, "hsic": None, "hsic_null": None}
    probe = leakage.probe(rows["features"], rows["layouts"], slices)
    samples = {"pooled": rows["pooled"], "by_position": rows["cells"].reshape(-1, *rows["cells"].shape[2:])[:PROBED]}
    found = {name: dependence.table(sample, rng, PERMUTATIONS) for name, sample in samples.items()}
    pooled = found["pooled"]["hsic"]
    dependent = {"hsic": pooled["mean"], "hsic_null": pooled["null"], "dependence": found}
    return {"probe_leakage": probe["leakage"], "probe": probe} | dependent


def _decode_all(codec: Codec, variables: PyTree, image: np.ndarray):
    """Return decoded faces and, for each slice k, faces [B, H, W, 3] with slice k of the next face of the batch."""
    code = _encode(codec, variables, image)
    swaps = [_swapped(codec, variables, code, k) for k in range(code.structure.shape[1])]
    return _decode(codec, variables, code), swaps


@functools.partial(jax.jit, static_argnums=0)
def _encode(codec: Codec, variables: PyTree, image: jax.Array):
    return codec.encode(variables, image)


@functools.partial(jax.jit, static_argnums=0)
def _decode(codec: Codec, variables: PyTree, code):
    return codec.decode(variables, code)


@functools.partial(jax.jit, static_argnums=0)
def _swapped(codec: Codec, variables: PyTree, code, k: int) -> jax.Array:
    structure = code.structure.at[:, k].set(jnp.roll(code.structure[:, k], -1, axis=0))
    return codec.decode(variables, code.replace(structure=structure)).image


def _added(total, new):
    """Add in float64 on the host: float32 sums lose precision over a data set."""
    new = jax.tree.map(lambda x: np.asarray(x, np.float64), new)
    return new if total is None else jax.tree.map(np.add, total, new)


def _to_bytes(image: np.ndarray) -> np.ndarray:
    return np.round((np.clip(np.asarray(image, np.float32), -1, 1) + 1) * 127.5).astype(np.uint8)
