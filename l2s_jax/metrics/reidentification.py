"""Re-identification: can a gallery of known people still name a face? Rank-1 and AUC, by any encoder. numpy, float64.

An encoder is a function from pictures uint8 [N, H, W, 3] to numbers [N, D]; only their direction counts. What one
encoder cannot find again another one may.
"""

from collections.abc import Callable, Mapping

import numpy as np

from l2s_jax.metrics.verification import area_under_curve, cosines

Encoder = Callable[[np.ndarray], np.ndarray]


def rank_one(similarity: np.ndarray, same: np.ndarray) -> float:
    """Compute how often the most similar face of the gallery is one of the same person.

    Args:
      similarity: [N, G], probes by gallery.
      same: bool [N, G], True where both are one person; every probe has someone.

    Returns:
      a float in [0, 1]; among equals at the top one is drawn by chance, so that equals everywhere give the share of
      the right ones.
    """
    top = similarity == similarity.max(axis=1, keepdims=True)
    return float(np.mean((top & same).sum(axis=1) / top.sum(axis=1)))


def reidentification(
    encode: Encoder,
    probes: Mapping[str, np.ndarray],
    people: np.ndarray,
    gallery: np.ndarray,
    gallery_people: np.ndarray,
) -> dict[str, dict[str, float | None]]:
    """Try to name faces by a gallery, for every treatment of theirs.

    Args:
      encode: the encoder.
      probes: by name (`before`, `after`), uint8 [N, H, W, 3], the same N people.
      people: int [N], who they are.
      gallery: uint8 [G, H, W, 3].
      gallery_people: int [G]; everybody in `people` is among them.

    Returns:
      by name {`rank1`, `auc`}; `chance` is the `rank1` of guessing, with `auc` 0.5. `auc` is None if there is only one
      person.
    """
    known, same = encode(gallery), people[:, None] == gallery_people[None]
    found = {}
    for name, pictures in probes.items():
        similarity = cosines(encode(pictures), known)
        area = None if same.all() else area_under_curve(similarity[same], similarity[~same])
        found[name] = {"rank1": rank_one(similarity, same), "auc": area}
    return found | {"chance": {"rank1": float(same.mean()), "auc": 0.5}}
