"""EfficientNetV2 (arXiv 2104.00298) as torchvision builds it."""

from functools import partial

import flax.linen as nn

from l2s_jax.models.backbones.inverted_residual import Block, InvertedResidualNet, rounded_width


def _stage(expansion, kernel, stride, inputs, features, blocks, fused) -> tuple[Block, ...]:
    rows = []
    for b in range(blocks):
        width, step = (inputs, stride) if b == 0 else (features, 1)
        squeezed = 0 if fused else max(1, width // 4)
        rows.append(Block(width, features, rounded_width(width * expansion), kernel, step, nn.silu, squeezed, fused))
    return tuple(rows)


_M = (
    _stage(1, 3, 1, 24, 24, 3, True),
    _stage(4, 3, 2, 24, 48, 5, True),
    _stage(4, 3, 2, 48, 80, 5, True),
    _stage(4, 3, 2, 80, 160, 7, False),
    _stage(6, 3, 1, 160, 176, 14, False),
    _stage(6, 3, 2, 176, 304, 18, False),
    _stage(6, 3, 1, 304, 512, 5, False),
)
_TINY = (
    _stage(1, 3, 1, 8, 8, 1, True),
    _stage(2, 3, 2, 8, 8, 2, True),
    _stage(2, 3, 2, 8, 16, 1, True),
    _stage(2, 3, 2, 16, 16, 2, False),
    _stage(2, 3, 2, 16, 24, 1, False),
)

_efficientnet_v2 = partial(InvertedResidualNet, activation=nn.silu, squeeze_activation=nn.silu, squeeze_gate=nn.sigmoid)
medium = partial(_efficientnet_v2, stages=_M, head=1280, taps=(2, 3, 5))
tiny = partial(_efficientnet_v2, stages=_TINY, head=32, taps=(2, 3, 4))
