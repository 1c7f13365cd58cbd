"""Disentanglement of subspaces measured on known factors: MIG, DCI and the FactorVAE score, for codes in blocks.

Formulas and sources: docs/methods/independent_subspaces.md, "Measures on known factors".

The published scores are of single dimensions. Here a subspace is the unit: one mutual information per subspace, the
importances of its dimensions added, one vote per subspace. With subspaces of one dimension they are the published ones.

Codes are [N, K, D]: K subspaces of D dimensions. Factors are [N, F] numbers. Rows must be independent draws in random
order: the first half of them fits, the second half judges. All functions are numpy in float64.
"""

import numpy as np

from l2s_jax.metrics import regression

BINS = 20
"""Bins of equal count for codes and factors: as many as published (Chen et al. 2018), though of another kind."""
PRUNED = 1e-6
"""A dimension whose variance is below this share of the largest is dead: noise must not decide a vote."""


def quantile_bins(values: np.ndarray, bins: int) -> np.ndarray:
    """Sort values into bins of equal count: the bin of v is floor(bins * share of the values below v).

    Equal values share a bin, so a factor of few values keeps them apart if each but the highest has 1 / bins of the
    rows. The result does not change if an increasing function is applied to the values.

    Args:
      values: [N, F].
      bins: number of bins.

    Returns:
      int64 [N, F], 0 .. bins - 1.
    """
    below = [np.searchsorted(np.sort(column), column, side="left") for column in values.T]
    return np.stack(below, axis=1) * bins // len(values)


def mutual_information(a: np.ndarray, b: np.ndarray) -> float:
    """Compute the mutual information of two discrete samples, in nats, from their relative frequencies.

    Biased upwards: by about (number of values of a - 1)(of b - 1) / (2 N) for independent samples.

    Args:
      a, b: int [N], not negative.

    Returns:
      a float, at least 0 but for rounding; of a sample with itself, its entropy.
    """
    joint = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(joint, (a, b), 1 / len(a))
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float(np.sum(joint[seen] * np.log(joint[seen] / apart[seen])))


