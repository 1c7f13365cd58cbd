"""The frozen generators: codes w from random numbers, pictures from codes."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from l2s_jax.models import face_renderer
from l2s_jax.models.stylegan2 import config as stylegan2_networks
from l2s_jax.models.stylegan2.generator import Generator as GeneratorNetwork
from l2s_jax.types import PyTree

FACTORS = len(face_renderer.IDENTITY) + len(face_renderer.ATTRIBUTES)
CODES = 3
"""Folded into the state's key: the key of `statistics` of a generator that was loaded."""
_STATISTICS = 4096
"""Codes whose mean and deviation stand for those of all."""


class Generator(NamedTuple):
    """A frozen generator.

    Attributes:
      latent: length of z, which is N(0, I).
      width: length of w.
      init: rng -> its variables.
      codes: (variables, z [B, latent]) -> w float32 [B, width].
      draw: (variables, w) -> image float32 [B, H, W, 3] in about [-1, 1].
      factors: w -> the oracle's factors [B, FACTORS], identity first; None for other generators.
      compose: factors -> w, the reverse of `factors`; None for other generators.
    """

    latent: int
    width: int
    init: Callable[[jax.Array], PyTree]
    codes: Callable[[PyTree, jax.Array], jax.Array]
    draw: Callable[[PyTree, jax.Array], jax.Array]
    factors: Callable[[jax.Array], jax.Array] | None = None
    compose: Callable[[jax.Array], jax.Array] | None = None


def build(config: ConfigDict) -> Generator:
    """Build the generator that a config names.

    Raises:
      UserError: sizes for which there is no StyleGAN2.
    """
    side = config.image_size
    if config.generator.kind == "oracle":
        return oracle(config.generator.width, side)
    network = stylegan2_networks.generator(config.generator.stylegan2, side, jnp.dtype(config.precision.compute))
    return stylegan2(network, config.generator.truncation)


def oracle(width: int, side: int) -> Generator:
    """Return the generator G(w) = render(Q^T w): Q is orthogonal and random, so each number of w mixes all factors.

    Every w is a face whose factors can be read off: what they cannot tell, |w - Q Q^T w|^2, the picture does not show.
    """
    random = np.random.default_rng(0).standard_normal((width, FACTORS))
    basis = np.linalg.qr(random)[0].astype(np.float32)
    people = len(face_renderer.IDENTITY)

    def factors(code):
        return jnp.matmul(code, basis, precision="highest")

    def compose(factors):
        return jnp.matmul(factors, basis.T, precision="highest")

    def draw(variables, code):
        del variables
        found = factors(code)
        return face_renderer.render(found[:, :people], found[:, people:], side)

    return Generator(
        latent=FACTORS,
        width=width,
        init=lambda rng: {},
        codes=lambda variables, z: compose(z),
        draw=draw,
        factors=factors,
        compose=compose,
    )


def stylegan2(network: GeneratorNetwork, truncation: float) -> Generator:
    """Return a StyleGAN2 with its stored noise: one w for all layers, and all of them truncated alike or none."""
    length = network.mapping.code

    def codes(variables, z):
        code = network.apply(variables, z, method="codes")
        return network.apply(variables, code, truncation, method="truncated")

    def draw(variables, code):
        return network.apply(variables, code, method="images")

    def init(rng):
        return network.init(rng, jnp.zeros((1, length)))

    return Generator(length, length, init, codes, draw)


def statistics(generator: Generator, variables: PyTree, rng: jax.Array) -> dict[str, jax.Array]:
    """Return `mean` and `std` [W] of the codes of random z."""
    codes = generator.codes(variables, jax.random.normal(rng, (_STATISTICS, generator.latent)))
    return {"mean": jnp.mean(codes, axis=0), "std": jnp.std(codes, axis=0)}
