"""Does structure via consensus leave fewer stray pieces than cross entropy, on real faces?

    python experiments/consensus_sparsity.py [--config svc_mini] [--losses ce 1:0 10:5 1:1 1:10 ...] [--seeds 3]
        [--steps 1000] [--label-set celebamask] [--image-size 96] [--data SPEC] [--eval SPEC] [--root DIR] [--test]
        [--out DIR] [--pictures FILE.png]

Trains the network of a config on the same batches with each loss; loss terms other than cross entropy, dice (off here)
and consensus stay as in the config. The first loss is the baseline:

    ce            cross entropy
    A:B           (A label term + B consensus) / (A + B) INSTEAD of cross entropy, as published
    ce+A:B        cross entropy + A label term + B consensus
    A:B@P         blobs are weighted by pixels**P instead of equally (also after ce+)
    A:B/classes   a blob is all pixels of a class, as in the authors' instructions (also after ce+ and @P)
    A:B/authors   as /classes, with the authors' normalisation (`published`): what their code computes (not with @P)
    LOSS~N        the model of LOSS, but components of fewer than N pixels take the class that surrounds them

By default blobs are the connected components of the mask after augmentation. The last weights (their running average)
are scored at network size. Components off: |components predicted - true components| of all classes but the background,
8-connected as published, mean over faces; too many of one class may hide too few of another, so `class by class` sums
the errors of the single classes. F1 and IoU are pooled over pixels, boundary F1 over faces; only the mean IoU includes
the background. Every number is the mean over seeds and the standard deviation between them.

Each (loss, seed) is a run of the training loop in its own folder under --out: interrupted runs resume, finished ones
are not trained again. Beside the folders are the results of the last call: `held-out.csv` (with --test `test.csv`) has
a line for each run and class, `held-out.json` the table. The folders hold masks of the faces, and --pictures the faces
themselves: neither belongs in a repository.
"""

import argparse
import contextlib
import csv
import functools
import io
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from ml_collections import ConfigDict
from rich.console import Console

from input_pipeline import files
from input_pipeline.errors import UserError, script
from input_pipeline.images.components import remove_islands
from input_pipeline.labels import LabelSet
from input_pipeline.loading.eval import eval_batches
from l2s_jax import config as configs
from l2s_jax import recipe, systems
from l2s_jax.commands import console
from l2s_jax.commands.arguments import natural
from l2s_jax.inference.model import frozen_arguments
from l2s_jax.metrics import segmentation, structure
from l2s_jax.pixels import to_bytes
from l2s_jax.report import image_grid, overlays
from l2s_jax.training import loop, workdir
from l2s_jax.training.compilation import enable_compilation_cache
from l2s_jax.types import Batch, Predict, PyTree, unpacked

FACES = "folder:data/celebamask_mini"
LOSSES = ("ce", "1:0", "10:5", "1:1", "1:10", "1:1@1", "ce+0:1", "ce~16")
MEASURES = {
    "components_off": "components off",
    "class_by_class": "class by class",
    "f1": "mean F1",
    "iou": "mean IoU",
    "boundary_f1": "boundary F1",
}
ALL = "all"
"""Key, beside the class names, of the score over all classes as defined above."""
AIM = -0.25
"""Relative change of the components off that counts as success."""
CONFIDENCE = 0.95
"""Confidence of the intervals that tell a change from the noise of seeds."""
_PATH = str.maketrans({":": "to", "/": "-"})
BATCH, WORST, CELL = 20, 8, 176

Scores = dict[str, dict[str, float | None]]
"""Measure -> class, or `all` -> value; None where a class is in neither truth nor prediction."""


class Loss(NamedTuple):
    """Factors of cross entropy, label term and consensus, exponent of a blob's size, kind of blobs, normalisation; and
    the pixels of the smallest component that is kept in a prediction."""

    cross_entropy: float
    alpha: float
    beta: float
    size_power: float
    blobs: str
    normalisation: str
    smallest: int


class Spread(NamedTuple):
    """Mean and sample standard deviation."""

    mean: float
    deviation: float


class Scored(NamedTuple):
    """The faces that every run is scored on, and one compiled parser for all runs: the networks are the same."""

    spec: str
    names: tuple[str, ...]
    batches: list[Batch]
    predict: Predict
    label_set: LabelSet


class Result(NamedTuple):
    """The predictions of a model for N faces, and their scores.

    Attributes:
      labels: uint8 [N, S, S].
      off: float32 [N], components off.
      scores: the measures.
    """

    labels: np.ndarray
    off: np.ndarray
    scores: Scores


