"""The contract between systems and the training loop: states, steps, schedules, predictions.

A system is a bundle of PURE functions. The loop knows nothing about losses or networks; a system knows nothing about
devices, files or time.
"""

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from ml_collections import ConfigDict

from input_pipeline.labels import LabelSet
from l2s_jax.pixels import from_bytes

PyTree = Any
Batch = Mapping[str, jax.Array]
"""Arrays by name (docs/architecture.md), as steps, scorers and networks read them: see `unpacked`."""
Metrics = Mapping[str, jax.Array]


class TrainState(struct.PyTreeNode):
    """The variables that training changes, and no others.

    Attributes:
      step: int32 scalar, number of batches consumed so far. Steps do not change it: the last one of a batch advances it
        where it is compiled (training/parallel.py).
      rng: typed PRNG key, never advanced: randomness is `step_rng(state, name)`.
      params: trained parameters, float32, by network name.
      stats: variables that are updated without a gradient (batch statistics, w_avg ...), by network name.
      ema: running averages of the networks that are exported, by network name.
      opt_state: optax states, by optimiser name.
    """

    step: jax.Array
    rng: jax.Array
    params: dict[str, PyTree]
    stats: dict[str, PyTree]
    ema: dict[str, PyTree]
    opt_state: dict[str, PyTree]


class Axis(NamedTuple):
    """The collective operations of a step over the devices that share its batch (built by training/parallel.py).

    They are those of `jax.lax`, with its derivatives, bound to the axes of the mesh. The rule that makes one pure step
    right under jit, pmap and shard_map: every device computes the same loss, a function of the GLOBAL batch such as
    `psum(sum) / psum(count)`; differentiate it, then `pmean` the gradients.

    Attributes:
      psum: pytree -> pytree, the sum over devices, replicated on each; of a Python number, a Python number.
      pmean: pytree -> pytree, the mean over devices, which hold equally many rows.
      all_gather: [B_local, ...] -> [B_global, ...], the rows of all devices in batch order.
      local_rows: [B_global, ...] -> [B_local, ...], this device's rows of an array in batch order.
    """

    psum: Callable[[PyTree], PyTree]
    pmean: Callable[[PyTree], PyTree]
    all_gather: Callable[[jax.Array], jax.Array]
    local_rows: Callable[[jax.Array], jax.Array]


def _same(x):
    return x


GLOBAL_VIEW = Axis(psum=_same, pmean=_same, all_gather=_same, local_rows=_same)
"""The axis of JAX's global-view programming, under jit: the step already sees the global batch."""

Step = Callable[..., tuple[TrainState, Metrics]]
"""(TrainState, Batch, Axis) -> (TrainState, Metrics); the arrays of `System.frozen` are passed as keyword arguments."""


class Prediction(struct.PyTreeNode):
    """The output of every parser.

    Attributes:
      logits: float32 [B, H, W, K], unnormalised log-probabilities of the classes of the system's label set.
    """

    logits: jax.Array

    @property
    def probabilities(self) -> jax.Array:
        """Return the class probabilities, float32 [B, H, W, K], summing to 1 over K."""
        return jax.nn.softmax(self.logits, axis=-1)

    @property
    def labels(self) -> jax.Array:
        """Return the most probable class of each pixel, the first of equals, int32 [B, H, W]."""
        # On CPUs argmax is a slow loop over the classes of each pixel; this is one over pixels, with vectors.
        most, labels = self.logits[..., 0], jnp.zeros(self.logits.shape[:-1], jnp.int32)
        for k in range(1, self.logits.shape[-1]):
            more = self.logits[..., k] > most
            most, labels = jnp.where(more, self.logits[..., k], most), jnp.where(more, k, labels)
        return labels


class Predict(Protocol):
    """From images to class logits."""

    def __call__(self, variables: PyTree, image: jax.Array, landmarks: jax.Array | None = None) -> Prediction:
        """Parse a batch.

        Args:
          variables: the output of `System.variables`.
          image: float32 [B, H, W, 3] in [-1, 1].
          landmarks: float32 [B, K, 2] (x, y) in pixels, if known. A system that aligns faces by landmarks parses the
            unaligned picture without them; all other systems ignore them.
        """


class Detections(NamedTuple):
    """Places of images that look like faces, the surest first.

    Attributes:
      score: float32 [B, N] in [0, 1].
      middle: float32 [B, N, 2] (x, y) in pixels of the image, of the portrait: the face with hair and chin.
      side: float32 [B, N], of the portrait, pixels.
      points: float32 [B, N, 5, 2] (x, y) pixels: the eyes, the nose, the corners of the mouth, from left to right.
    """

    score: jax.Array
    middle: jax.Array
    side: jax.Array
    points: jax.Array


