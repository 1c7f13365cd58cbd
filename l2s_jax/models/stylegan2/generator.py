"""The generator of StyleGAN2: mapping, the mean code that truncation pulls to, synthesis."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.models.stylegan2.mapping import Mapping
from l2s_jax.models.stylegan2.synthesis import BUFFERS, Noise, Synthesis


class Generator(nn.Module):
    """Mapping and synthesis as one network, with the collections `params` and `buffers`.

    Attributes:
      mapping: z -> w.
      synthesis: w -> image.
    """

    mapping: Mapping
    synthesis: Synthesis

    def setup(self):
        """Declare the mean code, float32 [W]; training updates it, `truncated` reads it."""
        self.w_avg = self.variable(BUFFERS, "w_avg", jnp.zeros, (self.mapping.code,), jnp.float32)

    def __call__(self, z: jax.Array, truncation: float | jax.Array = 1.0, noise: Noise = "const") -> jax.Array:
        """Generate images float32 [B, R, R, 3] in about [-1, 1] from z [B, Z]."""
        return self.synthesis(self.truncated(self.mapping(z), truncation), noise)

    def codes(self, z: jax.Array) -> jax.Array:
        """Map z [B, Z] to codes w float32 [B, W]."""
        return self.mapping(z)

    def truncated(self, w: jax.Array, truncation: float | jax.Array) -> jax.Array:
        """Pull codes [B, W] to the mean code, all layers alike: `w_avg + truncation * (w - w_avg)`."""
        w_avg = self.w_avg.value[None]
        return w_avg + truncation * (w - w_avg)

    def images(self, w: jax.Array, noise: Noise = "const") -> jax.Array:
        """Synthesise images from codes [B, W] or [B, L, W], see `Synthesis`."""
        return self.synthesis(w, noise)
