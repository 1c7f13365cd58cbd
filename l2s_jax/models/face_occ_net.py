"""FaceOccNet, the segmentation network of Structure via Consensus (Masi et al., CVPR 2020), small and dilated."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from input_pipeline.errors import UserError
from l2s_jax.layers.batch_norm import BatchNorm
from l2s_jax.layers.dropout import Dropout
from l2s_jax.layers.fir import pad

_XAVIER = nn.initializers.variance_scaling(2.0, "fan_avg", "normal")  # Xavier normal with gain sqrt(2)
_NEAR_ONE = nn.initializers.normal(0.02)


class FaceOccNet(nn.Module):
    """A small dilated network with pixel shuffles, image -> logits. Published: 4.524 M parameters, 3 classes.

    Attributes:
      classes: K.
      width: channels of the first layer, a multiple of 2; all others are proportional.
      dropout: rate of the element-wise dropout before the decoder; 0 for none (`is_regularized` off).
      dtype: compute dtype; the logits are float32.
    """

    classes: int = 3
    width: int = 64
    dropout: float = 0.2
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, image: jax.Array, *, train: bool) -> jax.Array:
        """Compute the logits of all pixels; the features are at a quarter of the size.

        Args:
          image: [B, H, W, 3] in [-1, 1]; H and W multiples of 4, at least 20.
          train: whether to use batch statistics, update `batch_stats` and apply dropout (rng `dropout`).

        Returns:
          float32 [B, H, W, classes].

        Raises:
          UserError: the image has another size.
        """
        rows, columns = image.shape[1:3]
        if rows % 4 or columns % 4 or min(rows, columns) < 20:
            raise UserError(f"an image of {columns}x{rows} px: FaceOccNet takes multiples of 4 from 20 on")
        width, half = self.width, self.width // 2
        x = self._brick(image, width, "enc0", norm=False, train=train)
        x = self._brick(x, 2 * width, "enc1", stride=2, train=train)
        x = self._brick(x, 2 * width, "enc2", train=train)
        x = self._brick(x, 2 * width, "enc3", train=train)
        near = self._brick(x, 4 * width, "enc4", stride=2, train=train)
        x = self._brick(near, 4 * width, "dil0", dilation=4, train=train)
        x = self._brick(x, 4 * width, "dil1", dilation=3, train=train)
        x = Dropout(self.dropout)(jnp.concatenate([near, x], axis=-1), train=train)
        x = pixel_shuffle(self._brick(x, 8 * width, "dec0", train=train))
        x = self._brick(x, 2 * width, "dec1", train=train)
        x = pixel_shuffle(self._brick(x, 2 * width, "dec2", train=train))
        x = self._brick(x, half, "dec3", norm=False, train=train)
        x = self._brick(x, half, "dec4", norm=False, train=train)
        return self._conv(pad(x, 1, 1, "zero"), self.classes, "classes").astype(jnp.float32)

    def _brick(self, x, features, name, *, train, stride=1, dilation=1, norm=True):
        """Apply reflection padding, convolution, ELU and only THEN the normalisation."""
        x = self._conv(pad(x, dilation, dilation, "reflect"), features, name, stride, dilation)
        x = nn.elu(x)
        return _Norm(dtype=self.dtype, name=f"{name}_norm")(x, train=train) if norm else x

    def _conv(self, x, features, name, stride=1, dilation=1):
        return nn.Conv(
            features,
            (3, 3),
            (stride, stride),
            padding="VALID",
            kernel_dilation=(dilation, dilation),
            kernel_init=_XAVIER,
            dtype=self.dtype,
            name=name,
        )(x)


class _Norm(BatchNorm):
    """Batch normalisation whose scale is initialised to N(1, 0.02)."""

    @nn.nowrap
    def param(self, name, init_fn, *args):
        def near_one(key, shape, dtype):
            return 1.0 + _NEAR_ONE(key, shape, dtype)

        return super().param(name, near_one if name == "scale" else init_fn, *args)


def pixel_shuffle(x: jax.Array) -> jax.Array:
    """Rearrange [B, h, w, 4 C] -> [B, 2 h, 2 w, C]: channel 4 c + 2 i + j becomes channel c of pixel (i, j) of a cell.

    This is PyTorch's order, so that converted kernels keep theirs.
    """
    batch, height, width, channels = x.shape
    cells = x.reshape(batch, height, width, channels // 4, 2, 2)
    return cells.transpose(0, 1, 4, 2, 5, 3).reshape(batch, 2 * height, 2 * width, channels // 4)