class Code(struct.PyTreeNode):
    """The code of a face in an autoencoder whose structure code is divided into slices.

    Attributes:
      structure: float32 [B, K, h, w, C], slice k of each region, or a full code in which only slice k is non-zero;
        `Codec.classes` gives the slices' classes.
      style: float32, colour and texture: [B, K, S] of each region, or [B, S] shared by all.
    """

    structure: jax.Array
    style: jax.Array


class Decoded(struct.PyTreeNode):
    """A decoded `Code`.

    Attributes:
      image: float32 [B, H, W, 3] in about [-1, 1], the full face.
      regions: float32 [B, K, H, W, 3], each region alone on black (-1).
      logits: float32 [B, H, W, classes], as `Prediction.logits`.
      unmatted: float32 [B, H, W, 3], the mean of the slices' decoded images before any matte is applied; None if the
        system has no matte. It shows how far the generator itself separates the slices.
    """

    image: jax.Array
    regions: jax.Array
    logits: jax.Array
    unmatted: jax.Array | None = None


class Codec(NamedTuple):
    """The autoencoder half of a system that has one: `decode(v, encode(v, image)).image` resembles `image`.

    Attributes:
      encode: (variables, image [B, H, W, 3] in [-1, 1]) -> Code.
      decode: (variables, Code) -> Decoded; deterministic.
      classes: class of each of the K slices; a label set may have classes without a slice (such as the background).
      untrained: (variables, rng) -> the same variables, but with random weights in the generator; all else is
        unchanged. The baseline of every score of decoded images; None if the system cannot provide it.
    """

    encode: Callable[[PyTree, jax.Array], Code]
    decode: Callable[[PyTree, Code], Decoded]
    classes: tuple[int, ...]
    untrained: Callable[[PyTree, jax.Array], PyTree] | None = None


class Scorer(NamedTuple):
    """The scores of a system that does not segment: numbers of every example, summarised over all of them.

    Attributes:
      names: scores that training may choose the best checkpoint by: paths in the summary, such as `verification.auc`.
      collect: (variables, batch) -> arrays [B, ...] by name; compiled, and called on every batch.
      summary: (the arrays of all examples by name, numpy [N, ...], padding left out; the same of `untrained`, or None)
        -> nested dicts of numbers, as they are in `metrics.json`.
      untrained: (variables, rng) -> the same variables, but random where training changed them: the baseline of every
        score; None if the system cannot provide it.
      pictures: (variables, batch) -> pictures float32 [rows, columns, H, W, 3] in [-1, 1] by title, for the report.
    """

    names: tuple[str, ...]
    collect: Callable[[PyTree, Batch], Mapping[str, jax.Array]]
    summary: Callable[[Mapping[str, Any], Mapping[str, Any] | None], dict]
    untrained: Callable[[PyTree, jax.Array], PyTree] | None = None
    pictures: Callable[[PyTree, Batch], Mapping[str, jax.Array]] | None = None


class Generator(NamedTuple):
    """The generator of a system that makes faces from random numbers.

    Attributes:
      sample: (variables, z [B, size], truncation) -> image float32 [B, H, W, 3] in about [-1, 1]; truncation 1 leaves
        the codes as they are, 0 gives the mean face.
      size: length of z, which is drawn from N(0, I).
    """

    sample: Callable[[PyTree, jax.Array, float], jax.Array]
    size: int


class Transfer(NamedTuple):
    """The halves of a system that gives one person's face the looks of another picture.

    `decode(v, code(v, identity(v, a), attributes(v, b)))` shows the person of `a` with pose, expression, light and
    background of `b`.

    Attributes:
      identity: (variables, image [B, H, W, 3] in [-1, 1]) -> float32 [B, I] of length 1.
      attributes: (variables, image) -> float32 [B, A], everything but the person.
      code: (variables, identity [B, I], attributes [B, A]) -> float32 [B, W], a code of the generator.
      decode: (variables, code [B, W]) -> image float32 [B, H, W, 3] in about [-1, 1].
    """

    identity: Callable[[PyTree, jax.Array], jax.Array]
    attributes: Callable[[PyTree, jax.Array], jax.Array]
    code: Callable[[PyTree, jax.Array, jax.Array], jax.Array]
    decode: Callable[[PyTree, jax.Array], jax.Array]


def _nothing_to_tell(means: Mapping[str, float]) -> str:
    del means
    return ""


