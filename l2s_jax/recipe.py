"""One training run from a config to a report: the glue of `l2s train` and `l2s demo`."""

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict
from rich.console import Console

from input_pipeline import datasets, labels, licences, selection
from input_pipeline.audit.sides import MendedSides
from input_pipeline.errors import UserError, clipped, nearest
from input_pipeline.images import resize_rules
from input_pipeline.images.augment import Augment
from input_pipeline.images.framing import FramedSource
from input_pipeline.labels import LabelSet
from input_pipeline.loading import train
from input_pipeline.loading.repeat_factor import RepeatFactorSource
from input_pipeline.loading.showing import FacesShowing
from input_pipeline.types import Source, Weighted
from l2s_jax import bundle, evaluation, inheritance, systems
from l2s_jax.commands import console, scores
from l2s_jax.inference.model import frozen_arguments
from l2s_jax.report import html
from l2s_jax.training import loop, parallel
from l2s_jax.training import workdir as layout
from l2s_jax.types import PyTree, System

PANELS = 8
"""Faces shown in the report."""


def run(config: ConfigDict, workdir: Path, screen: Console) -> int:
    """Train (or go on), export the model (`train.export`), score it on `config.data.test`, write the report.

    Args:
      config: the resolved config.
      workdir: where everything goes.
      screen: for progress and results.

    Returns:
      the exit code: 0, or 128 + the signal that stopped the training.

    Raises:
      UserError: whatever of config, data and folder does not fit together, before training where it can be known;
        another training works in the folder.
    """

    def warn(sentence: str) -> None:
        screen.print(console.escape(sentence), soft_wrap=True)

    system = systems.build(config)
    test = config.data.test or config.data.eval
    watched, tested = open_data(config.data.eval, config), open_data(test, config)
    if config.train.eval_examples:
        watched = selection.Subset(watched, 0, config.train.eval_examples)
    _check_scored(config, system, watched, tested)
    options = {"image_size": config.image_size, "batch_size": config.eval.batch_size, "seed": config.seed}
    options["resize"] = resize_rules.find(config.data.resize)
    parts = training_parts(config, require_masks=system.needs_masks)
    terms = inheritance.of_training(config.data.train, parts, system.learns_from)
    with contextlib.closing(training_batches(config, system, parts)) as batches, layout.locked(workdir, warn):
        result = loop.train(
            config,
            workdir,
            system=system,
            batches=batches,
            frozen=frozen_arguments(system),
            evaluate=lambda variables: evaluation.score(system, parallel.everywhere(variables), watched, **options),
            console=screen,
        )
        if jax.process_index() == 0:
            terms = inheritance.remember(workdir, terms, system.learns_from)
        if result.interrupted:
            return 128 + result.interrupted
        state = loop.exported_state(workdir, config, system, warn)
        variables, steps = parallel.everywhere(system.variables(state)), int(state.step)
        try:
            if jax.process_index() == 0:
                meta = describe(config, system, workdir.resolve().name, steps, terms)
                publish(config, workdir, system, variables, meta, tested, test, options, screen)
        finally:
            parallel.barrier("published")  # a process that left early would take the others down with it
    return 0


def _check_scored(config: ConfigDict, system: System, watched: Source, tested: Source) -> None:
    """What the scores need, before they are wanted: data, classes that can be mapped, the score that chooses the best.

    Raises:
      UserError: something is missing.
    """
    for field, source in (("data.eval", watched), ("data.test", tested)):
        if not len(source):
            raise UserError(f"{field} holds no example")
        labels.remap(source.label_set, system.label_set)
    metric, known = config.train.best_metric, evaluation.score_names(system.label_set)
    if metric not in known:
        hint = nearest(metric[:80], known, f"there are: {', '.join(known[:5])} and those of the other classes")
        raise UserError(
            f"train.best_metric='{clipped(metric)}' is no score of label set '{system.label_set.name}'; {hint}"
        )
    shown = metric.removeprefix(evaluation.CLASS_SCORE)
    if shown != metric and system.label_set[shown] not in _classes(watched, system.label_set):
        raise UserError(f"train.best_metric='{metric}': no face of data.eval shows '{shown}'; choose another score")


def _classes(source: Source, label_set: LabelSet) -> set[int]:
    """The ids in `label_set` of the classes that any example shows."""
    ids = np.flatnonzero(selection.presence(source).any(axis=0))
    return set(labels.remap(source.label_set, label_set)[ids].tolist())


