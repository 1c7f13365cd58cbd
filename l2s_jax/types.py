"""What every system gives to the loop, and the loop to every system: states, steps, schedules, predictions.

A system is a bundle of PURE functions. The loop knows nothing of losses or networks; a system knows nothing of
devices, files or time.
"""

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import struct
from ml_collections import ConfigDict

from input_pipeline.labels import LabelSet

PyTree = Any
Batch = Mapping[str, jax.Array]
Metrics = Mapping[str, jax.Array]


class TrainState(struct.PyTreeNode):
    """Everything that training changes, and nothing else.

    Attributes:
      step: int32 scalar, batches consumed so far. The loop advances it, steps leave it alone.
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
    """How a step sees the devices that share its batch (made by training/parallel.py, one per mode).

    The rule that makes one pure step right under jit, pmap and shard_map: write every loss as a function of GLOBAL
    sums, `total(sum) / total(count)`, differentiate it, then `total` the gradients.

    Attributes:
      total: pytree -> pytree, the sum over devices, whole on each of them. Its derivative is the IDENTITY, not another
        sum, because the gradients are summed once afterwards.
      gather: [B_local, ...] -> [B_global, ...], rows of all devices in batch order; differentiable.
      local: [B_global, ...] -> [B_local, ...], this device's rows of an array in batch order.
    """

    total: Callable[[PyTree], PyTree]
    gather: Callable[[jax.Array], jax.Array]
    local: Callable[[jax.Array], jax.Array]

    @property
    def whole_batch(self) -> bool:
        """Whether the step sees all rows of the batch, not only those of its device."""
        return self.gather is WHOLE_BATCH.gather


def _same(x):
    return x


WHOLE_BATCH = Axis(total=_same, gather=_same, local=_same)
"""The axis of jit: the step already sees the whole batch."""

Step = Callable[..., tuple[TrainState, Metrics]]
"""(TrainState, Batch, Axis) -> (TrainState, Metrics); what `System.frozen` gives comes as keyword arguments."""


class Prediction(struct.PyTreeNode):
    """What every parser answers.

    Attributes:
      logits: float32 [B, H, W, K], unnormalised log-probabilities of the classes of the system's label set.
    """

    logits: jax.Array

    @property
    def probabilities(self) -> jax.Array:
        """float32 [B, H, W, K], summing to 1 over K."""
        return jax.nn.softmax(self.logits, axis=-1)

    @property
    def labels(self) -> jax.Array:
        """int32 [B, H, W], the most probable class."""
        return jnp.argmax(self.logits, axis=-1).astype(jnp.int32)


class Predict(Protocol):
    """Masks and nothing else: the fast path of a system."""

    def __call__(self, variables: PyTree, image: jax.Array, landmarks: jax.Array | None = None) -> Prediction:
        """Parse a batch.

        Args:
          variables: what `System.variables` exports.
          image: float32 [B, H, W, 3] in [-1, 1].
          landmarks: float32 [B, K, 2] (x, y) pixels where they are known. A system that aligns faces by them parses the
            picture as it is without; all others leave them alone.
        """


class Code(struct.PyTreeNode):
    """A face as a sliced autoencoder sees it.

    Attributes:
      structure: float32 [B, K, h, w, C], row k a code in which only slice k is not zero; `Codec.classes` names them.
      style: float32 [B, S], texture shared by all regions.
    """

    structure: jax.Array
    style: jax.Array


class Decoded(struct.PyTreeNode):
    """A decoded `Code`.

    Attributes:
      image: float32 [B, H, W, 3] in about [-1, 1], the full face.
      regions: float32 [B, K, H, W, 3], each region alone on black (-1).
      logits: float32 [B, H, W, classes], as `Prediction.logits`.
      unmatted: float32 [B, H, W, 3], the plain mean of what the slices paint, before a matte cuts each out; None where
        a system has no matte. It tells what the generator itself keeps apart.
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
      classes: class of each of the K slices; a label set may have classes without a slice (a background).
      untrained: (variables, rng) -> the same variables, but what paints has fresh random weights; whatever encodes and
        cuts out stays. The baseline of every score of what is painted; None where a system cannot offer it.
    """

    encode: Callable[[PyTree, jax.Array], Code]
    decode: Callable[[PyTree, Code], Decoded]
    classes: tuple[int, ...]
    untrained: Callable[[PyTree, jax.Array], PyTree] | None = None


@dataclasses.dataclass(frozen=True)
class System:
    """A method: one of the five papers, built for one config.

    Attributes:
      name: registry name, e.g. `latents2segments`.
      label_set: classes of `batch["mask"]` and of `Prediction.logits`.
      init: rng -> TrainState. Shapes come from the config; usable under `jax.eval_shape`.
      steps: named pure steps. Each is compiled separately; all take the same batch.
      schedule: the steps to run, in order, on the batch number `step` (a Python int). Alternation and lazy
        regularisation live here, never in `lax.cond`.
      variables: state -> what is exported and what `predict` and `codec` take (the EMA where there is one).
      predict: (variables, image [B, H, W, 3] float32 in [-1, 1], landmarks=None) -> Prediction, see `Predict`.
      codec: encode and decode, or None for a pure parser.
      batch_multiple: the global batch size must be a multiple of it.
      needs_landmarks: the steps read `batch["landmarks"]`.
      needs_masks: the steps read `batch["mask"]`; where not, photos without masks train it too.
      any_size: the steps take images of any side that the system's `build` accepts, not only `config.image_size`.
      frozen: open_model -> {name: arrays}, keyword arguments of all steps that training never changes (weights of
        another model), or None. They are put on the devices once, where a training begins or goes on, and are neither
        donated nor saved. It reads files, so it is not traced.
      start: state -> state, what a fresh state takes from files before its first step (weights that were trained
        before), or None. It reads files, so it is neither traced nor called where a training goes on.
      learns_from: the models (names, bundles, workdirs) and files of weights that `frozen` and `start` read, as the
        config names them: what is trained inherits their licences.
    """

    name: str
    label_set: LabelSet
    init: Callable[[jax.Array], TrainState]
    steps: Mapping[str, Step]
    schedule: Callable[[int], tuple[str, ...]]
    variables: Callable[[TrainState], PyTree]
    predict: Predict
    codec: Codec | None = None
    batch_multiple: int = 1
    needs_landmarks: bool = False
    needs_masks: bool = True
    any_size: bool = False
    frozen: "Callable[[OpenModel], Mapping[str, PyTree]] | None" = None
    start: Callable[[TrainState], TrainState] | None = None
    learns_from: tuple[str, ...] = ()


class TrainedModel(Protocol):
    """A trained model as a system that learns from it sees it (`inference.Model`).

    Attributes:
      config: the one it was trained with; `image_size` is the side it sees, pixels.
      system: its pure functions.
      variables: what `system.predict` takes.
    """

    config: ConfigDict
    system: System
    variables: PyTree


OpenModel = Callable[[str], TrainedModel]
"""Opens a model by folder, workdir or name; raises UserError."""


def step_rng(state: TrainState, name: str) -> jax.Array:
    """Key of the step called `name` on the current batch: a pure function of (seed, batch number, name)."""
    return jax.random.fold_in(jax.random.fold_in(state.rng, state.step), zlib.crc32(name.encode()) & 0x7FFFFFFF)


def example_rngs(key: jax.Array, axis: Axis, local_batch: int) -> jax.Array:
    """One key per local example, the same whatever device holds it.

    Args:
      key: typed PRNG key of the step.
      axis: the step's axis.
      local_batch: rows this device holds.

    Returns:
      typed keys [local_batch].
    """
    position = axis.local(jnp.arange(axis.gather(jnp.zeros(local_batch)).shape[0]))
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, position)