def block_information(predicted: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute what each subspace tells of each factor: I(prediction; factor) in nats, both in BINS quantile bins.

    A function of a subspace, fitted on other rows, tells no more of a factor than the subspace does (data processing
    inequality), so this estimates a lower bound of the mutual information of a block (ours). For a subspace of one
    dimension the prediction is linear in it, and the value is the mutual information of that dimension.

    Args:
      predicted: [K, M, F], of each factor from each subspace, for rows that were not fitted.
      truth: [M, F].

    Returns:
      float64 [K, F], and the entropies of the factors, float64 [F].
    """
    values = quantile_bins(truth, BINS)
    bins = [quantile_bins(each, BINS) for each in predicted]
    columns = range(values.shape[1])
    found = [[mutual_information(each[:, f], values[:, f]) for f in columns] for each in bins]
    return np.array(found), np.array([mutual_information(values[:, f], values[:, f]) for f in columns])


def mutual_information_gap(known: np.ndarray, entropy: np.ndarray) -> float | None:
    """Compute MIG = mean_f (the largest I_kf over k - the second largest) / H_f (Chen et al. 2018).

    Args:
      known: I, [K, F], K at least 2, in nats.
      entropy: [F], of the factors; those of entropy 0 are left out.

    Returns:
      a float in [0, 1]: 1 if each factor is known exactly to one subspace, of which the others know nothing. None if no
      factor varies.

    Raises:
      ValueError: fewer than two subspaces, which have no gap.
    """
    if len(known) < 2:
        raise ValueError(f"a gap between subspaces needs two of them: {len(known)} is too few")
    varies = entropy > 0
    second, first = np.sort(known[:, varies], axis=0)[-2:]
    return float(np.mean((first - second) / entropy[varies])) if varies.any() else None


def specialisation(importance: np.ndarray) -> float | None:
    """Compute sum_i rho_i (1 - H(P_i)): how far each row keeps to one column (Eastwood & Williams 2018).

    P_ij = R_ij / sum_j R_ij, H the entropy to the base of the number of columns, rho_i = sum_j R_ij / sum R.

    Args:
      importance: R, [rows, columns], not negative.

    Returns:
      a float in [0, 1], 1 for a single column; None if R is 0.
    """
    rows, everything = importance.sum(axis=1, keepdims=True), importance.sum()
    if not everything > 0:
        return None
    share = np.divide(importance, rows, out=np.zeros_like(importance), where=rows > 0)
    entropy = -np.sum(share * np.log(np.where(share > 0, share, 1.0)), axis=1) / np.log(max(importance.shape[1], 2))
    return float(np.sum((rows[:, 0] / everything) * (1 - entropy)))


def dci(importance: np.ndarray) -> dict[str, float | None]:
    """Compute `disentanglement` and `completeness` of importances [K, F] of subspaces for factors.

    D asks whether a subspace serves one factor, C whether a factor is served by one subspace; both are `specialisation`
    of R and its transpose. A subspace that holds many factors lowers D, as it must where K < F: add the importances of
    the factors that belong together first.
    """
    return {"disentanglement": specialisation(importance), "completeness": specialisation(importance.T)}


def grouped(importance: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Add the importances of the factors of each group: [K, F], int [F] of 0 .. G - 1 -> float64 [K, G]."""
    return importance @ np.eye(groups.max() + 1)[groups]


def least_varying(sets: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return which subspace varies least in sets of faces that share a factor (Kim & Mnih 2018).

    The published argmin_d Var_set(z_d) / Var(z_d), with the mean of that quotient over a subspace's dimensions (ours).
    Dead dimensions (PRUNED) do not count, and a subspace that has no other never wins.

    Args:
      sets: [V, L, K, D], the codes of V sets of L faces, L at least 2.
      variance: [K, D], over all faces.

    Returns:
      int64 [V], 0 .. K - 1.

    Raises:
      ValueError: no dimension varies.
    """
    alive = variance > PRUNED * variance.max()
    if not alive.any():
        raise ValueError("no dimension of the codes varies: there is nothing to vote for")
    quotients = np.divide(sets.var(axis=1, ddof=1, dtype=np.float64), np.where(alive, variance, 1.0))
    count = alive.sum(axis=1)
    means = np.sum(quotients * alive, axis=2) / np.maximum(count, 1)
    return np.argmin(np.where(count > 0, means, np.inf), axis=1)


def majority_accuracy(votes: np.ndarray, fixed: np.ndarray, subspaces: int) -> float:
    """Compute the accuracy of the majority classifier subspace -> factor (Kim & Mnih 2018) on votes it has not seen.

    The first half of the votes elects the factor of each subspace, the second half is classified. At most K factors can
    be elected, so with F factors as frequent as one another it is at most min(K, F) / F.

    Args:
      votes: int [V], subspaces as from `least_varying`.
      fixed: int [V], the factor that each set shared.
      subspaces: K.
    """
    half = len(votes) // 2
    elected = np.zeros((subspaces, fixed.max() + 1), np.int64)
    np.add.at(elected, (votes[:half], fixed[:half]), 1)
    return float(np.mean(elected.argmax(axis=1)[votes[half:]] == fixed[half:]))


def factor_vae(
    sets: np.ndarray, fixed: np.ndarray, codes: np.ndarray, rng: np.random.Generator, shuffles: int
) -> dict[str, float]:
    """Compute the FactorVAE score of subspaces, ready for JSON.

    Args:
      sets: [V, L, K, D], the codes of V sets of L faces that share a factor.
      fixed: int [V], which one; both halves of the votes should have every factor equally often.
      codes: [N, K, D] of faces that share nothing, for the variances.
      rng: numpy generator of the shuffles.
      shuffles: number of draws of chance.

    Returns:
      `value`, `chance` (the mean with the factors of the sets shuffled) and `ceiling`, min(K, F) / F.
    """
    subspaces, factors = codes.shape[1], len(np.unique(fixed))
    votes = least_varying(sets, codes.var(axis=0, ddof=1, dtype=np.float64))
    chance = [majority_accuracy(votes, rng.permutation(fixed), subspaces) for _ in range(shuffles)]
    return {
        "value": majority_accuracy(votes, fixed, subspaces),
        "chance": float(np.mean(chance)),
        "ceiling": min(subspaces, factors) / factors,
    }


def held_out(codes: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predict the factors of the second half of the rows by ridge regression on the first, from each subspace alone.

    Args:
      codes: [N, K, D].
      factors: [N, F].

    Returns:
      predictions, float64 [K, M, F], and their R^2 (`regression.r_squared`), float64 [K, F].
    """
    half = len(codes) // 2
    predicted = np.stack([regression.ridge(z[:half], factors[:half], z[half:]) for z in np.swapaxes(codes, 0, 1)])
    return predicted, regression.r_squared(factors[:half], factors[half:], predicted)


def table(codes: np.ndarray, factors: np.ndarray, groups: np.ndarray, rng: np.random.Generator, shuffles: int) -> dict:
    """Compute MIG and DCI of subspaces beside chance, ready for JSON.

    Importances are the absolute weights of a lasso from all dimensions to a factor, all standardised, as in the paper
    of DCI; they are added over the dimensions of a subspace (ours). Chance is the mean over shuffles of the factors'
    rows, which keep what the factors have to do with one another. There the lasso keeps its penalties: chosen anew they
    would leave nothing.

    Args:
      codes: [N, K, D], K at least 2, N at least 40.
      factors: [N, F].
      groups: int [F], which of G groups (regions) a factor belongs to.
      rng: numpy generator of the shuffles.
      shuffles: number of draws of chance, at least 1.

    Returns:
      `mig`, `dci` {`disentanglement`, `completeness`}, `dci_grouped` the same of importances added over groups, and
      `informativeness` (the mean over factors of the lasso's R^2 on unseen rows): each {`value`, `chance`}, where None
      is a mean of nothing. `r2`: [K][F], `held_out` of each subspace alone; `r2_null_max`: the largest of the shuffles,
      above which a factor is known. `importance`: [K][F].

    Raises:
      ValueError: fewer than 40 rows, which leave 5 to choose a penalty by.
    """
    if len(codes) < 40:
        raise ValueError(f"{len(codes)} faces are too few to fit and judge predictions: take 40 or more")
    half, (count, subspaces, _) = len(codes) // 2, codes.shape
    x, unseen = regression.standardised(codes[:half].reshape(half, -1), codes[half:].reshape(count - half, -1))
    penalties, start = regression.lasso_penalties(x, *regression.standardised(factors[:half]))

    def scores(factors: np.ndarray, start: np.ndarray | None) -> tuple[dict, np.ndarray, np.ndarray]:
        predicted, r2 = held_out(codes, factors)
        y, truth = regression.standardised(factors[:half], factors[half:])
        weights = regression.lasso(x, y, penalties, start)
        importance = np.abs(weights).reshape(subspaces, -1, y.shape[1]).sum(axis=1)
        found = {
            "mig": mutual_information_gap(*block_information(predicted, factors[half:])),
            "dci": dci(importance),
            "dci_grouped": dci(grouped(importance, groups)),
            "informativeness": float(np.mean(regression.r_squared(y, truth, unseen @ weights))),
        }
        return found, r2, importance

    found, r2, importance = scores(factors, start)
    shuffled = [scores(rng.permutation(factors, axis=0), None) for _ in range(shuffles)]
    arrays = {"r2": r2.tolist(), "importance": importance.tolist()}
    highest = max(float(each.max()) for _, each, _ in shuffled)
    return _beside(found, [each for each, _, _ in shuffled]) | arrays | {"r2_null_max": highest}


def _beside(found: dict, chance: list[dict]) -> dict:
    """Put the mean of what shuffles gave beside every score, at any depth."""
    merged = {}
    for name, value in found.items():
        draws = [each[name] for each in chance]
        if isinstance(value, dict):
            merged[name] = _beside(value, draws)
        else:
            known = [draw for draw in draws if draw is not None]
            merged[name] = {"value": value, "chance": float(np.mean(known)) if known else None}
    return merged
