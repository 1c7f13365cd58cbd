"""Run one pure step on many devices. The only file that makes meshes, shardings, `pmap` and `shard_map`.

Three ways to run the same `types.Step`, with the same results:

* `jit` (default): the step sees the whole batch, the compiler partitions the work by rows; parameters and optimiser
  states may be sharded (`fsdp`).
* `shard_map`: each device runs the step on its own rows and the `Axis` sums over devices; one or several hosts.
* `pmap`: the same step under `jax.pmap`, single host.
"""

import collections
import dataclasses
import functools
import types
from collections.abc import Callable, Mapping, Sequence

import jax
import numpy as np
from jax import lax
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from input_pipeline.errors import UserError
from l2s_jax import cost
from l2s_jax.config import MODES
from l2s_jax.types import GLOBAL_VIEW, Axis, Batch, Metrics, PyTree, Step, TrainState, unpacked

BATCH_AXES = ("data", "fsdp")
FSDP_MIN_SIZE = 2**14
"""Arrays with fewer elements are replicated: gathering them would cost more than holding them."""


@dataclasses.dataclass(frozen=True)
class ParallelStep:
    """A step for the devices of a mesh, from `data_parallel`; compiled when it is first called.

    Attributes:
      program: jitted (frozen, state, batch, last) -> (state, metrics).
      frozen: its first argument.
      place: (state, batch) -> the same as `program` takes them.
      views: number of devices that the program's arrays stand for: 1 if it sees those of one device.
    """

    program: Callable
    frozen: dict[str, PyTree]
    place: Callable[[TrainState, Batch], tuple[TrainState, Batch]]
    views: int

    def __call__(self, state: TrainState, batch: Batch, *, last: bool = True) -> tuple[TrainState, Metrics]:
        """Run the step on global arrays.

        Args:
          state: DONATED: use the returned one. It has no device axis in any mode.
          batch: from `global_batch`.
          last: the schedule has no further step for this batch: `state.step` advances by one.
        """
        return self.program(self.frozen, *self.place(state, batch), np.int32(last))

    def compile(self, state: TrainState, batch: Batch) -> None:
        """Compile the step for these arrays, so that a call begins at once; not for `pmap`."""
        self.program.lower(self.frozen, *self.place(state, batch), np.int32(1)).compile()

    def flops(self, state: TrainState, batch: Batch) -> float:
        """Count the operations of one device in a call (`cost.product_flops`); after a call, nothing is traced anew."""
        traced = jax.make_jaxpr(self.program)(self.frozen, *self.place(state, batch), np.int32(1))
        return cost.product_flops(traced.jaxpr) / self.views


