"""Do codes that learnt without a mask loss know where the parts are? A small head on frozen codes, on unseen faces.

    python experiments/frozen_codes.py --model WORKDIR [--steps 300] [--faces 1000] [--seed 0] [--json FILE]

The paper's claim is that segmentation falls out of a generative model's sliced code. WORKDIR is a trained
Latents2Segments whose only losses were reconstructions of the image and of its regions, such as

    l2s train --config demo --workdir runs/unmasked --config.loss.cross_entropy=0 --config.loss.dice=0
        --config.loss.light=0 --config.loss.region=3

(or any other, for comparison). Its encoder stays as it is. The head is one 3x3 convolution of 32 channels on the code,
all slices side by side, and one to the logits of the 4x4 pixels of a cell: cross entropy and Dice, Adam. Printed: F1 of
the head, and of the same head on the codes of the encoder with random weights; those of the model's own ways of
segmenting are in its metrics.json.
"""

import argparse
import json
import sys
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from input_pipeline.datasets import open_source
from input_pipeline.errors import script
from input_pipeline.loading.train import eval_batches
from input_pipeline.selection import Subset
from l2s_jax.inference.model import Model, load_model
from l2s_jax.layers.resample import depth_to_space
from l2s_jax.losses import segmentation as losses
from l2s_jax.metrics import segmentation
from l2s_jax.types import GLOBAL_VIEW, unpacked

BATCH = 20


class Head(nn.Module):
    """Two convolutions from a code [B, K, h, w, C] to the logits of all classes, float32 [B, factor h, factor w, K]."""

    classes: int
    factor: int

    @nn.compact
    def __call__(self, structure: jax.Array) -> jax.Array:
        b, k, h, w, c = structure.shape
        x = jnp.moveaxis(structure, 1, 3).reshape(b, h, w, k * c)
        x = nn.silu(nn.Conv(32, (3, 3))(x))
        return depth_to_space(nn.Conv(self.factor**2 * self.classes, (3, 3))(x), self.factor)


def encoded(model: Model, variables, spec: str, faces: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the structure codes and masks of a data set."""
    rule, size = model.meta.preprocessing.rule, model.config.image_size
    source = open_source(spec, root=model.config.data.root, size=size)
    if faces is not None and faces < len(source):
        source = Subset(source, 0, faces)
    encode, codes, masks = jax.jit(model.system.codec.encode), [], []
    data = {"label_set": model.system.label_set, "image_size": size, "batch_size": BATCH, "resize": rule}
    for batch in (unpacked(each) for each, _ in eval_batches(source, **data)):
        rows = batch["weight"] > 0
        codes.append(np.asarray(encode(variables, batch["image"]).structure)[rows])
        masks.append(batch["mask"][rows])
    return np.concatenate(codes), np.concatenate(masks)


def head_confusion(train, test, classes: int, steps: int, seed: int) -> np.ndarray:
    """Train a head on (codes, masks) and return its confusion matrix on others, int64 [classes, classes]."""
    codes, masks = train
    head = Head(classes, masks.shape[1] // codes.shape[3])
    params = jax.jit(head.init)(jax.random.key(seed), codes[:1])
    tx = optax.adam(optax.cosine_decay_schedule(1e-2, steps))
    weight = jnp.ones(BATCH)

    @jax.jit
    def step(params, moments, structure, mask):
        def loss(params):
            logits = head.apply(params, structure)
            terms = (term(logits, mask, weight, GLOBAL_VIEW.psum) for term in (losses.cross_entropy, losses.dice))
            return sum(terms)

        updates, moments = tx.update(jax.grad(loss)(params), moments, params)
        return optax.apply_updates(params, updates), moments

    moments, rng = tx.init(params), np.random.default_rng(seed)
    for _ in range(steps):
        rows = rng.choice(len(codes), BATCH, replace=False)
        params, moments = step(params, moments, codes[rows], masks[rows])
    label = jax.jit(lambda x: jnp.argmax(head.apply(params, x), axis=-1))
    counts = np.zeros((classes, classes), np.int64)
    for start in range(0, len(test[0]), BATCH):
        found = np.asarray(label(test[0][start : start + BATCH]))
        counts += segmentation.confusion_on_host(found, test[1][start : start + BATCH], classes)
    return counts


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a workdir or exported model of latents2segments")
    parser.add_argument("--steps", type=int, default=300, help="batches of 20 for the head (default 300)")
    parser.add_argument("--faces", type=int, default=1000, help="training faces of the head (default 1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the scores here")
    args = parser.parse_args()
    model = load_model(args.model)
    names, data = model.system.label_set.names, model.config.data
    fresh = model.system.variables(jax.jit(model.system.init)(jax.random.key(args.seed)))
    found = {}
    for name, variables in (("frozen codes", model.variables), ("random encoder", fresh)):
        sets = (encoded(model, variables, spec, n) for spec, n in ((data.train, args.faces), (data.test, None)))
        found[name] = segmentation.scores(head_confusion(*sets, len(names), args.steps, args.seed), names)
    for name, scores in found.items():
        each = ", ".join(f"{part} {score['f1']:.3f}" for part, score in scores["per_class"].items())
        print(f"head on {name}: mean F1 {scores['mean_f1']:.3f}  ({each})")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    sys.exit(main())
