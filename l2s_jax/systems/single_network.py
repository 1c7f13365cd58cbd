"""What systems of one network and one optimiser share: the first state, the update, the export."""

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from l2s_jax import optim
from l2s_jax.types import Axis, PyTree, TrainState

NAME = "network"
"""Of the network in every part of the state."""


def first_state(
    network: nn.Module, optimiser: optax.GradientTransformation, side: int, ema: float, rng: jax.Array
) -> TrainState:
    """A network as drawn, and an optimiser that has seen nothing.

    Args:
      network: called with images [B, side, side, 3] and `train`.
      optimiser: of its parameters.
      side: of the images, pixels.
      ema: decay of the running average of all variables; 0 = there is none.
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
    """The state after one gradient.

    Args:
      state: before; its step is left alone.
      optimiser, ema: as for `first_state`.
      grads: of the parameters, this device's part.
      moved: collections that the network has changed (batch statistics).
      axis: of the devices that share the batch.
    """
    params = state.params[NAME]
    updates, opt_state = optimiser.update(axis.total(grads), state.opt_state[NAME], params)
    params, stats = optax.apply_updates(params, updates), state.stats[NAME] | moved
    average = {}
    if ema:
        average = {NAME: optim.ema_update(state.ema[NAME], {"params": params, **stats}, state.step, ema)}
    return state.replace(params={NAME: params}, stats={NAME: stats}, opt_state={NAME: opt_state}, ema=average)


def exported(state: TrainState) -> dict[str, PyTree]:
    """The variables of the network by its name: their running average where there is one."""
    return state.ema or {NAME: {"params": state.params[NAME], **state.stats[NAME]}}
