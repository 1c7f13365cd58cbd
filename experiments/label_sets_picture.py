"""Draw docs/images/label_sets.png: one synthetic face in several label sets, with the names of its classes.

python experiments/label_sets_picture.py [--out docs/images/label_sets.png]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from input_pipeline import files
from input_pipeline.errors import script
from input_pipeline.labels import CELEBAMASK, LABEL_SETS, remap
from input_pipeline.synthetic.face import render
from l2s_jax.report import image_grid, overlays

FACE = (0, 24)  # seed and index of a face with long hair and visible ears
SETS = ("celebamask", "lapa", "l2s_regions", "skin_hair")
SIDE = 240


def draw() -> np.ndarray:
    """Return the picture, uint8 [H, W, 3]."""
    face = render(*FACE, SIDE)
    ids = [remap(CELEBAMASK, LABEL_SETS[name])[face["mask"]] for name in SETS]
    cells = [
        overlays.overlay(face["image"], each, LABEL_SETS[name], 0.75) for name, each in zip(SETS, ids, strict=True)
    ]
    legend = overlays.legend(CELEBAMASK, np.unique(ids[0]).tolist(), (len(SETS) + 1) * (SIDE + 8))
    return image_grid.sheet([[face["image"], *cells]], column_titles=["the face", *SETS], footers=[legend])


@script
def main(argv: Sequence[str] | None = None) -> None:
    """Draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images/label_sets.png"))
    args = parser.parse_args(argv)
    files.replace(args.out, image_grid.png(draw()))


if __name__ == "__main__":
    sys.exit(main())
