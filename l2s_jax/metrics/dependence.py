"""Statistical dependence between subspaces of codes: RV, total correlation, HSIC, dHSIC, distance correlation.

Formulas and sources: docs/methods/independent_subspaces.md, "Measures of dependence".

Samples are rows: x [N, D1], y [N, D2] (pool or flatten spatial codes). All functions are float32, jit-able and
differentiable. None is 0 on a finite sample of independent variables: compare a value with its `permutation_null`.
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

Statistic = Callable[[jax.Array, jax.Array], jax.Array]

SHRINKAGE = 0.1
"""Of the correlations in `joint`: from K D = N on, total correlation without it is infinite."""

_matmul = functools.partial(jnp.matmul, precision="highest")


def rv_coefficient(x: jax.Array, y: jax.Array) -> jax.Array:
    """Compute RV = ||C_xy||_F^2 / (||C_xx||_F ||C_yy||_F) in [0, 1], the linear CKA (Kornblith et al. 2019).

    It measures linear dependence only: for y = x^2 it is about 0.
    """
    x, y = _centred(x), _centred(y)

    def energy(a, b):
        return jnp.sum(jnp.square(_matmul(a.T, b)))

    return _over_root(energy(x, y), energy(x, x) * energy(y, y))


def gaussian_total_correlation(blocks: Sequence[jax.Array], shrinkage: float) -> jax.Array:
    """Compute the block total correlation of a Gaussian, in nats: (sum_i logdet S_ii - logdet S) / 2.

    Args:
      blocks: K arrays [N, D_i].
      shrinkage: s in [0, 1); S = (1 - s) correlation + s identity. s must be positive if N <= sum_i D_i.

    Returns:
      float32 scalar, at least 0.
    """
    sizes = [block.shape[1] for block in blocks]
    joint = jnp.concatenate([_centred(block) for block in blocks], axis=1)
    joint = _over_root(joint, jnp.mean(joint**2, axis=0, keepdims=True))
    correlation = (1 - shrinkage) * _matmul(joint.T, joint) / joint.shape[0] + shrinkage * jnp.eye(sum(sizes))
    within, start = 0.0, 0
    for size in sizes:
        stop = start + size
        within += jnp.linalg.slogdet(correlation[start:stop, start:stop])[1]
        start = stop
    return (within - jnp.linalg.slogdet(correlation)[1]) / 2


def gaussian_gram(x: jax.Array) -> jax.Array:
    """Compute the Gram matrix [N, N] of exp(-|a - b|^2 / (2 s^2)), s the median distance (without gradient)."""
    squares = _squared_distances(x)
    pairs = jnp.triu_indices(x.shape[0], k=1)
    bandwidth = jax.lax.stop_gradient(jnp.median(squares[pairs]))
    return jnp.exp(-squares / (2 * jnp.where(bandwidth > 0, bandwidth, 1.0)))


def hsic(gram_x: jax.Array, gram_y: jax.Array) -> jax.Array:
    """Compute the biased HSIC of two Gram matrices [N, N]: tr(K H L H) / (N - 1)^2 (Gretton et al. 2005)."""
    return jnp.sum(_doubly_centred(gram_x) * _doubly_centred(gram_y)) / (gram_x.shape[0] - 1) ** 2


def hsic_unbiased(gram_x: jax.Array, gram_y: jax.Array) -> jax.Array:
    """Compute the unbiased HSIC of Gram matrices [N, N], N >= 4; mean 0 under independence (Song et al. 2012)."""
    n = gram_x.shape[0]
    x, y = _hollow(gram_x), _hollow(gram_y)
    x_rows, y_rows = jnp.sum(x, axis=1), jnp.sum(y, axis=1)
    products = jnp.sum(x * y) + jnp.sum(x_rows) * jnp.sum(y_rows) / ((n - 1) * (n - 2))
    return (products - 2 / (n - 2) * jnp.sum(x_rows * y_rows)) / (n * (n - 3))


def normalised_hsic(x: jax.Array, y: jax.Array, estimator: Statistic = hsic) -> jax.Array:
    """Compute HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with Gaussian kernels, the kernel CKA.

    Args:
      x: [N, D1].
      y: [N, D2].
      estimator: `hsic` (result in [0, 1], biased up) or `hsic_unbiased` (about 0 under independence, may be negative).

    Returns:
      float32 scalar; 0 if x or y is constant.
    """
    x, y = gaussian_gram(x), gaussian_gram(y)
    return _over_root(estimator(x, y), estimator(x, x) * estimator(y, y))


def dhsic(blocks: Sequence[jax.Array]) -> jax.Array:
    """Compute dHSIC, the joint dependence of K blocks [N, D_i] with Gaussian kernels (Pfister et al. 2018).

    mean_ab prod_k K^k_ab + prod_k mean_ab K^k_ab - 2 mean_a prod_k mean_b K^k_ab.
    """
    return _dhsic(jnp.stack([gaussian_gram(block) for block in blocks]))


def _dhsic(grams: jax.Array) -> jax.Array:
    """Compute dHSIC of Gram matrices [K, N, N]."""
    rows = jnp.mean(grams, axis=2)
    joint = jnp.mean(jnp.mean(jnp.prod(grams, axis=0), axis=1))  # of rows first: float32 sums of N^2 numbers are coarse
    return joint + jnp.prod(jnp.mean(rows, axis=1)) - 2 * jnp.mean(jnp.prod(rows, axis=0))


def distance_correlation(x: jax.Array, y: jax.Array) -> jax.Array:
    """Compute the SQUARED distance correlation dCov^2 / sqrt(dVar_x^2 dVar_y^2) in [0, 1] (Szekely et al. 2007).

    In the limit of large N, 0 iff independent; biased upwards if the dimension is high and N small.
    """
    a, b = _doubly_centred(_distances(x)), _doubly_centred(_distances(y))
    return _correlation(a, b)


def distance_correlation_unbiased(x: jax.Array, y: jax.Array) -> jax.Array:
    """Compute the bias-corrected SQUARED distance correlation, N >= 4 (Szekely & Rizzo 2014).

    From U-centred distances; in [-1, 1], about 0 under independence.
    """
    return _correlation(_u_centred(_distances(x)), _u_centred(_distances(y)))


def permutation_null(rng: jax.Array, statistic: Statistic, x: jax.Array, y: jax.Array, count: int) -> jax.Array:
    """Compute `statistic` with the rows of y permuted, which makes y independent of x.

    Args:
      rng: typed PRNG key.
      statistic: (x [N, D1], y [N, D2]) -> scalar.
      x: [N, D1].
      y: [N, D2].
      count: number of permutations.

    Returns:
      float32 [count].
    """
    return _permuted(statistic, jax.random.split(rng, count), x, y)


@functools.partial(jax.jit, static_argnames="statistic")
def _permuted(statistic: Statistic, keys: jax.Array, x: jax.Array, y: jax.Array) -> jax.Array:
    return jax.lax.map(lambda key: statistic(x, jax.random.permutation(key, y, axis=0)), keys)


def p_value(observed: jax.Array, null: jax.Array) -> jax.Array:
    """Compute the permutation p-value (1 + #{null >= observed}) / (1 + count): small = dependent."""
    return (1 + jnp.sum(null >= observed)) / (1 + null.shape[0])


def pairwise(statistic: Statistic, codes: jax.Array) -> jax.Array:
    """Compute a symmetric statistic between all pairs of subspaces: codes [N, K, D] -> float32 [K, K]."""
    codes = jnp.asarray(codes)
    pairs = jnp.stack(jnp.triu_indices(codes.shape[1]), axis=1)
    values = jax.lax.map(lambda pair: statistic(codes[:, pair[0]], codes[:, pair[1]]), pairs)
    upper = jnp.zeros((codes.shape[1], codes.shape[1])).at[pairs[:, 0], pairs[:, 1]].set(values)
    return jnp.where(jnp.tri(codes.shape[1], dtype=bool), upper.T, upper)


def table(codes: jax.Array, rng: jax.Array, permutations: int) -> dict:
    """Measure the dependence between subspaces by RV, normalised HSIC and distance correlation, ready for JSON.

    Args:
      codes: [N, K, D], N at least 4.
      rng: typed PRNG key of the permutations.
      permutations: number of draws of the null, each of one random pair whose second subspace is permuted.

    Returns:
      {`rv`, `hsic`, `dcor`: {`mean`: over the pairs of different subspaces, `null`: the mean of the draws, `null_max`:
      the largest of them, to be compared with a single pair, `pairs`: K x K nested list}}.
    """
    codes = jnp.asarray(codes, jnp.float32)
    keys = jax.random.split(rng, permutations)
    return {name: _entry(statistic, codes, keys) for name, statistic in _STATISTICS.items()}


def _entry(statistic: Statistic, codes: jax.Array, keys: jax.Array) -> dict:
    pairs, null = _observed(statistic, codes), _null(statistic, codes, keys)
    means = {"mean": _off_diagonal(pairs), "null": jnp.mean(null), "null_max": jnp.max(null)}
    return {name: float(value) for name, value in means.items()} | {"pairs": jax.device_get(pairs).tolist()}


def _off_diagonal(pairs: jax.Array) -> jax.Array:
    return jnp.mean(pairs[jnp.triu_indices(pairs.shape[0], k=1)])


@functools.partial(jax.jit, static_argnames="statistic")
def _observed(statistic: Statistic, codes: jax.Array) -> jax.Array:
    return pairwise(statistic, codes)


@functools.partial(jax.jit, static_argnames="statistic")
def _null(statistic: Statistic, codes: jax.Array, keys: jax.Array) -> jax.Array:
    """Compute the statistic of one random pair, one of the two permuted, for each key."""

    def draw(key: jax.Array) -> jax.Array:
        first, second, order = jax.random.split(key, 3)
        i = jax.random.randint(first, (), 0, codes.shape[1])
        j = (i + jax.random.randint(second, (), 1, codes.shape[1])) % codes.shape[1]
        return statistic(codes[:, i], jax.random.permutation(order, codes[:, j], axis=0))

    return jax.lax.map(draw, keys)


def joint(codes: jax.Array, rng: jax.Array, permutations: int) -> dict:
    """Measure the dependence of ALL subspaces at once, beside its permutation null, ready for JSON.

    Pairs may be independent where three are not. The null permutes the rows of every subspace by itself: it keeps what
    each subspace is and makes them jointly independent. dHSIC needs memory for 3 K N^2 floats.

    Args:
      codes: [N, K, D], N at least 4.
      rng: typed PRNG key of the permutations.
      permutations: number of draws of the null.

    Returns:
      {`total_correlation`: `gaussian_total_correlation` in nats, at the shrinkage SHRINKAGE, `dhsic`: {`value`, `null`:
      the mean of the draws, `null_max`: the largest of them}}; `total_correlation` also has its `shrinkage`. Both are
      above 0 for independent samples, total correlation the more the larger K D / N.
    """
    codes, keys = jnp.asarray(codes, jnp.float32), jax.random.split(rng, permutations)
    correlation, dhsic = _joint(codes, keys, _total_correlations), _joint(codes, keys, _dhsics)
    return {"total_correlation": correlation | {"shrinkage": SHRINKAGE}, "dhsic": dhsic}


def _joint(codes: jax.Array, keys: jax.Array, measure: Callable) -> dict[str, float]:
    value, null = jax.device_get(measure(codes, keys))
    return {"value": float(value), "null": float(null.mean()), "null_max": float(null.max())}


@jax.jit
def _total_correlations(codes: jax.Array, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the total correlation of the subspaces, and of each draw of the null [len(keys)]."""
    blocks = jnp.swapaxes(codes, 0, 1)

    def measure(blocks: jax.Array) -> jax.Array:
        return gaussian_total_correlation(list(blocks), SHRINKAGE)

    return measure(blocks), jax.lax.map(
        lambda key: measure(jax.vmap(lambda block, order: block[order])(blocks, _orders(key, codes))), keys
    )


@jax.jit
def _dhsics(codes: jax.Array, keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return the same of dHSIC. Permuting rows permutes a Gram matrix: none is computed twice."""
    grams = jax.lax.map(gaussian_gram, jnp.swapaxes(codes, 0, 1))

    def draw(key: jax.Array) -> jax.Array:
        return _dhsic(jax.vmap(lambda gram, order: gram[order][:, order])(grams, _orders(key, codes)))

    return _dhsic(grams), jax.lax.map(draw, keys)


def _orders(key: jax.Array, codes: jax.Array) -> jax.Array:
    """Return one order of the rows for each subspace, int32 [K, N]."""
    count, subspaces, _ = codes.shape
    return jax.vmap(lambda key: jax.random.permutation(key, count))(jax.random.split(key, subspaces))


def _centred(x: jax.Array) -> jax.Array:
    x = x.astype(jnp.float32)
    x = x - x[:1]  # makes constant columns exactly 0, which rounding of the mean would not
    return x - jnp.mean(x, axis=0, keepdims=True)


def _squared_distances(x: jax.Array) -> jax.Array:
    x = _centred(x)  # distances are invariant to a shift, but float32 precision is not
    norms = jnp.sum(x**2, axis=1)
    return _hollow(jnp.maximum(norms[:, None] + norms[None, :] - 2 * _matmul(x, x.T), 0.0))


def _distances(x: jax.Array) -> jax.Array:
    squares = _squared_distances(x)
    apart = squares > 0  # the square root has no finite derivative at 0
    return jnp.where(apart, jnp.sqrt(jnp.where(apart, squares, 1.0)), 0.0)


def _hollow(k: jax.Array) -> jax.Array:
    return k * (1 - jnp.eye(k.shape[0]))


def _doubly_centred(k: jax.Array) -> jax.Array:
    return k - jnp.mean(k, axis=0, keepdims=True) - jnp.mean(k, axis=1, keepdims=True) + jnp.mean(k)


def _u_centred(k: jax.Array) -> jax.Array:
    n = k.shape[0]
    rows, columns = jnp.sum(k, axis=1, keepdims=True), jnp.sum(k, axis=0, keepdims=True)
    return _hollow(k - (rows + columns) / (n - 2) + jnp.sum(k) / ((n - 1) * (n - 2)))


def _correlation(a: jax.Array, b: jax.Array) -> jax.Array:
    return _over_root(jnp.sum(a * b), jnp.sum(a * a) * jnp.sum(b * b))


def _over_root(numerator: jax.Array, square: jax.Array) -> jax.Array:
    """Return numerator / sqrt(square), 0 where the square is 0: a constant is independent of all."""
    return jnp.where(square > 0, numerator / jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)


_STATISTICS = {
    "rv": rv_coefficient,
    "hsic": functools.partial(normalised_hsic, estimator=hsic_unbiased),
    "dcor": distance_correlation_unbiased,
}
"""Of `table`: HSIC and distance correlation without bias, which for codes of many dimensions is the larger part."""
