"""Variables of a network without running its initialisation: quicker to compile, and no bias is zero."""

import jax
import jax.numpy as jnp
import numpy as np


def random_variables(module, *inputs, seed=0):
    """N(0, 1) for every variable, at the shapes of `module.init`."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), *inputs)
    stream = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(stream.normal(size=leaf.shape).astype(leaf.dtype)), shapes)


def lively(shapes, seed=0):
    """Weights at the scale of their fan-in, everything else around 1: no branch is silent.

    Args:
      shapes: variables, or their shapes and dtypes.
    """
    stream = np.random.default_rng(seed)

    def draw(leaf):
        inputs = np.prod(leaf.shape[:-1])
        x = stream.normal(0, 1 / np.sqrt(inputs), leaf.shape) if leaf.ndim > 1 else stream.uniform(0.5, 1.5, leaf.shape)
        return jnp.asarray(x, leaf.dtype)

    return jax.tree.map(draw, shapes)
