"""How much do masks flicker from frame to frame of a film, and what does holding them steady cost?

    python experiments/film_smoothing.py [MODEL] [--people 8] [--frames 24] [--size 128] [--noise 12] [--json FILE]

Films of synthetic people in motion (`input_pipeline/synthetic/track.py`) with fresh noise in every frame, as a camera
has it, and half of the films slowed down four times by repeating frames. Flicker is the share of pixels whose class
changes from one frame to the next where the truth does not change; F1 is the mean over the classes but the background,
of all frames together.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from input_pipeline import files
from input_pipeline.errors import script
from input_pipeline.labels import CELEBAMASK, remap
from input_pipeline.synthetic import track
from l2s_jax import Parser
from l2s_jax.metrics import segmentation

WEIGHTS = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9)


def flicker(ids: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> float:
    """Return the share of pixels that change their class where the truth keeps it, uint8 [H, W] of each frame."""
    ids, truth = np.stack(ids), np.stack(truth)
    still = truth[1:] == truth[:-1]
    return float(np.mean((ids[1:] != ids[:-1])[still]))


@script
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--noise", type=float, default=12.0, help="standard deviation, grey levels")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    rows = measure(Parser(args.model), args)
    if args.json:
        files.replace_json(args.json, rows)
    print(f"{'weight':>8}{'flicker %':>12}{'mean F1':>10}")
    for row in rows:
        print(f"{row['weight']:8.1f}{100 * row['flicker']:12.3f}{row['mean_f1']:10.4f}")


def measure(parser: Parser, args: argparse.Namespace) -> list[dict[str, float]]:
    """Return flicker and F1 of every weight, over all films."""
    table = remap(CELEBAMASK, parser.label_set)
    rng = np.random.default_rng(0)
    films = []
    for person in range(args.people):
        faces = track.faces(0, person, args.frames, args.size)
        faces = [face for face in faces for _ in range(1 + 3 * (person % 2))][: args.frames]
        noisy = [np.clip(face["image"] + rng.normal(0, args.noise, face["image"].shape), 0, 255) for face in faces]
        films.append(([frame.astype(np.uint8) for frame in noisy], [table[face["mask"]] for face in faces]))
    rows = []
    for weight in WEIGHTS:
        counts, flickers = 0, []
        for frames, truth in films:
            ids = [parsing.ids for parsing in parser.film(frames, smoothing=weight)]
            flickers.append(flicker(ids, truth))
            counts = counts + sum(
                map(lambda a, b: segmentation.confusion_on_host(a, b, len(parser.label_set)), ids, truth)
            )
        scores = segmentation.scores(counts, parser.label_set.names)
        rows.append({"weight": weight, "flicker": float(np.mean(flickers)), "mean_f1": scores["mean_f1"]})
    return rows


if __name__ == "__main__":
    sys.exit(main())