def publish(
    config: ConfigDict,
    workdir: Path,
    system: System,
    variables: PyTree,
    meta: bundle.Meta,
    tested: Source,
    test: str,
    options: dict,
    screen: Console,
) -> None:
    """Export a model into its workdir, score it on `tested` (spec `test`), write the report, say where all that is."""
    model = workdir / bundle.WORKDIR_MODEL
    bundle.save(model, variables, meta)
    metrics = measure(system, variables, tested, test, options, screen, workdir)
    bundle.rescore(model, {"data": test, "examples": len(tested), "metrics": metrics})
    screen.print()
    reported = systems.published_result(config.system, system.label_set, config.image_size, test)
    scores.show(screen, metrics, system.label_set, reported)
    screen.print()
    for title, path in (("report", html.write_report(workdir)), ("model", model), ("scores", workdir / "metrics.json")):
        screen.print(f"{title:7} {console.escape(str(path))}", soft_wrap=True)
    screen.print(f"\nnext    l2s parse PHOTO --out masks --model {console.escape(str(workdir))}", soft_wrap=True)


def open_data(spec: str, config: ConfigDict) -> Source:
    """The evaluation or test data of a spec, framed as the config says; rendered faces have the network's size.

    Every face comes once, as it is: neither mixtures nor balance apply to data that are scored, and `data.require` only
    with `data.require_scored`.
    """
    source = datasets.open_source(spec, root=config.data.root, size=config.image_size)
    return _framed(_required(source, config) if config.data.require_scored else source, config)


def training_parts(config: ConfigDict, *, require_masks: bool = True) -> list[Weighted]:
    """The parts of the training data (one, or those of a mixture): chosen, balanced, mended, framed as the config says.

    Raises:
      UserError: the data cannot be opened, or too few faces show what `data.require` asks for.
    """
    opened = datasets.open_mixture(
        config.data.train, root=config.data.root, size=config.image_size, require_masks=require_masks
    )
    parts = [Weighted(weight, _required(source, config)) for weight, source in opened]
    before, left = (sum(len(source) for _, source in some) for some in (opened, parts))
    if config.data.require and left < config.data.batch_size:
        raise UserError(
            f"data.require={list(config.data.require)} leaves {left} of {before} training faces, fewer than a batch of "
            f"{config.data.batch_size}: require fewer classes, or lower data.batch_size"
        )
    return [Weighted(weight, _framed(_mended(_balanced(source, config), config), config)) for weight, source in parts]


def _required(source: Source, config: ConfigDict) -> Source:
    names = config.data.require
    return FacesShowing(source, labels.get(config.label_set), names) if names else source


def _mended(source: Source, config: ConfigDict) -> Source:
    return MendedSides(source) if config.data.mend_sides else source


def _balanced(source: Source, config: ConfigDict) -> Source:
    threshold = config.data.balance
    return RepeatFactorSource(source, threshold, config.seed) if threshold else source


def _framed(source: Source, config: ConfigDict) -> Source:
    return source if config.data.framing == "whole" else FramedSource(source, config.data.framing)


def training_batches(config: ConfigDict, system: System, parts: list[Weighted]) -> train.TrainBatches:
    """This process's part of the stream of batches that the config describes, from its `training_parts`."""
    data = config.data
    return train.train_batches(
        parts,
        label_set=system.label_set,
        image_size=config.image_size,
        batch_size=data.batch_size,
        seed=config.seed,
        augment=Augment.from_dict(data.augment.to_dict()),
        resize=resize_rules.find(data.resize),
        smaller_first=data.smaller_first,
        blobs=data.blobs if system.needs_masks else 0,
        blob_pixels=data.blob_pixels,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        workers=data.workers,
        threads=data.threads,
        prefetch=data.prefetch,
        cache=data.cache,
    )


def describe(config: ConfigDict, system: System, name: str, steps: int, terms: Mapping[str, str]) -> bundle.Meta:
    """What `model.json` says before the model is scored.

    Args:
      config, system, name: of the model.
      steps: batches it has seen.
      terms: licences of what it learned from, by spec or model (`inheritance`).
    """
    return bundle.Meta(
        name=bundle.safe_name(name),
        system=config.system,
        config=config.to_dict(),
        label_set=system.label_set,
        preprocessing=bundle.Preprocessing(config.image_size, resize=config.data.resize),
        licence=licences.strictest(terms.values()),
        provenance=bundle.provenance(steps) | {"licences": dict(terms)},
    )


def measure(
    system: System, variables: PyTree, source: Source, spec: str, options: dict, screen: Console, workdir: Path | None
) -> dict:
    """All scores of a model on a source, with a progress bar; `metrics["data"]` says which source it was.

    Args:
      system, variables: the model.
      source, spec: what it is measured on.
      options: `image_size`, `batch_size`, `seed`, `resize` of the evaluation.
      screen: for the bar.
      workdir: where metrics.json and evaluation.npz go, or None.
    """
    with console.bar(screen) as progress:
        task = progress.add_task("evaluating", total=len(source))
        result = evaluation.evaluate(
            system,
            variables,
            source,
            **options,
            full=True,
            panels=PANELS,
            progress=lambda done, total: progress.update(task, completed=done),
        )
    result = dataclasses.replace(result, metrics={**result.metrics, "data": {"spec": spec, "examples": len(source)}})
    if workdir is not None:
        result.save(workdir)
    return result.metrics
