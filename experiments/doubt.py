"""Let a parser say when a picture is unlike those it was trained on, and measure how often it is right.

    python experiments/doubt.py MODEL --trained-on 'folder:data/celebamask_mini?train[:740]' \\
        --like 'folder:data/celebamask_mini?val' --out DIR [--json FILE]

Fits `l2s_jax/inference/familiar.py` to the faces of --trained-on, half of them as they are and half in random views as
the model's config augments them, and writes the model with this knowledge to --out. Printed: the share that it then
doubts of the faces of --like, as they are (false alarms) and as training would have seen them; of drawings made of
these faces by OpenCV (pencil, coloured pencil, cartoon, a poster of few colours); and of synthetic faces.
"""

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from input_pipeline import files
from input_pipeline.datasets import open_source
from input_pipeline.errors import script
from input_pipeline.images.augment import Augment, random_view
from input_pipeline.types import Source
from l2s_jax import bundle
from l2s_jax.inference import familiar
from l2s_jax.inference.familiar import Familiar
from l2s_jax.inference.model import Model, load_model

SYNTHETIC = "synthetic:100?val"


def as_augmented(model: Model, source: Source, seed: int) -> Iterator[np.ndarray]:
    """Yield a random training view of every face, uint8 [S, S, 3]."""
    options = Augment.from_dict(model.config.data.augment.to_dict())
    rng, side = np.random.default_rng(seed), model.meta.preprocessing.image_size
    for number in range(len(source)):
        view = random_view(source[number], options, source.label_set, side, rng, model.meta.preprocessing.rule)
        yield view["image"]


def as_they_are(source: Source) -> Iterator[np.ndarray]:
    """Yield the pictures of a source, uint8 [H, W, 3]."""
    return (source[number]["image"] for number in range(len(source)))


def drawings(photo: np.ndarray) -> dict[str, np.ndarray]:
    """Return what OpenCV draws of a photo, by name, uint8 [H, W, 3] each."""
    grey, colour = cv2.pencilSketch(photo, sigma_s=60, sigma_r=0.07, shade_factor=0.05)
    flat = cv2.pyrMeanShiftFiltering(photo, 12, 30)
    return {
        "pencil": np.repeat(grey[..., None], 3, axis=-1),
        "coloured pencil": colour,
        "cartoon": cv2.stylization(photo, sigma_s=60, sigma_r=0.45),
        "poster": flat // 48 * 48 + 24,
    }


def measure(known: Familiar, model: Model, like: Source) -> dict[str, dict[str, float]]:
    """Return for each kind of picture how many there are, the share that is doubted, and the median doubt."""
    drawn = [drawings(photo) for photo in as_they_are(like)]
    kinds = {
        "faces as they are": as_they_are(like),
        "faces as training sees them": as_augmented(model, like, 1),
        **{name: [each[name] for each in drawn] for name in drawn[0]},
        "synthetic faces": as_they_are(open_source(SYNTHETIC, size=model.meta.preprocessing.image_size)),
    }
    found = {name: [known.doubt(image) for image in images] for name, images in kinds.items()}
    return {
        name: {
            "pictures": len(doubts),
            "doubted": float(np.mean(np.array(doubts) > 1)),
            "median": float(np.median(doubts)),
        }
        for name, doubts in found.items()
    }


@script
def main(argv: Sequence[str] | None = None) -> None:
    """Fit, write the model, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--trained-on", required=True, help="faces that the model was trained on")
    parser.add_argument("--like", required=True, help="faces of the same kind that it was not trained on")
    parser.add_argument("--root", default="", help="folder of the data (default: this one)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the model that doubts")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    model = load_model(args.model)
    opened = {"root": args.root, "size": model.meta.preprocessing.image_size}
    trained_on, like = open_source(args.trained_on, **opened), open_source(args.like, **opened)
    # Two and two, so that even and odd numbers, the halves of `fit`, have both kinds.
    pairs = zip(as_they_are(trained_on), as_augmented(model, trained_on, 0), strict=True)
    known = familiar.fit(pair[number % 4 // 2] for number, pair in enumerate(pairs))
    bundle.save(args.out, model.variables, dataclasses.replace(model.meta, familiar=known.to_json()))
    table = measure(known, model, like)
    if args.json:
        files.replace_json(args.json, {"trained_on": args.trained_on, "like": args.like, "doubt": table})
    print(f"{'':28}{'pictures':>10}{'doubted':>9}{'median doubt':>14}")
    for name, row in table.items():
        print(f"{name:28}{row['pictures']:10d}{row['doubted']:9.2f}{row['median']:14.2f}")


if __name__ == "__main__":
    sys.exit(main())