@dataclasses.dataclass(frozen=True)
class System:
    """A method: one of the implemented papers, built from one config.

    Attributes:
      name: registry name, e.g. `latents2segments`.
      label_set: classes of `batch["mask"]` and of `Prediction.logits`; without either, that of the data.
      init: rng -> TrainState. Shapes come from the config; usable under `jax.eval_shape`.
      steps: pure training steps by name. Each is compiled separately; all take the same batch.
      schedule: batch number (a Python int) -> names of the steps to run on it, in order, at least one. Alternation and
        lazy regularisation are expressed here, never with `lax.cond`.
      variables: state -> the variables that are exported and that `predict` and `codec` take (the EMA if there is one).
      predict: (variables, image [B, H, W, 3] float32 in [-1, 1], landmarks=None) -> Prediction, see `Predict`; None for
        a system that does not segment.
      segmenters: the ways in which this system segments, by name, if there are several; `predict` is one of them.
      detect: (variables, image [B, H, W, 3] float32 in [-1, 1]) -> Detections, the faces of a picture, or None.
      codec: encode and decode of a sliced code, or None.
      generator: faces from random numbers, or None.
      transfer: one person with the looks of another picture, or None.
      scorer: the scores of a system without `predict`.
      watch: the means of a log, as `train/STEP/METRIC` -> a sentence on what goes wrong in training, or "". The loop
        tells it if it stands at two logs in a row.
      needs: the arrays that the steps read from a batch besides `weight`: of `image`, `mask`, `blobs`, `landmarks`,
        `identity`, `identity_factors`, `attribute_factors`, `seed`. Training data must have them (blobs are made from
        the masks); others may be absent. The data that a `scorer` scores must have them, too.
      people: number of people that the steps tell apart (`model.people`), if they read `identity`: all of the
        training data's are below it.
      points: number of landmarks of a face, if the steps read `landmarks` and take no other; None = any.
      any_size: the steps take images of any side that the system's `build` accepts, not only `config.image_size`.
      frozen: open_model -> {name: arrays}, keyword arguments of all steps that training never changes (weights of
        another model), or None. They are put on the devices once, when training starts or resumes, and are neither
        donated nor saved. It reads files, so it is not traced.
      init_from: state -> state, loads pretrained weights from files into a newly initialised state, or None. It reads
        files, so it is not traced; it is not called when training resumes.
      learns_from: the models (names, bundles, workdirs) and weight files that `frozen` and `init_from` read, as
        named in the config: the trained model inherits their licences.
    """

    name: str
    label_set: LabelSet
    init: Callable[[jax.Array], TrainState]
    steps: Mapping[str, Step]
    schedule: Callable[[int], tuple[str, ...]]
    variables: Callable[[TrainState], PyTree]
    predict: Predict | None = None
    segmenters: Mapping[str, Predict] = dataclasses.field(default_factory=dict)
    detect: Callable[[PyTree, jax.Array], Detections] | None = None
    codec: Codec | None = None
    generator: Generator | None = None
    transfer: Transfer | None = None
    scorer: Scorer | None = None
    watch: Callable[[Mapping[str, float]], str] = _nothing_to_tell
    needs: tuple[str, ...] = ("image", "mask")
    people: int | None = None
    points: int | None = None
    any_size: bool = False
    frozen: "Callable[[OpenModel], Mapping[str, PyTree]] | None" = None
    init_from: Callable[[TrainState], TrainState] | None = None
    learns_from: tuple[str, ...] = ()


class TrainedModel(Protocol):
    """A trained model as a system that learns from it uses it (`inference.Model`).

    Attributes:
      config: the config it was trained with; `image_size` is the side of its input in pixels.
      system: its pure functions.
      variables: the input of `system.predict`.
    """

    config: ConfigDict
    system: System
    variables: PyTree


OpenModel = Callable[[str], TrainedModel]
"""Function that opens a model by folder, workdir or name; raises UserError."""


def unpacked(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch as systems read it, from one as it travels from the input pipeline to the devices.

    Training does so where it compiles a step (training/parallel.py), evaluation on the devices.

    Args:
      batch: numpy arrays, those of JAX or tracers, any of them absent: `image` uint8 [B, H, W, 3], `mask` uint8
        [B, H, W] (255 = ignore), `blobs` int16 [B, H, W] (-1 = none); those of other types, and all others, stay.

    Returns:
      `image` float32 in [-1, 1], `mask` and `blobs` int32.
    """
    batch = dict(batch)
    if "image" in batch and batch["image"].dtype == np.uint8:
        batch["image"] = from_bytes(batch["image"])
    return batch | {name: batch[name].astype(np.int32) for name in ("mask", "blobs") if name in batch}


def step_rng(state: TrainState, name: str) -> jax.Array:
    """Return the key of the step `name` on the current batch: a pure function of (seed, batch number, name)."""
    return jax.random.fold_in(jax.random.fold_in(state.rng, state.step), zlib.crc32(name.encode()) & 0x7FFFFFFF)


def example_rngs(key: jax.Array, axis: Axis, local_batch: int) -> jax.Array:
    """Return one key per local example, independent of which device holds the example.

    Args:
      key: typed PRNG key of the step.
      axis: the step's axis.
      local_batch: number of rows on this device.

    Returns:
      typed keys [local_batch].
    """
    position = axis.local_rows(jnp.arange(local_batch * axis.psum(1)))
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, position)
