"""What our networks compute for one segface golden, each array once and only when a test asks for it."""

import json
from functools import cached_property
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.losses.segmentation import cross_entropy, dice
from l2s_jax.models import backbones
from l2s_jax.models.segface import SegFace
from l2s_jax.systems.segface.convert import convert_checkpoint
from tests.helpers import rule


class Published:
    """One model of a golden pair: `HEAD-BACKBONE-SIZE`, with published weights on the image itself."""

    def __init__(self, arrays: Path, model: str):
        content = json.loads(arrays.with_suffix(".json").read_text())
        self.tag, self.entry = content["tag"], content["models"][model]
        self.prefix, _, self.size = model.rpartition("-")
        self.published, self.variables = convert_checkpoint(rule.state(self.tag, self.prefix, self.entry["state"]))

    @cached_property
    def computed(self):
        """(logits NHWC, the four maps of the backbone)."""
        module = SegFace(backbones.build(self.published.backbone), self.published.classes)
        image = rule.nhwc(rule.tensor(f"{self.tag}/{self.prefix}/image", (1, 3, int(self.size), int(self.size))))

        @jax.jit
        def run(variables, image):
            def maps(module, _):
                return module.name == "backbone"

            logits, seen = module.apply(
                variables, image, train=False, capture_intermediates=maps, mutable=["intermediates"]
            )
            return logits, seen["intermediates"]["backbone"]["__call__"][0]

        return run(self.variables, image)

    def ours(self, name, golden):
        logits, maps = self.computed
        if name == "logits":
            return rule.strided(rule.nchw(logits), golden)
        reduce = {"feature_means": jnp.mean, "feature_abs": lambda features: jnp.mean(jnp.abs(features))}[name]
        return np.stack([reduce(features) for features in maps])


class Loss:
    """The published loss terms for the logits and the target of a golden pair."""

    def __init__(self, arrays: Path):
        tag = json.loads(arrays.with_suffix(".json").read_text())["tag"]
        batch, classes, size = 2, 19, 32
        self.logits = jnp.asarray(2 * rule.nhwc(rule.tensor(f"{tag}/loss/logits", (batch, classes, size, size))))
        target = np.floor(classes * rule.tensor(f"{tag}/loss/target", (batch, size, size), "uniform"))
        self.rest = jnp.asarray(target, jnp.int32), jnp.ones(batch), lambda sums: sums

    def dice(self, logits):
        return dice(logits, *self.rest, smooth=1e-5, squared=True, present_only=False)

    def cross_entropy(self, logits):
        return cross_entropy(logits, *self.rest)

    def ours(self, name, golden):
        if name != "grad":
            return {"dice": self.dice, "cross_entropy": self.cross_entropy}[name](self.logits)
        gradient = jax.grad(lambda logits: self.dice(logits) + self.cross_entropy(logits))(self.logits)
        return rule.strided(rule.nchw(gradient), golden)
