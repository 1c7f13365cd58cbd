"""Conversion of published Latents2Segments and Swapping Autoencoder weights to variables of our networks.

The published state dict holds four networks under the prefixes `E.`, `G.`, `D.` and `Dpatch.`, NCHW. Their sizes are
read from the tensors' shapes, so that checkpoints of any size can be converted (published_sizes.py).
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import numpy as np
from ml_collections import ConfigDict

from input_pipeline.errors import UserError, require
from input_pipeline.images.resize_rules import STRETCH
from l2s_jax.systems.base import Converted, choose_head
from l2s_jax.systems.latents2segments import config as recipes
from l2s_jax.systems.latents2segments.published import WEIGHTS
from l2s_jax.systems.latents2segments.published_sizes import KINDS, example_inputs, network
from l2s_jax.torch_weights.state_dict import (
    Constant,
    Rule,
    State,
    Target,
    conv,
    convert,
    dense_of_maps,
    flat,
    layer,
    leaf,
    low_pass,
    modulated,
    scalar,
    within,
)

RESIZE = STRETCH
"""How the network's input was made square; the authors' images already were."""


def _numbered(name: Callable[[int], str]) -> Target:
    """Return the target that `name` gives for the number in the published name."""
    return lambda match: name(int(match[1]))


def _conv(source: str, target: Target) -> tuple[Rule, ...]:
    bias = rf"{source}\.(?:Act|Conv)\.bias"  # an activated convolution keeps its bias with the activation
    return leaf(rf"{source}\.Conv\.weight", target, "kernel", conv), leaf(bias, target, "bias")


def _modulated(source: str, target: Target) -> tuple[Rule, ...]:
    weight = leaf(rf"{source}\.weight", target, "kernel", modulated)
    return weight, *layer(rf"{source}\.modulation", within(target, "affine"))


def _styled(source: str, target: Target) -> tuple[Rule, ...]:
    return (
        *_modulated(rf"{source}\.conv", within(target, "conv")),
        leaf(rf"{source}\.noise\.weight", target, "noise_strength", scalar),
        leaf(rf"{source}\.activate\.bias", target, "bias"),
    )


def _block(
    source: str, target: Target, conv_layer: Callable[[str, Target], tuple[Rule, ...]] = _conv
) -> tuple[Rule, ...]:
    return (
        *conv_layer(rf"{source}\.conv1", within(target, "conv_0")),
        *conv_layer(rf"{source}\.conv2", within(target, "conv_1")),
        *_conv(rf"{source}\.skip", within(target, "skip")),
    )


# Published blocks are numbered by the reduction BEFORE them (E), by 8 times the magnification (G), or backwards from
# the top (D, Dpatch; above 256 or 64 px by their size). Ours are named by the reduction or magnification after them
# (E, G) and by the size of their input (D, Dpatch).
RULES: dict[str, tuple[Rule, ...]] = {
    "E": (
        *_conv("FromRGB", "from_rgb"),
        *_block(r"DownToSpatialCode\.ResBlockDownBy(\d+)", _numbered(lambda n: f"down_{2 * n}")),
        *_conv(r"ToSpatialCode\.(\d)", _numbered(lambda n: f"structure_{n}")),
        *_conv(r"DownToGlobalCode\.ConvLayerDownBy(\d+)", _numbered(lambda n: f"style_down_{2 * n}")),
        *layer(r"ToGlobalCode\.0", "style"),
    ),
    "G": (
        *layer(r"SpatialCodeModulation\.scale", "structure_scale"),
        *layer(r"SpatialCodeModulation\.bias", "structure_shift"),
        *_block(r"HeadResnetBlock(\d+)", _numbered(lambda n: f"head_{n}"), _styled),
        *_block(r"UpsamplingResBlock(\d+)", _numbered(lambda n: f"up_{n // 8}"), _styled),
        *_modulated(r"ToRGB\.conv", "to_rgb"),
        Rule(r"ToRGB\.bias", "params/to_rgb_bias", flat),
    ),
    "D": (
        *_conv(r"stylegan2_D\.convs\.0", "from_rgb"),
        *_block(r"stylegan2_D\.convs\.(\d)", _numbered(lambda n: f"block_{2 ** (9 - n)}")),
        *_block(r"stylegan2_D\.convs\.(\d+)x\1", _numbered(lambda n: f"block_{n}")),
        *_conv(r"stylegan2_D\.final_conv", "final_conv"),
        *layer(r"stylegan2_D\.final_linear\.0", "dense_0", dense_of_maps(4, 4)),
        *layer(r"stylegan2_D\.final_linear\.1", "dense_1"),
    ),
    "Dpatch": (
        *_conv(r"convs\.0", "pyramid/from_rgb"),
        *_block(r"convs\.5", "pyramid/final_block"),
        *_conv(r"convs\.6", "pyramid/final_conv"),
        *_block(r"convs\.([1-4])", _numbered(lambda n: f"pyramid/block_{2 ** (7 - n)}")),
        *_block(r"convs\.(\d+)x\1", _numbered(lambda n: f"pyramid/block_{n}")),
        *layer(r"pairlinear\.0", "head/dense_0", dense_of_maps(2, 2, maps=2)),
        *layer(r"pairlinear\.([1-9])", _numbered(lambda n: f"head/dense_{n}")),
    ),
}


_TAPS = (1,), (1, 2, 1), (1, 3, 3, 1)
CONSTANTS = (
    Constant(r".*\.Blur\.kernel", low_pass(1.0, _TAPS)),
    Constant(r".*\.conv\.blur\.kernel|ToRGB\.upsample\.kernel", low_pass(4.0, _TAPS)),
)
_COUNTERS = ("num_discriminator_iters",)


def convert_network(kind: str, state: State) -> tuple[nn.Module, dict]:
    """Convert one published network.

    Args:
      kind: `E`, `G`, `D` or `Dpatch`.
      state: its tensors under their published names, without the prefix.

    Returns:
      the module with the sizes of the weights and the published behaviour, and its variables (float32 numpy).

    Raises:
      UserError: the tensors are not those of such a network; the message names them.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    module = network(kind, shapes)
    target = jax.eval_shape(module.init, jax.random.key(0), *example_inputs(kind, shapes))
    return module, convert(state, RULES[kind], CONSTANTS, target, f"published network {kind}")