def make_mesh(mode: str, fsdp: int, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Make a mesh ("data", "fsdp") over all devices, or over `devices`.

    Args:
      mode: one of `MODES`.
      fsdp: how many devices share one copy of the parameters; 1 = every device holds all of them.
      devices: the devices to use; None = every device of every process.

    Raises:
      UserError: unknown mode, or a mode and an `fsdp` that do not fit these devices.
    """
    devices = tuple(devices or jax.devices())
    if mode not in MODES:
        raise UserError(f"unknown parallel.mode '{mode}'; there are: {', '.join(MODES)}")
    if fsdp < 1 or len(devices) % fsdp:
        raise UserError(f"parallel.fsdp={fsdp} does not divide the {len(devices)} devices; choose a divisor")
    if fsdp > 1 and mode != "jit":
        raise UserError(f"parallel.fsdp={fsdp} needs parallel.mode=jit ('{mode}' keeps whole parameters)")
    if mode == "pmap" and jax.process_count() > 1:
        raise UserError("parallel.mode=pmap drives one process; several hosts need jit or shard_map")
    shape = (len(devices) // fsdp, fsdp)
    return jax.make_mesh(shape, BATCH_AXES, axis_types=(AxisType.Auto,) * 2, devices=devices)


def abstract_mesh(devices: int, fsdp: int) -> AbstractMesh:
    """Return the shape of the mesh that `make_mesh` makes of this number of devices, for `state_shardings`."""
    return AbstractMesh((devices // fsdp, fsdp), BATCH_AXES)


def data_parallel(
    step: Step, mesh: Mesh, mode: str, frozen: Mapping[str, PyTree] = types.MappingProxyType({})
) -> ParallelStep:
    """Compile a step for the devices of a mesh.

    Args:
      step: pure `(state, batch, axis) -> (state, metrics)`; metrics are over the global batch, not per device. It gets
        its batch `unpacked`.
      mesh: from `make_mesh`.
      mode: one of `MODES`.
      frozen: keyword arguments of the step that are neither trained nor donated, placed by `put_state`.

    Returns:
      the step. The last one of a batch advances `state.step`, whichever it is: they are one program.
    """

    def counted(frozen, state, batch, last, axis):
        state, metrics = step(state, unpacked(batch), axis, **frozen)
        return state.replace(step=state.step + last), metrics

    if mode == "pmap":
        return _pmap(counted, mesh, dict(frozen))
    compilers = {"jit": _jit if mesh.shape["fsdp"] == 1 else _fsdp, "shard_map": _shard_map}
    views = mesh.size if mode == "jit" else 1
    return ParallelStep(compilers[mode](counted, mesh), dict(frozen), _as_they_are, views)


def init_state(init: Callable[[jax.Array], TrainState], rng: jax.Array, mesh: Mesh) -> TrainState:
    """Compute `init(rng)` directly on its shardings, so that no device ever holds all of a sharded state."""
    # A program of a hundred random draws that runs once: on CPUs LLVM's optimisation takes four times as long as that.
    options = {"xla_backend_optimization_level": 0} if jax.default_backend() == "cpu" else None
    place = state_shardings(jax.eval_shape(init, rng), mesh)
    return jax.jit(init, out_shardings=place, compiler_options=options)(rng)


def abstract_state(init: Callable[[jax.Array], TrainState], rng: jax.Array, mesh: Mesh) -> TrainState:
    """Return shapes, dtypes and shardings of `init_state(init, rng, mesh)`, without computing it."""
    shapes = jax.eval_shape(init, rng)
    return _abstract(shapes, state_shardings(shapes, mesh))


def abstract_inputs(frozen: PyTree, batch: Batch, mesh: Mesh) -> tuple[PyTree, Batch]:
    """Return shapes, dtypes and shardings of `put_state(frozen, mesh)` and `global_batch(batch, mesh)`.

    Args:
      frozen: arrays or shapes.
      batch: arrays or shapes of the global batch.
      mesh: from `make_mesh`; its devices need not be there.
    """
    rows = NamedSharding(mesh, P(BATCH_AXES))
    return _abstract(frozen, state_shardings(frozen, mesh)), _abstract(batch, jax.tree.map(lambda _: rows, batch))


def _abstract(tree: PyTree, shardings: PyTree) -> PyTree:
    return jax.tree.map(lambda x, place: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree, shardings)


def put_state(state: TrainState, mesh: Mesh) -> TrainState:
    """Place a state on the mesh: replicated, or sharded over "fsdp"."""
    return jax.device_put(state, state_shardings(state, mesh))


def state_shardings(state: PyTree, mesh: Mesh | AbstractMesh) -> PyTree:
    """Return one `NamedSharding` per array of `state` (arrays, tracers or shapes).

    Large arrays are sharded over "fsdp" along their largest divisible axis; all others are replicated.
    """
    size = mesh.shape["fsdp"]

    def place(leaf) -> NamedSharding:
        spec = [None] * leaf.ndim
        divisible = [axis for axis in range(leaf.ndim) if leaf.shape[axis] % size == 0]
        if size > 1 and leaf.size >= FSDP_MIN_SIZE and divisible:
            spec[max(divisible, key=leaf.shape.__getitem__)] = "fsdp"
        return NamedSharding(mesh, P(*spec))

    return jax.tree.map(place, state)


def global_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Join the rows of all processes into global arrays, sharded over all devices of the mesh.

    Args:
      batch: this process's rows, numpy [B / processes, ...]; B must be divisible by the number of devices.
      mesh: from `make_mesh`.

    Returns:
      global arrays [B, ...].
    """
    rows = NamedSharding(mesh, P(BATCH_AXES))
    return {name: jax.make_array_from_process_local_data(rows, values) for name, values in batch.items()}


def local_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Make a mesh over the devices of this process (or some of them), for computing without the other processes."""
    return make_mesh("jit", 1, devices or jax.local_devices())


def replicated(tree: PyTree, mesh: Mesh) -> PyTree:
    """Put arrays that every process holds whole (numpy, or from `everywhere`) on all devices of a mesh."""
    own = jax.device_put(tree, NamedSharding(local_mesh(mesh.local_devices), P()))
    return jax.tree.map(functools.partial(_whole_on, mesh), own)


def everywhere(tree: PyTree) -> PyTree:
    """Replicate all arrays on every device; return them as arrays of a `local_mesh`. Every process must call it."""
    mesh = jax.tree.leaves(tree)[0].sharding.mesh
    whole = jax.device_put(tree, NamedSharding(mesh, P()))
    return jax.tree.map(functools.partial(_whole_on, local_mesh(mesh.local_devices)), whole)


def _whole_on(mesh: Mesh, x: jax.Array) -> jax.Array:
    """Return the array of a mesh whose devices in this process are those that hold x whole."""
    parts = [shard.data for shard in x.addressable_shards]
    return jax.make_array_from_single_device_arrays(x.shape, NamedSharding(mesh, P()), parts)


class Throttle:
    """A limit on the number of steps in flight (`limit`).

    Two are enough to hide the dispatch; many un-awaited steps abort the interpreter on virtual CPU devices, and
    elsewhere their batches would pile up in memory.
    """

    def __init__(self, limit: int = 2):
        self._limit = limit
        self._pending: collections.deque[Metrics] = collections.deque()

    def __call__(self, state: TrainState, metrics: Metrics) -> None:
        """Register a dispatched step by its results; wait for the oldest steps."""
        if not metrics:  # the state cannot be awaited later: the next step takes its buffers
            jax.block_until_ready(state)
        self._pending.append(metrics)
        while len(self._pending) > self._limit:
            jax.block_until_ready(self._pending.popleft())


# Frozen arrays are arguments of the programs: as constants, the compiler would hold, and fold, copies of them.


def _jit(step: Callable, mesh: Mesh) -> Callable:
    # Only rows of the batch are sharded; the outputs are replicated as the inputs are, or the next call would compile.
    whole = NamedSharding(mesh, P())
    return jax.jit(functools.partial(step, axis=GLOBAL_VIEW), donate_argnums=1, out_shardings=whole)


def _fsdp(step: Callable, mesh: Mesh) -> Callable:
    # "fsdp" is how arrays are STORED. If a sharded kernel reached a convolution, the partitioner would split the
    # computation by kernel or by image and get second derivatives wrong (jax 0.10.2: twice the R1 gradients with 8
    # devices and fsdp=4). Therefore parameters are gathered before the networks use them, gradients are gathered before
    # they reach an optimiser, and only rows of the batch are sharded in between. Running averages and optimiser states
    # stay sharded throughout.
    def whole(tree: PyTree) -> PyTree:
        return lax.with_sharding_constraint(tree, NamedSharding(mesh, P()))

    axis = GLOBAL_VIEW._replace(pmean=whole)

    def run(frozen, state, batch, last):
        state = state.replace(params=whole(state.params), stats=whole(state.stats))
        state, metrics = step(whole(frozen), state, batch, last, axis)
        # The outputs need exactly the inputs' shardings, or the next call would compile again.
        return lax.with_sharding_constraint(state, state_shardings(state, mesh)), whole(metrics)

    return jax.jit(run, donate_argnums=1)


def _shard_map(step: Callable, mesh: Mesh) -> Callable:
    # check_vma=False: with replication tracking, JAX itself would sum the gradients before `Axis.pmean`.
    mapped = jax.shard_map(
        functools.partial(step, axis=_device_axis(BATCH_AXES)),
        mesh=mesh,
        in_specs=(P(), P(), P(BATCH_AXES), P()),
        out_specs=P(),
        check_vma=False,
    )
    return jax.jit(mapped, donate_argnums=1)


def _pmap(step: Callable, mesh: Mesh, frozen: dict[str, PyTree]) -> ParallelStep:
    devices = mesh.devices.flatten()
    line = Mesh(devices, "devices", axis_types=(AxisType.Auto,))  # as pmap makes it
    whole, rows = NamedSharding(line, P()), NamedSharding(line, P("devices"))
    options = {"in_axes": (None, None, 0, None), "out_axes": None, "devices": devices.tolist()}
    own = functools.partial(step, axis=_device_axis("devices"))
    mapped = jax.pmap(own, "devices", **options, donate_argnums=1)

    @functools.partial(jax.jit, out_shardings=rows)
    def split(batch):
        return jax.tree.map(lambda x: x.reshape(devices.size, x.shape[0] // devices.size, *x.shape[1:]), batch)

    def place(state, batch):
        if jax.tree.leaves(state)[0].sharding != whole:  # at the first call only, or it compiles twice
            state = jax.device_put(state, whole, donate=True)
        return state, split(batch)

    return ParallelStep(mapped, jax.device_put(frozen, whole), place, views=1)


def _as_they_are(state: TrainState, batch: Batch) -> tuple[TrainState, Batch]:
    return state, batch


def _device_axis(names: str | tuple[str, ...]) -> Axis:
    """Return the axis of a step that sees only its device's rows, inside a map over the named mesh axes."""

    def local_rows(x):
        rows = x.shape[0] // lax.axis_size(names)
        return lax.dynamic_slice_in_dim(x, lax.axis_index(names) * rows, rows)

    psum, pmean = (functools.partial(collective, axis_name=names) for collective in (lax.psum, lax.pmean))
    return Axis(psum, pmean, functools.partial(lax.all_gather, axis_name=names, tiled=True), local_rows)
