import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from l2s_jax.losses.blob_sums import blob_sums
from l2s_jax.losses.consensus import consensus, published_consensus
from l2s_jax.losses.segmentation import cross_entropy

CLASSES, BLOBS = 3, 5
OPTIONS = {"max_blobs": BLOBS, "alpha": 10.0, "beta": 5.0}
WAYS = ("segment", "matmul")


def same(tree):
    return tree


def run(loss, **options):
    """Compiled (logits, mask, blobs, weight) -> (value, gradient)."""
    options = OPTIONS | options
    return jax.jit(jax.value_and_grad(lambda x, m, b, w: loss(x, m, b, w, same, **options)))


@functools.cache
def shared(loss, way="segment"):
    return run(loss, summation=way)


@pytest.fixture(scope="module")
def batch():
    """Four images of stripes, each with its own blobs; blob 3 is a single pixel, blob 4 nowhere; image 2 is padding."""
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(4, 6, 5, CLASSES)).astype(np.float32)
    blobs = np.arange(4)[:, None, None] + np.arange(6)[None, :, None] // 2 + np.zeros((1, 1, 5), int)
    blobs = (blobs % 3).astype(np.int32)
    mask = ((blobs + 1) % CLASSES).astype(np.int32)
    blobs[:, 0, 0], mask[:, 0, 0] = 3, 0
    mask[0, 5, 4], blobs[1, 5, 3] = 255, -1
    blobs[3, 0, 1] = BLOBS  # one too many
    return logits, mask, blobs, np.array([1, 1, 0, 1], np.float32)


def log_softmax(logits):
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def terms_by_hand(logits, mask, blobs, image):
    """[(size, label term, consensus)] of the blobs of an image, in float64 and by the definition of KL."""
    result = []
    for s in range(BLOBS):
        inside = (blobs[image] == s) & (mask[image] != 255)
        if inside.any():
            log_p = log_softmax(logits[image][inside])
            q = np.exp(log_p).mean(axis=0)
            truth = np.bincount(mask[image][inside], minlength=CLASSES) / inside.sum()
            divergence = np.mean(np.sum(q * (np.log(q) - log_p), axis=1))
            result.append((inside.sum(), -np.sum(truth * np.log(q)), divergence))
    return result


def clean_by_hand(logits, mask, blobs, weight, min_pixels=1, power=0.0):
    images = []
    for image in np.flatnonzero(weight):
        terms = [(n**power, 10 * a + 5 * d) for n, a, d in terms_by_hand(logits, mask, blobs, image) if n >= min_pixels]
        images.append(sum(w * x for w, x in terms) / sum(w for w, _ in terms))
    return np.mean(images)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("min_pixels", "power"), [(1, 0.0), (2, 0.0), (1, 0.5), (2, 1.0)])
def test_clean_by_hand(batch, way, min_pixels, power):
    value, _ = run(consensus, min_pixels=min_pixels, size_power=power, summation=way)(*batch)
    np.testing.assert_allclose(value, clean_by_hand(*batch, min_pixels, power), rtol=1e-5)


@pytest.mark.parametrize("reduce", ["idx", "all"])
def test_published_ids_of_images_by_hand(batch, reduce):
    """Ids that are not shared, with a term for each (image, blob); the goldens check shared ones."""
    logits, mask, blobs, weight = batch
    pixels, images, costs = mask[0].size, 3, []
    for image in np.flatnonzero(weight):
        for n, label, divergence in terms_by_hand(logits, mask, blobs, image):
            f = n / pixels
            spread = divergence / CLASSES if reduce == "idx" else n * f * (divergence + np.log(f)) / (images * pixels)
            costs.append(10 * (label - (reduce == "all") * np.log(f)) / images + 5 * spread)
    value, _ = run(published_consensus, shared_ids=False, reduce=reduce)(*batch)
    np.testing.assert_allclose(value, np.mean(costs), rtol=1e-5)


def test_ids_that_no_two_images_share_may_be_shared(batch):
    """Published components: ids that count on through the batch give what ids of each image give."""
    logits, mask, blobs, weight = batch
    inside = (blobs >= 0) & (blobs < BLOBS)
    counting_on = np.where(inside, blobs + BLOBS * np.arange(4).reshape(4, 1, 1), -1)
    value, gradient = run(published_consensus, max_blobs=4 * BLOBS)(logits, mask, counting_on, weight)
    expected, expected_gradient = run(published_consensus, shared_ids=False)(*batch)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", [consensus, published_consensus])
