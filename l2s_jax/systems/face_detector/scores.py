"""The scores of a face detector on composed scenes, beside those of random weights and of a face in the middle."""

import functools
from collections.abc import Iterable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from input_pipeline.labels import LabelSet
from l2s_jax.metrics.detection import matched, precision_and_recall
from l2s_jax.systems.face_detector import network as detector
from l2s_jax.systems.face_detector.scenes import Faces, compose
from l2s_jax.systems.single_network import NAME, untrained_network
from l2s_jax.types import GLOBAL_VIEW, Batch, Detections, PyTree, Scorer, example_rngs

NAMES = ("faces.average_precision", "faces.f1", "faces.recall", "faces.precision")
_SCENES = 3
"""Scenes on the wall of every portrait."""
_COLUMNS = 8
"""Scenes in the report's picture."""
_GREEN = (-1.0, 1.0, -1.0)

Found = Mapping[str, np.ndarray]
"""`score`, `middle`, `side` and `points` of the detections of a scene."""


def scorer(network: nn.Module, side: int, label_set: LabelSet) -> Scorer:
    """Return the scorer of a detector in scenes of `side` pixels, composed with the same keys in every batch."""
    return Scorer(
        names=NAMES,
        collect=functools.partial(_collect, network, label_set),
        summary=functools.partial(summary, side),
        untrained=functools.partial(untrained_network, network, side),
        pictures=functools.partial(_pictures, network, label_set),
    )


def find(network: nn.Module, variables: PyTree, image: jax.Array) -> Detections:
    """Return the faces that a network finds in images [B, H, W, 3]."""
    return detector.faces(network.apply(variables[NAME], image, train=False))


def _scenes(label_set: LabelSet, batch: Batch) -> tuple[jax.Array, Faces]:
    """Compose scenes on the wall of every portrait, [scenes, B, ...], with the same keys in every batch."""
    keys = jax.random.split(jax.random.key(0), _SCENES)
    keys = jax.vmap(lambda key: example_rngs(key, GLOBAL_VIEW, len(batch["weight"])))(keys)
    return jax.vmap(lambda each: compose(each, batch, label_set, GLOBAL_VIEW.local_rows))(keys)


def _collect(network: nn.Module, label_set: LabelSet, variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
    image, faces = _scenes(label_set, batch)
    found = find(network, variables, image.reshape(-1, *image.shape[2:]))
    rows = {f"found_{name}": each.reshape(*image.shape[:2], *each.shape[1:]) for name, each in found._asdict().items()}
    return jax.tree.map(lambda each: jnp.moveaxis(each, 0, 1), rows | faces._asdict())


def summary(side: int, rows: Found, untrained: Found | None) -> dict:
    """Summarise the arrays of `_collect`, [N, scenes, ...], of scenes of `side` pixels.

    Returns:
      `faces`: the scores of `metrics.detection` (half-hidden faces do not count, nor what is found there), at its
      threshold the `landmark_error` (mean distance of the known points of the faces found, in sides), the `number` of
      faces; and the same of the baselines `middle` (one face of the usual size in the middle of each scene) and, if it
      is given, `untrained`.
    """
    middle = np.full((1, 2), side / 2)
    usual = np.array([np.median(rows["side"][rows["whole"] > 0])])
    guess = {"score": np.ones(1), "middle": middle, "side": usual, "points": np.repeat(middle[None], 5, axis=1)}
    scores = _judged(_each(rows))
    scores["middle"] = _judged((guess, true) for _, true in _each(rows))
    if untrained is not None:
        scores["untrained"] = _judged(_each(untrained))
    return {"faces": scores}


def _each(rows: Found) -> Iterable[tuple[Found, Faces]]:
    """Yield what was found in each scene, and what is there."""
    for place in np.ndindex(rows["side"].shape[:2]):
        found = {name: rows[f"found_{name}"][place] for name in Detections._fields}
        yield found, Faces(*(rows[name][place] for name in Faces._fields))


def _judged(scenes: Iterable[tuple[Found, Faces]]) -> dict:
    judged, faces = [], 0
    for found, true in scenes:
        there = {"middle": true.points[:, 0], "side": true.side, "whole": true.whole > 0, "hidden": true.hidden > 0}
        owner, counts = matched(found, there)
        distance = np.linalg.norm(found["points"] - true.points[owner, 1:], axis=-1) / true.side[owner, None]
        error = np.average(distance, axis=1, weights=true.present[owner, 1:] + 1e-9)
        judged.append(np.stack([found["score"], owner >= 0, error])[:, counts])
        faces += int(true.whole.sum())
    score, hit, error = np.concatenate(judged, axis=1)
    scores = precision_and_recall(score, hit > 0, faces)
    sure = (hit > 0) & (score >= scores["threshold"])
    return scores | {"landmark_error": float(error[sure].mean()) if sure.any() else None, "number": faces}


def _pictures(network: nn.Module, label_set: LabelSet, variables: PyTree, batch: Batch) -> dict[str, jax.Array]:
    """Return scenes, and the same with a square around every face that is found with a score of one half or more."""
    image = _scenes(label_set, batch)[0][0, :_COLUMNS]
    found = find(network, variables, image)
    at = jnp.arange(image.shape[1]) + 0.5
    across, down = (jnp.abs(at[None, None] - found.middle[..., i, None]) for i in (0, 1))  # [B, N, S]
    away = jnp.maximum(across[:, :, None], down[..., None]) - found.side[..., None, None] / 2
    line = jnp.any((jnp.abs(away) < 1) & (found.score[..., None, None] > 0.5), axis=1)
    framed = jnp.where(line[..., None], jnp.array(_GREEN)[None, None, None], image)
    return {"scenes, and the faces found": jnp.stack([image, framed])}
