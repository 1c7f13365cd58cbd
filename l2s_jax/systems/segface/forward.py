"""The forward pass from an image in [-1, 1] to logits at its pixels, through the network and an optional tanh warp."""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from input_pipeline.errors import require
from l2s_jax.layers import tanh_warp
from l2s_jax.models import backbones
from l2s_jax.models.segface import SegFace
from l2s_jax.types import PyTree

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's RGB in [0, 1], with which the backbones' input is normalised."""


def build_network(config: ConfigDict, classes: int) -> SegFace:
    """Build the network of a config.

    Raises:
      UserError: unknown backbone, invalid drop rate, or channels that are not divisible by the number of heads.
    """
    model, dtype = config.model, jnp.dtype(config.precision.compute)
    require(
        model.channels % 4 == 0 and model.channels // 2 % model.decoder.heads == 0,
        f"model.channels={model.channels} must be a multiple of 4 and of twice model.decoder.heads="
        f"{model.decoder.heads}",
    )
    depth = None if model.stochastic_depth < 0 else model.stochastic_depth
    backbone = backbones.build(model.backbone, stochastic_depth=depth, dtype=dtype)
    require(
        len(model.pyramid) in (0, 3),
        f"model.pyramid={tuple(model.pyramid)} needs three numbers, the channels at strides 4, 8 and 16, or none",
    )
    return SegFace(backbone, classes, model.channels, dtype, **model.decoder, pyramid=tuple(model.pyramid))


def normalise(image: jax.Array) -> jax.Array:
    """Normalise RGB [..., 3] in [-1, 1] with the statistics of ImageNet."""
    mean, std = jnp.asarray(MEAN, image.dtype), jnp.asarray(STD, image.dtype)
    # Written out: ranks must not be promoted by accident.
    shape = (1,) * (image.ndim - 1) + (3,)
    return ((image + 1) / 2 - mean.reshape(shape)) / std.reshape(shape)


def forward(
    network: SegFace,
    convention: tanh_warp.Convention | None,
    variables: PyTree,
    image: jax.Array,
    landmarks: jax.Array | None,
    **options,
) -> tuple[jax.Array, PyTree]:
    """Compute the logits of images, always at the pixels of `image`.

    Args:
      network: the module.
      convention: convention of the tanh warp, or None for no warp.
      variables: the module's collections.
      image: [B, S, S, 3] in [-1, 1].
      landmarks: [B, K, 2] in pixels; None = no warp, whatever the convention.
      options: keyword arguments of `network.apply`: `train`, `rngs`, `mutable`.

    Returns:
      float32 [B, S, S, K] and the collections that `mutable` names.
    """
    image = normalise(image)
    if convention is None or landmarks is None:
        return _applied(network, variables, image, options)
    matrices = jax.lax.stop_gradient(tanh_warp.alignment(landmarks, image.shape[1], convention))
    logits, moved = _applied(network, variables, tanh_warp.warp(image, matrices, convention), options)
    return tanh_warp.unwarp(logits, matrices, convention), moved


def _applied(network: SegFace, variables: PyTree, image: jax.Array, options: dict) -> tuple[jax.Array, PyTree]:
    result = network.apply(variables, image, **options)
    return result if "mutable" in options else (result, {})
