"""Backbones: normalised images -> four feature maps at strides 4, 8, 16 and 32, with torchvision's semantics.

    module = build("mobilenet")
    maps = module.apply(variables, images, train=False)

In training pass `rngs={"dropout": key}` and `mutable=["batch_stats"]`. Torchvision's layers after the last map (final
norm, pooling, classifier) are left out.
"""

import dataclasses
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp

from input_pipeline.errors import UserError, nearest, require
from l2s_jax.models.backbones import convnext, efficientnet_v2, mini, mobilenet_v3, resnet, swin, swin_v2


@dataclasses.dataclass(frozen=True)
class Backbone:
    """An entry of the registry.

    Attributes:
      constructor: (stochastic_depth, dtype) -> module.
      channels: channels of the four maps.
      stochastic_depth: published drop rate of the last block; the rate grows linearly from 0 at the first block.
    """

    constructor: Callable[..., nn.Module]
    channels: tuple[int, int, int, int]
    stochastic_depth: float = 0.0


_WIDE, _NARROW, _TINY = (128, 256, 512, 1024), (96, 192, 384, 768), (8, 16, 32, 64)

BACKBONES = {
    "swin_base": Backbone(swin.swin_b, _WIDE, 0.5),
    "swinv2_base": Backbone(swin_v2.swin_v2_b, _WIDE, 0.5),
    "swinv2_small": Backbone(swin_v2.swin_v2_s, _NARROW, 0.3),
    "swinv2_tiny": Backbone(swin_v2.swin_v2_t, _NARROW, 0.2),
    "convnext_base": Backbone(convnext.convnext_b, _WIDE, 0.5),
    "convnext_small": Backbone(convnext.convnext_s, _NARROW, 0.4),
    "convnext_tiny": Backbone(convnext.convnext_t, _NARROW, 0.1),
    "mobilenet": Backbone(mobilenet_v3.large, (24, 40, 112, 960)),
    # torchvision divides by the number of blocks, not by one less, so its last block has less than 0.2.
    "efficientnet": Backbone(efficientnet_v2.medium, (48, 80, 176, 1280), 0.2 * 56 / 57),
    "resnet": Backbone(resnet.resnet101, (256, 512, 1024, 2048)),
    "mini": Backbone(mini.Mini, (40, 80, 128, 192), 0.1),  # ours, for two CPU cores
    "mini_small": Backbone(mini.small, (32, 64, 112, 144), 0.05),  # ours, of the shipped parser
    "tiny_swin": Backbone(swin.tiny, _TINY, 0.2),
    "tiny_swinv2": Backbone(swin_v2.tiny, _TINY, 0.2),
    "tiny_convnext": Backbone(convnext.tiny, _TINY, 0.2),
    "tiny_mobilenet": Backbone(mobilenet_v3.tiny, (8, 16, 16, 32)),
    "tiny_efficientnet": Backbone(efficientnet_v2.tiny, (8, 16, 16, 32), 0.2),
    "tiny_resnet": Backbone(resnet.tiny, (16, 32, 64, 128)),
    "tiny_mini": Backbone(mini.tiny, (8, 16, 16, 32), 0.2),
}
"""Backbones by their names in SegFace; `tiny_*` are one small network per family, for tests."""


def find(name: str) -> Backbone:
    """Return the registry entry of a backbone.

    Raises:
      UserError: no such backbone.
    """
    if name not in BACKBONES:
        hint = nearest(name, BACKBONES, f"there are: {', '.join(BACKBONES)}")
        raise UserError(f"unknown backbone '{name}'; {hint}")
    return BACKBONES[name]


def build(name: str, *, stochastic_depth: float | None = None, dtype: jnp.dtype = jnp.float32) -> nn.Module:
    """Build the module of a backbone.

    Args:
      name: key of `BACKBONES`.
      stochastic_depth: drop rate of the last block, in [0, 1); None for the published one.
      dtype: compute dtype and dtype of the maps; parameters and statistics are float32.

    Raises:
      UserError: no such backbone, or a rate outside [0, 1).
    """
    entry = find(name)
    rate = entry.stochastic_depth if stochastic_depth is None else stochastic_depth
    require(0.0 <= rate < 1.0, f"stochastic depth {rate} must be a rate from 0 to below 1")
    return entry.constructor(stochastic_depth=rate, dtype=dtype)
