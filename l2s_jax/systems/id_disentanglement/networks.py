"""The networks of Face Identity Disentanglement, and what they compute: pure functions of all variables by network."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict

from l2s_jax.models import recognition
from l2s_jax.models.attribute_encoder import AttributeEncoder
from l2s_jax.models.identity_mapper import CodeDiscriminator, Mapper
from l2s_jax.systems.id_disentanglement import generators
from l2s_jax.systems.id_disentanglement.generators import Generator
from l2s_jax.types import PyTree

ENCODERS = ("identity", "evaluator", "landmarks")
"""Networks that are frozen while the mapper learns."""
TRAINED = ("mapper", "attributes")
"""Networks that the method trains and exports."""
Variables = dict[str, PyTree]
_VIEWS = {"identity": "identity", "evaluator": "identity", "landmarks": "landmarks", "attributes": "attributes"}
"""The group of the config that says what each encoder sees."""


class Latents(NamedTuple):
    """The random numbers of one row of a batch; each [B, Z].

    Attributes:
      attributes: of the attribute image.
      identity: of the identity image.
      real: of a code for the discriminator of codes.
    """

    attributes: jax.Array
    identity: jax.Array
    real: jax.Array


@dataclasses.dataclass(frozen=True)
class Networks:
    """The modules; a method takes the variables of all networks by name.

    Attributes:
      generator: the frozen G.
      identity, evaluator: images -> embeddings; the second one judges, and no loss sees it.
      landmarks: images -> points.
      attributes: images -> everything else, trained.
      mapper, discriminator: M and D_W.
      side: side of the images in pixels.
      views: (crop, size) of the images of each encoder, as in the config.
      from_mean, whitened: as in the config.
    """

    generator: Generator
    identity: nn.Module
    evaluator: nn.Module
    landmarks: nn.Module
    attributes: nn.Module
    mapper: Mapper
    discriminator: CodeDiscriminator
    side: int
    views: Mapping[str, tuple[float, int]]
    from_mean: bool
    whitened: bool

    def init(self, rng: jax.Array, name: str) -> PyTree:
        """Return random variables of the network called `name`, with the collection `params`."""
        module, image = getattr(self, name), self.view(jnp.zeros((1, self.side, self.side, 3)), name)
        if name == "mapper":
            inputs = (jnp.zeros((1, self.identity.outputs)), jnp.zeros((1, self.attributes.outputs)))
        elif name == "discriminator":
            inputs = (jnp.zeros((1, self.generator.width)),)
        else:
            inputs = (image,)
        return module.init(rng, *inputs)

    def view(self, image: jax.Array, name: str) -> jax.Array:
        """Return what the encoder called `name` sees of images [B, H, W, 3]: the middle, resized; others see all."""
        crop, size = self.views.get(name, (1.0, 0))
        margin = round((1 - crop) / 2 * image.shape[1])
        image = image[:, margin : image.shape[1] - margin, margin : image.shape[2] - margin]
        if not size or size == image.shape[1]:
            return image
        return jax.image.resize(image, (len(image), size, size, 3), "linear")

    def latents(self, seed: jax.Array) -> Latents:
        """Draw the random numbers of each row: `seed` uint32 [B, 2] is the data of its key."""

        def draw(data):
            key = jax.random.wrap_key_data(data)
            keys = key, jax.random.fold_in(key, 1), jax.random.fold_in(key, 2)
            return Latents(*(jax.random.normal(each, (self.generator.latent,)) for each in keys))

        return jax.vmap(draw)(seed)

    def draw(self, variables: Variables, code: jax.Array) -> jax.Array:
        """Return the faces of codes, [B, W] -> [B, H, W, 3] in about [-1, 1]."""
        return self.generator.draw(variables.get("generator", {}), code)

    def codes(self, variables: Variables, latents: jax.Array) -> jax.Array:
        """Return the generator's own codes, [B, Z] -> [B, W]."""
        return self.generator.codes(variables.get("generator", {}), latents)

    def embed(self, variables: Variables, image: jax.Array, name: str = "identity") -> jax.Array:
        """Return identities of length 1, by the network called `name`."""
        return recognition.embed(getattr(self, name), variables[name], self.view(image, name))

    def points(self, variables: Variables, image: jax.Array) -> jax.Array:
        """Return landmarks [B, K, 2], (x, y) in fractions of the side of what the network sees."""
        return recognition.points(self.landmarks, variables["landmarks"], self.view(image, "landmarks"))

    def look(self, variables: Variables, image: jax.Array) -> jax.Array:
        """Return attributes [B, A]."""
        return self.attributes.apply(variables["attributes"], self.view(image, "attributes"))

    def map(self, variables: Variables, identity: jax.Array, attributes: jax.Array) -> jax.Array:
        """Return codes [B, W] of identities and attributes."""
        mean = variables["codes"]["mean"] if self.from_mean else None
        return self.mapper.apply(variables["mapper"], identity, attributes, mean)

    def judge(self, variables: Variables, code: jax.Array) -> jax.Array:
        """Return the logits [B] of codes, positive for real ones."""
        code = self.standardised(variables, code) if self.whitened else code
        return self.discriminator.apply(variables["discriminator"], code)

    def standardised(self, variables: Variables, code: jax.Array) -> jax.Array:
        """Scale each number of a code to mean 0 and variance 1 over the generator's codes."""
        known = variables["codes"]
        return (code - known["mean"][None]) / (known["std"][None] + 1e-6)


def build(config: ConfigDict) -> Networks:
    """Build the networks of a config."""
    model, dtype = config.model, jnp.dtype(config.precision.compute)
    generator = generators.build(config)
    return Networks(
        generator=generator,
        identity=recognition.build_identity(model.identity, dtype),
        evaluator=recognition.build_identity(model.evaluator, dtype),
        landmarks=recognition.build_landmarks(model.landmarks, dtype),
        attributes=AttributeEncoder(model.attributes.outputs, model.attributes.width, dtype=dtype),
        mapper=Mapper(generator.width, tuple(model.mapper.widths), model.mapper.last_scale),
        discriminator=CodeDiscriminator(tuple(model.discriminator.widths)),
        side=config.image_size,
        views={view: (config.views[name].crop, config.views[name].size) for view, name in _VIEWS.items()},
        from_mean=model.mapper.from_mean,
        whitened=model.discriminator.whitened,
    )