def test_both_summations_agree(batch, loss):
    for ours, theirs in zip(*(shared(loss, way)(*batch) for way in WAYS), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    for ours, theirs in zip(run(loss)(*batch), shared(loss)(*batch), strict=True):
        np.testing.assert_array_equal(ours, theirs)  # what `auto` is on this CPU


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("loss", "reduce"), [(consensus, {}), *((published_consensus, {"reduce": r}) for r in ("idx", "all"))]
)
def test_gradients(batch, loss, reduce, way):
    logits, *rest = batch
    function = jax.jit(lambda x: loss(x, *rest, same, **OPTIONS, **reduce, summation=way))
    check_grads(function, (logits,), order=1, modes=["rev"], eps=1e-2, atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize("way", WAYS)
def test_gradient_of_the_closed_form_is_that_of_autodiff(batch, way):
    """The hand-written way back, against plain differentiation of plain sums."""
    logits, mask, blobs, _ = batch
    towards = np.random.default_rng(1).normal(size=(2, 4, BLOBS, CLASSES)).astype(np.float32)
    inside = jax.nn.one_hot(np.where((mask == 255) | (blobs >= BLOBS), -1, blobs), BLOBS)

    def ours(x):
        sums = blob_sums(x, mask, blobs, BLOBS, way)
        return jnp.sum(towards[0] * sums.probability + towards[1] * sums.log_probability)

    def plain(x):
        parts = jax.nn.softmax(x), jax.nn.log_softmax(x)
        return sum(jnp.sum(t * jnp.einsum("bhws,bhwk->bsk", inside, v)) for t, v in zip(towards, parts, strict=True))

    np.testing.assert_allclose(jax.jit(jax.grad(ours))(logits), jax.jit(jax.grad(plain))(logits), rtol=1e-4, atol=1e-5)


def repeated(arrays, times):
    return [np.concatenate([x] * times) for x in arrays]


@pytest.mark.parametrize("times", [2, 3])
def test_repeating_the_batch_changes_nothing_but_the_published_balance(batch, times):
    value, gradient = shared(consensus)(*repeated(batch, times))
    expected, expected_gradient = shared(consensus)(*batch)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(times * gradient[:4], expected_gradient, rtol=1e-5, atol=1e-7)
    unique = run(published_consensus, shared_ids=False)
    assert unique(*repeated(batch, times))[0] < 0.9 * unique(*batch)[0]


@pytest.mark.parametrize("loss", [consensus, published_consensus])
def test_padding_is_dropping(batch, loss):
    kept = batch[3] > 0
    value, gradient = shared(loss)(*batch)
    expected, expected_gradient = shared(loss)(*(x[kept] for x in batch))
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient[kept], expected_gradient, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(gradient[~kept], 0)


@pytest.mark.parametrize("way", WAYS)
def test_pixels_of_no_blob_take_no_part(batch, way):
    logits, mask, blobs, weight = batch
    outside = (mask == 255) | (blobs < 0) | (blobs >= BLOBS)
    value, gradient = shared(consensus, way)(*batch)
    np.testing.assert_array_equal(gradient[outside], 0)
    elsewhere, _ = shared(consensus, way)(np.where(outside[..., None], 50.0, logits), mask, blobs, weight)
    np.testing.assert_allclose(value, elsewhere, rtol=1e-6)


@pytest.mark.parametrize("loss", [consensus, published_consensus])
@pytest.mark.parametrize("way", WAYS)
def test_nothing_valid_is_zero_with_zero_gradient(batch, loss, way):
    logits, mask, blobs, weight = batch
    for arrays in (
        (logits, np.full_like(mask, 255), blobs, weight),
        (logits, mask, np.full_like(blobs, -1), weight),
        (logits, mask, blobs, np.zeros_like(weight)),
    ):
        value, gradient = shared(loss, way)(*arrays)
        assert value == 0
        np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("loss", [consensus, published_consensus])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scale", [1e2, 1e4, 1e20])
def test_hopeless_logits_stay_finite_and_are_led_back(batch, loss, way, scale):
    """The true class has probability 0 in float32 in all pixels, where the published code is infinite or NaN."""
    _, mask, blobs, weight = batch
    logits = np.asarray(-scale * jax.nn.one_hot(mask, CLASSES), np.float32)
    value, gradient = shared(loss, way)(logits, mask, blobs, weight)
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))
    inside = (mask != 255) & (blobs >= 0) & (blobs < BLOBS) & (weight > 0)[:, None, None]
    of_truth = np.take_along_axis(np.asarray(gradient), np.where(inside, mask, 0)[..., None], axis=-1)[..., 0]
    assert np.all(of_truth[inside] < 0)


@pytest.mark.parametrize("loss", [consensus, published_consensus])
def test_nothing_overflows_on_the_way_to_probability_zero(loss):
    """1 / q is large before a probability is lost: alpha of one blob alone must not lift it beyond float32."""
    mask = np.ones((1, 1, 1), np.int32)
    learn = run(loss, alpha=1000.0, max_blobs=1)
    for depth in np.arange(70, 110, 0.25, np.float32):
        logits = np.float32([[[[0, -depth, -200]]]])
        value, gradient = learn(logits, mask, mask * 0, np.ones(1, np.float32))
        np.testing.assert_allclose(value, 1000 * depth, rtol=1e-4)
        np.testing.assert_allclose(gradient[0, 0, 0], [1000, -1000, 0], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("power", [8.0, 100.0])
def test_large_blobs_may_count_by_any_power(power):
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(1, 64, 64, CLASSES)).astype(np.float32)
    mask, blobs = np.zeros((1, 64, 64), np.int32), np.zeros((1, 64, 64), np.int32)
    blobs[:, :, 40:] = 1
    value, gradient = run(consensus, size_power=power)(logits, mask, blobs, np.ones(1, np.float32))
    large = np.where(blobs == 0, 0, -1)  # at such powers only the larger of the two has a say
    tolerance = (24 / 40) ** power * 10 + 1e-5
    np.testing.assert_allclose(value, run(consensus)(logits, mask, large, np.ones(1, np.float32))[0], rtol=tolerance)
    assert np.all(np.isfinite(gradient))


