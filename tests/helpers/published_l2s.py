"""What our networks compute for one latents2segments golden, each array once and only when a test asks for it."""

import json
import re
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from l2s_jax.layers.slices import masked_codes, slice_masks
from l2s_jax.systems.latents2segments.convert import RULES, convert_network
from l2s_jax.systems.latents2segments.published_sizes import input_size
from tests.helpers import rule


class Published:
    """One golden pair; sizes come from its shapes, names from its json."""

    def __init__(self, arrays: Path):
        self.content = json.loads(arrays.with_suffix(".json").read_text())
        self.arrays = np.load(arrays)
        self.tag = self.content["tag"]
        self.slices = tuple(map(tuple, self.content["region_slices"]))
        self.networks = {}

    def ours(self, key):
        """Our NCHW value of the entry `key`, at the shape in which the golden stores it."""
        for pattern, compute in self._entries.items():
            if match := re.fullmatch(pattern, key):
                return compute(self, *match.groups())
        raise KeyError(f"no check for the golden entry '{key}'")

    def network(self, prefix):
        """(module, variables) of the published network stored as `prefix`."""
        if prefix not in self.networks:
            kind = "D" if re.fullmatch(r"D\d+", prefix) else prefix
            weights = rule.state(self.tag, prefix, self.content["state"][prefix], equalized=True)
            self.networks[prefix] = convert_network(kind, weights)
        return self.networks[prefix]

    def image(self, name, size):
        return jnp.asarray(rule.image(f"{self.tag}/{name}", (self.batch, 3, size, size)))

    @property
    def batch(self):
        return self.arrays["structure_code"].shape[0]

    @property
    def size(self):
        return self.arrays["structure_code"].shape[-1] * 2 ** self.network("E")[0].downsamplings

    @cached_property
    def noise(self):
        planes = {}
        for name, shape in self.content["state"]["noise"]:
            path = next(path for r in RULES["G"] if (path := r.path(f"{name}.weight")))
            layer = path.removeprefix("params/").removesuffix("/noise_strength")
            planes[layer] = jnp.asarray(rule.nhwc(rule.tensor(f"{self.tag}/noise.{name}", shape)))
        return planes

    @cached_property
    def codes(self):
        encoder, variables = self.network("E")
        return jax.jit(encoder.apply)(variables, self.image("image", self.size))

    @cached_property
    def decodes(self):
        """NCHW [B, 2 + K, 3, H, W]: the full code, the partner's code, every slice alone."""
        structure, style = self.codes
        generator, variables = self.network("G")
        whole = jnp.stack([structure, structure[::-1]], axis=1)
        codes = jnp.concatenate([whole, masked_codes(structure, self.slices)], axis=1)
        return rule.nchw(jax.jit(generator.clone(lowering="direct").apply)(variables, codes, style, self.noise))

    def target(self, region):
        return self.image(f"roi{region}", self.size)

    def l1_regions(self):
        targets = [rule.nchw(self.target(i)) for i in range(len(self.slices))]
        errors = [np.mean(np.abs(self.decodes[:, 2 + i] - target)) for i, target in enumerate(targets)]
        return np.mean(errors)

    @cached_property
    def decoder_gradients(self):
        """d l1_regions / d (structure, style, G variables), one region at a time to hold one region's activations."""
        generator, variables = self.network("G")
        noise, masks = self.noise, jnp.asarray(slice_masks(self.slices, self.codes[0].shape[-1]), jnp.float32)

        def loss(structure, style, variables, mask, target):
            decoded = generator.apply(variables, structure * mask[None, None, None], style, noise)
            return jnp.mean(jnp.abs(decoded - target)) / len(self.slices)

        gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
        parts = [gradient(*self.codes, variables, mask, self.target(i)) for i, mask in enumerate(masks)]
        return jax.tree.map(lambda *leaves: np.sum([np.asarray(leaf) for leaf in leaves], axis=0), *parts)

    @cached_property
    def gradients(self):
        """d l1_regions / d variables of each network, in every lowering of E.

        The loss has kinks (leaky ReLU). Of a million activations of E's first layers one or two lie within rounding of
        0, and the side on which such a one falls changes the gradient of those layers by more than the tolerance. The
        lowerings round differently, so each is a gradient of the published function; the golden must equal one.
        """
        encoder, variables = self.network("E")
        image = self.image("image", self.size)
        structure, style, decoder = self.decoder_gradients

        def pulled_back(lowering):
            loss = encoder.clone(lowering=lowering).apply
            return jax.jit(lambda v: jax.vjp(lambda v: loss(v, image), v)[1]((structure, style))[0])(variables)

        return {"E": [pulled_back("direct"), pulled_back("folded")], "G": [decoder]}

    def closest(self, key, candidates):
        return min(candidates, key=lambda ours: rule.relative_error(ours, self.arrays[key]))

    def gradient_norm(self, prefix):
        norms = [np.linalg.norm([np.linalg.norm(leaf) for leaf in jax.tree.leaves(g)]) for g in self.gradients[prefix]]
        return self.closest(f"grad_norm_{prefix}", norms)

    def convolution_gradient(self, prefix, layer):
        """OIHW gradient of the published tensor `LAYER.Conv.weight`."""
        path = next(path for r in RULES[prefix] if (path := r.path(f"{layer}.Conv.weight")))
        gradients = [flatten_dict(gradient, sep="/")[path] for gradient in self.gradients[prefix]]
        return self.closest(f"grad_{prefix}_{layer}", [gradient.transpose(3, 2, 0, 1) for gradient in gradients])

    def judged(self, prefix):
        module, variables = self.network(prefix)
        size = int(prefix[1:])
        return module, variables, self.image("image" if size == self.size else f"image{size}", size)

    def logit(self, prefix):
        module, variables, image = self.judged(prefix)
        return jax.jit(module.apply)(variables, image)[:, None]

    def r1(self, prefix):
        module, variables, image = self.judged(prefix)
        folded = module.clone(lowering="folded")
        gradient = jax.jit(jax.grad(lambda x: jnp.sum(folded.apply(variables, x))))(image)
        return jnp.sum(gradient**2, axis=(1, 2, 3))

    @cached_property
    def patch_features(self):
        """Features of both sets of crops, [B, P, h, w, C]."""
        module, variables = self.network("Dpatch")
        size = input_size("Dpatch", {name: shape for name, shape, _ in self.content["state"]["Dpatch"]})
        shape = (self.batch, self.arrays["patch_logit"].shape[0] // self.batch, 3, size, size)
        features = jax.jit(lambda crops: module.apply(variables, crops, method="features"))
        return [features(jnp.asarray(rule.image(f"{self.tag}/crops_{name}", shape))) for name in "ab"]

    def patch_logit(self):
        module, variables = self.network("Dpatch")
        return module.apply(variables, *self.patch_features, method="pair").reshape(-1, 1)

    def stored(self, key, row):
        return rule.strided(self.decodes[:, row], self.arrays[key])

    _entries = {  # noqa: RUF012 (a constant table)
        r"structure_code": lambda self: rule.nchw(self.codes[0]),
        r"style_code": lambda self: self.codes[1],
        r"reconstruction": lambda self: self.stored("reconstruction", 0),
        r"swap": lambda self: self.stored("swap", 1),
        r"roi_decode_(\d+)": lambda self, i: self.stored(f"roi_decode_{i}", 2 + int(i)),
        r"l1_regions": l1_regions,
        r"grad_norm_([EG])": gradient_norm,
        r"grad_([EG])_(.+)": convolution_gradient,
        r"(D\d+)_logit": logit,
        r"(D\d+)_r1": r1,
        r"patch_features_mean": lambda self: rule.nchw(jnp.mean(self.patch_features[0], axis=1)),
        r"patch_logit": patch_logit,
    }
