"""Latents2Segments learns something, and all its adversarial steps run in float32 and bfloat16."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from systems import tiny_l2s

from input_pipeline import datasets
from input_pipeline.images.augment import Augment
from input_pipeline.loading import train as loader
from l2s_jax import evaluation, systems
from l2s_jax.types import WHOLE_BATCH

STEPS = 60


def majority_f1(train, held_out, label_set):
    """Mean F1 of the best answer that looks at no picture: every pixel's commonest class in the training masks."""
    counts = np.stack([(train == k).sum(0) for k in range(len(label_set))])
    said = np.broadcast_to(counts.argmax(0), held_out.shape)
    f1 = [
        2 * ((said == k) & (held_out == k)).sum() / max(1, (said == k).sum() + (held_out == k).sum())
        for k in range(1, len(label_set))
    ]
    return float(np.mean(f1))


def test_a_few_dozen_steps_learn_to_parse_held_out_faces():
    config = tiny_l2s.quiet(
        optim__encoder__warmup_steps=5,
        optim__encoder__learning_rate=1e-2,
        optim__ema=0.0,
        loss__independence=0.0,
        loss__consensus__weight=0.0,
        train__steps=STEPS,
    )
    system = systems.build(config)
    faces, unseen = (datasets.open_source(spec, size=32) for spec in ("synthetic:64", "synthetic:32?val"))
    options = {"label_set": system.label_set, "image_size": 32, "batch_size": 16}
    state = jax.jit(system.init)(jax.random.key(0))
    step = jax.jit(functools.partial(system.steps["autoencode"], axis=WHOLE_BATCH))
    losses, masks = [], []
    with loader.train_batches(faces, **options, seed=0, augment=Augment.none(), cache=True) as batches:
        for batch, number in zip(batches, range(STEPS), strict=False):
            state, metrics = step(state, batch)
            state = state.replace(step=state.step + 1)
            losses.append(float(metrics["loss"]))
            masks += [batch["mask"]] if number < 4 else []  # one epoch
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:10])
    held_out = np.concatenate([batch["mask"] for batch, _ in loader.eval_batches(unseen, **options)])
    baseline = majority_f1(np.concatenate(masks), held_out, system.label_set)
    score = evaluation.score(system, system.variables(state), unseen, image_size=32, batch_size=16, seed=0)
    assert score["segmentation.mean_f1"] > baseline + 0.05


TRAINED = {
    "autoencode": {"encoder", "generator", "presence"},
    "discriminate": {"discriminator", "patch"},
    "r1": {"discriminator", "patch"},
}
"""Networks that each step changes."""


def three_steps(precision, state):
    """{step: (state before, state after, metrics)} of one batch for the discriminators, R1 and the autoencoder."""
    # The smallest that has every part: a quarter of the pixels of other tests.
    system = systems.build(small(precision__compute=precision))
    batch, seen = tiny_l2s.faces(2), {}
    batch = {name: x[:, ::2, ::2] if x.ndim > 1 else x for name, x in batch.items()}
    for name in ("discriminate", "r1", "autoencode"):
        before = state
        state, metrics = jax.jit(functools.partial(system.steps[name], axis=WHOLE_BATCH))(before, batch)
        seen[name] = before, state, metrics
    assert {name for number in range(2) for name in system.schedule(number)} == seen.keys()
    return seen


def small(**changes):
    return tiny_l2s.config(image_size=16, loss__consensus__weight=0.0, **changes)


@pytest.fixture(scope="module")
def both():
    state = jax.jit(systems.build(small()).init)(jax.random.key(0))
    return {precision: three_steps(precision, state) for precision in ("float32", "bfloat16")}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", TRAINED)
def test_every_step_changes_its_networks_and_no_others(both, name, precision):
    before, after, metrics = both[precision][name]
    assert all(np.isfinite(value) for value in metrics.values())
    assert all(jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves((after.params, after.opt_state)))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(after.params))
    moved = {n for n in after.params if tiny_l2s.difference(before.params[n], after.params[n]) > 0}
    assert moved == TRAINED[name]


@pytest.mark.parametrize("name", TRAINED)
def test_bfloat16_computes_about_what_float32_does(both, name):
    """bfloat16 keeps 8 bits, 0.4 % a rounding; ten layers and, in R1, squared gradients add up to a few percent."""
    _, _, exact = both["float32"][name]
    _, _, rounded = both["bfloat16"][name]
    assert exact.keys() == rounded.keys()
    for key, value in exact.items():
        np.testing.assert_allclose(rounded[key], value, rtol=0.1, atol=0.01, err_msg=key)
    assert any(rounded[key] != value for key, value in exact.items())  # it is another arithmetic
