"""Whom does a parser fail on? Labelled faces by what their masks and pictures tell of them.

    python experiments/groups.py MODEL --data 'folder:data/celebamask_mini?val' [--root DIR] [--json FILE]

Printed for each group: how many faces; their mean F1 by the rule of the course challenge (over the classes that a
picture shows, then over pictures); the mean F1 of skin and of hair; and the same F1 of the faces outside the group.
The masks tell who wears glasses, a hat, earrings or a necklace, whose ears and teeth are seen, and who has little hair;
the picture tells how dark the face is. Age, sex, skin and origin are in no label, so nothing is said of them: a dark
face here is dark skin or little light, whichever it is.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from input_pipeline import files
from input_pipeline.datasets import open_source
from input_pipeline.errors import UserError, script
from input_pipeline.loading.train import eval_batches
from input_pipeline.types import Source
from l2s_jax.inference.model import Model, load_model
from l2s_jax.metrics import segmentation
from l2s_jax.types import unpacked

WORN = {"eye_g": "glasses", "hat": "a hat", "ear_r": "earrings", "neck_l": "a necklace", "mouth": "an open mouth"}
"""Groups of faces that show a class of `celebamask`."""


def rows(model: Model, source: Source, batch_size: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of every face its F1 by class, float [N, K], NaN where the face does not show it; the share of pixels of
    each class, float [N, K]; and the mean grey of its skin, float [N], NaN without skin."""
    system, side = model.system, model.meta.preprocessing.image_size
    labels = jax.jit(lambda variables, image: system.predict(variables, image).labels)
    options = {"image_size": side, "batch_size": batch_size, "resize": model.meta.preprocessing.rule}
    f1, shares, light, classes = [], [], [], len(system.label_set)
    for batch, _ in eval_batches(source, label_set=system.label_set, **options):
        found = np.asarray(labels(model.variables, unpacked(batch)["image"]))
        for image, mask, ids in zip(batch["image"], batch["mask"], found, strict=True):
            if len(f1) == len(source):
                break  # the rest is padding
            counts = segmentation.confusion_on_host(ids, mask, classes)
            truth = counts.sum(axis=1)
            f1.append(segmentation.picture_f1(counts))
            shares.append(truth / max(truth.sum(), 1))
            skin = image[mask == system.label_set["skin"]]
            light.append(skin.mean() if len(skin) else np.nan)
    return np.array(f1), np.array(shares), np.array(light)


def groups(shares: np.ndarray, light: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return who is in which group, bool [N] each."""
    column = {name: shares[:, i] for i, name in enumerate(names)}
    return {
        **{title: column[name] > 0 for name, title in WORN.items()},
        "no ear seen": (column["l_ear"] + column["r_ear"]) == 0,
        "one ear seen": (column["l_ear"] > 0) != (column["r_ear"] > 0),
        "the least hair (a quarter)": column["hair"] <= np.quantile(column["hair"], 0.25),
        "the darkest skin or light (a quarter)": light <= np.nanquantile(light, 0.25),
    }


def measure(model: Model, source: Source) -> dict[str, dict[str, float | None]]:
    """Return the rows of the table by group; the first are all faces."""
    names = model.system.label_set.names
    f1, shares, light = rows(model, source)
    challenge, skin, hair = np.nanmean(f1, axis=1), f1[:, names.index("skin")], f1[:, names.index("hair")]
    table = {"all": np.ones(len(f1), bool), **groups(shares, light, names)}
    return {
        title: {
            "faces": int(inside.sum()),
            "f1": _mean(challenge[inside]),
            "skin": _mean(skin[inside]),
            "hair": _mean(hair[inside]),
            "others_f1": _mean(challenge[~inside]),
        }
        for title, inside in table.items()
    }


def _mean(values: np.ndarray) -> float | None:
    """Return the mean of what is not NaN; None if nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


@script
def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", required=True)
    parser.add_argument("--root", default="", help="folder of the data (default: this one)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    model = load_model(args.model)
    if model.system.predict is None or model.system.label_set.name != "celebamask":
        raise UserError(f"'{args.model}' does not segment the classes of celebamask, which make the groups")
    table = measure(model, open_source(args.data, root=args.root, size=model.meta.preprocessing.image_size))
    if args.json:
        files.replace_json(args.json, {"data": args.data, "groups": table})
    print(f"{'':40}{'faces':>6}{'F1':>8}{'skin':>8}{'hair':>8}{'others F1':>11}")
    for title, row in table.items():
        cells = (f"{'-' if row[key] is None else format(row[key], '.3f'):>8}" for key in ("f1", "skin", "hair"))
        others = "-" if row["others_f1"] is None else f"{row['others_f1']:.3f}"
        print(f"{title:40}{row['faces']:6d}{''.join(cells)}{others:>11}")


if __name__ == "__main__":
    sys.exit(main())