def convert_checkpoint(state: State) -> dict[str, tuple[nn.Module, dict]]:
    """Convert all networks of a published checkpoint; return the results of `convert_network` by kind.

    Raises:
      UserError: a tensor belongs to no network, or the tensors of a network are not those expected.
    """
    parts: dict[str, dict[str, np.ndarray]] = {}
    for name, tensor in state.items():
        kind, _, rest = name.partition(".")
        if kind in KINDS:
            parts.setdefault(kind, {})[rest] = tensor
        elif name not in _COUNTERS:
            raise UserError(f"tensor '{name}' belongs to none of the published networks {', '.join(KINDS)}")
    return {kind: convert_network(kind, part) for kind, part in parts.items()}


def read(state: State, head: str | None, config: ConfigDict) -> Converted:
    """Convert the authors' tensors, see `base.Reader`."""
    networks = convert_checkpoint(state)
    for kind, name in (("E", "encoder"), ("G", "generator")):
        require(kind in networks, f"it has no {name}: no tensor's name begins with '{kind}.'")
    (encoder, encoding), (generator, decoding) = networks["E"], networks["G"]
    if decoding["params"]["structure_scale"]["kernel"].shape != (encoder.style_dims, encoder.structure_channels):
        raise UserError("its encoder and its generator do not belong together: their codes differ in size")
    chosen = choose_head(WEIGHTS, head, f"{encoder.structure_channels} channels")
    recipes.published(config)
    if chosen.name == "hair_skin":
        recipes.helen(config)
    if encoder.structure_channels != sum(config.model.slices):
        channels = encoder.structure_channels, sum(config.model.slices)
        raise UserError(f"its structure code has {channels[0]} channels, the published one {channels[1]}")
    for field in config.model.residual:
        config.model.residual[field] = getattr(encoder, field)
    config.model.style = encoder.style_dims
    config.model.generator.head_widths, config.model.generator.widths = generator.head_widths, generator.widths
    title = f"Latents2Segments, {len(config.model.slices)} regions"
    variables = {"encoder": encoding["params"], "generator": decoding["params"]}
    config.label_set, config.data.resize = chosen.label_set, RESIZE.name
    return Converted(title, chosen, config, variables)