def read_loss(text: str) -> Loss:
    """Parse the name of a loss (see above); without ce alpha + beta = 1, so that only the ratio differs.

    Raises:
      UserError: the name is malformed.
    """
    name, cleaned, smallest = text.partition("~")
    number = r"(\d+(?:\.\d+)?)"
    match = re.fullmatch(rf"ce|(ce\+)?{number}:{number}(?:@{number}(/classes)?|(/classes|/authors))?", name)
    learns = match and (name == "ce" or float(match[2]) + float(match[3]) > 0)
    if not learns or (cleaned and not re.fullmatch(r"[1-9]\d{0,5}", smallest)):
        raise UserError(
            f"loss '{text}' must be ce, ALPHA:BETA or ce+ALPHA:BETA, like ce+1:10; behind it may stand @POWER, "
            "/classes and ~PIXELS, or /authors and ~PIXELS"
        )
    alpha, beta, size_power = (float(word or 0) for word in match.groups()[1:4])
    total = 1.0 if name.startswith("ce") else alpha + beta
    blobs = "classes" if match[5] or match[6] else "components"
    normalisation = "published" if match[6] == "/authors" else "clean"
    cross_entropy, factors = float(name.startswith("ce")), (alpha / total, beta / total)
    return Loss(cross_entropy, *factors, size_power, blobs, normalisation, int(smallest or 0))


def config_of(loss: Loss, seed: int, args: argparse.Namespace) -> ConfigDict:
    """Return the config of a run: `args.config` with another loss, at one image size, scored once, at the end.

    Raises:
      UserError: sizes or steps are invalid, or the config does not learn classes from masks.
    """
    base = configs.load(args.config)
    if base.get("stage", "labels") != "labels":
        raise UserError(f"'{args.config}' learns from a teacher (stage={base.stage}), the study from masks")
    fields = {
        "seed": seed,
        "image_size": base.image_size if args.image_size is None else args.image_size,
        "label_set": args.label_set or base.label_set,
        "data.root": args.root,
        "data.train": args.data,
        "data.eval": args.eval,
        "data.balance": 0.0,
        "data.resolution_schedule": (),
        "data.blobs": 64,
        "train.steps": args.steps,
        "train.patience": 0,
        "train.eval_every": 0,
        "train.save_every": 100,
        "train.keep": 1,
        "train.best_metric": "f1.all",
        "loss.cross_entropy": loss.cross_entropy,
        "loss.dice": 0.0,
        "loss.consensus.weight": float(loss.alpha + loss.beta > 0),
        "loss.consensus.alpha": loss.alpha,
        "loss.consensus.beta": loss.beta,
        "loss.consensus.size_power": loss.size_power,
        "loss.consensus.blobs": loss.blobs,
        "loss.consensus.normalisation": loss.normalisation,
    }
    optional = {"model.mirror": False, "model.init_from": ""}  # a single prediction, no mirrored one; no pretraining
    known = configs.flatten(base)
    fields |= {name: value for name, value in optional.items() if name in known}
    config = base.unlock()
    config.update_from_flattened_dict(fields)
    configs.validate(config)
    return config.lock()


@functools.partial(jax.jit, static_argnums=0)
def _predicted(predict: Predict, variables: PyTree, batch: Batch) -> jax.Array:
    return predict(variables, batch["image"]).labels


@functools.partial(jax.jit, static_argnums=0)
def _judge(classes: int, labels: jax.Array, batch: Batch) -> tuple[dict, dict]:
    """Return the predictions of each face of a batch, and sums over its faces."""
    mask, weight = batch["mask"], batch["weight"]

    def of_face(label, mask, weight):
        return structure.structure_sums(label[None], mask[None], classes, weight[None])

    faces = jax.vmap(of_face)(labels, mask, weight)
    counts = segmentation.confusion(labels, mask, classes, weight)
    sums = {"confusion": counts, "structure": jax.tree.map(lambda x: x.sum(axis=0), faces)}
    return {"labels": labels.astype(jnp.uint8), "off": faces.off.image}, sums


