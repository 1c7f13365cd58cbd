"""Verification: do two pictures show one person? Scores of similarities, exact also where they tie. numpy, float64.

A pair is accepted if its similarity reaches a threshold. TAR is the share of accepted pairs of one person, FAR that of
two; thresholds are all similarities that occur, so pairs that tie are accepted together.
"""

import numpy as np

FALSE_ACCEPTS = {"tar_at_far_1e-2": 1e-2, "tar_at_far_1e-3": 1e-3}
"""False accept rates at which `verification` states the true accept rate, by the name of the score."""


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute the cosines between rows [N, D] and [M, D]: float64 [N, M], 0 for a row of zeros."""
    a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in map(np.float64, (a, b)))
    return a @ b.T


def pair_similarities(embedding: np.ndarray, identity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the cosines of all pairs of rows, each pair once; memory grows with N^2 (0.2 GiB for 4,000 rows).

    Args:
      embedding: [N, D], of any length: only directions count; a zero vector has cosine 0 with all others.
      identity: int [N], the people.

    Returns:
      float64 (those of one person [S], those of two [T]).
    """
    first, second = np.triu_indices(len(embedding), 1)
    similarity = cosines(embedding, embedding)[first, second]
    same = np.asarray(identity)[first] == np.asarray(identity)[second]
    return similarity[same], similarity[~same]


def area_under_curve(same: np.ndarray, different: np.ndarray) -> float:
    """Compute the probability that a pair of one person is more similar than one of two; ties count half.

    Args:
      same: similarities of pairs of one person, [S], at least one.
      different: those of pairs of two people, [T], at least one.

    Returns:
      in [0, 1]; chance is 0.5.
    """
    different = np.sort(different)
    below = np.searchsorted(different, same, "left") + np.searchsorted(different, same, "right")
    return float(np.mean(below) / (2 * len(different)))


def true_accept_rate(same: np.ndarray, different: np.ndarray, false_accept_rate: float) -> float:
    """Compute the largest TAR of all thresholds whose FAR is at most the given one; arguments as above.

    With fewer than 1 / FAR pairs of two people, none of them may be accepted.
    """
    far, tar = _curve(same, different)
    return float(tar[far <= false_accept_rate].max())


def equal_error_rate(same: np.ndarray, different: np.ndarray) -> float:
    """Compute where FAR equals 1 - TAR, on straight lines between the thresholds; arguments as above."""
    far, tar = _curve(same, different)
    gap = far - (1 - tar)  # from -1 to 1, never falling
    after = int(np.argmax(gap >= 0))
    before = after - 1
    share = -gap[before] / (gap[after] - gap[before])
    return float(far[before] + share * (far[after] - far[before]))


def _curve(same: np.ndarray, different: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (FAR, TAR) of every threshold, the strictest first: beginning with (0, 0), ending with (1, 1)."""
    same, different = np.sort(same), np.sort(different)
    thresholds = np.unique(np.concatenate([same, different]))[::-1]
    counts = (len(each) - np.searchsorted(each, thresholds, "left") for each in (different, same))
    far, tar = (np.concatenate([[0], count]) / count[-1] for count in counts)  # the loosest threshold accepts all
    return far, tar


def verification(embedding: np.ndarray, identity: np.ndarray) -> dict[str, float | None]:
    """Compute all scores of the pairs of some faces.

    Args:
      embedding, identity: as for `pair_similarities`.

    Returns:
      `auc`, those of `FALSE_ACCEPTS`, `eer`, `cosine_same` and `cosine_different` (means); all None if there is no pair
      of one person or none of two.
    """
    same, different = pair_similarities(embedding, identity)
    if not len(same) or not len(different):
        return dict.fromkeys(("auc", *FALSE_ACCEPTS, "eer", "cosine_same", "cosine_different"))
    return {
        "auc": area_under_curve(same, different),
        **{name: true_accept_rate(same, different, rate) for name, rate in FALSE_ACCEPTS.items()},
        "eer": equal_error_rate(same, different),
        "cosine_same": float(np.mean(same)),
        "cosine_different": float(np.mean(different)),
    }
