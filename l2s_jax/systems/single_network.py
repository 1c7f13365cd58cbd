"""Shared code of systems with one network and one optimiser: the first state, the update, the export."""

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from l2s_jax import optim
from l2s_jax.types import Axis, PyTree, TrainState

NAME = "network"
"""Key of the network in every part of the state."""


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


def updated(
    state: TrainState,
    optimiser: optax.GradientTransformation,
    ema: float,
    grads: PyTree,
    moved: PyTree,
    axis: Axis,
) -> TrainState:
    """Return the state after one update.

    Args:
      state: the state before the update; `step` does not change.
      optimiser, ema: as for `first_state`.
      grads: gradients of the parameters, this device's part of the sum.
      moved: collections that the network has updated (batch statistics).
      axis: collective operations over the devices that share the batch.
    """
    params = state.params[NAME]
    updates, opt_state = optimiser.update(axis.total(grads), state.opt_state[NAME], params)
    params, stats = optax.apply_updates(params, updates), state.stats[NAME] | moved
    average = {}
    if ema:
        average = {NAME: optim.ema_update(state.ema[NAME], {"params": params, **stats}, state.step, ema)}
    return state.replace(params={NAME: params}, stats={NAME: stats}, opt_state={NAME: opt_state}, ema=average)


def exported(state: TrainState) -> dict[str, PyTree]:
    """Return the variables of the network under its name: their running average if there is one."""
    return state.ema or {NAME: {"params": state.params[NAME], **state.stats[NAME]}}
