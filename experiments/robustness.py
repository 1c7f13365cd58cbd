"""How does a parser bear photos unlike those it learned from? Labelled faces, changed on purpose.

    python experiments/robustness.py MODEL --data 'folder:data/celebamask_mini?val' [--seed 0] [--json FILE]

Every face is scored as it is, turned by 30 degrees, small and off-centre, dark, noisy, worn by JPEG, and behind patches
of a random colour (hands, cups and phones are what hides faces). Printed for each: mean F1 over all classes but the
background, from one confusion matrix; the rule of the public course challenge on such faces (F1 averaged over the
classes present in each picture, background too, then over pictures); mean F1 of seven merged classes (skin with ears
and neck, hair, brows, eyes, nose, lips, mouth; all else is background); and of the hidden pixels, the share that the
parser still calls part of a face. The mean mask of the faces as they are, which sees no picture, is the baseline.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import jax
import numpy as np

from input_pipeline import files
from input_pipeline.datasets import open_source
from input_pipeline.errors import UserError, script
from input_pipeline.images.augment import compressed
from input_pipeline.images.geometry import square_matrix, warp
from input_pipeline.images.occlusion import occlude
from input_pipeline.labels import IGNORE
from input_pipeline.types import Example
from l2s_jax.inference.model import Model, load_model
from l2s_jax.metrics import segmentation
from l2s_jax.pixels import from_bytes

MERGED = {
    "face": ("skin", "l_ear", "r_ear", "neck"),
    "hair": ("hair",),
    "brows": ("l_brow", "r_brow"),
    "eyes": ("l_eye", "r_eye"),
    "nose": ("nose",),
    "lips": ("u_lip", "l_lip"),
    "mouth": ("mouth",),
}
"""The seven classes of small public parsers, by classes of `celebamask`."""
HIDDEN = 254
"""Mask id of pixels under a patch, until they are counted; no label set has so many classes."""

Change = Callable[[Example, np.random.Generator], Example]


def _view(side: int, degrees: float = 0.0, scale: float = 1.0, shift: float = 0.0) -> Change:
    def change(example: Example, rng: np.random.Generator) -> Example:
        turn, moved = rng.choice((-degrees, degrees)), tuple(rng.choice((-shift, shift), 2))
        size = example["image"].shape[:2]
        matrix = square_matrix(*size, side, degrees=turn, scale=scale, shift=moved, shear=(0.0, 0.0))
        return warp(example, matrix, side, edge=True, mask_fill=IGNORE)

    return change


def _pixels(change: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Change:
    return lambda example, rng: {**example, "image": change(example["image"], rng)}


def _hidden(example: Example, rng: np.random.Generator) -> Example:
    return occlude(example, size=0.35, label=HIDDEN, rng=rng)


def conditions(side: int) -> dict[str, list[Change]]:
    """Return the changes of every condition, in their order; the first brings a face to the network's size."""
    plain = _view(side)
    return {
        "as it is": [plain],
        "turned by 30 degrees": [_view(side, degrees=30.0)],
        "half the size, off-centre": [_view(side, scale=0.5, shift=0.2)],
        "a quarter of the light": [plain, _pixels(lambda image, _: cv2.convertScaleAbs(image, alpha=0.25))],
        "noise of 25 levels": [plain, _pixels(_noisy)],
        "JPEG of quality 10": [plain, _pixels(lambda image, _: compressed(image, 10))],
        "hidden by patches": [plain, _hidden],
    }


def _noisy(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(np.rint(image + rng.normal(0, 25, image.shape)), 0, 255).astype(np.uint8)


def merged_scores(counts: np.ndarray, names: Sequence[str]) -> dict:
    """Return `segmentation.scores` of the classes of `MERGED`; whatever is in none of them is background."""
    groups = ["background", *MERGED]
    table = [next((i for i, group in enumerate(groups) if name in MERGED.get(group, ())), 0) for name in names]
    return segmentation.scores(segmentation.merged(counts, np.array(table)), groups)


def measure(model: Model, examples: Sequence[Example], seed: int) -> dict[str, dict]:
    """Score a model on faces under every condition: rows of the table by condition, and of the mean mask."""
    system, side = model.system, model.meta.preprocessing.image_size
    classes, names = len(system.label_set), system.label_set.names
    labels = jax.jit(lambda variables, image: system.predict(variables, image).labels)
    face = [system.label_set[part] for group, parts in MERGED.items() if group != "hair" for part in parts]
    table = {}
    for name, changes in conditions(side).items():
        counts, challenge, covered, called = np.zeros((classes, classes), np.int64), [], 0, 0
        for number, example in enumerate(examples):
            rng = np.random.default_rng((seed, number))
            for change in changes:
                example = change(example, rng)
            image = from_bytes(np.asarray(example["image"]))[None]
            found = np.asarray(labels(model.variables, image))[0]
            hidden = example["mask"] == HIDDEN
            covered, called = covered + hidden.sum(), called + np.isin(found[hidden], face).sum()
            truth = np.where(hidden, IGNORE, example["mask"])
            one = segmentation.confusion_on_host(found, truth, classes)
            counts, challenge = counts + one, [*challenge, np.nanmean(segmentation.picture_f1(one))]
        table[name] = _row(counts, challenge, names) | {"hidden_as_face": float(called / covered) if covered else None}
    masks = np.stack([_view(side)(example, np.random.default_rng(0))["mask"] for example in examples])
    places = segmentation.position_counts(masks, np.ones(len(masks)), classes)
    guess = places.argmax(axis=-1)
    each = [segmentation.confusion_on_host(guess, mask, classes) for mask in masks]
    return table | {
        "mean mask": _row(sum(each), [np.nanmean(segmentation.picture_f1(one)) for one in each], names)
        | {"hidden_as_face": None}
    }


def _row(counts: np.ndarray, challenge: Sequence[float], names: Sequence[str]) -> dict:
    scores = segmentation.scores(counts, names)
    return {
        "mean_f1": scores["mean_f1"],
        "challenge": float(np.mean(challenge)),
        "merged": merged_scores(counts, names)["mean_f1"],
        "per_class": {name: entry["f1"] for name, entry in scores["per_class"].items()},
    }


def lines(table: Mapping[str, Mapping]) -> list[str]:
    """Return the table for the terminal."""
    found = [f"{'':28}{'mean F1':>9}{'challenge':>11}{'7 classes':>11}{'hidden as face':>16}"]
    for name, row in table.items():
        share = "" if row["hidden_as_face"] is None else f"{row['hidden_as_face']:.3f}"
        found.append(f"{name:28}{row['mean_f1']:9.3f}{row['challenge']:11.3f}{row['merged']:11.3f}{share:>16}")
    return found


@script
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    model = load_model(args.model)
    if model.system.predict is None or model.system.label_set.name != "celebamask":
        raise UserError(f"'{args.model}' does not segment the classes of celebamask, which this study merges")
    source = open_source(args.data, size=model.meta.preprocessing.image_size)
    table = measure(model, source, args.seed)
    if args.json:
        files.replace_json(args.json, {"data": args.data, "faces": len(source), "seed": args.seed, "scores": table})
    print("\n".join(lines(table)))


if __name__ == "__main__":
    sys.exit(main())
