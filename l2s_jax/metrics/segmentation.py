"""Segmentation scores, all from ONE confusion matrix accumulated over the entire data set."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from input_pipeline.labels import IGNORE, Label


def confusion(pred: jax.Array, truth: jax.Array, num_classes: int, weight: jax.Array) -> jax.Array:
    """Compute the confusion matrix of a batch, on device.

    Args:
      pred: int [B, H, W] class ids in 0..num_classes-1.
      truth: int [B, H, W] class ids in 0..num_classes-1, or 255 = ignore.
      num_classes: K, static under jit.
      weight: [B]; examples of weight 0 are left out, all others count once.

    Returns:
      int32 [K, K] pixel counts, rows = truth, columns = prediction. Add batches in int64.
    """
    counted = (truth != IGNORE) & (weight > 0)[:, None, None]
    cell = jnp.where(counted, truth.astype(jnp.int32) * num_classes + pred.astype(jnp.int32), num_classes**2)
    counts = jnp.bincount(cell.reshape(-1), length=num_classes**2 + 1)
    return counts[:-1].reshape(num_classes, num_classes).astype(jnp.int32)


def confusion_on_host(pred: np.ndarray, truth: np.ndarray, num_classes: int) -> np.ndarray:
    """Compute the confusion matrix of one mask in numpy.

    Masks at their native size have no common shape to compile for.

    Args:
      pred: int [...] class ids in 0..num_classes-1.
      truth: int, the same shape, 255 = ignore.
      num_classes: K.

    Returns:
      int64 [K, K] pixel counts, rows = truth, columns = prediction.

    Raises:
      ValueError: the shapes differ, or an id is neither in 0..K-1 nor (in the truth) 255.
    """
    if pred.shape != truth.shape:
        raise ValueError(f"prediction {pred.shape} and truth {truth.shape} differ in shape")
    counted = truth != IGNORE
    pred, truth = pred[counted].astype(np.int64), truth[counted].astype(np.int64)
    for ids in (pred, truth):
        if ids.size and (ids.min() < 0 or ids.max() >= num_classes):
            raise ValueError(f"a class id is outside 0..{num_classes - 1}: {ids.min()}..{ids.max()}")
    return np.bincount(truth * num_classes + pred, minlength=num_classes**2).reshape(num_classes, num_classes)


def scores(counts: np.ndarray, names: Sequence[str]) -> dict:
    """Compute the scores of a data set, ready for JSON.

    Per class, with TP, FP, FN in pixels: F1 = 2 TP / (2 TP + FP + FN), IoU = TP / (TP + FP + FN), precision =
    TP / (TP + FP), recall = TP / (TP + FN). A quotient with denominator 0 is None and is left out of the means: for F1
    and IoU, a class in neither truth nor prediction.

    Args:
      counts: int64 [K, K], the summed confusion matrices, rows = truth.
      names: K class names; class 0 is the background.

    Returns:
      `mean_f1` over classes 1.. (the papers leave the background out), `mean_iou` over ALL classes (as the papers
      count it), `mean_iou_foreground` over classes 1.., `pixel_accuracy`, `per_class` {name: {f1, iou, precision,
      recall, pixels}} with the pixels of the truth; and, if there are left and right classes, `merged`: the same with
      each pair as one class (`l_eye`, `r_eye` -> `eyes`). Python floats and ints in [0, 1], or None.

    Raises:
      ValueError: the matrix is not [K, K] for the K names.
    """
    counts = np.asarray(counts, np.int64)
    if counts.shape != (len(names), len(names)):
        raise ValueError(f"a confusion matrix of shape {counts.shape} does not fit {len(names)} class names")
    result = _scores(counts, names)
    merged_names, table = merge_sides(names)
    if len(merged_names) < len(names):
        result["merged"] = _scores(merged(counts, table), merged_names)
    return result


def merged(counts: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Return the confusion matrix int64 [M, M] of merged classes; `table` is int [K], the merged id of each class."""
    membership = np.eye(np.max(table) + 1, dtype=np.int64)[table]
    return membership.T @ counts @ membership


