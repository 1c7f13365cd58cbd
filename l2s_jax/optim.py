"""Optimisers, schedules, accumulation, the correction for lazy regularisation, running averages of weights."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from input_pipeline.errors import require
from l2s_jax.schema import MOST, OneOf, Range
from l2s_jax.types import Axis, PyTree

RANGES = {
    "name": OneOf(("adam", "adamw")),
    "decay": OneOf(("constant", "cosine", "linear", "steps")),
    "learning_rate": Range(0.0, 100.0),
    "b1": Range(0.0, 0.999999),
    "b2": Range(0.0, 0.99999999),
    "eps": Range(0.0, 1.0),
    "weight_decay": Range(0.0, 100.0),
    "warmup_steps": Range(0, MOST),
    "total_steps": Range(0, MOST),
    "milestones": Range(1, MOST),
    "step_factor": Range(0.0, 100.0),
    "clip_norm": Range(0.0, 1e9),
}
"""Allowed values of the fields of `default_config()`."""

RateFactor = Callable[[tuple[str, ...]], float]
"""Path of a parameter in its tree -> factor of its learning rate."""


def default_config() -> ConfigDict:
    """Return the fields of one optimiser; systems copy and change them. Steps are updates of THIS optimiser."""
    config = ConfigDict()
    config.name = "adam"  # optimiser: adam | adamw
    config.learning_rate = 1e-3  # peak learning rate
    config.b1 = 0.9  # decay rate of the first moment
    config.b2 = 0.999  # decay rate of the second moment
    config.eps = 1e-8  # added to the square root of the second moment
    config.weight_decay = 0.0  # decoupled weight decay; adamw only
    config.decay_vectors = False  # also decay arrays with fewer than two axes: biases and scales
    config.warmup_steps = 0  # linear warm-up from learning_rate / warmup_steps to learning_rate
    config.decay = "constant"  # rate after the warm-up: constant | cosine | linear (to 0 at total_steps) | steps
    config.total_steps = 0  # update at which the decay ends; 0 = at the end of training
    config.milestones = ()  # for decay=steps: updates after which the rate is multiplied by step_factor
    config.step_factor = 0.1  # factor applied at each milestone
    config.clip_norm = 0.0  # gradients are clipped to this global norm; 0 = no clipping
    return config


def build(
    config: ConfigDict, rate_factor: RateFactor | None = None, accumulate: int = 1
) -> optax.GradientTransformation:
    """Build the optax transformation of a config like `default_config`.

    Args:
      config: see `default_config`.
      rate_factor: factor on the learning rate of each parameter, e.g. from `stage_decay`; None = 1 for all. It also
        scales the weight decay, as a separate learning rate would.
      accumulate: calls that make one update (`train.accumulate`), with the mean of their gradients; the others return
        zeros. Schedules count updates, and what is clipped is the mean.

    Raises:
      UserError: contradictory numbers.
    """
    require(
        config.name == "adamw" or not config.weight_decay,
        f"weight_decay={config.weight_decay} has no effect with {config.name}; use name=adamw",
    )
    rate, moments = schedule(config), {"b1": config.b1, "b2": config.b2, "eps": config.eps}
    decayed = None if config.decay_vectors else _matrices
    update = {
        "adam": lambda: optax.adam(rate, **moments),
        "adamw": lambda: optax.adamw(rate, **moments, weight_decay=config.weight_decay, mask=decayed),
    }[config.name]()
    clip = [optax.clip_by_global_norm(config.clip_norm)] if config.clip_norm else []
    scale = [_scaled(rate_factor)] if rate_factor is not None else []
    built = optax.chain(*clip, update, *scale) if clip or scale else update
    return built if accumulate == 1 else optax.MultiSteps(built, accumulate).gradient_transformation()


def stage_decay(stage: Callable[[tuple[str, ...]], int | None], last: int, decay: float) -> RateFactor:
    """Return the factors of layer-wise learning-rate decay (Clark et al., ICLR 2020): earlier layers learn more slowly.

    Args:
      stage: path of a parameter -> its stage, 0 nearest to the input, or None if it is not pretrained.
      last: the stage nearest to the output.
      decay: in (0, 1]; the factor of stage s is `decay ** (last + 1 - s)`; parameters without a stage have factor 1.
    """

    def factor(path: tuple[str, ...]) -> float:
        found = stage(path)
        return 1.0 if found is None else decay ** (last + 1 - found)

    return factor


def _scaled(rate_factor: RateFactor) -> optax.GradientTransformation:
    def scale(updates: PyTree, params: PyTree | None = None) -> PyTree:
        del params
        return jax.tree_util.tree_map_with_path(
            lambda path, update: rate_factor(tuple(key.key for key in path)) * update, updates
        )

    return optax.stateless(scale)


def schedule(config: ConfigDict) -> optax.Schedule:
    """Return the learning rate as a function of the number of updates made so far.

    Raises:
      UserError: a decay that would end before the warm-up does, or milestones that do not fit.
    """
    peak, warmup, milestones = config.learning_rate, config.warmup_steps, tuple(config.milestones)
    span = config.total_steps - warmup
    require(
        span > 0 or config.decay not in ("cosine", "linear"),
        f"{config.decay} decay needs total_steps > warmup_steps, not {config.total_steps} and {warmup}",
    )
    require(
        (config.decay == "steps") == bool(milestones),
        f"decay='{config.decay}' with milestones={milestones}: decay=steps is what needs milestones",
    )
    require(
        all(before < after for before, after in itertools.pairwise((warmup, *milestones))),
        f"milestones={milestones} must grow and come after the {warmup} updates of the warm-up",
    )
    main = {
        "constant": lambda: optax.constant_schedule(peak),
        "cosine": lambda: optax.cosine_decay_schedule(peak, span),
        "linear": lambda: optax.linear_schedule(peak, 0.0, span),
        "steps": lambda: optax.piecewise_constant_schedule(
            peak, {milestone - warmup: config.step_factor for milestone in milestones}
        ),
    }[config.decay]()
    if not warmup:
        return main
    # The first update already has a rate above 0: a rate of 0 would waste a batch.
    return optax.join_schedules([optax.linear_schedule(peak / warmup, peak, max(warmup - 1, 1)), main], [warmup])


Objective = Callable[[PyTree], tuple[jax.Array, Any]]
"""Parameters -> (what is minimised, a scalar over the global batch, and anything else)."""


def gradients(objective: Objective, params: PyTree, axis: Axis) -> tuple[jax.Array, Any, PyTree]:
    """Return what an objective says of some parameters, two values, and its gradients over all devices of the axis."""
    (value, more), grads = jax.value_and_grad(objective, has_aux=True)(params)
    return value, more, axis.pmean(grads)


def updated(
    optimiser: optax.GradientTransformation, grads: PyTree, opt_state: PyTree, params: PyTree
) -> tuple[PyTree, PyTree]:
    """Return the parameters and the optimiser's state after an update."""
    updates, opt_state = optimiser.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state


