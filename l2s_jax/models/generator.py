"""Generator of Swapping Autoencoder (arXiv 2007.00653) as Latents2Segments uses it: structure, style -> image."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from l2s_jax.layers.equalized import EqualDense, add_bias
from l2s_jax.layers.modulated import ModulatedConv, per_image
from l2s_jax.layers.resample import Lowering
from l2s_jax.layers.residual import HeadBlock, Noise, UpBlock
from l2s_jax.layers.slices import unit_norm

NoisePlanes = Mapping[str, jax.Array]
"""`BLOCK/conv_0` and `BLOCK/conv_1` of every block -> [1 or B * K, H, W, 1], the size of the block's output."""


class Generator(nn.Module):
    """A styled residual pyramid without RGB skips and without a final nonlinearity.

    The defaults are the published sizes: 25.065 M parameters at any resolution.

    Attributes:
      head_widths: channels of the blocks at the size of the structure code.
      widths: channels of the upsampling blocks, one per doubling.
      channels: output channels, 3 for RGB.
      renormalize: True (published) normalises both codes to norm 1 a second time, which reduces a one-channel slice to
        its sign. False (ours) uses the codes unchanged.
      lowering: lowering of the doublings (layers/resample.py): `folded` for training, `direct` for inference.
      dtype: compute dtype; the image is float32.
    """

    head_widths: tuple[int, ...] = (256, 512)
    widths: tuple[int, ...] = (512, 512, 256, 128)
    channels: int = 3
    renormalize: bool = True
    lowering: Lowering = "folded"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, structure: jax.Array, style: jax.Array, noise: NoisePlanes | jax.Array | None = None
    ) -> jax.Array:
        """Decode codes; K codes of one image share its style, whose affine layers then run once per image.

        Args:
          structure: [B, h, w, C] or [B, K, h, w, C].
          style: [B, S].
          noise: planes by layer, or typed PRNG keys [B] to draw planes for every code, or None.

        Returns:
          float32 [B, H, W, channels] or [B, K, H, W, channels], H = h * 2^len(widths), about [-1, 1] but unclamped.
        """
        if self.renormalize:
            structure, style = unit_norm(structure), unit_norm(style)
        x = structure.reshape(-1, *structure.shape[-3:]).astype(self.dtype)
        if isinstance(noise, jax.Array):
            noise = self.noise_planes(noise, x.shape[0] // style.shape[0], *x.shape[1:3])
        scale, shift = (EqualDense(x.shape[-1], name=f"structure_{name}")(style) for name in ("scale", "shift"))
        x = per_image(lambda x, scale, shift: x * scale + shift, x, scale, shift)
        for i, width in enumerate(self.head_widths):
            x = HeadBlock(width, dtype=self.dtype, name=f"head_{i}")(x, style, _planes(noise, f"head_{i}"))
        for i, width in enumerate(self.widths, 1):
            block = UpBlock(width, up=(1, 3, 3, 1), lowering=self.lowering, dtype=self.dtype, name=f"up_{2**i}")
            x = block(x, style, _planes(noise, f"up_{2**i}"))
        x = ModulatedConv(self.channels, size=1, demodulate=False, dtype=self.dtype, name="to_rgb")(x, style)
        x = add_bias(
            x.astype(jnp.float32), self.param("to_rgb_bias", nn.initializers.zeros, (self.channels,), jnp.float32)
        )
        return x.reshape(*structure.shape[:-3], *x.shape[1:])

    def noise_planes(self, rngs: jax.Array, decodes: int, height: int, width: int) -> NoisePlanes:
        """Draw N(0, 1) planes; a row depends only on its image's key, not on the image's place in the batch.

        Args:
          rngs: typed PRNG keys [B]; each layer folds its number in.
          decodes: K, codes per image.
          height: height of the codes.
          width: width of the codes.
        """
        blocks = {f"head_{i}": 1 for i in range(len(self.head_widths))}
        blocks |= {f"up_{2**i}": 2**i for i in range(1, len(self.widths) + 1)}
        layers = [(f"{block}/conv_{j}", factor) for block, factor in blocks.items() for j in (0, 1)]

        def draw(rng):
            return {
                name: jax.random.normal(
                    jax.random.fold_in(rng, i), (decodes, factor * height, factor * width, 1), jnp.float32
                )
                for i, (name, factor) in enumerate(layers)
            }

        return {name: planes.reshape(-1, *planes.shape[2:]) for name, planes in jax.vmap(draw)(rngs).items()}


def _planes(noise: NoisePlanes | None, block: str) -> Noise:
    return (None, None) if noise is None else (noise[f"{block}/conv_0"], noise[f"{block}/conv_1"])
