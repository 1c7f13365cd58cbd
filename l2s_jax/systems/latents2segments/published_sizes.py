"""Sizes of a published Latents2Segments network, read from the shapes of its state dict."""

import re
from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from input_pipeline.errors import require
from l2s_jax.models.discriminator import Discriminator
from l2s_jax.models.encoder import Encoder
from l2s_jax.models.generator import Generator
from l2s_jax.models.patch_discriminator import PatchDiscriminator

Shapes = Mapping[str, tuple[int, ...]]
KINDS = ("E", "G", "D", "Dpatch")
"""Encoder, generator, image discriminator, patch discriminator."""


def network(kind: str, shapes: Shapes) -> nn.Module:
    """Build the module of one of `KINDS` with the sizes of the published tensors and the published behaviour.

    Raises:
      UserError: a tensor that every such network has is missing or has another rank.
    """
    return {"E": _encoder, "G": _generator, "D": _discriminator, "Dpatch": _patch_discriminator}[kind](shapes)


def input_size(kind: str, shapes: Shapes) -> int:
    """Return the side in pixels of the input of a discriminator (`D`, `Dpatch`), or of the smallest image for `E`."""
    if kind == "E":
        encoder = _encoder(shapes)
        return 2**encoder.downsamplings * (2 ** (encoder.style_downsamplings + 1) - 1)
    halvings = len(_sizes(r".*convs\.\w+\.skip\.Conv\.weight", shapes)) - (kind == "Dpatch")
    return 4 * 2**halvings


def example_inputs(kind: str, shapes: Shapes) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Return input shapes with which the module of `network` can be initialised."""
    if kind == "G":
        style, structure = reversed(_shape("SpatialCodeModulation.scale.weight", 2, shapes))
        inputs = ((1, 1, 1, structure), (1, style))
    else:
        size = input_size(kind, shapes)
        inputs = ((1, 1, size, size, 3),) * 2 if kind == "Dpatch" else ((1, size, size, 3),)
    return tuple(jax.ShapeDtypeStruct(shape, jnp.float32) for shape in inputs)


def _encoder(shapes: Shapes) -> Encoder:
    return Encoder(
        base_width=_shape("FromRGB.Conv.weight", 4, shapes)[0],
        max_width=max((shape[0] for name, shape in shapes.items() if name.endswith("Conv.weight")), default=0),
        downsamplings=len(_sizes(r"DownToSpatialCode\.ResBlockDownBy\d+\.conv1\.Conv\.weight", shapes)),
        structure_channels=_shape("ToSpatialCode.1.Conv.weight", 4, shapes)[0],
        style_dims=_shape("ToGlobalCode.0.weight", 2, shapes)[0],
        style_downsamplings=len(_sizes(r"DownToGlobalCode\.ConvLayerDownBy\d+\.Conv\.weight", shapes)),
    )


def _generator(shapes: Shapes) -> Generator:
    return Generator(
        head_widths=tuple(s[1] for s in _sizes(r"HeadResnetBlock(\d+)\.conv1\.conv\.weight", shapes)),
        widths=tuple(s[1] for s in _sizes(r"UpsamplingResBlock(\d+)\.conv1\.conv\.weight", shapes)),
        channels=_shape("ToRGB.conv.weight", 5, shapes)[1],
    )


def _discriminator(shapes: Shapes) -> Discriminator:
    first = _shape("stylegan2_D.convs.0.Conv.weight", 4, shapes)[0]
    last = _shape("stylegan2_D.final_conv.Conv.weight", 4, shapes)[0]
    return Discriminator(channel_base=first * input_size("D", shapes), max_width=last)


def _patch_discriminator(shapes: Shapes) -> PatchDiscriminator:
    first, last = _shape("convs.0.Conv.weight", 4, shapes)[0], _shape("convs.6.Conv.weight", 4, shapes)[0]
    head = [shape[0] for shape in _sizes(r"pairlinear\.(\d+)\.weight", shapes)]
    return PatchDiscriminator(first * input_size("Dpatch", shapes), last, tuple(head[:-1]))


def _sizes(pattern: str, shapes: Shapes) -> list[tuple[int, ...]]:
    """Return the shapes of the tensors whose names match, in the order of the numbers in the names."""
    matches = [(match, shape) for name, shape in shapes.items() if (match := re.fullmatch(pattern, name))]
    return [shape for _, shape in sorted(matches, key=lambda pair: tuple(map(int, pair[0].groups())))]


def _shape(name: str, rank: int, shapes: Shapes) -> tuple[int, ...]:
    require(
        len(shapes.get(name, ())) == rank,
        f"the weights are not of a published Latents2Segments network: no tensor '{name}' of rank {rank}",
    )
    return shapes[name]
