"""Label faces that nobody labelled, with a model: a folder of photos and masks to train on beside labelled faces.

    python experiments/pseudo_labels.py MODEL data/celebamask_mini/unlabelled/images --out data/celebamask_pseudo

The model and its mirror image are averaged, and pixels of which it is less sure than --sure are ignored (255), so
that it teaches what it knows. Train on both: --config.data.train='0.8*folder:FACES + 0.2*folder:data/celebamask_pseudo'
(pseudo-labels: Lee, "Pseudo-Label", ICML workshop 2013; the threshold as in FixMatch, arXiv 2001.07685).
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from input_pipeline.errors import UserError, script
from input_pipeline.labels import IGNORE
from l2s_jax import Parser, load_model, systems


def mirrored(where: str) -> Parser:
    """Return a parser of whole pictures by a SegFace model that averages over the picture and its mirror image.

    Raises:
      UserError: there is no such model, or it is of another system.
    """
    model = load_model(where)
    if model.meta.system != "segface":
        raise UserError(f"'{where}' is a model of '{model.meta.system}': give one of segface")
    config = model.config.copy_and_resolve_references().unlock()
    config.model.mirror = True
    return Parser(dataclasses.replace(model, config=config, system=systems.build(config.lock())), crop="none")


@script
def main(argv: Sequence[str] | None = None) -> None:
    """Write --out/images, --out/masks and labels.json, print the share of pixels kept."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("model")
    arguments.add_argument("photos", type=Path, help="folder of photos")
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--sure", type=float, default=0.6, help="probability below which a pixel is ignored")
    args = arguments.parse_args(argv)
    photos = sorted(path for path in args.photos.glob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not photos:
        raise UserError(f"'{args.photos}' holds no photos: name a folder of .jpg or .png files")
    parser = mirrored(args.model)
    if args.out.exists():
        raise UserError(f"'{args.out}' exists: name a new folder")
    for part in ("images", "masks"):
        (args.out / part).mkdir(parents=True)
    description = {"label_set": parser.label_set.name, "licence": parser.model.meta.licence}
    (args.out / "labels.json").write_text(json.dumps(description))
    kept = []
    for path, parsing in zip(photos, parser.batch(photos), strict=True):
        sure = parsing.confidence >= args.sure
        mask = Image.fromarray(np.where(sure, parsing.ids, IGNORE).astype(np.uint8))
        mask.save(args.out / "masks" / f"{path.stem}.png")
        (args.out / "images" / path.name).write_bytes(path.read_bytes())
        kept.append(sure.mean())
    print(f"{len(photos)} photos in {args.out}, {np.mean(kept):.1%} of the pixels kept")


if __name__ == "__main__":
    sys.exit(main())
