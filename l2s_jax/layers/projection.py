"""Conditioning of a discriminator's logit on a class (projection discriminator, arXiv 1802.05637)."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class Projection(nn.Module):
    """A class-conditional term <embedding[region], features> / sqrt(C), with embeddings initialised N(0, 1).

    Attributes:
      regions: number of classes; 0 makes the unconditional network, without parameters.
    """

    regions: int

    @nn.compact
    def __call__(self, features: jax.Array, region: jax.Array | None) -> jax.Array:
        """Compute the term; 0 if the network is unconditional.

        Args:
          features: float32 [B, C].
          region: int32 [B], or None exactly when `regions` is 0.

        Returns:
          float32 [B].

        Raises:
          ValueError: `region` is missing, or given to an unconditional network.
        """
        if (self.regions > 0) != (region is not None):
            word = "without" if self.regions else "with"
            raise ValueError(f"a discriminator of {self.regions} regions was called {word} region ids")
        if region is None:
            return jnp.zeros(features.shape[0], features.dtype)
        width = features.shape[-1]
        embedding = self.param("embedding", nn.initializers.normal(1.0), (self.regions, width), jnp.float32)
        return jnp.sum(embedding[region] * features, axis=-1) / width**0.5
