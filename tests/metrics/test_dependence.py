import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from l2s_jax.metrics.dependence import (
    SHRINKAGE,
    dhsic,
    distance_correlation,
    distance_correlation_unbiased,
    gaussian_gram,
    gaussian_total_correlation,
    hsic,
    hsic_unbiased,
    joint,
    normalised_hsic,
    p_value,
    pairwise,
    permutation_null,
    rv_coefficient,
)

N = 100


def jitted(statistic, **options):
    return pytest.param(jax.jit(functools.partial(statistic, **options)), id="_".join([statistic.__name__, *options]))


NORMALISED = [jitted(s) for s in (rv_coefficient, normalised_hsic, distance_correlation)]
NONLINEAR = [
    *NORMALISED[1:],
    jitted(normalised_hsic, estimator=hsic_unbiased),
    jitted(distance_correlation_unbiased),
]


@pytest.fixture(scope="module")
def independent():
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, 2)).astype(np.float32), rng.normal(size=(N, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def parabola():
    x = np.linspace(-2, 2, N, dtype=np.float32)[:, None]
    return x, x**2


@pytest.fixture(scope="module")
def unrelated(independent):
    return independent[0][:, :1], independent[1][:, :1]


@pytest.mark.parametrize("statistic", NONLINEAR)
def test_nonlinear_dependence_is_seen(statistic, unrelated, parabola):
    """Inside the permutation band if independent, far outside on y = x^2."""
    null = permutation_null(jax.random.key(0), statistic, *unrelated, 60)
    assert jnp.quantile(null, 0.025) < statistic(*unrelated) < jnp.quantile(null, 0.975)
    null = permutation_null(jax.random.key(1), statistic, *parabola, 60)
    assert statistic(*parabola) > 2 * jnp.max(null)
    assert p_value(statistic(*parabola), null) == pytest.approx(1 / 61)


def test_rv_sees_linear_dependence_only(parabola):
    x, y = parabola
    assert rv_coefficient(x, y) < 1e-6
    assert rv_coefficient(x, 3 - 2 * x) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("statistic", NONLINEAR[2:])
def test_unbiased_estimators_are_centred_at_zero(statistic, unrelated):
    null = np.asarray(permutation_null(jax.random.key(2), statistic, *unrelated, 60))
    assert abs(null.mean()) < 4 * null.std() / np.sqrt(60)


@pytest.mark.parametrize("statistic", NONLINEAR[:2])
def test_biased_estimators_are_above_zero_without_dependence(statistic, unrelated):
    assert jnp.min(permutation_null(jax.random.key(2), statistic, *unrelated, 60)) > 0.001


@pytest.mark.parametrize("statistic", NORMALISED)
def test_normalisation(statistic, independent):
    x, y = independent
    rotation = np.linalg.qr(np.random.default_rng(3).normal(size=(2, 2)))[0].astype(np.float32)
    assert statistic(x, x) == pytest.approx(1.0, abs=1e-5)
    assert statistic(5 * x @ rotation + 100, y) == pytest.approx(float(statistic(x, y)), abs=1e-4)
    assert statistic(x, y) == pytest.approx(float(statistic(y, x)), abs=1e-6)
    assert statistic(x, np.full((N, 1), 0.1, np.float32)) == 0


def test_hsic_by_hand(independent):
    x, y = (np.asarray(z, np.float64) for z in independent)
    grams = []
    for z in (x, y):
        distances = cdist(z, z)
        grams.append(np.exp(-(distances**2) / (2 * np.median(distances[np.triu_indices(N, 1)] ** 2))))
    np.testing.assert_allclose(jax.jit(gaussian_gram)(independent[0]), grams[0], atol=1e-5)
    centring = np.eye(N) - 1 / N
    biased = np.trace(grams[0] @ centring @ grams[1] @ centring) / (N - 1) ** 2
    k, l_ = (g - np.diag(np.diag(g)) for g in grams)
    one = np.ones(N)
    unbiased = np.trace(k @ l_) + (one @ k @ one) * (one @ l_ @ one) / ((N - 1) * (N - 2))
    unbiased = (unbiased - 2 / (N - 2) * (one @ k @ l_ @ one)) / (N * (N - 3))
    grams = np.float32(grams)
    np.testing.assert_allclose(jax.jit(hsic)(*grams), biased, rtol=1e-4)
    np.testing.assert_allclose(jax.jit(hsic_unbiased)(*grams), unbiased, atol=1e-7)


joint_dependence = jax.jit(dhsic)
total_correlation = jax.jit(gaussian_total_correlation, static_argnums=1)


def test_dhsic_of_two_blocks_is_hsic(independent):
    x, y = independent
    expected = jax.jit(lambda x, y: hsic(gaussian_gram(x), gaussian_gram(y)))(x, y) * ((N - 1) / N) ** 2
    np.testing.assert_allclose(joint_dependence([x, y]), expected, rtol=1e-3)


def test_dhsic_sees_what_pairs_cannot():
    """Signs x, y, xy are pairwise independent and jointly dependent."""
    signs = np.array(np.meshgrid([-1, 1], [-1, 1])).reshape(2, -1).T.repeat(16, axis=0).astype(np.float32)
    x, y = signs[:, :1], signs[:, 1:]
    assert joint_dependence([x, y]) < 1e-6
    assert joint_dependence([x, x * y]) < 1e-6
    # The kernel of signs is a + b s s' with b = (1 - exp(-1/2)) / 2 at the median distance 2.
    np.testing.assert_allclose(joint_dependence([x, y, x * y]), ((1 - np.exp(-0.5)) / 2) ** 3, rtol=1e-4)


def test_total_correlation_of_a_gaussian(independent):
    """Two blocks with canonical correlation r: -log(1 - r^2) / 2."""
    x, _ = independent
    x = np.linalg.qr(x - x.mean(0))[0] * np.sqrt(N)
    mixed = 0.6 * x[:, :1] + 0.8 * x[:, 1:]
    np.testing.assert_allclose(total_correlation([x[:, :1], mixed], 0.0), -np.log(0.64) / 2, rtol=1e-4)
    assert total_correlation([x[:, :1], x[:, 1:]], 0.0) == pytest.approx(0.0, abs=1e-6)
    assert np.isfinite(total_correlation([x[:, :1], x[:, :1]], 0.01))


def test_pairwise_is_the_matrix_of_all_pairs(independent):
    x, y = independent
    codes = np.stack([x, y[:, :2], x**2], axis=1)
    values = jax.jit(pairwise, static_argnums=0)(distance_correlation, codes)
    np.testing.assert_array_equal(values, values.T)
    np.testing.assert_allclose(np.diagonal(values), 1, atol=1e-5)
    np.testing.assert_allclose(values[0, 2], jax.jit(distance_correlation)(x, x**2), rtol=1e-4)


@pytest.mark.parametrize("statistic", NORMALISED)
def test_gradients_are_finite_even_for_a_dead_slice(statistic, independent):
    x, y = independent
    slope = jax.jit(jax.grad(statistic))
    for z in (x, np.zeros_like(x)):
        assert np.all(np.isfinite(slope(z, y)))


def triples(third, noise=0.1):
    """Three subspaces of two dimensions, [256, 3, 2]: two of independent signs and a third made from them."""
    rng = np.random.default_rng(4)
    x, y = rng.permutation(np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]).repeat(64, axis=0)).T
    signs = np.stack([x, y, third(x, y)], axis=1)[..., None]
    return (signs + noise * rng.normal(size=(256, 3, 2))).astype(np.float32)


