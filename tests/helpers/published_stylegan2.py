"""What our StyleGAN2 computes for the weights and inputs of a golden pair, array by array."""

import json
import re
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.systems.stylegan2.convert import convert_generator
from tests.helpers import rule
from tests.helpers.stylegan2_discriminator import convert_discriminator

PREFIX = "stylegan2/"
TRUNCATION, CROSSOVER, GROUP = 0.7, 4, 4


class Published:
    def __init__(self, path):
        self.content = json.loads(path.with_suffix(".json").read_text())
        self.tag, self.arrays = self.content["tag"], np.load(path)

    def ours(self, key):
        return getattr(self, key.removeprefix(PREFIX))()

    def _state(self, network, prefix):
        return rule.state(self.tag, prefix, self.content[f"stylegan2_{network}"]["state"], equalized=True)

    @cached_property
    def generator(self):
        """The network, its weights, and a jitted `apply`."""
        state = self._state("generator", "G") | {
            "latent_avg": np.zeros(self.content["stylegan2_generator"]["style_dim"])
        }
        network, variables = convert_generator({name: np.float32(tensor) for name, tensor in state.items()})
        return network, variables, jax.jit(network.apply, static_argnames=("method", "noise"))

    @cached_property
    def codes(self):
        network, variables, apply = self.generator
        rows = self.arrays["stylegan2/w"].shape[0]
        z = jnp.asarray(rule.tensor(f"{self.tag}/z", (rows, network.mapping.code)))
        return apply(variables, z, method="codes")

    @cached_property
    def images(self):
        _, variables, apply = self.generator
        return apply(variables, self.codes, method="images")

    def _stored(self, images, key):
        return rule.strided(rule.nchw(images), self.arrays[PREFIX + key])

    def w(self):
        return self.codes

    def image(self):
        return self._stored(self.images, "image")

    def image_truncated(self):
        _, variables, apply = self.generator
        variables = variables | {"buffers": variables["buffers"] | {"w_avg": self.codes.mean(axis=0)}}
        w = apply(variables, self.codes, TRUNCATION, method="truncated")
        return self._stored(apply(variables, w, method="images"), "image_truncated")

    def image_mixed(self):
        network, variables, apply = self.generator
        coarse = jnp.arange(network.synthesis.layers) < CROSSOVER
        w = jnp.where(coarse[None, :, None], self.codes[0][None, None], self.codes[1][None, None])
        return self._stored(apply(variables, w, method="images"), "image_mixed")

    def discriminator_logit(self):
        network, variables = convert_discriminator(self._state("discriminator", "D"))
        images = jnp.clip(self.images, -1, 1)
        group = min(GROUP, len(images))
        # The published groups are rows n, n + B / group ...: of the batch in this order they are consecutive.
        order = np.arange(len(images)).reshape(group, -1).T.reshape(-1)
        # The terms of the logit cancel to a sixtieth of their size, so that two orders of a sum in float32 differ by as
        # much as the tolerance (the golden itself by half of it): ours is computed in float64.
        with jax.enable_x64(True):
            logits = jax.jit(network.clone(group=group, dtype=jnp.float64).apply)(variables, images[order])
        return logits[np.argsort(order)][:, None]


def keys(path):
    return [key for key in np.load(path).files if re.match(PREFIX, key)]
