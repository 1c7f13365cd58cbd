"""MobileNetV3 (arXiv 1905.02244) as torchvision builds it."""

from functools import partial

import flax.linen as nn

from l2s_jax.models.backbones.inverted_residual import Block, InvertedResidualNet, rounded_width


def _block(kernel, inputs, expanded, features, squeezes, activation, stride) -> tuple[Block, ...]:
    squeezed = rounded_width(expanded // 4) if squeezes else 0
    return (Block(inputs, features, expanded, kernel, stride, activation, squeezed),)


# Each block is its own stage, because the published feature maps are taken between blocks of one resolution.
_LARGE = (
    _block(3, 16, 16, 16, False, nn.relu, 1),
    _block(3, 16, 64, 24, False, nn.relu, 2),
    _block(3, 24, 72, 24, False, nn.relu, 1),
    _block(5, 24, 72, 40, True, nn.relu, 2),
    _block(5, 40, 120, 40, True, nn.relu, 1),
    _block(5, 40, 120, 40, True, nn.relu, 1),
    _block(3, 40, 240, 80, False, nn.hard_swish, 2),
    _block(3, 80, 200, 80, False, nn.hard_swish, 1),
    _block(3, 80, 184, 80, False, nn.hard_swish, 1),
    _block(3, 80, 184, 80, False, nn.hard_swish, 1),
    _block(3, 80, 480, 112, True, nn.hard_swish, 1),
    _block(3, 112, 672, 112, True, nn.hard_swish, 1),
    _block(5, 112, 672, 160, True, nn.hard_swish, 2),
    _block(5, 160, 960, 160, True, nn.hard_swish, 1),
    _block(5, 160, 960, 160, True, nn.hard_swish, 1),
)
_TINY = (
    _block(3, 8, 8, 8, False, nn.relu, 2),
    _block(5, 8, 24, 16, True, nn.relu, 2),
    _block(3, 16, 32, 16, False, nn.hard_swish, 2),
    _block(3, 16, 32, 16, True, nn.hard_swish, 1),
    _block(3, 16, 32, 24, True, nn.hard_swish, 2),
)

_mobilenet_v3 = partial(
    InvertedResidualNet,
    activation=nn.hard_swish,
    squeeze_activation=nn.relu,
    squeeze_gate=nn.hard_sigmoid,
    decay=0.99,
)
large = partial(_mobilenet_v3, stages=_LARGE, head=960, taps=(3, 6, 12))
tiny = partial(_mobilenet_v3, stages=_TINY, head=32, taps=(1, 2, 4))