def test_the_worst_pixel_of_a_blob_feels_the_others(batch):
    """Its probability is exactly 0 in float32; the published code drops such pixels from the consensus."""
    _, mask, blobs, weight = batch
    logits = np.array(5 * jax.nn.one_hot(mask, CLASSES), np.float32)
    y, x = 2, 2
    logits[0, y, x] = 200 * np.eye(CLASSES)[(mask[0, y, x] + 1) % CLASSES]
    _, gradient = run(consensus, alpha=0.0)(logits, mask, blobs, weight)
    assert gradient[0, y, x, mask[0, y, x]] < -1e-2


def test_agreement_in_the_truth_costs_nothing(batch):
    _, mask, *rest = batch
    truth = 40.0 * jax.nn.one_hot(mask, CLASSES)
    assert shared(consensus)(truth, mask, *rest)[0] < 1e-5
    assert shared(consensus)(jnp.roll(truth, 1, axis=-1), mask, *rest)[0] > 100


def test_one_wrong_pixel_costs_little_of_the_label_term(batch):
    """The cross entropy of the average grows with the logarithm of the wrong part, the average of the cross entropy
    with the logit of one pixel."""
    _, mask, blobs, weight = batch
    logits = np.array(40 * jax.nn.one_hot(mask, CLASSES), np.float32)
    logits[0, 2, 2] *= -1
    average, _ = run(consensus, alpha=1.0, beta=0.0)(logits, mask, blobs, weight)
    assert 0 < average < 0.1 < cross_entropy(logits, mask, weight, same)


def test_a_blob_of_one_class_per_pixel_is_cross_entropy(batch):
    """Every pixel its own blob: no consensus to reach, and the label term is the plain one."""
    logits, mask, _, weight = batch
    mask = np.where(mask == 255, 1, mask)
    blobs = np.arange(30, dtype=np.int32).reshape(1, 6, 5).repeat(4, 0)
    value, _ = run(consensus, max_blobs=30, alpha=1.0)(logits, mask, blobs, weight)
    np.testing.assert_allclose(value, cross_entropy(logits, mask, weight, same), rtol=1e-5)


def test_a_huge_blob_keeps_its_digits():
    """A quarter of a million equal pixels: adding them one after the other would be off by a percent."""
    logits = np.broadcast_to(np.float32([0.0, -2.3, 1.1]), (1, 512, 512, CLASSES))
    nothing = np.zeros((1, 512, 512), np.int32)
    sums = jax.jit(blob_sums, static_argnums=(3, 4))(logits, nothing, nothing, 1, "segment")
    expected = 512**2 * np.exp(log_softmax(logits[0, 0, :1]))[0]
    np.testing.assert_allclose(sums.probability[0, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("loss", [consensus, published_consensus])
def test_two_devices_agree_with_one(batch, loss, on_two_devices):
    for options in ({}, {"shared_ids": False}, {"reduce": "all"}) if loss is published_consensus else ({},):

        def scaled(scale, logits, mask, blobs, weight, psum, options=options):
            return loss(scale * logits, mask, blobs, weight, psum, **OPTIONS, **options)

        alone = jax.jit(jax.value_and_grad(lambda s, *rows, f=scaled: f(s, *rows, same)))
        value, gradient = alone(1.3, *batch)
        split_value, split_gradient = on_two_devices(scaled, 1.3, *batch)
        np.testing.assert_allclose(split_value, value, rtol=1e-6)
        np.testing.assert_allclose(split_gradient, gradient, rtol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_a_batch_spread_over_devices_under_jit(batch, way):
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    value, gradient = shared(consensus, way)(*jax.device_put(batch, rows))
    assert len(gradient.sharding.device_set) == 2
    expected, expected_gradient = shared(consensus, way)(*batch)
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-6, atol=1e-7)


def test_bfloat16_logits_are_computed_in_float32(batch):
    logits = jnp.asarray(batch[0], jnp.bfloat16)
    value, gradient = shared(consensus)(logits, *batch[1:])
    assert (value.dtype, gradient.dtype) == (jnp.float32, jnp.bfloat16)
    np.testing.assert_allclose(value, shared(consensus)(logits.astype(jnp.float32), *batch[1:])[0], rtol=1e-6)
