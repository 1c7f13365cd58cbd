"""ArcFace against float64 NumPy: values, gradients by differences, and what no clamp hides."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.losses.margin import arcface
from l2s_jax.types import GLOBAL_VIEW

PSUM = GLOBAL_VIEW.psum
SCALE, MARGIN = 8.0, 0.5
ROWS, PEOPLE, LENGTH = 6, 5, 4


@pytest.fixture(scope="module")
def rows():
    """Embeddings, centres, persons; row 0 looks away from its person, so that its angle and the margin exceed pi."""
    rng = np.random.default_rng(0)
    embedding, centres = rng.normal(size=(ROWS, LENGTH)), rng.normal(size=(PEOPLE, LENGTH))
    identity = np.array([0, 1, 2, 3, 4, 1], np.int32)
    embedding[0] = -2 * centres[0] + 0.1 * rng.normal(size=LENGTH)
    embedding[1] = centres[1] + 0.1 * rng.normal(size=LENGTH)
    return embedding, centres, identity


def by_angles(embedding, centres, identity, margin, guard, scale=SCALE):
    """The paper's equation, with real angles."""
    embedding, centres = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (embedding, centres))
    logits = embedding @ centres.T
    for row, person in enumerate(identity):
        angle = np.arccos(logits[row, person])
        past = angle + margin > np.pi
        linear = logits[row, person] - margin * np.sin(margin)
        logits[row, person] = linear if past and guard == "linear" else np.cos(angle + margin)
    logits *= scale
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(identity)), identity]


@pytest.fixture(scope="module")
def compiled():
    """(guard, embedding, centres, identity, weight) -> (Margin, gradients of the loss in both)."""

    def run(guard, embedding, centres, identity, weight):
        def loss(embedding, centres):
            seen = arcface(embedding, centres, identity, weight, PSUM, scale=SCALE, margin=MARGIN, guard=guard)
            return seen.loss, seen

        (_, seen), gradients = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(embedding, centres)
        return seen, gradients

    functions = {guard: jax.jit(partial(run, guard)) for guard in ("linear", "none")}
    return lambda guard, embedding, centres, *rest: functions[guard](
        jnp.float32(embedding), jnp.float32(centres), *rest
    )


@pytest.mark.parametrize("guard", ["linear", "none"])
def test_value_and_gradients(rows, compiled, guard):
    embedding, centres, identity = rows
    weight = np.array([1, 1, 1, 1, 1, 0], np.float32)
    seen, gradients = compiled(guard, embedding, centres, identity, weight)

    def reference(embedding, centres):
        return by_angles(embedding, centres, identity, MARGIN, guard)[:5].mean()

    np.testing.assert_allclose(seen.loss, reference(embedding, centres), rtol=1e-5)
    for which, found in enumerate(gradients):
        expected = np.zeros(found.shape)
        for place in np.ndindex(found.shape):
            ends = []
            for sign in (1, -1):
                moved = [embedding.copy(), centres.copy()]
                moved[which][place] += sign * 1e-6
                ends.append(reference(*moved))
            expected[place] = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(found, expected, atol=2e-5)


def test_the_guard_only_counts_beyond_pi(rows, compiled):
    only = np.eye(ROWS, dtype=np.float32)
    values = [[compiled(guard, *rows, weight)[0].loss for weight in only[:2]] for guard in ("linear", "none")]
    assert abs(values[0][0] - values[1][0]) > 0.1
    assert values[0][1] == values[1][1]


def test_what_it_saw_knows_no_margin(rows, compiled):
    embedding, centres, identity = rows
    seen, _ = compiled("linear", *rows, np.ones(ROWS, np.float32))
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (embedding, centres)]
    cosine = unit[0] @ unit[1].T
    np.testing.assert_allclose(seen.accuracy, np.mean(cosine.argmax(axis=1) == identity), rtol=1e-6)
    np.testing.assert_allclose(seen.cosine, cosine[np.arange(ROWS), identity].mean(), rtol=1e-5)


def test_a_face_on_its_centre_has_a_finite_gradient(rows, compiled):
    _, centres, identity = rows
    _, gradients = compiled("linear", centres[identity], centres, identity, np.ones(ROWS, np.float32))
    assert all(np.isfinite(gradient).all() for gradient in gradients)


def test_a_person_beyond_the_centres_is_no_other_person(rows, compiled):
    embedding, centres, identity = rows
    stranger = identity.copy()
    stranger[3] = PEOPLE
    assert np.isnan(compiled("linear", embedding, centres, stranger, np.ones(ROWS, np.float32))[0].loss)


def test_two_devices_agree(rows, on_two_devices):
    embedding, centres, identity = rows
    weight = np.array([1, 0, 1, 1, 1, 1], np.float32)

    def loss(centres, embedding, identity, weight, psum):
        seen = arcface(embedding, centres, identity, weight, psum, scale=SCALE, margin=MARGIN, guard="none")
        return seen.loss

    arrays = jnp.float32(centres), jnp.float32(embedding), identity, weight
    expected = jax.jit(jax.value_and_grad(lambda *arrays: loss(*arrays, PSUM)))(*arrays)
    found = on_two_devices(loss, *arrays)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, expected)
