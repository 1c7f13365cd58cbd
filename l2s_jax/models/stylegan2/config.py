"""The fields of a StyleGAN2 and the networks they describe: for its system, and for those that hold a trained one."""

import jax.numpy as jnp
from ml_collections import ConfigDict

from input_pipeline.errors import require
from l2s_jax.layers.resample import Lowering
from l2s_jax.models.discriminator import Discriminator
from l2s_jax.models.stylegan2.generator import Generator
from l2s_jax.models.stylegan2.mapping import Mapping
from l2s_jax.models.stylegan2.synthesis import Synthesis
from l2s_jax.schema import MOST, Range

LARGEST = 4096
"""Largest side of an image in pixels: of the powers of two that a layer's channels are divided by."""
RANGES = {
    "code": Range(1, 16384),
    "mapping_layers": Range(1, 64),
    "channel_base": Range(1, MOST),
    "max_width": Range(1, 16384),
    "discriminator.channel_base": Range(1, MOST),
    "discriminator.max_width": Range(1, 16384),
    "discriminator.group": Range(1, 1024),
}
"""Allowed values of the fields of `default_config()`."""


def default_config() -> ConfigDict:
    """Return the fields of the networks, sized for two CPU cores at 64 px."""
    model = ConfigDict()
    model.code = 128  # length of z and of the code w
    model.mapping_layers = 4  # dense layers from z to w
    model.channel_base = 1024  # generator: channels at R px are min(max_width, channel_base / R)
    model.max_width = 64  # largest number of channels
    model.discriminator = ConfigDict()
    model.discriminator.channel_base = 1024  # as for the generator
    model.discriminator.max_width = 64  # largest number of channels
    model.discriminator.group = 4  # consecutive rows of a batch whose deviation the discriminator sees
    return model


def generator(model: ConfigDict, image_size: int, dtype: jnp.dtype, lowering: Lowering = "auto") -> Generator:
    """Build the generator of a config like `default_config`.

    Args:
      model: the config.
      image_size: side of the images in pixels.
      dtype: compute dtype of the convolutions.
      lowering: how doublings are computed (layers/resample.py): `auto` for training, `direct` for inference.

    Raises:
      UserError: sizes for which there is no network.
    """
    check_size(image_size)
    _check_width("model", model, image_size)
    sizes = {"size": image_size, "channel_base": model.channel_base, "max_width": model.max_width}
    return Generator(Mapping(model.code, model.mapping_layers), Synthesis(**sizes, lowering=lowering, dtype=dtype))


def discriminator(model: ConfigDict, image_size: int, dtype: jnp.dtype, lowering: Lowering = "direct") -> Discriminator:
    """Build the discriminator of a config like `default_config`; arguments as for `generator`.

    Raises:
      UserError: sizes for which there is no network.
    """
    check_size(image_size)
    own = model.discriminator
    _check_width("model.discriminator", own, image_size)
    sizes = {"channel_base": own.channel_base, "max_width": own.max_width, "group": own.group}
    return Discriminator(**sizes, lowering=lowering, dtype=dtype)


def check_size(image_size: int) -> None:
    """Raise UserError unless StyleGAN2 has images of this side."""
    fits = 8 <= image_size <= LARGEST and not image_size & (image_size - 1)
    require(fits, f"image_size={image_size} must be a power of two from 8 to {LARGEST} for StyleGAN2")


def _check_width(group: str, sizes: ConfigDict, image_size: int) -> None:
    require(
        sizes.channel_base >= image_size,
        f"{group}.channel_base={sizes.channel_base} leaves no channel at {image_size} px: set {image_size} or more",
    )
