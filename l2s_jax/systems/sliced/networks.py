"""The networks of a sliced autoencoder and the pure functions that combine them: encode, paint, decode, compose."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from ml_collections import ConfigDict

from input_pipeline import labels
from input_pipeline.errors import require
from l2s_jax.layers import slices
from l2s_jax.layers.resample import Lowering
from l2s_jax.losses import ssim
from l2s_jax.losses.reconstruction import BLACK, region_masks
from l2s_jax.models.discriminator import Discriminator
from l2s_jax.models.patch_discriminator import PatchDiscriminator
from l2s_jax.models.slice_decoder import SliceDecoder
from l2s_jax.models.sliced_encoder import SlicedEncoder
from l2s_jax.types import Decoded, PyTree

SILENT = 1e-3
"""Coverage under which a cell says nothing."""


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Networks:
    """The modules of one config: slices that are separate as they are written, and decode to colours and a matte.

    Attributes:
      label_set: classes of masks and logits.
      classes: class of each of the K slices.
      encoder, generator: image -> structure, style, light logits; structure, style -> colours, logits.
      discriminator, patch: None if the config trains without a GAN, or without the patch terms.
      judges_regions: the discriminator sees each region on black (published), not the composed face.
      keep_features: the target of the skin includes eyes and lips, as in Fig. 2 of Latents2Segments.
      code_noise: std of the training noise on the structure code, whose root mean square is 1 where a region is.
      crops: number of patch crops per region image, of side `crop_size` pixels, around the region or anywhere.
    """

    label_set: labels.LabelSet
    classes: tuple[int, ...]
    image_size: int
    encoder: nn.Module
    generator: nn.Module
    discriminator: Discriminator | None
    patch: PatchDiscriminator | None
    judges_regions: bool
    keep_features: bool
    code_noise: float
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
        (structure, style, *_), encoder = self.encoder.init_with_output(keys["encoder"], image)
        generator = self.generator.init(keys["generator"], structure, style)
        params = {"encoder": encoder["params"], "generator": generator["params"]}
        return params if self.discriminator is None else params | self._init_discriminators(keys)

    def _init_discriminators(self, keys: dict[str, jax.Array]) -> dict[str, PyTree]:
        region = jnp.zeros(1, jnp.int32) if self.discriminator.regions else None
        image = jnp.zeros((1, self.image_size, self.image_size, 3), jnp.float32)
        params = {"discriminator": self.discriminator.init(keys["discriminator"], image, region)["params"]}
        if self.patch is None:
            return params
        crops = jnp.zeros((1, 1, self.crop_size, self.crop_size, 3), jnp.float32)
        return params | {"patch": self.patch.init(keys["patch"], crops, crops, region)["params"]}

    def encode(self, params: dict[str, PyTree], image: jax.Array) -> Encoded:
        """Encode image [B, H, W, 3]."""
        structure, style, *light = self.encoder.apply({"params": params["encoder"]}, image)
        return Encoded(structure, style, light[0] if light else None)

    def noised(self, structure: jax.Array, rngs: jax.Array) -> jax.Array:
        """Add the training noise to structure codes [B, K, h, w, C]; `rngs` [B]."""
        if not self.code_noise:
            return structure
        noise = jax.vmap(lambda key: jax.random.normal(key, structure.shape[1:], jnp.float32))(rngs)
        return structure + self.code_noise * noise

    def paint(
        self, params: dict[str, PyTree], structure: jax.Array, style: jax.Array, rngs: jax.Array | None = None
    ) -> Painted:
        """Decode every slice of codes [B, K, h, w, C] to colours c and logits, whose softmax p is their matte.

        region = p c + (1 - p) black. `rngs` [B] are keys of pixel noise, for generators that have it.
        """
        del rngs
        colours, logits = self.generator.apply({"params": params["generator"]}, structure, style)
        matte = jnp.moveaxis(jax.nn.softmax(logits), -1, 1)[..., None]
        return Painted(colours, matte * (colours - BLACK) + BLACK, logits)

    def decode(self, params: dict[str, PyTree], structure: jax.Array, style: jax.Array) -> Decoded:
        """Decode codes without noise: full image, regions on black, logits of all classes."""
        painted = self.paint(params, structure, style)
        return Decoded(painted.image, painted.regions, painted.logits, unmatted=jnp.mean(painted.colours, axis=1))

    def descriptors(self, encoded: Encoded) -> jax.Array:
        """Return what each slice says in its own frame, float32 [B, K, D] (layers/slices.py), of codes without noise.

        No gradient flows through the coverage and what it multiplies: masks are given, and must not bend to be
        independent.
        """
        coverage, content = encoded.structure[..., :1], encoded.structure[..., 1:]
        fixed = jax.lax.stop_gradient(coverage)
        content = content / jnp.maximum(coverage, SILENT) * fixed  # content has been multiplied by the coverage
        return slices.descriptors(jnp.concatenate((fixed, content), axis=-1), encoded.style)

    def masks(self, mask: jax.Array) -> jax.Array:
        """Return target masks of the slices, int32 [B, H, W] -> float32 [B, K, H, W]; may overlap (`keep_features`)."""
        masks = region_masks(mask, len(self.label_set))
        if self.keep_features:
            skin, inside = self.label_set["skin"], [self.label_set["eyes"], self.label_set["lips"]]
            masks = masks.at[:, skin].add(masks[:, np.asarray(inside)].sum(axis=1))
        return masks[:, np.asarray(self.classes)]


def common(config: ConfigDict, label_set: labels.LabelSet, classes: tuple[int, ...]) -> dict:
    """Return the arguments of `Networks` but for encoder and generator.

    Raises:
      UserError: the fields that the adversaries need do not fit together (`check`).
    """
    check(config)
    model = config.model
    trained = bool(config.schedule.discriminator_every)
    discriminator, patch = _discriminators(config, len(classes)) if trained else (None, None)
    return {
        "label_set": label_set,
        "classes": classes,
        "image_size": config.image_size,
        "discriminator": discriminator,
        "patch": patch,
        "judges_regions": model.discriminator.judges == "regions",
        # In a label set without these classes the skin includes the features already.
        "keep_features": 0 not in classes and {"skin", "eyes", "lips"} <= set(label_set.names),
        "code_noise": model.code_noise,
        "crops": model.patch.crops,
        "crop_size": model.patch.crop_size,
        "crops_around_region": model.patch.around_region,
    }


def modules(config: ConfigDict, channels: tuple[int, ...]) -> dict[str, nn.Module]:
    """Return encoder and generator of slices with `channels` each.

    Raises:
      UserError: sizes do not fit together.
    """
    model, dtype, pyramid = config.model, jnp.dtype(config.precision.compute), config.model.pyramid
    side, halvings = config.image_size, len(pyramid.widths)
    require(min(channels) >= 2, f"slices of {channels} channels: each needs at least 2, its coverage and its content")
    require(
        len(pyramid.widths) == len(pyramid.depths),
        "model.pyramid.widths and model.pyramid.depths must have the same number of entries",
    )
    require(
        halvings >= 2 and all(width % 8 == 0 for width in pyramid.widths),
        f"model.pyramid.widths={tuple(pyramid.widths)} needs at least two entries, all multiples of 8",
    )
    require(model.decoder.width % 4 == 0, f"model.decoder.width={model.decoder.width} must be a multiple of 4")
    require(side % 2**halvings == 0, f"image_size={side} must be a multiple of {2**halvings} for this encoder")
    sizes = tuple(pyramid.widths), tuple(pyramid.depths), pyramid.light_width
    return {
        "encoder": SlicedEncoder(channels, model.style, *sizes, dtype=dtype),
        "generator": SliceDecoder(model.decoder.width, model.decoder.blocks, dtype=dtype),
    }


def check(config: ConfigDict) -> None:
    """Check that losses, adversaries and schedule fit together.

    Raises:
      UserError: they do not.
    """
    model, loss, schedule = config.model, config.loss, config.schedule
    adversarial = next((f"loss.{name}" for name in ("gan_reconstruction", "gan_mix", "patch") if loss[name]), "")
    require(
        not loss.ms_ssim or config.image_size >= ssim.SIDE,
        f"loss.ms_ssim needs images of {ssim.SIDE} px or more, not image_size={config.image_size}",
    )
    require(
        schedule.discriminator_every or not adversarial,
        f"{adversarial} needs discriminators: set schedule.discriminator_every=2",
    )
    require(
        not loss.patch or model.discriminator.judges == "regions",
        "loss.patch is about crops of regions: set it to 0 or model.discriminator.judges=regions",
    )
    require(
        schedule.discriminator_every != 1,
        "schedule.discriminator_every=1 never trains the autoencoder: 2 alternates, 0 is without discriminators",
    )


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
