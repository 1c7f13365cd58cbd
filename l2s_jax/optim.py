"""Optimisers, learning-rate schedules, lazy-regularisation correction, running averages of weights."""

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from input_pipeline.errors import UserError
from l2s_jax.systems.contract import PyTree

OPTIMISERS = ("adam", "adamw")
DECAYS = ("constant", "cosine", "linear")


def default_config() -> ConfigDict:
    """Fields of one optimiser; systems copy and change them. Steps are updates of THIS optimiser."""
    config = ConfigDict()
    config.name = "adam"  # adam | adamw
    config.learning_rate = 1e-3  # peak
    config.b1 = 0.9  # decay of the first moment
    config.b2 = 0.999  # decay of the second moment
    config.eps = 1e-8  # added to the root of the second moment
    config.weight_decay = 0.0  # adamw only, on arrays of two or more axes (not on biases and gains)
    config.warmup_steps = 0  # linear from learning_rate / warmup_steps to learning_rate
    config.decay = "constant"  # after the warm-up: constant | cosine | linear, down to 0 at total_steps
    config.total_steps = 0  # where the decay ends; 0 = with the training
    config.clip_norm = 0.0  # largest global norm of the gradients, 0 = no clipping
    return config


def build(config: ConfigDict) -> optax.GradientTransformation:
    """The optax transformation of a `default_config`-like config.

    Raises:
      UserError: an unknown name or decay, or numbers that contradict each other.
    """
    if config.name not in OPTIMISERS:
        raise UserError(f"unknown optimiser '{config.name}'; there are: {', '.join(OPTIMISERS)}")
    if config.name == "adam" and config.weight_decay:
        raise UserError(f"weight_decay={config.weight_decay} has no effect with adam; use name=adamw")
    rate = schedule(config)
    if config.name == "adam":
        update = optax.adam(rate, b1=config.b1, b2=config.b2, eps=config.eps)
    else:
        update = optax.adamw(
            rate, b1=config.b1, b2=config.b2, eps=config.eps, weight_decay=config.weight_decay, mask=_matrices
        )
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), update) if config.clip_norm else update


def schedule(config: ConfigDict) -> optax.Schedule:
    """Learning rate as a function of the number of updates made so far.

    Raises:
      UserError: unknown decay, or a decay that would end before the warm-up does.
    """
    if config.decay not in DECAYS:
        raise UserError(f"unknown decay '{config.decay}'; there are: {', '.join(DECAYS)}")
    peak, warmup = config.learning_rate, config.warmup_steps
    span = config.total_steps - warmup
    if config.decay != "constant" and span <= 0:
        raise UserError(f"{config.decay} decay needs total_steps > warmup_steps, not {config.total_steps} and {warmup}")
    main = {
        "constant": lambda: optax.constant_schedule(peak),
        "cosine": lambda: optax.cosine_decay_schedule(peak, span),
        "linear": lambda: optax.linear_schedule(peak, 0.0, span),
    }[config.decay]()
    if not warmup:
        return main
    # The first update already moves: a rate of 0 would waste a batch.
    return optax.join_schedules([optax.linear_schedule(peak / warmup, peak, max(warmup - 1, 1)), main], [warmup])


def ending(config: ConfigDict, updates: int) -> ConfigDict:
    """The config with `total_steps` filled in where it says 0: the decay then ends with the training.

    Args:
      config: a `default_config`-like config; not changed.
      updates: of this optimiser in the whole training.
    """
    filled = config.copy_and_resolve_references()
    # A training that ends within its warm-up has no decay to speak of.
    filled.total_steps = config.total_steps or max(updates, config.warmup_steps + 1)
    return filled


def lazy(config: ConfigDict, interval: int) -> ConfigDict:
    """The config of a network whose regulariser runs in its own update every `interval` updates.

    With c = k / (k + 1): learning_rate * c, b1^c, b2^c, so that k + 1 updates act like k (StyleGAN2, Karras et al.
    2020, appendix B).

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


def ema_update(ema: PyTree, params: PyTree, step: jax.Array | int, decay: float) -> PyTree:
    """Running average of weights, `d * ema + (1 - d) * params`.

    Args:
      ema: the average so far.
      params: the new weights, same structure.
      step: batches before this one, >= 0.
      decay: the limit of d. Warm-up: d = min(decay, (1 + step) / (10 + step)), so that the average forgets the random
        initial weights at once (the rule of `tf.train.ExponentialMovingAverage`).
    """
    step = jnp.asarray(step, jnp.float32)
    d = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return jax.tree.map(lambda average, new: average + (1.0 - d) * (new - average), ema, params)


def _matrices(params: PyTree) -> PyTree:
    return jax.tree.map(lambda p: p.ndim > 1, params)
