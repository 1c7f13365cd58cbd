"""The optimisers of the phases of a training, and an update by one of them.

Learning rates are functions of the BATCH number, never of an optimiser's own count of updates: the adversarial
optimisers make fewer of them, and with schedules of their own would end at a high rate while the other decays.
"""

from collections.abc import Callable, Mapping

import jax
import optax
from ml_collections import ConfigDict

from l2s_jax import optim
from l2s_jax.systems.id_disentanglement.networks import TRAINED, Variables
from l2s_jax.types import Axis, Metrics, PyTree, TrainState


def everything(state: TrainState) -> Variables:
    """Return the variables of all networks by name: trained now, trained earlier, or loaded."""
    return state.stats | state.params


class Optimiser:
    """An optimiser whose learning rate follows the batches of its phase.

    Attributes:
      init: parameters -> its state.
    """

    def __init__(self, config: ConfigDict, first: int, batches: int, accumulate: int = 1):
        """Build it for a phase of `batches` batches that begins with batch `first`.

        `accumulate` calls make an update (`optim.build`), with the rate at the last of them.

        Raises:
          UserError: contradictory numbers.
        """
        filled = optim.with_total_steps(config, batches)
        self._first, self._rate = first, optim.schedule(filled)
        steady = filled.copy_and_resolve_references()
        steady.update({"learning_rate": 1.0, "decay": "constant", "warmup_steps": 0, "milestones": ()})
        self._transformation = optim.build(steady, accumulate=accumulate)
        self.init = self._transformation.init

    def update(self, gradients: PyTree, state: PyTree, params: PyTree, step: jax.Array) -> tuple[PyTree, PyTree]:
        """Return (what to add to the parameters, the new state) on batch number `step`."""
        updates, state = self._transformation.update(gradients, state, params)
        rate = self._rate(step - self._first)
        return jax.tree.map(lambda update: rate * update, updates), state


def phase_optimisers(config: ConfigDict) -> dict[str, Optimiser]:
    """Return the optimisers by name: of each encoder that is trained here, and of the method.

    Raises:
      UserError: contradictory numbers.
    """
    first, accumulate = config.encoders.steps, config.train.accumulate
    main = {"mapper": config.optim.mapper}
    if config.schedule.adversarial_every:
        main |= {"adversarial": config.optim.adversarial, "discriminator": config.optim.discriminator}
    built = {name: Optimiser(group, first, config.train.steps - first, accumulate) for name, group in main.items()}
    if first:
        encoders = Optimiser(config.optim.encoders, 0, first, accumulate)
        built |= dict.fromkeys(("identity", "evaluator", "landmarks"), encoders)
    return built


def owned(name: str) -> tuple[str, ...]:
    """Return the entries of `TrainState.params` that the optimiser called `name` changes."""
    if name in ("mapper", "adversarial"):
        return TRAINED
    return (name,)


def own_gradients(terms: Callable[[Variables], tuple[jax.Array, Metrics]], state: TrainState, name: str, axis: Axis):
    """Return (gradients of what optimiser `name` owns, metrics) of `terms`, a function of all variables."""
    mine = {part: state.params[part] for part in owned(name)}
    _, metrics, gradients = optim.gradients(lambda own: terms(everything(state) | own), mine, axis)
    return gradients, metrics


def applied(built: Mapping[str, Optimiser], name: str, gradients: PyTree, state: TrainState, point: TrainState):
    """Add the update of optimiser `name` for gradients taken at `point` to the state."""
    mine = {part: point.params[part] for part in owned(name)}
    updates, opt_state = built[name].update(gradients, point.opt_state[name], mine, point.step)
    moved = {part: optax.apply_updates(state.params[part], update) for part, update in updates.items()}
    return state.replace(params=state.params | moved, opt_state=state.opt_state | {name: opt_state})