def measured(codes):
    return joint(codes, jax.random.key(3), 40)


def test_independent_subspaces_lie_inside_the_joint_null():
    """At most one of ten samples is beyond 40 draws (a quarter of one is to be expected), and none on average.

    2 N times the total correlation of independent Gaussians is chi-squared of 3 pairs x 4 degrees of freedom; a
    correlation that is shrunk by 0.1 counts 0.81.
    """
    rng = np.random.default_rng(5)
    found = [measured(rng.normal(size=(256, 3, 2)).astype(np.float32)) for _ in range(10)]
    for name in ("total_correlation", "dhsic"):
        values, highest = (np.array([each[name][key] for each in found]) for key in ("value", "null_max"))
        assert values.min() > 0, name
        assert np.sum(values > highest) <= 1, name
    for key, draws in (("value", 10), ("null", 10 * 40)):
        mean = np.mean([each["total_correlation"][key] for each in found])
        assert mean == pytest.approx(0.81 * 12 / 512, rel=3 * np.sqrt(2 / 12 / draws) + 0.03), key


def test_joint_dhsic_sees_three_signs_that_pairs_and_total_correlation_do_not():
    codes = triples(lambda x, y: x * y)
    found = measured(codes)
    assert found["dhsic"]["value"] > 3 * found["dhsic"]["null_max"]
    assert found["total_correlation"]["value"] <= found["total_correlation"]["null_max"]
    of_pair = jax.jit(normalised_hsic)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert of_pair(codes[:, i], codes[:, j]) <= jnp.max(
            permutation_null(jax.random.key(5), of_pair, codes[:, i], codes[:, j], 20)
        )


def test_joint_measures_both_see_what_is_linear():
    found = measured(triples(lambda x, y: x))
    for name in ("total_correlation", "dhsic"):
        assert found[name]["value"] > 3 * found[name]["null_max"], name


def test_joint_values_are_those_of_the_measures_and_ready_for_json():
    codes = triples(lambda x, y: x + y)
    found, blocks = measured(codes), [codes[:, k] for k in range(3)]
    assert json.loads(json.dumps(found)) == found
    assert found["dhsic"]["value"] == pytest.approx(float(joint_dependence(blocks)), abs=1e-7)
    shrunk = np.corrcoef(codes.reshape(256, 6).astype(np.float64).T) * (1 - SHRINKAGE) + SHRINKAGE * np.eye(6)
    parts = sum(np.linalg.slogdet(shrunk[i : i + 2, i : i + 2])[1] for i in (0, 2, 4))
    expected = (parts - np.linalg.slogdet(shrunk)[1]) / 2
    assert found["total_correlation"]["value"] == pytest.approx(expected, rel=1e-4)
    assert found["total_correlation"]["shrinkage"] == SHRINKAGE
    turned = measured(codes[:, [2, 0, 1]])
    for name in found:
        assert turned[name]["value"] == pytest.approx(found[name]["value"], rel=1e-4), name


def test_total_correlation_with_more_dimensions_than_rows():
    codes = np.random.default_rng(8).normal(size=(20, 2, 12)).astype(np.float32)
    shrunk = np.corrcoef(codes.reshape(20, 24).astype(np.float64).T) * (1 - SHRINKAGE) + SHRINKAGE * np.eye(24)
    parts = sum(np.linalg.slogdet(shrunk[i : i + 12, i : i + 12])[1] for i in (0, 12))
    found = total_correlation([codes[:, 0], codes[:, 1]], SHRINKAGE)
    assert found == pytest.approx((parts - np.linalg.slogdet(shrunk)[1]) / 2, rel=1e-4)