def with_total_steps(config: ConfigDict, updates: int) -> ConfigDict:
    """Return the config with `total_steps` filled in if it is 0, so that the decay ends with the training.

    Args:
      config: a `default_config`-like config; not changed.
      updates: number of updates of this optimiser in the entire training run.
    """
    filled = config.copy_and_resolve_references()
    # A training run that ends within its warm-up has no decay phase.
    filled.total_steps = config.total_steps or max(updates, config.warmup_steps + 1)
    return filled


def for_lazy_regularization(config: ConfigDict, interval: int) -> ConfigDict:
    """Return the config of a network whose regulariser runs as its own update every `interval` updates.

    With c = k / (k + 1): learning_rate * c, b1^c, b2^c, so that k + 1 updates have the effect of k (StyleGAN2, Karras
    et al. 2020, appendix B).

    Args:
      config: a `default_config`-like config; not changed.
      interval: k, at least 1.
    """
    c = interval / (interval + 1)
    corrected = config.copy_and_resolve_references()
    corrected.learning_rate = config.learning_rate * c
    corrected.b1 = config.b1**c
    corrected.b2 = config.b2**c
    return corrected


def ema_update(ema: PyTree, params: PyTree, step: jax.Array | int, decay: float, accumulate: int = 1) -> PyTree:
    """Update a running average of weights: `d * ema + (1 - d) * params`.

    Args:
      ema: the average so far.
      params: the new weights, of the same structure.
      step: number of batches before this one, >= 0.
      decay: upper limit of d. Warm-up: d = min(decay, (1 + step) / (10 + step)), so that the random initial weights are
        forgotten quickly (the rule of `tf.train.ExponentialMovingAverage`).
      accumulate: batches that make one update of the weights. The batches for which the weights stand still decay the
        average by d together, each by its root, and the warm-up counts updates.
    """
    if accumulate > 1:
        step = (step + 1) // accumulate - 1
    step = jnp.asarray(step, jnp.float32)
    d = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    if accumulate > 1:
        d **= 1 / accumulate
    return jax.tree.map(lambda average, new: average + (1.0 - d) * (new - average), ema, params)


def _matrices(params: PyTree) -> PyTree:
    return jax.tree.map(lambda p: p.ndim > 1, params)
