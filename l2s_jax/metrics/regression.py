"""Linear predictions of factors from codes, fitted on some rows and judged on others: ridge and lasso.

All functions are numpy in float64. The penalty of every target is chosen on the training rows alone.
"""

import numpy as np

RIDGE_PENALTIES = np.logspace(-3, 3, 13)
"""Relative to the mean of the squared singular values above 0 of the standardised features."""
LASSO_PENALTIES = np.logspace(0, -2, 9)
"""Relative to the least penalty at which all weights are 0."""
HELD_BACK = 4
"""One in this many training rows chooses the penalty of the lasso."""
FLOOR = 1e-3
"""Least deviation of a feature, relative to that of the one that varies most: a dead one must not be magnified."""
RIDGE = 1e-9
"""Added to the variance of every feature, so that features that determine one another have one minimum."""
TOLERANCE = 1e-6
"""By how much the slope of the lasso at a weight of 0 may exceed the penalty."""
ACTIVATIONS = 20
"""Times the number of features: so many weights at most become other than 0 on the way. Rounding must not loop."""


def ridge(train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray) -> np.ndarray:
    """Predict targets by ridge regression, with the penalty of each target chosen by leave-one-out in closed form.

    Args:
      train_x: [N, D], N at least 3; standardised here.
      train_y: [N, F].
      test_x: [M, D].

    Returns:
      float64 [M, F].
    """
    x, test = standardised(train_x, test_x)
    mean = np.mean(train_y, axis=0, dtype=np.float64)
    y = train_y - mean
    left, values, right = np.linalg.svd(x, full_matrices=False)
    spanned = values > 1e-8 * values.max(initial=0.0)
    left, values, right = left[:, spanned], values[spanned], right[spanned]
    rotated, squares = left.T @ y, values**2
    best, weights = np.full(y.shape[1], np.inf), np.zeros((x.shape[1], y.shape[1]))
    for penalty in RIDGE_PENALTIES * (squares.mean() if squares.size else 1.0):
        # With an intercept H = 1/N + X (X'X + p)^-1 X'; the residual of row i when left out is e_i / (1 - H_ii).
        shrink = squares / (squares + penalty)
        leverage = 1 / len(x) + np.square(left) @ shrink
        residual = (y - left @ (shrink[:, None] * rotated)) / np.maximum(1 - leverage, 1e-6)[:, None]
        error = np.sum(residual**2, axis=0)
        better = error < best
        best[better] = error[better]
        weights[:, better] = right.T @ ((values / (squares + penalty))[:, None] * rotated[:, better])
    return mean + test @ weights


def lasso(x: np.ndarray, y: np.ndarray, penalty: np.ndarray, start: np.ndarray | None = None) -> np.ndarray:
    """Minimise |y_f - x w_f|^2 / (2 N) + penalty_f |w_f|_1 for every target f.

    By active sets, as the feature-sign search of Lee et al. (2007): with the signs of the weights known the minimum is
    that of linear equations. Coordinate descent needs thousands of sweeps where features resemble one another.

    Args:
      x: [N, D], of mean 0, the largest variance about 1.
      y: [N, F], of mean 0.
      penalty: [F].
      start: weights to begin with, which change the time it takes and nothing else; None = 0.

    Returns:
      weights, float64 [D, F].
    """
    gram, cross = x.T @ x / len(x) + RIDGE * np.eye(x.shape[1]), x.T @ y / len(x)
    start = np.zeros(cross.shape) if start is None else start
    columns = range(cross.shape[1])
    return np.stack([_lasso_of_one(gram, cross[:, f], penalty[f], start[:, f]) for f in columns], axis=1)


def _lasso_of_one(gram: np.ndarray, cross: np.ndarray, penalty: float, start: np.ndarray) -> np.ndarray:
    weights, signs = start.copy(), np.sign(start)
    for _ in range(ACTIVATIONS * len(cross)):
        _settle(gram, cross, penalty, weights, signs)
        slope = cross - gram @ weights
        excess = np.where(signs == 0, np.abs(slope) - penalty, -np.inf)
        j = int(np.argmax(excess))
        if excess[j] <= TOLERANCE:
            break
        signs[j] = np.sign(slope[j])  # the minimum over the others and this one has this sign
    return weights


def _settle(gram: np.ndarray, cross: np.ndarray, penalty: float, weights: np.ndarray, signs: np.ndarray) -> None:
    """Minimise in place over the weights whose sign is not 0; those that would change their sign become 0."""
    while len(active := np.flatnonzero(signs)):
        now = weights[active]
        best = np.linalg.solve(gram[np.ix_(active, active)], cross[active] - penalty * signs[active])
        crossing = best * signs[active] <= 0
        if not crossing.any():
            weights[active] = best
            return
        # Go as far as the first weight that reaches 0: the loss falls all the way.
        way = np.full(len(active), np.inf)
        way[crossing] = now[crossing] / np.where(now == best, 1.0, now - best)[crossing]
        first = way.min()
        gone = active[way <= first]
        weights[active] = now + first * (best - now)
        weights[gone], signs[gone] = 0.0, 0.0


def lasso_penalties(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Choose the penalty of every target: the one of LASSO_PENALTIES that predicts the last quarter of the rows best.

    Args:
      x: [N, D], of mean 0.
      y: [N, F], of mean 0.

    Returns:
      penalties, float64 [F], and the weights that the other rows have at them, float64 [D, F].
    """
    fitted = len(x) - len(x) // HELD_BACK
    (seen_x, unseen_x), (seen_y, unseen_y) = ((z[:fitted], z[fitted:]) for z in (x, y))
    largest = np.max(np.abs(seen_x.T @ seen_y), axis=0) / fitted
    weights = np.zeros((x.shape[1], y.shape[1]))
    penalties, chosen, best = largest.copy(), weights.copy(), np.full(y.shape[1], np.inf)
    for share in LASSO_PENALTIES:
        weights = lasso(seen_x, seen_y, share * largest, weights)
        error = np.sum((unseen_y - unseen_x @ weights) ** 2, axis=0)
        better = error < best
        best[better], penalties[better], chosen[:, better] = error[better], share * largest[better], weights[:, better]
    return penalties, chosen


def standardised(train: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """Shift and scale columns so that those of `train` have mean 0 and variance 1 (less below FLOOR), float64.

    Args:
      train: [N, D].
      others: [M, D] each, changed in the same way.
    """
    train = train.astype(np.float64)
    mean, deviation = train.mean(axis=0), train.std(axis=0)
    scale = np.maximum(deviation, FLOOR * deviation.max(initial=0.0))
    scale = np.where(scale > 0, scale, 1.0)
    return tuple((x - mean) / scale for x in (train, *others))


def r_squared(train_y: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Compute 1 - sum (y - y')^2 / sum (y - m)^2 over unseen rows, with m the mean of the rows that were fitted.

    Args:
      train_y: [N, F].
      truth: [M, F].
      predicted: [..., M, F].

    Returns:
      float64 [..., F], at most 1; 0 = no better than the mean, and for a target that is constant; it may be negative.
    """
    total = np.sum((truth - np.mean(train_y, axis=0, dtype=np.float64)) ** 2, axis=0)
    error = np.sum((truth - predicted) ** 2, axis=-2)
    varies = np.std(truth, axis=0) > 0
    return np.where(varies, 1 - error / np.where(varies, total, 1.0), 0.0)
