"""The networks of one config and the pure functions that combine them: encode, parse, decode, compose."""

import dataclasses

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
from l2s_jax.models.presence_head import PresenceHead
from l2s_jax.models.pyramid_encoder import PyramidEncoder
from l2s_jax.schema import require
from l2s_jax.types import Decoded, PyTree

HARD_LOGIT = 20.0
"""Logit of a painted pixel: the published rule gives no probabilities."""


@dataclasses.dataclass(frozen=True)
class Networks:
    """The modules and the slice table of one config, built by `build`.

    Attributes:
      label_set: classes of masks and logits.
      classes: class of each of the K slices, in painting order.
      slices: channels of each slice.
      presence: the presence head, or None (published: a region is where its decoded image is not black).
      discriminator, patch: None if the config trains without a GAN.
      keep_features: the target of the skin includes eyes and lips, as in Fig. 2 of the paper.
      painter_tolerance: 8-bit levels that the painter rule counts as black, see `painter.support`.
      code_noise: std of the training noise on the structure code, whose root mean square is 1 (see `_check`).
      generator_noise: whether the generator gets fresh pixel noise in training.
      crops: number of patch crops per region image, of side `crop_size` pixels, around the region or anywhere.
    """

    label_set: labels.LabelSet
    classes: tuple[int, ...]
    slices: SliceTable
    image_size: int
    encoder: PyramidEncoder | Encoder
    generator: Generator
    presence: PresenceHead | None
    discriminator: Discriminator | None
    patch: PatchDiscriminator | None
    keep_features: bool
    painter_tolerance: int
    code_noise: float
    generator_noise: bool
    crops: int
    crop_size: int
    crops_around_region: bool

    def lowered(self, lowering: Lowering, *names: str) -> "Networks":
        """Return the same networks with another lowering of those called `names` (layers/resample.py)."""
        return dataclasses.replace(self, **{name: getattr(self, name).clone(lowering=lowering) for name in names})

    def init(self, rng: jax.Array) -> dict[str, PyTree]:
        """Initialise the parameters of every network, by name."""
        keys = dict(
            zip(("encoder", "generator", "presence", "discriminator", "patch"), jax.random.split(rng, 5), strict=True)
        )
        image = jnp.zeros((1, self.image_size, self.image_size, 3), jnp.float32)
        params = {"encoder": self.encoder.init(keys["encoder"], image)["params"]}
        structure, style = self.encoder.apply({"params": params["encoder"]}, image)
        codes = masked_codes(structure, self.slices)
        params["generator"] = self.generator.init(keys["generator"], codes, style)["params"]
        if self.presence is not None:
            params["presence"] = self.presence.init(keys["presence"], codes)["params"]
        return params if self.discriminator is None else params | self._init_discriminators(keys)

    def _init_discriminators(self, keys: dict[str, jax.Array]) -> dict[str, PyTree]:
        region = jnp.zeros(1, jnp.int32) if self.discriminator.regions else None
        image = jnp.zeros((1, self.image_size, self.image_size, 3), jnp.float32)
        crops = jnp.zeros((1, 1, self.crop_size, self.crop_size, 3), jnp.float32)
        return {
            "discriminator": self.discriminator.init(keys["discriminator"], image, region)["params"],
            "patch": self.patch.init(keys["patch"], crops, crops, region)["params"],
        }

    def encode(
        self, params: dict[str, PyTree], image: jax.Array, rngs: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Encode image [B, H, W, 3] -> codes [B, K, h, w, C], one slice each, style [B, S]; `rngs` [B]: add noise."""
        structure, style = self.encoder.apply({"params": params["encoder"]}, image)
        if rngs is not None and self.code_noise:
            noise = jax.vmap(lambda key: jax.random.normal(key, structure.shape[1:], jnp.float32))(rngs)
            structure = structure + self.code_noise * noise
        return masked_codes(structure, self.slices), style

    def parse(self, params: dict[str, PyTree], codes: jax.Array) -> jax.Array:
        """Compute presence logits float32 [B, H, W, K] from codes [B, K, h, w, C], without decoding colours."""
        return self.presence.apply({"params": params["presence"]}, codes)

    def paint(
        self,
        params: dict[str, PyTree],
        codes: jax.Array,
        style: jax.Array,
        logits: jax.Array | None,
        rngs: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """Decode every slice: codes [B, K, h, w, C], style [B, S] -> (colours, regions), both [B, K, H, W, 3].

        With a presence head the generator produces colours c and the presence p is their matte: region = p c + (1 - p)
        black. Without one the generator itself produces the region on black (published) and both outputs are equal.
        """
        noise = rngs if self.generator_noise else None
        colours = self.generator.apply({"params": params["generator"]}, codes, style, noise)
        if logits is None:
            return colours, colours
        presence = self.presence_of(logits)
        return colours, presence * colours + (1 - presence) * BLACK

    def presence_of(self, logits: jax.Array) -> jax.Array:
        """Return the softmax over classes as a matte [B, K, H, W, 1], without gradient: only mask losses train it."""
        return jnp.moveaxis(jax.nn.softmax(jax.lax.stop_gradient(logits)), -1, 1)[..., None]

    def decode(self, params: dict[str, PyTree], codes: jax.Array, style: jax.Array) -> Decoded:
        """Decode codes without noise: full image, regions on black, logits of all classes."""
        if self.presence is not None:
            logits = self.parse(params, codes)
            colours, regions = self.paint(params, codes, style, logits)
            image = jnp.sum(self.presence_of(logits) * colours, axis=1)
            return Decoded(image, regions, logits, unmatted=jnp.mean(colours, axis=1))
        # Published: the full code is decoded as well, although training never decodes full codes.
        everything = jnp.concatenate((codes, codes.sum(axis=1, keepdims=True)), axis=1)
        decodes, _ = self.paint(params, everything, style, None)
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
    ends = np.cumsum(model.slices)
    slices = tuple((int(end - width), int(end)) for end, width in zip(ends, model.slices, strict=True))
    channels = sum(model.slices)
    if model.encoder == "pyramid":
        encoder = PyramidEncoder(channels, model.style, tuple(model.pyramid.widths), tuple(model.pyramid.depths), dtype)
    else:
        # The published weights expect codes of norm 1, which their generator normalises a second time.
        norms = {} if model.generator.renormalize else {"structure_norm": "rms", "style_norm": "rms"}
        encoder = Encoder(**model.residual, **norms, structure_channels=channels, style_dims=model.style, dtype=dtype)
    discriminator, patch = (
        _discriminators(config, len(classes)) if config.schedule.discriminator_every else (None, None)
    )
    return Networks(
        label_set=label_set,
        classes=classes,
        slices=slices,
        image_size=config.image_size,
        encoder=encoder,
        generator=Generator(
            tuple(model.generator.head_widths),
            tuple(model.generator.widths),
            renormalize=model.generator.renormalize,
            dtype=dtype,
        ),
        presence=PresenceHead(model.presence.width, upsamplings(config), dtype) if model.presence.width else None,
        discriminator=discriminator,
        patch=patch,
        # In a label set without these classes the skin includes the features already.
        keep_features=not model.background and {"skin", "eyes", "lips"} <= set(label_set.names),
        painter_tolerance=model.painter_tolerance,
        code_noise=model.code_noise,
        generator_noise=model.generator.noise,
        crop_size=model.patch.crop_size,
        crops=model.patch.crops,
        crops_around_region=model.patch.around_region,
    )


def _discriminators(config: ConfigDict, slices: int) -> tuple[Discriminator, PatchDiscriminator]:
    model, dtype = config.model, jnp.dtype(config.precision.compute)
    for field, size in (("image_size", config.image_size), ("model.patch.crop_size", model.patch.crop_size)):
        require(
            size >= 8 and not size & (size - 1),
            f"{field}={size} must be a power of two, at least 8, for the discriminators",
        )
    for group, side in (("discriminator", config.image_size), ("patch", model.patch.crop_size)):
        base = model[group].channel_base
        require(base >= side, f"model.{group}.channel_base={base} leaves no channels at {side} px; set {side} or more")
    regions = slices if model.discriminator.conditional else 0
    patch = model.patch
    return (
        Discriminator(model.discriminator.channel_base, model.discriminator.max_width, regions, dtype=dtype),
        PatchDiscriminator(patch.channel_base, patch.max_width, tuple(patch.head_widths), regions, dtype=dtype),
    )


def upsamplings(config: ConfigDict) -> int:
    """Return the number of doublings from the structure code's resolution to the image's."""
    return 2 if config.model.encoder == "pyramid" else config.model.residual.downsamplings


def _check(config: ConfigDict, label_set: labels.LabelSet, classes: tuple[int, ...]) -> None:
    """Check that fields fit together that are each valid."""
    model, loss, schedule = config.model, config.loss, config.schedule
    adversarial = next((f"loss.{name}" for name in ("gan_reconstruction", "gan_mix", "patch") if loss[name]), "")
    light_head, pyramid = model.presence.width > 0, model.encoder == "pyramid"
    halvings = len(model.pyramid.widths) if pyramid else model.residual.downsamplings
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
            model.background or not light_head,
            "a light head needs a background slice: set model.background=true or model.presence.width=0",
        ),
        (
            model.background or label_set.names[0] == "background",
            f"model.background=false leaves out class 0, and that of '{label_set.name}' is {label_set.names[0]}",
        ),
        (
            light_head or not (loss.image or loss.region_inside),
            "loss.image and loss.region_inside need the light head: set them to 0 or model.presence.width above 0",
        ),
        (
            light_head or not loss.consensus.weight,
            "loss.consensus is about the light head's masks: set its weight to 0 or model.presence.width above 0",
        ),
        (
            light_head or schedule.autoencode_every == 1,
            "schedule.autoencode_every above 1 leaves batches to the light head: set model.presence.width above 0",
        ),
        (
            schedule.discriminator_every or not adversarial,
            f"{adversarial} needs discriminators: set schedule.discriminator_every=2",
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
            not pyramid or (len(model.pyramid.widths) >= 2 and all(width % 8 == 0 for width in model.pyramid.widths)),
            f"model.pyramid.widths={tuple(model.pyramid.widths)} needs at least two entries, all multiples of 8",
        ),
        (
            len(model.pyramid.widths) == len(model.pyramid.depths),
            "model.pyramid.widths and model.pyramid.depths must have the same number of entries",
        ),
        (
            len(model.generator.widths) == upsamplings(config),
            f"model.generator.widths needs {upsamplings(config)} entries, one per doubling from the code to the image, "
            f"not {len(model.generator.widths)}",
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
