"""Swin Transformer (arXiv 2103.14030) as torchvision builds it; Swin V2 has its own blocks (swin_v2.py)."""

import math
from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers import remat
from l2s_jax.layers.dropout import DropPath, drop_rates
from l2s_jax.models.backbones.windows import ShiftedWindows, pairwise, separated

INIT = nn.initializers.normal(0.02)


def norm(name: str, dtype: jnp.dtype) -> nn.LayerNorm:
    """Create a layer normalisation with torch's epsilon."""
    return nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, dtype=dtype, name=name)


class WindowAttention(nn.Module):
    """Attention among the tokens of a window, with a learned bias per relative position.

    Attributes:
      heads: number of heads.
      window: side of a window.
      shift: see `ShiftedWindows`.
      dtype: compute dtype; logits and softmax are float32.
    """

    heads: int
    window: int
    shift: int
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the attention: [B, H, W, C] -> [B, H, W, C]."""
        channels, bias = x.shape[-1], self._position_bias()
        cut = ShiftedWindows(*x.shape[1:3], self.window, self.shift)
        tokens = self._query_key_value(cut.split(x))
        tokens = tokens.reshape(*tokens.shape[:3], 3, self.heads, channels // self.heads)
        query, key, value = (tokens[:, :, :, i] for i in range(3))
        logits = self._scores(query, key) + bias[None, None]
        regions = cut.regions()
        if regions is not None:  # tokens of one window that are not neighbours in the map
            logits = logits + separated(regions)
        weights = jax.nn.softmax(logits, axis=-1).astype(value.dtype)
        mixed = jnp.einsum("bnhqk,bnkhd->bnqhd", weights, value)
        project = nn.Dense(channels, kernel_init=INIT, dtype=self.dtype, name="project")
        return cut.join(project(mixed.reshape(*mixed.shape[:3], channels)))

    def _position_bias(self) -> jax.Array:
        """Return what is added to the logits, float32 [heads, T, T]."""
        side = 2 * self.window - 1
        return pairwise(self.param("relative_bias", INIT, (side, side, self.heads), jnp.float32), self.window)

    def _query_key_value(self, x: jax.Array) -> jax.Array:
        """Map tokens [B, N, T, C] -> [B, N, T, 3C]."""
        return nn.Dense(3 * x.shape[-1], kernel_init=INIT, dtype=self.dtype, name="qkv")(x)

    def _scores(self, query: jax.Array, key: jax.Array) -> jax.Array:
        """Compare queries and keys [B, N, T, heads, D] -> float32 logits [B, N, heads, T, T]."""
        query = query / math.sqrt(query.shape[-1])
        return jnp.einsum("bnqhd,bnkhd->bnhqk", query, key, preferred_element_type=jnp.float32)


class MLP(nn.Module):
    """Two dense layers with an exact GELU between them and four times as many hidden channels."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the layers: [..., C] -> [..., C]."""
        y = nn.Dense(4 * x.shape[-1], kernel_init=INIT, dtype=self.dtype, name="expand")(x)
        y = nn.gelu(y, approximate=False)
        return nn.Dense(x.shape[-1], kernel_init=INIT, dtype=self.dtype, name="project")(y)


class SwinBlock(nn.Module):
    """Window attention and MLP, each with normalisation and a skip connection.

    Attributes:
      heads: number of heads.
      window: side of a window.
      shift: see `ShiftedWindows`.
      drop_rate: rate of stochastic depth, drawn for each of the two branches.
      dtype: compute dtype.
      attention: `WindowAttention` or a kind of it.
      normalised_first: whether the input of a branch is normalised (Swin) or its output (Swin V2).
    """

    heads: int
    window: int
    shift: int
    drop_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32
    attention: type[WindowAttention] = WindowAttention
    normalised_first: bool = True

    @remat.block
    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Apply the block: [B, H, W, C] -> [B, H, W, C]."""
        attention = self.attention(self.heads, self.window, self.shift, self.dtype, name="attention")
        for branch, name in ((attention, "attention_norm"), (MLP(self.dtype, name="mlp"), "mlp_norm")):
            normalise = norm(name, self.dtype)
            y = branch(normalise(x)) if self.normalised_first else normalise(branch(x))
            x = x + DropPath(self.drop_rate)(y, train=train)
        return x


def two_by_two(x: jax.Array) -> jax.Array:
    """Merge 2x2 pixels: [B, H, W, C] -> [B, ceil(H / 2), ceil(W / 2), 4C].

    The order is top left, bottom left, top right, bottom right pixel. An odd map is padded with zeros at its end.
    """
    x = jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)))
    b, h, w, c = x.shape
    x = x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 4, 2, 5)
    return x.reshape(b, h // 2, w // 2, 4 * c)


class PatchMerging(nn.Module):
    """A layer that halves the map and doubles the channels: normalisation, then a dense layer over 2x2 pixels."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Apply the layer: [B, H, W, C] -> [B, ceil(H / 2), ceil(W / 2), 2C]."""
        y = norm("norm", self.dtype)(two_by_two(x))
        return nn.Dense(2 * x.shape[-1], use_bias=False, kernel_init=INIT, dtype=self.dtype, name="reduce")(y)


class Swin(nn.Module):
    """A patch stem and four stages of blocks in pairs: windows, then windows shifted by half their side.

    Attributes:
      width: channels of the first stage; they double from stage to stage.
      depths: blocks of each stage.
      heads: heads of each stage.
      window: side of a window.
      block: `SwinBlock`, or a partial of it.
      merging: `PatchMerging` or a module with the same attributes.
      stochastic_depth: drop rate of the last block.
      dtype: compute dtype.
    """

    width: int
    depths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int]
    window: int
    block: Callable[..., nn.Module] = SwinBlock
    merging: type[nn.Module] = PatchMerging
    stochastic_depth: float = 0.0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Compute four maps at strides 4, 8, 16 and 32, not normalised.

        Args:
          images: [B, H, W, 3], normalised; pixels beyond a multiple of 4 are cut off, as published.
          train: whether to apply stochastic depth.
        """
        x = nn.Conv(self.width, (4, 4), (4, 4), padding="VALID", dtype=self.dtype, name="stem")(images)
        x = norm("stem_norm", self.dtype)(x)
        rates = iter(drop_rates(self.stochastic_depth, sum(self.depths)))
        maps = []
        for s, (depth, heads) in enumerate(zip(self.depths, self.heads, strict=True), start=1):
            if s > 1:
                x = self.merging(self.dtype, name=f"down_{s}")(x)
            for b in range(depth):
                shift = self.window // 2 if b % 2 else 0
                options = {"drop_rate": next(rates), "dtype": self.dtype, "name": f"stage_{s}_block_{b}"}
                x = self.block(heads, self.window, shift, **options)(x, train=train)
            maps.append(x)
        return tuple(maps)


swin_b = partial(Swin, width=128, depths=(2, 2, 18, 2), heads=(4, 8, 16, 32), window=7)
tiny = partial(Swin, width=8, depths=(2, 1, 1, 1), heads=(1, 2, 2, 4), window=3)
