"""How still does a person keep over the frames of a film: one identity for all frames against each frame's own?

    python experiments/identity_track.py MODEL [--judge MODEL] [--people 8] [--frames 32] [--seed 0] [--json FILE]

Films of synthetic people in motion (`input_pipeline/synthetic/track.py`), in which only pose, expression and light
change. Each is shown again by MODEL (a system with `transfer`): with the mean identity of its frames, and with each
frame's own. Identities are read by MODEL's own encoder, and by that of --judge, which had no part in the training.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from input_pipeline import files
from input_pipeline.errors import script
from input_pipeline.synthetic.track import track
from l2s_jax.inference.identity_editor import IdentityEditor
from l2s_jax.inference.model import load_model
from l2s_jax.metrics.temporal_coherence import temporal_coherence


def measure(editor: IdentityEditor, judges: Mapping[str, IdentityEditor], film: Sequence[np.ndarray]) -> dict:
    """Return the coherence of a film as it is, with one identity and with each frame's own: judge -> kind -> scores."""
    codes = editor.encode_all(film)
    kinds = {
        "photos": film,
        "one_identity": editor.render(editor.sequence([codes])),
        "own_identities": editor.render(editor.transfer(codes, codes)),
    }
    return {
        name: {kind: temporal_coherence(judge.encode_all(list(seen)).identity) for kind, seen in kinds.items()}
        for name, judge in judges.items()
    }


def summary(films: Sequence[dict]) -> dict:
    """Replace every score by its mean and its standard deviation over the films."""
    first = films[0]
    if isinstance(first, dict):
        return {name: summary([film[name] for film in films]) for name in first}
    return {"mean": float(np.mean(films)), "std": float(np.std(films, ddof=1)) if len(films) > 1 else None}


def lines(scores: Mapping) -> list[str]:
    """Return the table for the terminal."""
    found = [f"{'encoder':10}{'frames':17}{'cosine from frame to frame':>28}{'variance':>20}"]
    for name, kinds in scores.items():
        for kind, each in kinds.items():
            cells = (
                f"{each[score]['mean']:.4f} ± {each[score]['std'] or 0:.4f}" for score in ("consecutive", "variance")
            )
            found.append("{:10}{:17}{:>28}{:>20}".format(name, kind.replace("_", " "), *cells))
    return found


@script
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--judge")
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    editor = IdentityEditor(load_model(args.model))
    judges = {"own": editor} | ({"judge": IdentityEditor(load_model(args.judge))} if args.judge else {})
    films = [track(args.seed, person, args.frames, editor.image_size) for person in range(args.people)]
    scores = summary([measure(editor, judges, film) for film in films])
    if args.json:
        files.replace_json(args.json, {"model": args.model, "judge": args.judge, "films": len(films), **scores})
    print("\n".join(lines(scores)))


if __name__ == "__main__":
    sys.exit(main())
