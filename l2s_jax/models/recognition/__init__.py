"""Networks that look at one face: identity encoders (who is it?) and landmark regressors (where is what?).

    network = build_identity(group)
    embedding = embed(network, variables, image)      # float32 [B, outputs], of length 1
    network = build_landmarks(group)
    fractions = points(network, variables, image)     # float32 [B, K, 2], of the side

Every network is called with images [B, S, S, 3] in [-1, 1] and `train`; a training pass also needs
`mutable=["batch_stats"]`. Their config groups have the same fields wherever they are trained or used frozen.
docs/methods/recognition.md describes the architectures.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from input_pipeline.errors import require
from l2s_jax.layers.unit_length import unit_length
from l2s_jax.models.recognition.mobile_face_net import MobileFaceNet
from l2s_jax.models.recognition.residual import ir_se, iresnet
from l2s_jax.models.small_encoder import SmallEncoder
from l2s_jax.schema import OneOf, Range
from l2s_jax.types import PyTree


class Small(SmallEncoder):
    """`SmallEncoder`, called like the networks with batch statistics: it computes the same in training."""

    def __call__(self, image: jax.Array, *, train: bool = False) -> jax.Array:
        """See `SmallEncoder`."""
        del train
        return super().__call__(image)


IDENTITY = {
    "small": Small,  # ours, for two CPU cores
    "iresnet18": partial(iresnet, (2, 2, 2, 2)),
    "iresnet34": partial(iresnet, (3, 4, 6, 3)),
    "iresnet50": partial(iresnet, (3, 4, 14, 3)),
    "iresnet100": partial(iresnet, (3, 13, 30, 3)),
    "ir_se50": partial(ir_se, (3, 4, 14, 3)),
    "tiny_iresnet": partial(iresnet, (1, 1, 1, 2)),
    "tiny_ir_se": partial(ir_se, (1, 1, 1, 2)),
}
"""Identity encoders by name; `tiny_*` are for tests."""
LANDMARKS = {
    "small": Small,
    "mobilefacenet": MobileFaceNet,
    "tiny_mobilefacenet": partial(MobileFaceNet, depths=(1, 0, 0)),
}
"""Landmark regressors by name."""

IDENTITY_RANGES = {
    "network": OneOf(tuple(IDENTITY)),
    "outputs": Range(2, 65536),
    "width": Range(8, 16384),
}
LANDMARK_RANGES = {
    "network": OneOf(tuple(LANDMARKS)),
    "points": Range(1, 4096),
    "width": Range(8, 16384),
}


def identity_config() -> ConfigDict:
    """Return the fields of an identity encoder: the small one of ours."""
    group = ConfigDict()
    group.network = "small"  # small | iresnet18 | iresnet34 | iresnet50 | iresnet100 | ir_se50
    group.outputs = 128  # length of the embedding (published: 512)
    group.width = 32  # channels of the first map; all others are proportional (published: 64)
    return group


def landmark_config() -> ConfigDict:
    """Return the fields of a landmark regressor: the small one of ours."""
    group = ConfigDict()
    group.network = "small"  # small | mobilefacenet
    group.points = 68  # number of landmarks
    group.width = 32  # channels of the first map; all others are proportional (published: 64)
    return group


def build_identity(group: ConfigDict, dtype: jnp.dtype = jnp.float32) -> nn.Module:
    """Build the network of a group like `identity_config`: images -> [B, outputs], see `embed`."""
    return IDENTITY[group.network](outputs=group.outputs, width=group.width, dtype=dtype)


def build_landmarks(group: ConfigDict, dtype: jnp.dtype = jnp.float32) -> nn.Module:
    """Build the network of a group like `landmark_config`: images -> [B, 2 points], see `points`."""
    return LANDMARKS[group.network](outputs=2 * group.points, width=group.width, dtype=dtype)


def check(group: ConfigDict, side: int, name: str = "model") -> None:
    """Check that a network takes images of `side` pixels, and that its width fits.

    Args:
      group: like `identity_config` or `landmark_config`.
      side: `image_size`.
      name: of the group, for the message.

    Raises:
      UserError: it does not.
    """
    network = f"{name}.network={group.network}"
    if group.network == "small":
        fits = side >= 8 and side & (side - 1) == 0
        require(fits, f"image_size={side} must be a power of two from 8 on: {network} halves it until 4 are left")
        require(group.width % 8 == 0, f"{name}.width={group.width} must be a multiple of 8 with {network}")
    else:
        require(side % 16 == 0, f"image_size={side} must be a multiple of 16: {network} halves it four times")


def embed(network: nn.Module, variables: PyTree, image: jax.Array, *, train: bool = False) -> jax.Array:
    """Compute embeddings: images [B, S, S, 3] in [-1, 1] -> float32 [B, outputs] of length 1."""
    return unit_length(network.apply(variables, image, train=train))


def points(network: nn.Module, variables: PyTree, image: jax.Array) -> jax.Array:
    """Compute landmarks: images [B, S, S, 3] in [-1, 1] -> float32 [B, K, 2] (x, y) in fractions of the side."""
    return as_points(network.apply(variables, image))


def as_points(outputs: jax.Array) -> jax.Array:
    """Arrange the outputs [B, 2 K] of a landmark regressor as points [B, K, 2]."""
    return outputs.reshape(len(outputs), -1, 2)