def measure(
    predict: Predict, variables: PyTree, batches: Sequence[Batch], names: Sequence[str], smallest: int = 0
) -> Result:
    """Score a model on all faces of the batches; rows of weight 0 are padding.

    Before scoring, components of fewer than `smallest` pixels take the class that surrounds them.
    """
    judged = []
    for batch in batches:
        labels = [remove_islands(each, smallest) for each in np.asarray(_predicted(predict, variables, batch))]
        judged.append(jax.device_get(_judge(len(names), np.stack(labels), batch)))
    real = [jax.tree.map(lambda x, b=b: x[b["weight"] > 0], kept) for b, (kept, _) in zip(batches, judged, strict=True)]
    faces = jax.tree.map(lambda *parts: np.concatenate(parts), *real)
    sums = jax.tree.map(lambda *parts: np.sum(np.float64(parts), axis=0), *(sums for _, sums in judged))
    found = structure.summary(sums["structure"], names)
    off, boundary = found["components_off"], found["boundary_f1"]
    scores = {
        "components_off": {ALL: off["total"], **off["per_class"]},
        "class_by_class": {ALL: sum(off["per_class"][name] for name in names[1:])},
        "boundary_f1": {ALL: boundary["mean"], **boundary["per_class"]},
    }
    pooled = segmentation.scores(sums["confusion"], names)
    for name, mean in (("f1", "mean_f1"), ("iou", "mean_iou")):
        scores[name] = {ALL: pooled[mean], **{each: pooled["per_class"][each][name] for each in names}}
    return Result(faces["labels"], faces["off"], scores)


def finished(folder: Path, about: dict) -> Result | None:
    """Read the result of a run with exactly this config on exactly these faces, or return None."""
    if not (folder / "result.json").exists():
        return None
    saved = json.loads((folder / "result.json").read_text())
    if saved["about"] != about:
        return None
    return Result(np.load(folder / "labels.npy", allow_pickle=False), np.asarray(saved["off"]), saved["scores"])


def store(folder: Path, about: dict, result: Result) -> None:
    """Write the files that `finished` reads; `result.json` last, so that it exists only if the others do."""
    packed = io.BytesIO()
    np.save(packed, result.labels)
    files.replace(folder / "labels.npy", packed.getvalue())
    files.replace_json(folder / "result.json", {"about": about, "off": result.off.tolist(), "scores": result.scores})


def place(args: argparse.Namespace) -> Path:
    """Return the folder of all runs of this network, with these classes, at this size and length."""
    config = config_of(read_loss("ce"), 0, args)
    about = f"{Path(args.config).stem}-{config.label_set}-{config.image_size}px-{args.steps}"
    return args.out / about


def run(loss: str, seed: int, args: argparse.Namespace, scored: Scored, screen: Console) -> Result:
    """Train (or resume, or reuse a finished run) with a loss and a seed, and score the last weights."""
    meant = read_loss(loss)
    config = config_of(meant, seed, args)
    folder = place(args) / loss.partition("~")[0].translate(_PATH) / f"seed{seed}"
    results = folder / f"smallest{meant.smallest}"
    about = {"config": json.loads(config.to_json()), "faces": scored.spec}
    if known := finished(results, about):
        return known
    screen.print(f"[bold]{loss}[/], seed {seed}: {folder}")
    system = systems.build(config)

    def evaluate(variables: PyTree) -> dict[str, float]:
        scores = measure(scored.predict, variables, scored.batches, scored.label_set.names).scores
        return {f"{name}.{ALL}": values[ALL] for name, values in scores.items()}

    parts, frozen = recipe.training_parts(config, system.needs), frozen_arguments(system)
    batches = recipe.training_batches(config, system, parts)
    with contextlib.closing(batches), workdir.locked(folder, screen.print):
        trained = loop.train(
            config, folder, system=system, batches=batches, frozen=frozen, evaluate=evaluate, console=screen
        )
    if trained.interrupted:
        sys.exit(128 + trained.interrupted)
    variables, names = system.variables(trained.state), scored.label_set.names
    result = measure(scored.predict, variables, scored.batches, names, meant.smallest)
    results.mkdir(exist_ok=True)
    store(results, about, result)
    return result


def open_scored(spec: str, args: argparse.Namespace) -> Scored:
    """Read the faces of a spec as batches in memory."""
    config = config_of(read_loss(args.losses[0]), 0, args)
    system, source = systems.build(config), recipe.open_data(spec, config)
    options = {"label_set": system.label_set, "image_size": config.image_size, "batch_size": BATCH}
    batches = [unpacked(batch) for batch, _ in eval_batches(source, **options)]
    return Scored(spec, tuple(source.names), batches, system.predict, system.label_set)


