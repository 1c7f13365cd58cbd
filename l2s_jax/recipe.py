"""The training recipe: open the data of a config, train, export the model, score it, write the report."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict
from rich.console import Console

from input_pipeline import datasets, labels, licences, selection
from input_pipeline.audit.sides import FixedSides
from input_pipeline.errors import UserError, clipped, nearest, require
from input_pipeline.images import resize_rules
from input_pipeline.images.augment import Augment
from input_pipeline.images.framing import FramedSource
from input_pipeline.labels import LabelSet
from input_pipeline.loading import train
from input_pipeline.loading.views import FacesShowing, KnownPeople, RepeatFactorSource
from input_pipeline.types import Source, Weighted, people_of
from l2s_jax import bundle, evaluation, inheritance, systems
from l2s_jax.inference.model import frozen_arguments
from l2s_jax.report import html
from l2s_jax.training import exchange, loop, parallel
from l2s_jax.training import workdir as layout
from l2s_jax.types import PyTree, System

PANELS = 8
"""Faces shown in the report."""


class Outcome(NamedTuple):
    """The result of a run. Only the first process exports and reports; in the others the optional fields are None.

    Attributes:
      interrupted: 0, or the number of the signal that stopped the training: then nothing was exported.
      system: the system built from the config.
      metrics: all scores on `config.data.test` (`metrics.json`), or None.
      report: path of the HTML page, or None.
      model: folder of the exported bundle, or None.
    """

    interrupted: int
    system: System
    metrics: dict | None = None
    report: Path | None = None
    model: Path | None = None


def run(
    config: ConfigDict,
    workdir: Path,
    *,
    warn: Callable[[str], None],
    progress: evaluation.Progress | None = None,
    console: Console | None = None,
) -> Outcome:
    """Train (or resume), export the model (`train.export`), score it on `config.data.test`, write the report.

    Args:
      config: the resolved config.
      workdir: folder of the run, see docs/architecture.md.
      warn: called with one sentence for each warning to the user.
      progress: called with (examples done, examples in total) during the final evaluation.
      console: for the loop's progress (`loop.train`).

    Raises:
      UserError: config, data and workdir do not fit together (checked before training where possible), or another
        training uses the workdir.
    """
    system = systems.build(config)
    test = config.data.test or config.data.eval
    masks = system.predict is not None
    val_source, test_source = (open_data(spec, config, require_masks=masks) for spec in (config.data.eval, test))
    if config.train.eval_examples:
        val_source = selection.Subset(val_source, 0, config.train.eval_examples)
    _check_scored(config, system, val_source, test_source)
    options = {"image_size": config.image_size, "batch_size": config.eval.batch_size}
    options["resize"] = resize_rules.find(config.data.resize)
    parts = training_parts(config, system.needs, people=system.people, points=system.points)
    terms = inheritance.of_training(config.data.train, parts, system.learns_from)
    with contextlib.closing(training_batches(config, system, parts)) as batches, layout.locked(workdir, warn):
        result = loop.train(
            config,
            workdir,
            system=system,
            batches=batches,
            frozen=frozen_arguments(system),
            evaluate=lambda variables: evaluation.score(system, parallel.everywhere(variables), val_source, **options),
            console=console,
        )
        if jax.process_index() == 0:
            terms = inheritance.remember(workdir, terms, system.learns_from)
        if result.interrupted:
            return Outcome(result.interrupted, system)
        state = loop.exported_state(workdir, config, system, warn)
        variables, steps = parallel.everywhere(system.variables(state)), int(state.step)
        outcome = Outcome(0, system)
        first, model = jax.process_index() == 0, workdir / bundle.WORKDIR_MODEL
        if first:
            bundle.save(model, variables, describe(config, system, workdir.resolve().name, steps, terms))
        own = options | {"seed": config.seed}
        measured = measure(system, variables, test_source, test, own, progress if first else None)
        if first:
            measured.save(workdir)
            scores = {"data": test, "examples": len(test_source), "metrics": measured.metrics}
            bundle.rescore(model, scores)
            outcome = Outcome(0, system, measured.metrics, html.write_report(workdir), model)
        exchange.barrier("published")  # a process that exits early would abort the others
    return outcome


def _check_scored(config: ConfigDict, system: System, val_source: Source, test_source: Source) -> None:
    """Check before training that scoring will work: data, mappable classes, a score that chooses the best checkpoint.

    Raises:
      UserError: a source is empty, its classes cannot be mapped, `train.best_metric` is unknown or not measurable, or
        the processes cannot share the batches.
    """
    size, processes = config.eval.batch_size, jax.process_count()
    require(size % processes == 0, f"eval.batch_size={size} must be a multiple of the {processes} processes")
    for field, source in (("data.eval", val_source), ("data.test", test_source)):
        if not len(source):
            raise UserError(f"{field} holds no example")
        labels.remap(source.label_set, system.label_set)
        evaluation.check_scored(system, source)
    metric, known = config.train.best_metric.removeprefix("-"), evaluation.score_names(system)
    if metric not in known:
        more = " and those of the other classes" if system.predict is not None else ""
        hint = nearest(metric[:80], known, f"there are: {', '.join(known[:5])}{more}")
        what = f"of {system.name}" if system.predict is None else f"of label set '{system.label_set.name}'"
        raise UserError(f"train.best_metric='{clipped(metric)}' is no score {what}; {hint}")
    shown = metric.removeprefix(evaluation.CLASS_SCORE)
    if shown != metric and system.label_set[shown] not in _classes(val_source, system.label_set):
        raise UserError(f"train.best_metric='{metric}': no face of data.eval shows '{shown}'; choose another score")


def _classes(source: Source, label_set: LabelSet) -> set[int]:
    """Return the ids in `label_set` of the classes that at least one example shows."""
    ids = np.flatnonzero(selection.presence(source).any(axis=0))
    return set(labels.remap(source.label_set, label_set)[ids].tolist())


def open_data(spec: str, config: ConfigDict, *, require_masks: bool = True) -> Source:
    """Open the evaluation or test data of a spec, framed by `data.framing`; synthetic faces have the network's size.

    Every face appears exactly once: mixtures and `data.balance` do not apply to data that are scored, and
    `data.require` only with `data.require_scored`.
    """
    source = datasets.open_source(spec, root=config.data.root, size=config.image_size, require_masks=require_masks)
    return _framed(_required(source, config) if config.data.require_scored else source, config)


def training_parts(
    config: ConfigDict,
    needs: Sequence[str] = ("image", "mask"),
    *,
    people: int | None = None,
    points: int | None = None,
) -> list[Weighted]:
    """Open the training data (one source, or those of a mixture) and filter, balance, side-correct and frame each.

    Args:
      config: the resolved config.
      needs: `System.needs`, the arrays that the data must have.
      people: `System.people`, the number of people that the data may show. Data that do not say how many they show
        are refused when a person beyond it is read.
      points: `System.points`.

    Raises:
      UserError: the data cannot be opened, lack an array, show too many people, or too few faces show the classes of
        `data.require`.
    """
    opened = datasets.open_mixture(
        config.data.train, root=config.data.root, size=config.image_size, require_masks="mask" in needs
    )
    _check_held(config, needs, opened, points)
    _check_people(config, opened, people)
    parts = [Weighted(weight, _required(source, config)) for weight, source in opened]
    before, left = (sum(len(source) for _, source in some) for some in (opened, parts))
    if config.data.require and left < config.data.batch_size:
        raise UserError(
            f"data.require={list(config.data.require)} leaves {left} of {before} training faces, fewer than a batch of "
            f"{config.data.batch_size}: require fewer classes, or lower data.batch_size"
        )
    parts = [
        Weighted(weight, _framed(_side_corrected(_balanced(source, config), config), config))
        for weight, source in parts
    ]
    return parts if people is None else [Weighted(weight, KnownPeople(source, people)) for weight, source in parts]


def _check_held(config: ConfigDict, needs: Sequence[str], parts: Sequence[Weighted], points: int | None) -> None:
    """Check that the first face of every source has the arrays that the steps read; masks were checked on opening."""
    for _, source in parts:
        if lack := evaluation.lacking(source, needs, points):
            raise UserError(
                f"{config.system} with this config learns from {lack}, and data.train='{clipped(config.data.train)}' "
                f"has faces without: train on data with {lack}, or change the fields of `model` that ask for them"
            )
    if "identity" in needs and len(parts) > 1:
        raise UserError(
            f"{config.system} learns from identity, and data.train='{clipped(config.data.train)}' is a mixture, whose "
            "parts number different people alike: train on one of them"
        )


def _check_people(config: ConfigDict, parts: Sequence[Weighted], known: int | None) -> None:
    """Check that no source says that it shows more people than the steps tell apart."""
    most = max((people_of(source) or 0 for _, source in parts), default=0)
    if known is not None and most > known:
        raise UserError(
            f"data.train='{clipped(config.data.train)}' shows {most} people, and the model tells {known} apart: set "
            f"model.people={most}"
        )


def _required(source: Source, config: ConfigDict) -> Source:
    names = config.data.require
    return FacesShowing(source, labels.get(config.label_set), names) if names else source


def _side_corrected(source: Source, config: ConfigDict) -> Source:
    return FixedSides(source) if config.data.fix_left_right else source


def _balanced(source: Source, config: ConfigDict) -> Source:
    threshold = config.data.balance
    return RepeatFactorSource(source, threshold, config.seed) if threshold else source


def _framed(source: Source, config: ConfigDict) -> Source:
    return source if config.data.framing == "whole" else FramedSource(source, config.data.framing)


def training_batches(config: ConfigDict, system: System, parts: list[Weighted]) -> train.TrainBatches:
    """Return this process's shard of the stream of batches that the config describes, from its `training_parts`."""
    data = config.data
    return train.train_batches(
        parts,
        label_set=system.label_set,
        image_size=config.image_size,
        batch_size=data.batch_size,
        seed=config.seed,
        augment=Augment.from_dict(data.augment.to_dict()),
        resize=resize_rules.find(data.resize),
        resolution_schedule=data.resolution_schedule,
        blobs=data.blobs if "blobs" in system.needs else 0,
        blob_pixels=data.blob_pixels,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        workers=data.workers,
        threads=data.threads,
        prefetch=data.prefetch,
        cache=data.cache,
    )


def describe(config: ConfigDict, system: System, name: str, steps: int, terms: Mapping[str, str]) -> bundle.Meta:
    """Return the content of `model.json` before the model is scored.

    Args:
      config, system, name: those of the model.
      steps: batches it was trained on.
      terms: licences of the data and models it learned from, by spec or model name (`inheritance`).
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
    system: System,
    variables: PyTree,
    source: Source,
    spec: str,
    options: Mapping[str, Any],
    progress: evaluation.Progress | None,
) -> evaluation.Evaluation:
    """Compute all scores of a model on a source; `metrics["data"]` names the source and its number of examples.

    Args:
      system, variables: the model.
      source, spec: the data it is measured on.
      options: `image_size`, `batch_size`, `seed`, `resize` of the evaluation, and perhaps `features`.
      progress: called with (examples done, examples in total).
    """
    result = evaluation.evaluate(system, variables, source, **options, panels=PANELS, progress=progress)
    data = {"spec": spec, "examples": len(source)}
    return dataclasses.replace(result, metrics={**result.metrics, "data": data})
