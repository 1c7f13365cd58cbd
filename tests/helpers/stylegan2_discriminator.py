"""Published discriminators of StyleGAN2 as variables of ours: no command reads them, the goldens need them."""

import re

import jax
import jax.numpy as jnp

from l2s_jax.models.discriminator import Discriminator
from l2s_jax.models.stylegan2.synthesis import TAPS
from l2s_jax.torch_weights.state_dict import Constant, conv, convert, dense_of_maps, layer, leaf, low_pass

_CONSTANTS = (Constant(r".*\.(conv2|skip)\.0\.kernel", low_pass(1.0, (TAPS,))),)


def convert_discriminator(state):
    """Convert a discriminator of any size; its groups are consecutive rows, four as published."""
    size = 4 * 2 ** len([name for name in state if re.fullmatch(r"convs\.\d+\.skip\.1\.weight", name)])
    first, last = (state[f"{name}.weight"].shape[0] for name in ("convs.0.0", "final_conv.0"))
    network = Discriminator(channel_base=first * size, max_width=last, group=4)
    images = jax.ShapeDtypeStruct((network.group, size, size, 3), jnp.float32)
    target = jax.eval_shape(network.init, jax.random.key(0), images)
    return network, convert(state, _rules(size), _CONSTANTS, target, "published discriminator")


def _rules(size):
    def block(name):
        return lambda match: f"block_{size // 2 ** (int(match[1]) - 1)}/{name}"

    return (
        *_biased(r"convs\.0\.0", r"convs\.0\.1", "from_rgb"),
        *_biased(r"convs\.(\d+)\.conv1\.0", r"convs\.(\d+)\.conv1\.1", block("conv_0")),
        *_biased(r"convs\.(\d+)\.conv2\.1", r"convs\.(\d+)\.conv2\.2", block("conv_1")),
        leaf(r"convs\.(\d+)\.skip\.1\.weight", block("skip"), "kernel", conv),
        *_biased(r"final_conv\.0", r"final_conv\.1", "final_conv"),
        *layer(r"final_linear\.0", "dense_0", dense_of_maps(4, 4)),
        *layer(r"final_linear\.1", "dense_1"),
    )


def _biased(source, activation, target):
    """The rules of a convolution whose bias belongs to its activation; `source` is that of the weight."""
    return leaf(rf"{source}\.weight", target, "kernel", conv), leaf(rf"{activation}\.bias", target, "bias")
