"""The networks of Face Identity Disentanglement and what they compute, as pure functions of all variables by network."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from ml_collections import ConfigDict

from l2s_jax.losses.identity import unit
from l2s_jax.models.face_renderer import LANDMARKS
from l2s_jax.models.identity_mapper import CodeDiscriminator, Mapper
from l2s_jax.models.small_encoder import SmallEncoder
from l2s_jax.systems.id_disentanglement import generators
from l2s_jax.systems.id_disentanglement.generators import Generator
from l2s_jax.types import PyTree

ENCODERS = ("identity", "evaluator", "landmarks")
"""Networks that are frozen while the mapper learns."""
TRAINED = ("mapper", "attributes")
"""Networks that the method trains and exports."""
Variables = dict[str, PyTree]


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
    from_mean: bool
    whitened: bool

    def init(self, rng: jax.Array, name: str) -> PyTree:
        """Return random variables of the network called `name`, with the collection `params`."""
        module, image = getattr(self, name), jnp.zeros((1, self.side, self.side, 3))
        if name == "mapper":
            inputs = (jnp.zeros((1, self.identity.outputs)), jnp.zeros((1, self.attributes.outputs)))
        elif name == "discriminator":
            inputs = (jnp.zeros((1, self.generator.width)),)
        else:
            inputs = (image,)
        return module.init(rng, *inputs)

    def latents(self, seed: jax.Array) -> Latents:
        """Draw the random numbers of each row: `seed` uint32 [B, 2] is the data of its key."""

        def draw(data):
            key = jax.random.wrap_key_data(data)
            keys = key, jax.random.fold_in(key, 1), jax.random.fold_in(key, 2)
            return Latents(*(jax.random.normal(each, (self.generator.latent,)) for each in keys))

        return jax.vmap(draw)(seed)

    def draw(self, variables: Variables, code: jax.Array) -> jax.Array:
        """Return the faces of codes, [B, W] -> [B, H, W, 3] in about [-1, 1]."""
        return self.generator.draw(variables["generator"], code)

    def codes(self, variables: Variables, latents: jax.Array) -> jax.Array:
        """Return the generator's own codes, [B, Z] -> [B, W]."""
        return self.generator.codes(variables["generator"], latents)

    def embed(self, variables: Variables, image: jax.Array, name: str = "identity") -> jax.Array:
        """Return identities of length 1, by the network called `name`."""
        return unit(getattr(self, name).apply(variables[name], image))

    def points(self, variables: Variables, image: jax.Array) -> jax.Array:
        """Return landmarks [B, 68, 2], (x, y) in fractions of the side."""
        found = self.landmarks.apply(variables["landmarks"], image)
        return found.reshape(-1, LANDMARKS, 2)

    def look(self, variables: Variables, image: jax.Array) -> jax.Array:
        """Return attributes [B, A]."""
        return self.attributes.apply(variables["attributes"], image)

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

    def encoder(group, outputs):
        return SmallEncoder(outputs, group.width, dtype=dtype)

    return Networks(
        generator=generator,
        identity=encoder(model.identity, model.identity.outputs),
        evaluator=encoder(model.evaluator, model.evaluator.outputs),
        landmarks=encoder(model.landmarks, 2 * LANDMARKS),
        attributes=encoder(model.attributes, model.attributes.outputs),
        mapper=Mapper(generator.width, tuple(model.mapper.widths), model.mapper.last_scale),
        discriminator=CodeDiscriminator(tuple(model.discriminator.widths)),
        side=config.image_size,
        from_mean=model.mapper.from_mean,
        whitened=model.discriminator.whitened,
    )
