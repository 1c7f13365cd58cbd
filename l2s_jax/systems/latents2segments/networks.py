"""The networks of one config and the pure functions that combine them: encode, paint, decode, compose."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from input_pipeline import labels
from l2s_jax.layers.resample import Lowering
from l2s_jax.layers.slices import SliceTable, masked_codes
from l2s_jax.losses.reconstruction import BLACK, region_masks
from l2s_jax.models.discriminator import Discriminator
from l2s_jax.models.encoder import Encoder
from l2s_jax.models.generator import Generator
from l2s_jax.models.painter import painter_map
from l2s_jax.models.patch_discriminator import PatchDiscriminator
from l2s_jax.models.slice_decoder import SliceDecoder
from l2s_jax.models.sliced_encoder import SlicedEncoder
from l2s_jax.schema import require
from l2s_jax.types import Decoded, PyTree

HARD_LOGIT = 20.0
"""Logit of a painted pixel: the published rule gives no probabilities."""


class Encoded(NamedTuple):
    """The codes of faces.

    Attributes:
      structure: float32 [B, K, h, w, C]: slice k alone (sliced), or the code with the other slices set to 0
        (published).
      style: float32 [B, K, S] (sliced) or [B, S] (published).
      light: float32 [B, H, W, K], the light head's logits; None without one (published).
    """

    structure: jax.Array
    style: jax.Array
    light: jax.Array | None


class Painted(NamedTuple):
    """The decoded slices of faces.

    Attributes:
      colours: float32 [B, K, H, W, 3].
      regions: float32 [B, K, H, W, 3], each region on black.
      logits: float32 [B, H, W, K], of the mattes; None if colours are on black already (published).
    """

    colours: jax.Array
    regions: jax.Array
    logits: jax.Array | None

    @property
    def image(self) -> jax.Array:
        """Return the faces composed of their regions, float32 [B, H, W, 3]."""
        return jnp.sum(self.regions - BLACK, axis=1) + BLACK


@dataclasses.dataclass(frozen=True)
class Networks:
    """The modules and the slice table of one config, built by `build`.

    Attributes:
      label_set: classes of masks and logits.
      classes: class of each of the K slices, in painting order.
      slices: channels of each slice in the published code; None where each region has its slice to itself (sliced).
      discriminator, patch: None if the config trains without a GAN, or without the patch terms.
      judges_regions: the discriminator sees each region on black (published), not the composed face.
      keep_features: the target of the skin includes eyes and lips, as in Fig. 2 of the paper.
      painter_tolerance: 8-bit levels that the painter rule counts as black, see `painter.support`.
      code_noise: std of the training noise on the structure code, whose root mean square is 1 where a region is.
      generator_noise: whether the generator gets fresh pixel noise in training.
      crops: number of patch crops per region image, of side `crop_size` pixels, around the region or anywhere.
    """

    label_set: labels.LabelSet
    classes: tuple[int, ...]
    slices: SliceTable | None
    image_size: int
    encoder: SlicedEncoder | Encoder
    generator: SliceDecoder | Generator
    discriminator: Discriminator | None
    patch: PatchDiscriminator | None
    judges_regions: bool
    keep_features: bool
    painter_tolerance: int
    code_noise: float
    generator_noise: bool
    crops: int
    crop_size: int
    crops_around_region: bool

    def lowered(self, lowering: Lowering, *names: str) -> "Networks":
        """Return the same networks with another lowering of those of `names` that have one (layers/resample.py)."""
        modules = {name: getattr(self, name) for name in names if hasattr(getattr(self, name), "lowering")}
        return dataclasses.replace(self, **{name: old.clone(lowering=lowering) for name, old in modules.items()})

    def init(self, rng: jax.Array) -> dict[str, PyTree]:
        """Initialise the parameters of every network, by name."""
        names = ("encoder", "generator", "discriminator", "patch")
        keys = dict(zip(names, jax.random.split(rng, len(names)), strict=True))
        image = jnp.zeros((1, self.image_size, self.image_size, 3), jnp.float32)
        params = {"encoder": self.encoder.init(keys["encoder"], image)["params"]}
        encoded = self.encode(params, image)
        params["generator"] = self.generator.init(keys["generator"], encoded.structure, encoded.style)["params"]
        return params if self.discriminator is None else params | self._init_discriminators(keys)

    def _init_discriminators(self, keys: dict[str, jax.Array]) -> dict[str, PyTree]:
        region = jnp.zeros(1, jnp.int32) if self.discriminator.regions else None
        image = jnp.zeros((1, self.image_size, self.image_size, 3), jnp.float32)
        params = {"discriminator": self.discriminator.init(keys["discriminator"], image, region)["params"]}
        if self.patch is None:
            return params
        crops = jnp.zeros((1, 1, self.crop_size, self.crop_size, 3), jnp.float32)
        return params | {"patch": self.patch.init(keys["patch"], crops, crops, region)["params"]}

    def encode(self, params: dict[str, PyTree], image: jax.Array, rngs: jax.Array | None = None) -> Encoded:
        """Encode image [B, H, W, 3]; `rngs` [B]: add noise to the structure code."""
        structure, style, *light = self.encoder.apply({"params": params["encoder"]}, image)
        if rngs is not None and self.code_noise:
            noise = jax.vmap(lambda key: jax.random.normal(key, structure.shape[1:], jnp.float32))(rngs)
            structure = structure + self.code_noise * noise
        if self.slices is not None:
            structure = masked_codes(structure, self.slices)
        return Encoded(structure, style, light[0] if light else None)

    def paint(
        self, params: dict[str, PyTree], structure: jax.Array, style: jax.Array, rngs: jax.Array | None = None
    ) -> Painted:
        """Decode every slice of codes [B, K, h, w, C]; `rngs` [B]: keys of the pixel noise, if the generator has it.

        A sliced decoder gives colours c and logits, whose softmax p is their matte: region = p c + (1 - p) black. The
        published one gives the region on black itself.
        """
        variables = {"params": params["generator"]}
        if self.slices is not None:
            noise = rngs if self.generator_noise else None
            regions = self.generator.apply(variables, structure, style, noise)
            return Painted(regions, regions, None)
        colours, logits = self.generator.apply(variables, structure, style)
        matte = jnp.moveaxis(jax.nn.softmax(logits), -1, 1)[..., None]
        return Painted(colours, matte * (colours - BLACK) + BLACK, logits)

    def decode(self, params: dict[str, PyTree], structure: jax.Array, style: jax.Array) -> Decoded:
        """Decode codes without noise: full image, regions on black, logits of all classes."""
        if self.slices is None:
            painted = self.paint(params, structure, style)
            unmatted = jnp.mean(painted.colours, axis=1)
            return Decoded(painted.image, painted.regions, painted.logits, unmatted=unmatted)
        # Published: the full code is decoded as well, although training never decodes full codes.
        everything = jnp.concatenate((structure, structure.sum(axis=1, keepdims=True)), axis=1)
        decodes = self.paint(params, everything, style).regions
        regions = decodes[:, :-1]
        return Decoded(decodes[:, -1], regions, self.painted_logits(regions))

    def painted_logits(self, regions: jax.Array) -> jax.Array:
        """Apply the published painter rule: regions on black [B, K, H, W, 3] -> hard logits [B, H, W, classes]."""
        label_map = painter_map(regions, self.classes, self.painter_tolerance)
        return HARD_LOGIT * jax.nn.one_hot(label_map, len(self.label_set), dtype=jnp.float32)

    def masks(self, mask: jax.Array) -> jax.Array:
        """Return target masks of the slices, int32 [B, H, W] -> float32 [B, K, H, W]; may overlap (`keep_features`)."""
        masks = region_masks(mask, len(self.label_set))
        if self.keep_features:
            skin, inside = self.label_set["skin"], [self.label_set["eyes"], self.label_set["lips"]]
            masks = masks.at[:, skin].add(masks[:, np.asarray(inside)].sum(axis=1))
        return masks[:, np.asarray(self.classes)]


def build(config: ConfigDict) -> Networks:
    """Build the networks of a config.

    Raises:
      UserError: slices, sizes and label set are inconsistent.
    """
    model, dtype = config.model, jnp.dtype(config.precision.compute)
    label_set = labels.get(config.label_set)
    classes = tuple(range(0 if model.background else 1, len(label_set)))
    _check(config, label_set, classes)
    encoder, generator, slices = (_sliced if model.architecture == "sliced" else _published)(model, dtype)
    discriminator, patch = (
        _discriminators(config, len(classes)) if config.schedule.discriminator_every else (None, None)
    )
    return Networks(
        label_set=label_set,
        classes=classes,
        slices=slices,
        image_size=config.image_size,
        encoder=encoder,
        generator=generator,
        discriminator=discriminator,
        patch=patch,
        judges_regions=model.discriminator.judges == "regions",
        # In a label set without these classes the skin includes the features already.
        keep_features=not model.background and {"skin", "eyes", "lips"} <= set(label_set.names),
        painter_tolerance=model.painter_tolerance,
        code_noise=model.code_noise,
        generator_noise=model.generator.noise,
        crop_size=model.patch.crop_size,
        crops=model.patch.crops,
        crops_around_region=model.patch.around_region,
    )


def _sliced(model: ConfigDict, dtype) -> tuple[SlicedEncoder, SliceDecoder, None]:
    pyramid = tuple(model.pyramid.widths), tuple(model.pyramid.depths), model.pyramid.light_width
    encoder = SlicedEncoder(len(model.slices), model.slices[0], model.style, *pyramid, dtype=dtype)
    return encoder, SliceDecoder(model.decoder.width, model.decoder.blocks, dtype=dtype), None


def _published(model: ConfigDict, dtype) -> tuple[Encoder, Generator, SliceTable]:
    renormalize = model.generator.renormalize
    # The published weights expect codes of norm 1, which their generator normalises a second time.
    norms = {} if renormalize else {"structure_norm": "rms", "style_norm": "rms"}
    channels = {"structure_channels": sum(model.slices), "style_dims": model.style}
    encoder = Encoder(**model.residual, **norms, **channels, dtype=dtype)
    widths = tuple(model.generator.head_widths), tuple(model.generator.widths)
    ends = np.cumsum(model.slices)
    slices = tuple((int(end - width), int(end)) for end, width in zip(ends, model.slices, strict=True))
    return encoder, Generator(*widths, renormalize=renormalize, dtype=dtype), slices


def _discriminators(config: ConfigDict, slices: int) -> tuple[Discriminator, PatchDiscriminator | None]:
    model, dtype = config.model, jnp.dtype(config.precision.compute)
    sides = {"image_size": config.image_size, "model.patch.crop_size": model.patch.crop_size}
    for field, size in sides.items():
        require(
            size >= 8 and not size & (size - 1),
            f"{field}={size} must be a power of two, at least 8, for the discriminators",
        )
    for group, side in (("discriminator", config.image_size), ("patch", model.patch.crop_size)):
        base = model[group].channel_base
        require(base >= side, f"model.{group}.channel_base={base} leaves no channels at {side} px; set {side} or more")
    regions = slices if model.discriminator.conditional and model.discriminator.judges == "regions" else 0
    image = Discriminator(model.discriminator.channel_base, model.discriminator.max_width, regions, dtype=dtype)
    if not config.loss.patch:
        return image, None
    patch = model.patch
    sizes = patch.channel_base, patch.max_width, tuple(patch.head_widths)
    return image, PatchDiscriminator(*sizes, regions, dtype=dtype)


def _check(config: ConfigDict, label_set: labels.LabelSet, classes: tuple[int, ...]) -> None:
    """Check that fields fit together that are each valid."""
    model, loss, schedule = config.model, config.loss, config.schedule
    adversarial = next((f"loss.{name}" for name in ("gan_reconstruction", "gan_mix", "patch") if loss[name]), "")
    sliced, pyramid, residual = model.architecture == "sliced", model.pyramid, model.residual
    halvings = len(pyramid.widths) if sliced else residual.downsamplings
    own = ("cross_entropy", "dice", "light", "image", "region_inside", "region_flat")  # terms that need a matte
    matted = next((name for name in own if loss[name]), "consensus.weight" if loss.consensus.weight else "")
    for holds, sentence in (
        (
            len(model.slices) == len(classes),
            f"model.slices has {len(model.slices)} entries, but label set '{label_set.name}' has {len(classes)} regions"
            f"{'' if model.background else ' without the background'}; give one width per region",
        ),
        (
            model.generator.renormalize or all(width >= 2 for width in model.slices),
            f"model.slices={tuple(model.slices)}: a slice needs at least 2 channels",
        ),
        (
            model.background or label_set.names[0] == "background",
            f"model.background=false leaves out class 0, and that of '{label_set.name}' is {label_set.names[0]}",
        ),
        (
            model.background or not sliced,
            "model.architecture=sliced needs a background slice: set model.background=true",
        ),
        (
            not sliced or len(set(model.slices)) == 1,
            f"model.slices={tuple(model.slices)}: model.architecture=sliced has slices of equal width",
        ),
        (
            not sliced or not loss.first_half,
            "loss.first_half=true is of the published method: set it to false or model.architecture=published",
        ),
        (
            sliced or not matted,
            f"loss.{matted} needs decoded mattes: set it to 0 or model.architecture=sliced",
        ),
        (
            schedule.discriminator_every or not adversarial,
            f"{adversarial} needs discriminators: set schedule.discriminator_every=2",
        ),
        (
            not loss.patch or model.discriminator.judges == "regions",
            "loss.patch is about crops of regions: set it to 0 or model.discriminator.judges=regions",
        ),
        (
            schedule.discriminator_every != 1,
            "schedule.discriminator_every=1 never trains the autoencoder: 2 alternates, 0 is without discriminators",
        ),
        (
            not (model.code_noise and model.generator.renormalize),
            "model.code_noise is for codes of root mean square 1: set it to 0 with model.generator.renormalize",
        ),
        (
            not sliced or (len(pyramid.widths) >= 2 and all(width % 8 == 0 for width in pyramid.widths)),
            f"model.pyramid.widths={tuple(pyramid.widths)} needs at least two entries, all multiples of 8",
        ),
        (
            not sliced or model.decoder.width % 4 == 0,
            f"model.decoder.width={model.decoder.width} must be a multiple of 4",
        ),
        (
            sliced or not schedule.discriminator_every or model.discriminator.judges == "regions",
            "model.architecture=published composes no faces: set model.discriminator.judges=regions",
        ),
        (
            len(pyramid.widths) == len(pyramid.depths),
            "model.pyramid.widths and model.pyramid.depths must have the same number of entries",
        ),
        (
            sliced or len(model.generator.widths) == residual.downsamplings,
            f"model.generator.widths needs {residual.downsamplings} entries, one per doubling from the code to the "
            f"image, not {len(model.generator.widths)}",
        ),
        (
            config.image_size % 2**halvings == 0,
            f"image_size={config.image_size} must be a multiple of {2**halvings} for this encoder",
        ),
        (
            not loss.independence or len(set(model.slices)) == 1,
            "loss.independence compares slices of equal width; make model.slices equal or the weight 0",
        ),
    ):
        require(holds, sentence)
