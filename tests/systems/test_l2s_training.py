"""Latents2Segments learns something."""

import jax
import numpy as np

from input_pipeline import labels
from l2s_jax import systems
from tests.helpers import tiny_l2s
from tests.helpers.steps import compiled

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
        **{f"optim__{n}__warmup_steps": 5 for n in ("encoder", "generator")},
        **{f"optim__{n}__learning_rate": 1e-2 for n in ("encoder", "generator")},
        optim__ema=0.0,
        loss__independence=0.0,
        loss__consensus__weight=0.0,
        train__steps=STEPS,
    )
    system = systems.build(config)
    classes = len(system.label_set)
    state = jax.jit(system.init)(jax.random.key(0))
    step = compiled(system.steps["autoencode"])
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
