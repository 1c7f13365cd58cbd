import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from l2s_jax.losses.segmentation import cross_entropy, dice

CLASSES = 4


def same(tree):
    return tree


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(4, 6, 5, CLASSES)).astype(np.float32)
    mask = rng.integers(0, CLASSES - 1, (4, 6, 5)).astype(np.int32)  # the last class is absent
    mask[rng.random(mask.shape) < 0.2] = 255
    return logits, mask, np.array([1, 1, 0, 1], np.float32)


def cross_entropy_by_hand(logits, mask, weight, class_weights, smoothing):
    above = below = 0.0
    for b, y, x in np.ndindex(mask.shape):
        label = mask[b, y, x]
        if label == 255:
            continue
        scores = logits[b, y, x].astype(np.float64)
        log_p = scores - np.log(np.exp(scores).sum())
        target = np.full(CLASSES, smoothing / CLASSES)
        target[label] += 1 - smoothing
        above -= weight[b] * (class_weights * target * log_p).sum()
        below += weight[b] * class_weights[label]
    return above / below


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("class_weights", [(1.0, 1.0, 1.0, 1.0), (0.5, 2.0, 1.0, 3.0)])
def test_cross_entropy_by_hand(batch, smoothing, class_weights):
    value = cross_entropy(*batch, same, class_weights=jnp.array(class_weights), label_smoothing=smoothing)
    np.testing.assert_allclose(value, cross_entropy_by_hand(*batch, np.array(class_weights), smoothing), rtol=1e-5)


def test_uniform_logits_cost_log_of_classes(batch):
    _, mask, weight = batch
    value = cross_entropy(jnp.zeros((*mask.shape, CLASSES)), mask, weight, same)
    np.testing.assert_allclose(value, np.log(CLASSES), rtol=1e-6)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("present_only", [False, True])
def test_dice_by_hand(batch, squared, present_only):
    logits, mask, weight = batch
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(-1, keepdims=True)
    valid = (mask != 255) * weight[:, None, None]
    losses = []
    for k in range(CLASSES):
        truth = valid * (mask == k)
        size = (valid * p[..., k] ** (2 if squared else 1)).sum() + truth.sum()
        if truth.sum() or not present_only:
            losses.append(1 - (2 * (truth * p[..., k]).sum() + 0.5) / (size + 0.5))
    value = dice(logits, mask, weight, same, smooth=0.5, squared=squared, present_only=present_only)
    assert len(losses) == (CLASSES - 1 if present_only else CLASSES)
    np.testing.assert_allclose(value, np.mean(losses), rtol=1e-5)


@pytest.mark.parametrize("loss", [cross_entropy, dice])
def test_perfect_logits_cost_nothing_and_wrong_ones_much(batch, loss):
    _, mask, weight = batch
    truth = 40.0 * jax.nn.one_hot(mask, CLASSES)
    assert loss(truth, mask, weight, same) < 1e-6
    assert loss(jnp.roll(truth, 1, axis=-1), mask, weight, same) > 0.9


@pytest.mark.parametrize("loss", [cross_entropy, dice])
def test_weight_zero_is_dropping(batch, loss):
    kept = batch[2] > 0
    np.testing.assert_allclose(loss(*batch, same), loss(*(x[kept] for x in batch), same), rtol=1e-6)


@pytest.mark.parametrize("loss", [cross_entropy, dice])
def test_ignored_pixels_are_removed(batch, loss):
    logits, mask, _ = batch
    kept = mask != 255
    pixels = (logits[kept][None, None], mask[kept][None, None], jnp.ones(1))
    np.testing.assert_allclose(loss(logits, mask, jnp.ones(4), same), loss(*pixels, same), rtol=1e-6)


@pytest.mark.parametrize("loss", [cross_entropy, dice])
def test_nothing_valid_is_zero_with_zero_gradient(batch, loss):
    logits, mask, weight = batch
    learn = jax.jit(jax.value_and_grad(loss), static_argnums=3)
    value, gradient = learn(logits, np.full_like(mask, 255), weight, same)
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("loss", [cross_entropy, dice])
def test_gradients(batch, loss):
    logits, mask, weight = batch
    function = jax.jit(lambda x: loss(x, mask, weight, same))
    check_grads(function, (logits,), order=1, modes=["rev"], eps=1e-2, atol=2e-4, rtol=1e-2)


@pytest.mark.parametrize("loss", [cross_entropy, dice])
def test_two_devices_agree_with_one(batch, loss, on_two_devices):
    def scaled(scale, logits, mask, weight, psum):
        return loss(scale * logits, mask, weight, psum)

    value, gradient = jax.jit(jax.value_and_grad(scaled), static_argnums=4)(1.3, *batch, same)
    split_value, split_gradient = on_two_devices(scaled, 1.3, *batch)
    np.testing.assert_allclose(split_value, value, rtol=1e-6)
    np.testing.assert_allclose(split_gradient, gradient, rtol=1e-5)


@pytest.mark.parametrize("loss", [cross_entropy, dice])
def test_bfloat16_logits_are_computed_in_float32(batch, loss):
    logits = jnp.asarray(batch[0], jnp.bfloat16)
    value = loss(logits, *batch[1:], same)
    assert value.dtype == jnp.float32
    np.testing.assert_allclose(value, loss(logits.astype(jnp.float32), *batch[1:], same), rtol=1e-6)
