"""The mapper and the discriminator of codes of Face Identity Disentanglement (Nitzan et al. 2020, arXiv 2005.07728).

docs/methods/id_disentanglement.md, "Networks". Both are small and compute in float32.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

_SLOPE = 0.2
"""Slope of the leaky ReLU for negative numbers."""
_he = nn.initializers.variance_scaling(2 / (1 + _SLOPE**2), "fan_in", "truncated_normal")


class Mapper(nn.Module):
    """From identity and attributes to a code of the generator. Published sizes: 8,130,560 parameters.

    Attributes:
      outputs: length of the code.
      widths: lengths of the hidden layers.
      last_scale: factor on the initial weights of the last layer: 1 is published, and with a small one all codes begin
        near `mean` (ours).
    """

    outputs: int = 512
    widths: Sequence[int] = (2048, 1024, 512)
    last_scale: float = 1.0

    @nn.compact
    def __call__(self, identity: jax.Array, attributes: jax.Array, mean: jax.Array | None = None) -> jax.Array:
        """Map to codes.

        Args:
          identity: [B, I], of length 1.
          attributes: [B, A].
          mean: [W], added to the output (ours); None adds nothing (published).

        Returns:
          float32 [B, W].
        """
        x = jnp.concatenate((identity, attributes), axis=-1).astype(jnp.float32)
        for number, width in enumerate(self.widths):
            init = nn.initializers.glorot_uniform() if number < 2 else _he
            x = nn.leaky_relu(nn.Dense(width, kernel_init=init, name=f"dense_{number}")(x), _SLOPE)

        def last(key, shape, dtype):
            return self.last_scale * _he(key, shape, dtype)

        x = nn.Dense(self.outputs, kernel_init=last, name=f"dense_{len(self.widths)}")(x)
        return x if mean is None else x + mean[None]


class CodeDiscriminator(nn.Module):
    """A discriminator of codes. Published sizes: 172,545 parameters.

    Attributes:
      widths: lengths of the hidden layers.
    """

    widths: Sequence[int] = (256, 128, 64)

    @nn.compact
    def __call__(self, code: jax.Array) -> jax.Array:
        """Judge codes [B, W] -> logits float32 [B], positive for real ones."""
        x = code.astype(jnp.float32)
        for number, width in enumerate(self.widths):
            x = nn.leaky_relu(nn.Dense(width, kernel_init=_he, name=f"dense_{number}")(x), _SLOPE)
        return nn.Dense(1, kernel_init=_he, name=f"dense_{len(self.widths)}")(x)[:, 0]
