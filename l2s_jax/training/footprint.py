"""What a training holds on each of its devices, from shapes alone: nothing is allocated and nothing compiled."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax
from jax.sharding import PartitionSpec
from ml_collections import ConfigDict

from input_pipeline.errors import require
from l2s_jax import cost, systems
from l2s_jax.training import parallel
from l2s_jax.types import GLOBAL_VIEW, Batch, OpenModel, PyTree, System, TrainState, unpacked

PARTS = {"params": "parameters", "stats": "statistics", "ema": "running averages", "opt_state": "optimisers"}
"""Parts of the state, as people call them."""


class Placement(NamedTuple):
    """Arrays of one part of the state that are placed alike.

    Attributes:
      part: key of `PARTS`.
      group: what their paths begin with: the network or the optimiser; of the only network, its module.
      spec: such as `fsdp on axis 2`, or `replicated`.
      arrays: their number.
      size: bytes in all, each array counted once.
      local: bytes on one device.
    """

    part: str
    group: str
    spec: str
    arrays: int
    size: int
    local: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """A training on identical devices, as shapes.

    Attributes:
      config: its config.
      devices: their number.
      system: built from the config.
      state: of the whole training.
      batch: the rows of one device, as they travel.
      frozen: keyword arguments of the steps (`System.frozen`).
    """

    config: ConfigDict
    devices: int
    system: System
    state: TrainState
    batch: Batch
    frozen: Mapping[str, PyTree]

    @functools.cached_property
    def traces(self) -> dict[str, jax.stages.Traced]:
        """Return each step, traced on (state, rows of one device, frozen)."""
        inputs = self.state, self.batch, self.frozen
        steps = self.system.steps.items()
        return {name: jax.jit(functools.partial(_called, step)).trace(*inputs) for name, step in steps}

    @functools.cached_property
    def costs(self) -> dict[str, cost.Cost]:
        """Return the cost of each step on the rows of one device."""
        return {name: cost.of_trace(traced) for name, traced in self.traces.items()}

    def trained(self, name: str) -> int:
        """Return the bytes of the parameters that a step changes, which are those of the gradients it sums."""
        program = self.traces[name].jaxpr.jaxpr
        # What a step returns as it was is the same variable. The state comes first, in arguments and results.
        changed = jax.tree.unflatten(
            jax.tree.structure(self.state),
            [before is not after for before, after in zip(program.invars, program.outvars, strict=False)][
                : len(jax.tree.leaves(self.state))
            ],
        )
        sizes = jax.tree.map(lambda x, moved: moved * cost.size_bytes(x), self.state.params, changed.params)
        return sum(jax.tree.leaves(sizes))

    @property
    def placements(self) -> list[Placement]:
        """Return how every array of the state is placed, by the rule of training/parallel.py."""
        rows: dict[tuple[str, str, str], list[int]] = {}
        mesh = parallel.abstract_mesh(self.devices, self.config.parallel.fsdp)
        for part in PARTS:
            tree = getattr(self.state, part)
            depth = 2 if len(tree) == 1 and part == "params" else 1
            places = jax.tree.leaves(parallel.state_shardings(tree, mesh))
            for (path, leaf), place in zip(jax.tree.leaves_with_path(tree), places, strict=True):
                local = jax.ShapeDtypeStruct(place.shard_shape(leaf.shape), leaf.dtype)
                names = [key.key for key in path if isinstance(key, jax.tree_util.DictKey)]
                row = rows.setdefault((part, "/".join(names[:depth]), _words(place.spec)), [0, 0, 0])
                for column, value in enumerate((1, cost.size_bytes(leaf), cost.size_bytes(local))):
                    row[column] += value
        return [Placement(*key, *row) for key, row in rows.items()]

    def memory(self) -> dict[str, int]:
        """Return the bytes on one device by what they are for; their sum is what a device needs."""
        held = dict.fromkeys(PARTS.values(), 0)
        for one in self.placements:
            held[PARTS[one.part]] += one.local
        if self.config.parallel.fsdp > 1:  # training/parallel.py gathers them before the networks use them
            held["gathered parameters"] = cost.size_bytes((self.state.params, self.state.stats))
        if self.frozen:
            held["frozen arguments"] = cost.size_bytes(self.frozen)
        held["two batches"] = 2 * cost.size_bytes(self.batch)
        held["activations and gradients, at worst"] = max(one.workspace for one in self.costs.values())
        return held


def planned(config: ConfigDict, devices: int, open_model: OpenModel) -> Plan:
    """Plan the training of `config` on `devices` identical devices.

    Args:
      config: of the training.
      devices: their number.
      open_model: opens a model that the system learns from.

    Raises:
      UserError: the batch or the sharding does not fit this number of devices, a config that cannot be built, or a
        model that cannot be opened.
    """
    rows, fsdp = config.data.batch_size // devices, config.parallel.fsdp
    require(
        rows * devices == config.data.batch_size and devices % fsdp == 0,
        f"data.batch_size={config.data.batch_size} and parallel.fsdp={fsdp} do not fit {devices} devices; "
        "choose divisors and multiples of one another",
    )
    system = systems.build(config)
    state = jax.eval_shape(system.init, jax.random.key(0))
    batch = cost.abstract_batch(system, rows, config.image_size)
    return Plan(config, devices, system, state, batch, system.frozen(open_model) if system.frozen else {})


def remedies(plan: Plan, memory: float, open_model: OpenModel) -> Iterator[str]:
    """Yield options of `l2s train`, each of which alone makes a training fit into `memory` bytes of a device."""
    config, devices, batch = plan.config, plan.devices, plan.config.data.batch_size
    rows, before = batch // devices, config.train.accumulate
    smaller = [(batch // n, before * n) for n in range(2, rows + 1) if rows % n == 0]  # as many faces in an update
    more = [devices * 2**n for n in range(1, 20) if batch % (devices * 2**n) == 0]
    ways = (
        [({"train.remat": "blocks"}, devices)] if config.train.remat == "none" else [],
        [({"parallel.fsdp": devices}, devices)] if config.parallel.mode == "jit" else [],
        [({"data.batch_size": size, "train.accumulate": parts}, devices) for size, parts in smaller],
        [({}, number) for number in more],
    )
    for way in ways:
        for change, number in way:
            changed = config.copy_and_resolve_references().unlock()
            changed.update_from_flattened_dict(change)
            if sum(planned(changed, number, open_model).memory().values()) <= memory:
                yield " ".join(f"--config.{name}={value}" for name, value in change.items()) or f"--devices {number}"
                break


def _called(step, state: TrainState, batch: Batch, frozen: Mapping[str, PyTree]):
    return step(state, unpacked(batch), GLOBAL_VIEW, **frozen)


def _words(spec: PartitionSpec) -> str:
    return ", ".join(f"{name} on axis {axis}" for axis, name in enumerate(spec) if name) or "replicated"
