"""Pictures of people by a trained id_disentanglement, for experiments/judges.py: does a stranger see the person?

    python experiments/cross_people.py MODEL --out DIR [--generator MODEL] [--people 40] [--each 3] [--seed 0]
    PYTHONPATH=. python experiments/judges.py DIR/outputs --codes ours=DIR/outputs.npy
    PYTHONPATH=. python experiments/judges.py DIR/copies --codes ours=DIR/copies.npy

Faces come from a trained generator of faces (`--generator`, a StyleGAN2) or are drawings of unseen people. A folder of
DIR/outputs has the pictures of one person with the attributes of `--each` other faces; a folder of DIR/copies has
those other faces as they are, the baseline: whoever takes them for one person sees attributes, not people. DIR/*.npy
are the codes of MODEL's own identity encoder, in the judges' order. DIR/table.png shows the first of them.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from input_pipeline.datasets import open_source
from input_pipeline.errors import UserError, script
from l2s_jax.inference.identity_editor import IdentityEditor
from l2s_jax.inference.model import load_model
from l2s_jax.pixels import to_bytes
from l2s_jax.report.image_grid import sheet
from l2s_jax.report.overlays import MAT

SHOWN = 6
"""People in the table."""


def sampled(where: str, count: int, seed: int) -> np.ndarray:
    """Return uint8 [count, S, S, 3], faces of a model that makes them from random numbers.

    Raises:
      UserError: there is no such model, or it does not.
    """
    model = load_model(where)
    generator = model.system.generator
    if generator is None:
        raise UserError(f"'{where}' is a model of '{model.system.name}', which makes no faces from random numbers")
    z = jax.random.normal(jax.random.key(seed), (count, 1, generator.size))
    sample = jax.jit(lambda variables, z: generator.sample(variables, z, 1.0))
    return np.concatenate([to_bytes(sample(model.variables, row)) for row in z])


def drawn(count: int, size: int, seed: int) -> np.ndarray:
    """Return uint8 [count, size, size, 3], drawings of different people whom no training has seen."""
    source = open_source(f"synthetic:{(seed + 1) * count}?test", size=size, require_masks=False)
    return np.stack([source[seed * count + row]["image"] for row in range(count)])


def write(folder: Path, pictures: np.ndarray) -> None:
    """Write uint8 [people, each, S, S, 3] as a folder of pictures for each person."""
    for person, rows in enumerate(pictures):
        for number, picture in enumerate(rows):
            path = folder / f"{person:03}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)


@script
def main(argv: Sequence[str] | None = None) -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--generator", default="")
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--each", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    editor = IdentityEditor(load_model(args.model))
    count = args.people * (1 + args.each)
    faces = sampled(args.generator, count, args.seed) if args.generator else drawn(count, editor.image_size, args.seed)
    people, others = faces[: args.people], faces[args.people :].reshape(args.people, args.each, *faces.shape[1:])
    shown = {
        "outputs": np.stack(
            [
                np.concatenate([editor.render(editor.transfer(person, other)) for other in row])
                for person, row in zip(people, others, strict=True)
            ]
        ),
        "copies": others,
    }
    for name, pictures in shown.items():
        write(args.out / name, pictures)
        np.save(args.out / f"{name}.npy", editor.encode_all(list(pictures.reshape(-1, *faces.shape[1:]))).identity)
    table = editor.render(editor.cross(list(people[:SHOWN]), list(others[:SHOWN, 0])))
    blank = np.full_like(faces[0], MAT)
    rows = [[blank, *others[:SHOWN, 0]], *([who, *row] for who, row in zip(people[:SHOWN], table, strict=True))]
    Image.fromarray(sheet(rows)).save(args.out / "table.png")


if __name__ == "__main__":
    sys.exit(main())
