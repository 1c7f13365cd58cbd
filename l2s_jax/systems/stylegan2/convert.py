"""Conversion of published StyleGAN2 weights to variables of our networks.

Generators of NVIDIA's releases are first brought to the names of rosinality's implementation, whose convolutions are
scaled by 1 / sqrt(fan in) when they run, as ours are (torch_weights/stylegan2_layouts.py).
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from ml_collections import ConfigDict

from input_pipeline.errors import UserError
from l2s_jax.models.stylegan2.generator import Generator
from l2s_jax.models.stylegan2.mapping import Mapping as MappingNetwork
from l2s_jax.models.stylegan2.synthesis import BUFFERS, TAPS, Synthesis
from l2s_jax.systems.base import Converted, choose_head
from l2s_jax.systems.stylegan2.published import WEIGHTS
from l2s_jax.systems.stylegan2.steps import GENERATOR
from l2s_jax.torch_weights.state_dict import (
    Constant,
    Rule,
    State,
    Target,
    convert,
    flat,
    layer,
    leaf,
    low_pass,
    modulated,
    scalar,
    within,
)
from l2s_jax.torch_weights.stylegan2_layouts import to_rosinality

Shapes = Mapping[str, tuple[int, ...]]

MEAN = "latent_avg"
"""Name of the mean code. Checkpoints have it beside the generator, and some lack it."""
MEAN_DRAWS = 10_000
"""Codes that are averaged where a checkpoint lacks the mean."""


class ConvertedGenerator(NamedTuple):
    """A published generator with the sizes of its tensors.

    Attributes:
      network: the module.
      variables: its collections `params` and `buffers`, float32 numpy.
    """

    network: Generator
    variables: dict


def _up(match: re.Match) -> str:
    """Name the layer of `convs.N`: even numbers double the map, odd ones follow at the same size."""
    number = int(match[1])
    return f"{'conv' if number % 2 else 'up'}_{_side(number // 2)}"


def _rgb(match: re.Match) -> str:
    return f"rgb_{_side(int(match[1]))}"


def _side(level: int) -> int:
    return 8 * 2**level


def _synthesis(target: Target) -> Target:
    return lambda match: f"synthesis/{target(match) if callable(target) else target}"


def _modulated(source: str, target: Target) -> tuple[Rule, ...]:
    target = within(_synthesis(target), "conv")
    weight = leaf(rf"{source}\.conv\.weight", target, "kernel", modulated)
    return weight, *layer(rf"{source}\.conv\.modulation", within(target, "affine"))


def _styled(source: str, target: Target) -> tuple[Rule, ...]:
    return (
        *_modulated(source, target),
        leaf(rf"{source}\.noise\.weight", _synthesis(target), "noise_strength", scalar),
        leaf(rf"{source}\.activate\.bias", _synthesis(target), "bias"),
    )


def _to_image(source: str, target: Target) -> tuple[Rule, ...]:
    return *_modulated(source, target), leaf(rf"{source}\.bias", _synthesis(target), "bias", flat)


def _plane(tensor: np.ndarray) -> np.ndarray:
    """Reshape a noise plane: [1, 1, H, W] -> [H, W, 1]."""
    return tensor.transpose(2, 3, 0, 1)[..., 0]


GENERATOR_RULES = (
    *layer(r"style\.(\d+)", lambda match: f"mapping/dense_{int(match[1]) - 1}"),
    Rule(r"input\.input", "params/synthesis/const", lambda tensor: tensor[0].transpose(1, 2, 0)),
    *_styled(r"conv1", "conv_4"),
    *_to_image(r"to_rgb1", "rgb_4"),
    *_styled(r"convs\.(\d+)", _up),
    *_to_image(r"to_rgbs\.(\d+)", _rgb),
    Rule(r"noises\.noise_(\d+)", rf"{BUFFERS}/synthesis/noise_\1", _plane),
    Rule(MEAN, f"{BUFFERS}/w_avg", flat),
)


GENERATOR_CONSTANTS = (Constant(r".*\.(blur|upsample)\.kernel", low_pass(4.0, (TAPS,))),)


def convert_generator(state: State) -> ConvertedGenerator:
    """Convert a published generator of any size; where it lacks the mean code, that of `MEAN_DRAWS` draws is taken.

    Args:
      state: its tensors by name, in one of the layouts of torch_weights/stylegan2_layouts.py.

    Raises:
      UserError: the tensors are not those of such a network; the message names them.
    """
    state = to_rosinality(state)
    network = _generator({name: tuple(tensor.shape) for name, tensor in state.items()})
    target = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, network.mapping.code)))
    lacks_mean = MEAN not in state
    if lacks_mean:
        state = {**state, MEAN: np.zeros(network.mapping.code, np.float32)}
    variables = convert(state, GENERATOR_RULES, GENERATOR_CONSTANTS, target, "published generator")
    if lacks_mean:
        variables[BUFFERS]["w_avg"] = _mean_code(network, variables)
    return ConvertedGenerator(network, variables)


def read(state: State, head: str | None, config: ConfigDict) -> Converted:
    """Convert the authors' tensors, see `base.Reader`."""
    network, variables = convert_generator(state)
    synthesis = network.synthesis
    chosen = choose_head(WEIGHTS, head, f"{synthesis.size} px")
    config.label_set = chosen.label_set
    model = config.model
    model.code, model.mapping_layers = network.mapping.code, network.mapping.layers
    for sizes in (model, model.discriminator):
        sizes.channel_base, sizes.max_width = synthesis.channel_base, synthesis.max_width
    return Converted(f"StyleGAN2, {synthesis.size} px", chosen, config, {GENERATOR: variables}, synthesis.size)


def _generator(shapes: Shapes) -> Generator:
    """Build the generator with the sizes of the published tensors."""
    levels = [int(match[1]) for name in shapes if (match := re.fullmatch(r"to_rgbs\.(\d+)\.conv\.weight", name))]
    mapping = [name for name in shapes if re.fullmatch(r"style\.\d+\.weight", name)]
    if not levels or not mapping:
        raise UserError("the weights are not of a published StyleGAN2 generator: no tensors 'to_rgbs.N' and 'style.N'")
    size = 4 * 2 ** len(levels)
    widest = _shape("input.input", 4, shapes)[1]
    last = _shape(f"to_rgbs.{len(levels) - 1}.conv.weight", 5, shapes)[2]
    code = _shape("style.1.weight", 2, shapes)[0]
    synthesis = Synthesis(size, channel_base=last * size, max_width=widest)
    return Generator(MappingNetwork(code, len(mapping)), synthesis)


def _shape(name: str, rank: int, shapes: Shapes) -> tuple[int, ...]:
    if len(shapes.get(name, ())) != rank:
        raise UserError(f"the weights are not of a published StyleGAN2: no tensor '{name}' of rank {rank}")
    return shapes[name]


def _mean_code(network: nn.Module, variables: dict) -> np.ndarray:
    z = jax.random.normal(jax.random.key(0), (MEAN_DRAWS, network.mapping.code))
    return np.asarray(jax.jit(network.apply, static_argnames="method")(variables, z, method="codes").mean(axis=0))
