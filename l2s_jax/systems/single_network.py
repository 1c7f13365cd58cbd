"""Shared code of systems with one network and one optimiser: the first state, the training step, the export."""

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from ml_collections import ConfigDict

from l2s_jax import optim
from l2s_jax.layers.shared_batch import shared_batch
from l2s_jax.types import Axis, Batch, Metrics, PyTree, TrainState

NAME = "network"
"""Key of the network in every part of the state."""


Terms = dict[str, jax.Array]
"""Loss terms by name, scalars over the global batch."""


def functions(
    config: ConfigDict,
    network: nn.Module,
    terms: Callable[[PyTree, TrainState, Batch, Axis], tuple[Terms, PyTree]],
    weights: Mapping[str, float],
    *,
    optimiser: optax.GradientTransformation | None = None,
    step: str = "train",
) -> dict:
    """Return the arguments of `System` that all systems with one network share: state, training step and export.

    Args:
      config: its fields `image_size`, `train.steps`, `train.accumulate`, `optim.network` and `optim.ema` (see
        `first_state`) count.
      network: called with images [B, image_size, image_size, 3] and `train`.
      terms: (variables of the network, state, batch, axis) -> (unweighted terms, collections that the forward pass
        updates, such as batch statistics).
      weights: factor of each term by its name.
      optimiser: of the network's parameters; None = that of `optim.network`.
      step: name of the training step.
    """
    ema, accumulate = config.optim.ema, config.train.accumulate
    if optimiser is None:
        group = optim.with_total_steps(config.optim.network, config.train.steps // accumulate)
        optimiser = optim.build(group, accumulate=accumulate)

    def train(state: TrainState, batch: Batch, axis: Axis) -> tuple[TrainState, Metrics]:
        def own_terms(variables: PyTree) -> tuple[Terms, PyTree]:
            return terms(variables, state, batch, axis)

        return train_step(own_terms, weights, optimiser, ema, state, axis, accumulate)

    return {
        "init": functools.partial(first_state, network, optimiser, config.image_size, ema),
        "steps": {step: train},
        "schedule": lambda number: (step,),
        "variables": exported,
    }


def first_state(
    network: nn.Module, optimiser: optax.GradientTransformation, side: int, ema: float, rng: jax.Array
) -> TrainState:
    """Return a training state with newly initialised network and optimiser.

    Args:
      network: called with images [B, side, side, 3] and `train`.
      optimiser: optimiser of its parameters.
      side: side of the images in pixels.
      ema: decay of the running average of all variables; 0 = no running average.
      rng: typed key.
    """
    params_rng, step_key = jax.random.split(rng)
    variables = dict(network.init(params_rng, jnp.zeros((1, side, side, 3), jnp.float32), train=False))
    # A copy, not an alias: the state is donated, and one buffer cannot be donated twice.
    average = {NAME: jax.tree.map(jnp.copy, variables)} if ema else {}
    params = variables.pop("params")
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        rng=step_key,
        params={NAME: params},
        stats={NAME: variables},
        ema=average,
        opt_state={NAME: optimiser.init(params)},
    )


def train_step(
    terms: Callable[[PyTree], tuple[Terms, PyTree]],
    weights: Mapping[str, float],
    optimiser: optax.GradientTransformation,
    ema: float,
    state: TrainState,
    axis: Axis,
    accumulate: int = 1,
) -> tuple[TrainState, Metrics]:
    """Update the network once on a weighted sum of loss terms.

    Args:
      terms: variables of the network -> (unweighted terms, collections that the forward pass updates, such as batch
        statistics).
      weights: factor of each term by its name.
      optimiser, ema: as for `first_state`.
      state: the state before the update; `step` does not change.
      axis: collective operations over the devices that share the batch.
      accumulate: as for `optim.ema_update`.

    Returns:
      the new state, and the metrics: `loss` and the terms.
    """
    params, stats = state.params[NAME], state.stats[NAME]

    def objective(params):
        values, changed = terms({"params": params, **stats})
        return sum(weights[name] * value for name, value in values.items()), (values, changed)

    with shared_batch(axis):
        loss, (values, changed), grads = optim.gradients(objective, params, axis)
    params, opt_state = optim.updated(optimiser, grads, state.opt_state[NAME], params)
    stats = stats | changed
    average = {}
    if ema:
        new = {"params": params, **stats}
        average = {NAME: optim.ema_update(state.ema[NAME], new, state.step, ema, accumulate)}
    state = state.replace(params={NAME: params}, stats={NAME: stats}, opt_state={NAME: opt_state}, ema=average)
    return state, {"loss": loss, **values}


def exported(state: TrainState) -> dict[str, PyTree]:
    """Return the variables of the network under its name: their running average if there is one."""
    return state.ema or {NAME: {"params": state.params[NAME], **state.stats[NAME]}}


def started(state: TrainState, variables: Mapping[str, PyTree]) -> TrainState:
    """Return a new state that starts from pretrained variables of the network, with its fresh optimiser state.

    Args:
      state: newly initialised.
      variables: all collections, placed like those of `state`.
    """
    ema = {NAME: jax.tree.map(jnp.copy, dict(variables))} if state.ema else {}
    stats = dict(variables)
    return state.replace(params={NAME: stats.pop("params")}, stats={NAME: stats}, ema=ema)


def untrained_network(network: nn.Module, side: int, variables: PyTree, rng: jax.Array) -> PyTree:
    """Return random variables of the network under its name, for images of `side` pixels: see `Scorer.untrained`."""
    del variables
    return {NAME: jax.jit(network.init)(rng, jnp.zeros((1, side, side, 3)))}
