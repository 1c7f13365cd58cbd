"""The networks of one config of Latents2Segments: sliced (ours, `systems.sliced`), or as published."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from input_pipeline import labels
from input_pipeline.errors import require
from l2s_jax.layers.slices import SliceTable, descriptors, masked_codes
from l2s_jax.models.encoder import Encoder
from l2s_jax.models.generator import Generator
from l2s_jax.models.painter import painter_map
from l2s_jax.systems.sliced import networks as sliced
from l2s_jax.systems.sliced.networks import Encoded, Networks, Painted
from l2s_jax.types import Decoded, PyTree

HARD_LOGIT = 20.0
"""Logit of a painted pixel: the published rule gives no probabilities."""
MATTED = ("cross_entropy", "dice", "light", "image", "ms_ssim", "region_inside", "region_flat")
"""Losses that need a matte, which the published networks do not have."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedNetworks(Networks):
    """The published networks: slices are channels of one code, decoded to regions on black by the painter rule.

    Attributes:
      slices: channels of each slice in the code.
      generator_noise: whether the generator gets fresh pixel noise in training.
      painter_tolerance: 8-bit levels that the painter rule counts as black, see `painter.support`.
    """

    slices: SliceTable
    generator_noise: bool
    painter_tolerance: int

    def encode(self, params: dict[str, PyTree], image: jax.Array) -> Encoded:
        """Encode image [B, H, W, 3]; each slice is the code with all others set to 0."""
        encoded = super().encode(params, image)
        return encoded._replace(structure=masked_codes(encoded.structure, self.slices))

    def noised(self, structure: jax.Array, rngs: jax.Array) -> jax.Array:
        """Add the training noise to the full code, whose slices are then taken anew."""
        full = structure.sum(axis=1)
        return masked_codes(super().noised(full, rngs), self.slices)

    def paint(
        self, params: dict[str, PyTree], structure: jax.Array, style: jax.Array, rngs: jax.Array | None = None
    ) -> Painted:
        """Decode every slice of codes [B, K, h, w, C] to a region on black."""
        noise = rngs if self.generator_noise else None
        regions = self.generator.apply({"params": params["generator"]}, structure, style, noise)
        return Painted(regions, regions, None)

    def decode(self, params: dict[str, PyTree], structure: jax.Array, style: jax.Array) -> Decoded:
        """Decode codes without noise, and the full code as well, although training never decodes full codes."""
        everything = jnp.concatenate((structure, structure.sum(axis=1, keepdims=True)), axis=1)
        decodes = self.paint(params, everything, style).regions
        regions = decodes[:, :-1]
        return Decoded(decodes[:, -1], regions, painted_logits(self, self.painter_tolerance, regions))

    def descriptors(self, encoded: Encoded) -> jax.Array:
        """Return what each slice says in its own frame, float32 [B, K, D]; a style that all share belongs to none."""
        return descriptors(encoded.structure, encoded.style)


def painted_logits(networks: Networks, tolerance: int, regions: jax.Array) -> jax.Array:
    """Apply the published painter rule: regions on black [B, K, H, W, 3] -> hard logits [B, H, W, classes]."""
    label_map = painter_map(regions, networks.classes, tolerance)
    return HARD_LOGIT * jax.nn.one_hot(label_map, len(networks.label_set), dtype=jnp.float32)


def build(config: ConfigDict) -> Networks:
    """Build the networks of a config.

    Raises:
      UserError: slices, sizes and label set are inconsistent.
    """
    label_set = labels.get(config.label_set)
    classes = tuple(range(0 if config.model.background else 1, len(label_set)))
    _check(config, label_set, classes)
    if config.model.architecture == "published":
        return _published(config, sliced.common(config, label_set, classes))
    return Networks(**sliced.modules(config, tuple(config.model.slices)), **sliced.common(config, label_set, classes))


def _published(config: ConfigDict, common: dict) -> PublishedNetworks:
    model, dtype = config.model, jnp.dtype(config.precision.compute)
    renormalize = model.generator.renormalize
    # The published weights expect codes of norm 1, which their generator normalises a second time.
    norms = {} if renormalize else {"structure_norm": "rms", "style_norm": "rms"}
    channels = {"structure_channels": sum(model.slices), "style_dims": model.style}
    widths = tuple(model.generator.head_widths), tuple(model.generator.widths)
    ends = np.cumsum(model.slices)
    return PublishedNetworks(
        encoder=Encoder(**model.residual, **norms, **channels, dtype=dtype),
        generator=Generator(*widths, renormalize=renormalize, dtype=dtype),
        slices=tuple((int(end - width), int(end)) for end, width in zip(ends, model.slices, strict=True)),
        generator_noise=model.generator.noise,
        painter_tolerance=model.painter_tolerance,
        **common,
    )


def _check(config: ConfigDict, label_set: labels.LabelSet, classes: tuple[int, ...]) -> None:
    """Check that fields fit together that are each valid."""
    model, loss, residual = config.model, config.loss, config.model.residual
    matted = next((name for name in MATTED if loss[name]), "consensus.weight" if loss.consensus.weight else "")
    require(
        len(model.slices) == len(classes),
        f"model.slices has {len(model.slices)} entries, but label set '{label_set.name}' has {len(classes)} regions"
        f"{'' if model.background else ' without the background'}; give one width per region",
    )
    require(
        model.background or label_set.names[0] == "background",
        f"model.background=false leaves out class 0, and that of '{label_set.name}' is {label_set.names[0]}",
    )
    if model.architecture == "sliced":
        require(model.background, "model.architecture=sliced needs a background slice: set model.background=true")
        require(
            not loss.first_half,
            "loss.first_half=true is of the published method: set it to false or model.architecture=published",
        )
        require(
            not model.generator.renormalize,
            "model.generator.renormalize=true is of the published method: set it to false or "
            "model.architecture=published",
        )
    else:
        require(
            model.generator.renormalize or min(model.slices, default=2) >= 2,
            f"model.slices={tuple(model.slices)}: a slice needs at least 2 channels",
        )
        require(not matted, f"loss.{matted} needs decoded mattes: set it to 0 or model.architecture=sliced")
        require(
            not (model.code_noise and model.generator.renormalize),
            "model.code_noise is for codes of root mean square 1: set it to 0 with model.generator.renormalize",
        )
        require(
            not config.schedule.discriminator_every or model.discriminator.judges == "regions",
            "model.architecture=published composes no faces: set model.discriminator.judges=regions",
        )
        require(
            len(model.generator.widths) == residual.downsamplings,
            f"model.generator.widths needs {residual.downsamplings} entries, one per doubling from the code to the "
            f"image, not {len(model.generator.widths)}",
        )
        require(
            config.image_size % 2**residual.downsamplings == 0,
            f"image_size={config.image_size} must be a multiple of {2**residual.downsamplings} for this encoder",
        )
