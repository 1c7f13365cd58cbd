"""The presence head (light head): predicts where region k is from slice k alone, without decoding colours (ours)."""

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike


def depth_to_space(x: Array, factor: int = 2) -> Array:
    """Rearrange [B, H, W, factor * factor * C] -> [B, factor * H, factor * W, C]."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, factor, factor, c // factor**2)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, h * factor, w * factor, c // factor**2)


class PresenceHead(nn.Module):
    """A decoder from each slice to a presence logit, with one network for all slices.

    As in the published decoder, slices are distinguished by their channels: each row of the input is a full code in
    which one slice is non-zero. Slices are combined only in the softmax, so logit k is a function of slice k alone.

    Attributes:
      width: channels at the code's resolution.
      upsamplings: number of doublings from the code's resolution to the image's, at least 1.
      dtype: compute dtype; parameters and logits are float32.
    """

    width: int
    upsamplings: int
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, codes: Array) -> Array:
        """Decode codes [B, K, h, w, C], one slice each -> float32 logits [B, h * 2**n, w * 2**n, K], n upsamplings."""
        b, k, h, w, c = codes.shape
        x = codes.reshape(b * k, h, w, c).astype(self.dtype)
        loud = nn.initializers.variance_scaling(k, "fan_in", "normal")  # compensates for K - 1 zero slices
        x = nn.Dense(self.width, dtype=self.dtype, kernel_init=loud)(x)
        x = nn.silu(nn.Conv(self.width, (3, 3), dtype=self.dtype)(nn.silu(x)))
        width = self.width
        for _ in range(self.upsamplings - 1):
            width = max(width // 2, 8)
            x = nn.silu(depth_to_space(nn.Conv(4 * width, (3, 3), dtype=self.dtype)(x)))
        logit = depth_to_space(nn.Conv(4, (3, 3), dtype=jnp.float32)(x.astype(jnp.float32)))
        return jnp.moveaxis(logit.reshape(b, k, *logit.shape[1:3]), 1, -1)
