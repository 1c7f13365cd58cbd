"""How often does de-identification work? Re-identification of people in pictures that a gallery does not have.

    python experiments/deidentification.py MODEL [--judge MODEL] [--data 'synthetic:200/100?test']
        [--pool 'synthetic:256?train'] [--thresholds 0.1 0.3 0.5] [--k 2 5 10] [--json FILE]

The first picture of each person of --data is the gallery, the others are the probes: as they are, decoded with their
own identity (what MODEL loses anyway), and de-identified in every way with identities of --pool. Who they are is asked
MODEL's own encoder, and that of --judge, which had no part in the training.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from input_pipeline import files
from input_pipeline.datasets import open_source
from input_pipeline.errors import UserError, script
from l2s_jax.inference.identity_editor import IdentityEditor, Surrogate
from l2s_jax.inference.model import load_model
from l2s_jax.inference.surrogates import below, k_same
from l2s_jax.metrics.reidentification import reidentification


def split(people: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the first picture of each person, and those of the others.

    Raises:
      UserError: nobody has two pictures.
    """
    _, first = np.unique(people, return_index=True)
    others = np.setdiff1d(np.arange(len(people)), first)
    if not others.size:
        raise UserError("nobody has two pictures, one for the gallery and one to ask about: take synthetic:200/100")
    return first, others


def treatments(
    editor: IdentityEditor, photos: Sequence[np.ndarray], ways: Mapping[str, Sequence[Surrogate]]
) -> dict[str, np.ndarray]:
    """Return the pictures uint8 [N, S, S, 3] of every treatment; a way has a surrogate for each photo."""
    faces = [editor.encode_face(photo) for photo in photos]
    shown = {"photo": np.stack([editor.square(photo) for photo in photos])}
    shown["decoded"] = np.concatenate([editor.render(editor.transfer(face, face)) for face in faces])
    for name, surrogates in ways.items():
        pairs = zip(faces, surrogates, strict=True)
        shown[name] = np.concatenate([editor.render(editor.deidentify(face, one)) for face, one in pairs])
    return shown


def encoder(editor: IdentityEditor):
    """Return the editor's identity encoder as a function of pictures."""
    return lambda pictures: editor.encode_all(list(pictures)).identity


def lines(scores: Mapping) -> list[str]:
    """Return the table for the terminal."""
    found = [f"{'encoder':10}{'pictures':22}{'rank-1':>8}{'AUC':>8}"]
    for name, rows in scores.items():
        found += [f"{name:10}{row:22}{each['rank1']:8.3f}{each['auc']:8.3f}" for row, each in rows.items()]
    return found


@script
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--judge")
    parser.add_argument("--data", default="synthetic:200/100?test")
    parser.add_argument("--pool", default="synthetic:256?train")
    parser.add_argument("--thresholds", type=float, nargs="*", default=[0.1, 0.3, 0.5])
    parser.add_argument("--k", type=int, nargs="*", default=[2, 5, 10])
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    editor = IdentityEditor(load_model(args.model))
    judges = {"own": editor} | ({"judge": IdentityEditor(load_model(args.judge))} if args.judge else {})
    options = {"size": editor.image_size, "require_masks": False}
    examples, others = (list(open_source(spec, **options)) for spec in (args.data, args.pool))
    if any("identity" not in each for each in examples):
        raise UserError(f"'{args.data}' does not say who is who: take synthetic:200/100")
    people = np.array([int(each["identity"]) for each in examples])
    known, asked = split(people)
    pool = editor.encode_all([each["image"] for each in others]).identity
    ways = {f"cosine below {t:g}": [below(pool, t, seed) for seed in range(len(asked))] for t in args.thresholds}
    ways |= {f"mean of {k} nearest": [k_same(pool, k)] * len(asked) for k in args.k}
    shown = treatments(editor, [examples[row]["image"] for row in asked], ways)
    gallery = np.stack([editor.square(examples[row]["image"]) for row in known])
    scores = {
        name: reidentification(encoder(judge), shown, people[asked], gallery, people[known])
        for name, judge in judges.items()
    }
    if args.json:
        files.replace_json(args.json, vars(args) | {"json": str(args.json), "scores": scores})
    print("\n".join(lines(scores)))


if __name__ == "__main__":
    sys.exit(main())