def spread(values: Sequence[float | None]) -> Spread | None:
    """Return the spread over seeds; None if a class was in neither truth nor prediction of any."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(float(np.mean(known)), float(np.std(known, ddof=1)) if len(known) > 1 else 0.0)


def summarise(results: Mapping[str, Sequence[Result]]) -> dict[str, dict[str, dict[str, Spread | None]]]:
    """Return {loss: {measure: {class: spread over the seeds' results}}}."""
    return {
        loss: {
            measure: {name: spread([seed.scores[measure][name] for seed in seeds]) for name in seeds[0].scores[measure]}
            for measure in MEASURES
        }
        for loss, seeds in results.items()
    }


def change(summary: Mapping, loss: str) -> float:
    """Return the relative change of the components off against the first loss; infinite if that has none."""
    before, after = (summary[name]["components_off"][ALL].mean for name in (next(iter(summary)), loss))
    return after / before - 1 if before else math.inf if after else 0.0


def interval(before: Sequence[Result], after: Sequence[Result], measure: str) -> tuple[float, float]:
    """Bound the mean change of a measure of all classes over the seeds, by Student's t for paired samples.

    Runs of one seed start from the same weights and see the same batches, so they are compared in pairs. One seed says
    nothing about noise: its interval is (-inf, inf).

    Returns:
      (low, high) at `CONFIDENCE`.
    """
    pairs = zip(before, after, strict=True)
    changes = np.array([b.scores[measure][ALL] - a.scores[measure][ALL] for a, b in pairs])
    if len(changes) < 2:
        return -math.inf, math.inf
    error = changes.std(ddof=1) / math.sqrt(len(changes))
    reach = error * scipy.stats.t.ppf((1 + CONFIDENCE) / 2, len(changes) - 1)
    return float(changes.mean() - reach), float(changes.mean() + reach)


def verdict(results: Mapping[str, Sequence[Result]]) -> str:
    """Name the losses that leave enough fewer components off, beyond the noise of seeds, at as good a mean F1."""
    summary, (first, *others) = summarise(results), results
    before, reached = summary[first]["f1"][ALL], []
    for loss in others:
        fewer = interval(results[first], results[loss], "components_off")[1] < 0
        as_good = before.mean - summary[loss]["f1"][ALL].mean <= before.deviation
        if change(summary, loss) <= AIM and fewer and as_good:
            reached.append(f"{loss} ({100 * change(summary, loss):+.0f} %)")
    aim = f"at least {-100 * AIM:.0f} % fewer components off than {first}, beyond the noise of seeds"
    return (
        f"{aim} ({100 * CONFIDENCE:.0f} % interval of paired seeds), mean F1 as good (within {first}'s spread over "
        f"seeds): {', '.join(reached) or 'no loss here'}"
    )


def markdown_of_changes(results: Mapping[str, Sequence[Result]]) -> str:
    """Make the table of changes against the first loss, with the intervals that tell them from the noise of seeds."""
    first, *others = results
    head = ["loss", f"components off minus {first}'s", f"mean F1 minus {first}'s, percent"]
    rows = []
    for loss in others:
        off = interval(results[first], results[loss], "components_off")
        f1 = [100 * end for end in interval(results[first], results[loss], "f1")]
        rows.append([loss, *(f"{low:+.2f} to {high:+.2f}" for low, high in (off, f1))])
    return _table(head, rows)


def markdown(summary: Mapping) -> str:
    """Make the table of all classes together, scores in percent."""
    first = next(iter(summary))
    rows = [
        [loss, "" if loss == first else f"{100 * change(summary, loss):+.0f} %"]
        + [_cell(name, measures[name][ALL]) for name in MEASURES]
        for loss, measures in summary.items()
    ]
    return _table(["loss", f"against {first}", *MEASURES.values()], rows)


def markdown_by_class(summary: Mapping, measure: str) -> str:
    """Make a table of one measure: rows are classes, columns losses."""
    names = [name for name in next(iter(summary.values()))[measure] if name != ALL]
    rows = [[name, *(_cell(measure, measures[measure][name]) for measures in summary.values())] for name in names]
    return _table([MEASURES[measure].removeprefix("mean "), *summary], rows)


def _cell(measure: str, value: Spread | None) -> str:
    if value is None:
        return "-"
    if measure in ("components_off", "class_by_class"):
        return f"{value.mean:.2f} ± {value.deviation:.2f}"
    return f"{100 * value.mean:.1f} ± {100 * value.deviation:.1f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def lines(results: Mapping[str, Sequence[Result]]) -> str:
    """Format all runs as CSV: loss, number of the seed, class, measures."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["loss", "seed", "class", *MEASURES])
    for loss, seeds in results.items():
        for seed, result in enumerate(seeds):
            for name in result.scores["f1"]:
                writer.writerow([loss, seed, name, *(result.scores[measure].get(name) for measure in MEASURES)])
    return text.getvalue()


def picture(scored: Scored, results: Mapping[str, Sequence[Result]]) -> np.ndarray:
    """Draw the faces with most components off under the first loss: photo, truth, prediction of each loss's first seed.

    Returns:
      uint8 [H, W, 3].
    """
    baseline = next(iter(results.values()))
    worst = np.argsort(-np.mean([seed.off for seed in baseline], axis=0), kind="stable")[:WORST]
    shown = np.concatenate([batch["weight"] > 0 for batch in scored.batches])
    photos, truth = (np.concatenate([batch[name] for batch in scored.batches])[shown] for name in ("image", "mask"))
    rows = []
    for face in worst:
        photo = image_grid.fit(to_bytes(photos[face]), CELL)
        masks = [truth[face].astype(np.uint8), *(seeds[0].labels[face] for seeds in results.values())]
        rows.append(
            [photo, *(overlays.overlay(photo, image_grid.fit(ids, CELL), scored.label_set, 0.7) for ids in masks)]
        )
    present = set(np.unique(truth[worst])) - {overlays.BACKGROUND}
    legend = overlays.legend(scored.label_set, present, width=len(rows[0]) * (CELL + image_grid.GAP))
    return image_grid.sheet(rows, [scored.names[face] for face in worst], ["photo", "truth", *results], [legend])


def study(args: argparse.Namespace) -> None:
    """Run everything, then write and print the tables and, if asked for, the pictures.

    Raises:
      UserError: losses, faces, folders or earlier runs do not fit.
    """
    screen = console.out()
    for loss in args.losses:
        read_loss(loss)
    files.writable_folder(args.out)
    if args.pictures:
        files.writable_file(args.pictures)
    scored = open_scored(f"{FACES}?val" if args.test else args.eval, args)
    results = {loss: [run(loss, seed, args, scored, screen) for seed in range(args.seeds)] for loss in args.losses}
    summary = summarise(results)
    kind = "test" if args.test else "held-out"
    files.replace(place(args) / f"{kind}.csv", lines(results).encode())
    side = scored.batches[0]["image"].shape[1]
    about = {"config": args.config, "label_set": scored.label_set.name, "image_size": side}
    about |= {"steps": args.steps, "seeds": args.seeds, "faces": scored.spec}
    about |= {"losses": summary, "verdict": verdict(results)}
    files.replace_json(place(args) / f"{kind}.json", about)
    print(f"\n{len(scored.names)} faces of {scored.spec}, {side} px, {args.config}, {args.steps} steps\n")
    print(markdown(summary))
    print(f"\n{100 * CONFIDENCE:.0f} % intervals of the mean change, seeds paired:\n\n{markdown_of_changes(results)}")
    for measure in ("components_off", "f1", "boundary_f1"):
        print(f"\n{markdown_by_class(summary, measure)}")
    print(f"\n{verdict(results)}")
    if args.pictures:
        files.replace(args.pictures, image_grid.png(picture(scored, results)))


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="svc_mini", help="whose network learns (default svc_mini)")
    parser.add_argument("--losses", nargs="+", default=LOSSES, help=f"the first is the baseline ({' '.join(LOSSES)})")
    parser.add_argument("--seeds", type=natural, default=3, help="runs of each loss (default 3)")
    parser.add_argument("--steps", type=natural, default=1000, help="batches of each run (default 1000)")
    parser.add_argument("--label-set", help="classes to learn (default: those of the config)")
    parser.add_argument("--image-size", type=natural, help="pixels a side (default: those of the config)")
    parser.add_argument("--data", default=f"{FACES}?train[:740]", metavar="SPEC", help="faces to train on")
    parser.add_argument("--root", default="", metavar="DIR", help="folder of relative places (default: this one)")
    parser.add_argument("--eval", default=f"{FACES}?train[740:]", metavar="SPEC", help="faces to score on")
    parser.add_argument("--test", action="store_true", help="score on the val faces: once, for the final numbers")
    parser.add_argument("--out", type=Path, default=Path("runs/consensus_sparsity"), help="folder of the runs")
    parser.add_argument("--pictures", type=Path, metavar="FILE.png", help="draw the worst faces of the first loss")
    return parser.parse_args(words)


@script
def main() -> None:
    enable_compilation_cache()
    study(arguments())


if __name__ == "__main__":
    sys.exit(main())
