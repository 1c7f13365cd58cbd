"""Steps of systems on one device, each compiled once for all tests of a file, and how far two states are apart."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.training import parallel
from l2s_jax.types import GLOBAL_VIEW


@functools.cache
def compiled(step):
    """(state, batch, frozen arguments by name) -> (state, metrics) on the whole batch; it donates nothing."""
    return jax.jit(lambda state, batch, **frozen: step(state, batch, GLOBAL_VIEW, **frozen))


def one_device():
    return parallel.make_mesh("jit", 1, jax.devices()[:1])


@jax.jit
def copied(tree):
    """For steps that donate a state which other tests still need."""
    return jax.tree.map(jnp.copy, tree)


def numbered(system):
    """A state of numbers that no `init` draws, and without a key: cheaper than a compiled `init`."""
    stream = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda: system.init(jax.random.key(0)).replace(rng=()))
    return jax.tree.map(lambda leaf: jnp.asarray(stream.uniform(9, 99, leaf.shape).astype(leaf.dtype)), shapes)


def difference(a, b) -> float:
    """Largest absolute difference of two trees, wherever they lie."""
    a, b = jax.device_get((a, b))
    return max(jax.tree.leaves(jax.tree.map(lambda x, y: float(np.max(np.abs(x - y))), a, b)))


def check_moments(found, expected, rtol=1e-3, noise=1e-6):
    """Adam forgets the scale of a gradient, its moments do not: here an N-fold gradient would show.

    Some gradients are nothing but rounding: up to `noise` of the largest moment.
    """
    expected, found = jax.tree.leaves(jax.device_get(expected)), jax.tree.leaves(jax.device_get(found))
    largest = max(float(np.abs(leaf).max()) for leaf in expected)
    for ours, theirs in zip(expected, found, strict=True):
        np.testing.assert_allclose(theirs, ours, rtol=rtol, atol=noise * largest)
