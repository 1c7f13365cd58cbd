"""What the processes of one run tell one another, on one host or several; a process alone talks to itself."""

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from l2s_jax.training.parallel import BATCH_AXES
from l2s_jax.types import PyTree


def on_host(tree: PyTree) -> PyTree:
    """Return arrays on the devices of all processes, or of this one, as numpy arrays; every process must call it."""

    def fetch(x: jax.Array) -> np.ndarray:
        return np.asarray(x) if x.is_fully_addressable else multihost_utils.process_allgather(x, tiled=True)

    return jax.tree.map(fetch, tree)


def own_rows(tree: PyTree) -> PyTree:
    """Return this process's rows of arrays [B, ...] on the devices of all, as numpy arrays [B / processes, ...]."""

    def fetch(x: jax.Array) -> np.ndarray:
        if x.is_fully_addressable:
            return np.asarray(x)
        x = jax.device_put(x, NamedSharding(x.sharding.mesh, P(BATCH_AXES)))
        parts = sorted(x.addressable_shards, key=lambda shard: shard.index[0].start or 0)
        return np.concatenate([np.asarray(part.data) for part in parts])

    return jax.tree.map(fetch, tree)


def all_rows(tree: PyTree) -> PyTree:
    """Join numpy arrays [B / processes, ...] of all processes to [B, ...]; every process must call it."""
    return multihost_utils.process_allgather(tree, tiled=True)


def total(array: np.ndarray) -> np.ndarray:
    """Add up a numpy array over all processes, without losing bits of int64 or float64; every process must call it."""
    if jax.process_count() == 1:
        return array
    # As uint32: JAX would make 32 bits of 64.
    words = np.asarray(multihost_utils.process_allgather(np.ascontiguousarray(array).view(np.uint32)))
    return np.ascontiguousarray(words).view(array.dtype).sum(axis=0)


def largest(value: int) -> int:
    """Return the maximum of a number over all processes, so that all decide alike; every process must call it."""
    if jax.process_count() == 1:
        return value
    return int(multihost_utils.process_allgather(np.asarray(value)).max())


def barrier(name: str) -> None:
    """Wait until every process has reached this point."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)