def picture_f1(counts: np.ndarray) -> np.ndarray:
    """Return the F1 of each class in one picture, float64 [K], NaN for a class that it does not show.

    Their mean over the classes, then over pictures, is the rule of a public course challenge on CelebAMask-HQ.

    Args:
      counts: int [K, K], the picture's confusion matrix, rows = truth.
    """
    truth = counts.sum(axis=1)
    return np.where(truth > 0, 2 * np.diag(counts) / np.maximum(truth + counts.sum(axis=0), 1), np.nan)


def position_counts(truth: np.ndarray, weight: np.ndarray, num_classes: int) -> np.ndarray:
    """Count how often each pixel of a batch has each class, in numpy.

    Args:
      truth: int [B, H, W] class ids in 0..num_classes-1, or 255 = ignore.
      weight: [B]; examples of weight 0 are left out.
      num_classes: K.

    Returns:
      int32 [H, W, K].
    """
    truth = truth[weight > 0]
    return np.stack([np.sum(truth == k, axis=0, dtype=np.int32) for k in range(num_classes)], axis=-1)


def baselines(counts: np.ndarray, names: Sequence[str]) -> dict:
    """Compute the scores of parsers that ignore the image, to compare with `scores` of one that does not.

    Args:
      counts: int [H, W, K], `position_counts` of a data set.
      names: K class names; class 0 is the background.

    Returns:
      `mean_mask`: `scores` of predicting for every face the class that is most frequent at each pixel of these same
        faces: an upper bound for predictions from position alone;
      `chance`: `mean_f1` and `per_class` {name: {f1}} of drawing every pixel's class with the frequencies of the data:
        the F1 of a class is then its share of the pixels. None for classes without pixels.
    """
    counts = np.asarray(counts, np.int64)
    classes, pixels = counts.shape[-1], counts.sum(axis=(0, 1))
    membership = np.eye(classes, dtype=np.int64)[counts.argmax(-1)]
    share = [float(n / pixels.sum()) if n else None for n in pixels]
    return {
        "mean_mask": scores(np.einsum("hwt,hwp->tp", counts, membership), names),
        "chance": {
            "mean_f1": _mean(share[1:]),
            "per_class": {name: {"f1": value} for name, value in zip(names, share, strict=True)},
        },
    }


def merge_sides(names: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Merge classes with left and right partners.

    Returns:
      the merged names in order of first appearance (`l_eye`, `r_eye` -> `eyes`), and int64 [K], the merged id of
      each class.
    """
    partner = {name: Label(i, name, name, (0, 0, 0)).partner for i, name in enumerate(names)}
    merged = [f"{name[2:]}s" if partner[name] in partner else name for name in names]
    unique = tuple(dict.fromkeys(merged))
    return unique, np.array([unique.index(name) for name in merged])


def _scores(counts: np.ndarray, names: Sequence[str]) -> dict:
    hit, truth, pred = np.diagonal(counts), counts.sum(axis=1), counts.sum(axis=0)
    per_class = {
        name: {
            "f1": _quotient(2 * hit[k], truth[k] + pred[k]),
            "iou": _quotient(hit[k], truth[k] + pred[k] - hit[k]),
            "precision": _quotient(hit[k], pred[k]),
            "recall": _quotient(hit[k], truth[k]),
            "pixels": int(truth[k]),
        }
        for k, name in enumerate(names)
    }
    return {
        "mean_f1": _mean([per_class[name]["f1"] for name in names[1:]]),
        "mean_iou": _mean([per_class[name]["iou"] for name in names]),
        "mean_iou_foreground": _mean([per_class[name]["iou"] for name in names[1:]]),
        "pixel_accuracy": _quotient(hit.sum(), counts.sum()),
        "per_class": per_class,
    }


def _quotient(above: np.integer, below: np.integer) -> float | None:
    return float(above / below) if below else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
