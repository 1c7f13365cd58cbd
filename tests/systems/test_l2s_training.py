"""Latents2Segments learns something, and all its adversarial steps run in float32 and bfloat16."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from input_pipeline import labels
from l2s_jax import systems
from l2s_jax.types import WHOLE_BATCH
from tests.helpers import tiny_l2s

STEPS = 40


def painted(count, seed):
    """Faces of blocks whose regions are told by their colours, under noise, and by nothing else."""
    batch, rng = tiny_l2s.faces(count, seed), np.random.default_rng(seed)
    colours = labels.L2S_REGIONS.palette[batch["mask"]].astype(np.float32) / 127.5 - 1
    return batch | {"image": np.clip(colours + rng.normal(0, 0.1, colours.shape), -1, 1).astype(np.float32)}


def mean_f1(said, truth, classes):
    """Of all classes but the background."""
    hits = [((said == k) & (truth == k)).sum() for k in range(1, classes)]
    size = [(said == k).sum() + (truth == k).sum() for k in range(1, classes)]
    return float(np.mean(2 * np.array(hits) / size))


def test_a_few_dozen_steps_learn_to_parse_held_out_faces():
    """Better than an answer that looks at no picture: the commonest class of each pixel over the training masks."""
    config = tiny_l2s.quiet(
        optim__encoder__warmup_steps=5,
        optim__encoder__learning_rate=1e-2,
        optim__ema=0.0,
        loss__independence=0.0,
        loss__consensus__weight=0.0,
        train__steps=STEPS,
    )
    system = systems.build(config)
    classes = len(system.label_set)
    state = jax.jit(system.init)(jax.random.key(0))
    step = jax.jit(functools.partial(system.steps["autoencode"], axis=WHOLE_BATCH))
    history, masks = [], []
    for number in range(STEPS):
        batch = painted(8, seed=number)
        state, metrics = step(state, batch)
        state = state.replace(step=state.step + 1)
        history.append({name: float(value) for name, value in metrics.items()})
        masks.append(batch["mask"])
    for name in ("loss", "cross_entropy", "image"):
        first, last = (np.mean([line[name] for line in part]) for part in (history[:10], history[-10:]))
        assert last < 0.8 * first, name
    unseen, seen = painted(16, seed=STEPS), np.concatenate(masks)
    commonest = np.argmax([(seen == k).sum(0) for k in range(classes)], axis=0)
    baseline = mean_f1(np.broadcast_to(commonest, unseen["mask"].shape), unseen["mask"], classes)
    said = jax.jit(system.predict)(system.variables(state), unseen["image"]).labels
    assert mean_f1(np.asarray(said), unseen["mask"], classes) > 2 * baseline
    assert 0.1 < baseline < 0.3  # six classes that lie anywhere


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
    # Two faces correlate by 1 or -1, but where they differ by less than epsilon, and rounding makes differences larger.
    wide = {"independence": 0.3}
    for key, value in exact.items():
        np.testing.assert_allclose(rounded[key], value, rtol=wide.get(key, 0.1), atol=0.01, err_msg=key)
    assert any(rounded[key] != value for key, value in exact.items())  # it is another arithmetic
