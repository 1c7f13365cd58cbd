"""One training run from a config to a report: the glue of `l2s train` and `l2s demo`."""

import contextlib
import dataclasses
from pathlib import Path

import jax
from ml_collections import ConfigDict
from rich.console import Console

from input_pipeline import loader, sources
from input_pipeline.augment import Augment
from input_pipeline.balance import RepeatFactorSource
from input_pipeline.framing import FramedSource
from input_pipeline.inspection.sides import MendedSides
from input_pipeline.sources import Source, Weighted
from l2s_jax import bundle, evaluation, systems
from l2s_jax.commands import console, scores
from l2s_jax.metrics import published
from l2s_jax.report import html
from l2s_jax.systems.contract import PyTree, System
from l2s_jax.training import loop, parallel
from l2s_jax.training import workdir as layout

LICENCE = "Apache-2.0"
PANELS = 8
"""Faces shown in the report."""


def run(config: ConfigDict, workdir: Path, test: str, screen: Console) -> int:
    """Train (or go on), export the best model, score it on `test`, write the report.

    Args:
      config: the resolved config.
      workdir: where everything goes.
      test: source spec of the final scores.
      screen: for progress and results.

    Returns:
      the exit code: 0, or 128 + the signal that stopped the training.

    Raises:
      UserError: whatever of config, data and folder does not fit together, before training where it can be known;
        another training works in the folder.
    """
    system = systems.build(config)
    watched, tested = open_data(config.data.eval, config), open_data(test, config)
    if config.train.eval_examples:
        watched = sources.Subset(watched, 0, config.train.eval_examples)
    options = {"image_size": config.image_size, "batch_size": config.eval.batch_size, "seed": config.seed}
    with contextlib.closing(training_batches(config, system)) as batches, layout.locked(workdir, screen.print):
        result = loop.train(
            config,
            workdir,
            system=system,
            batches=batches,
            evaluate=lambda variables: evaluation.score(system, parallel.everywhere(variables), watched, **options),
            console=screen,
        )
        if result.interrupted:
            return 128 + result.interrupted
        state = loop.best_state(workdir, config, system, warn=screen.print)
        variables, steps = parallel.everywhere(system.variables(state)), int(state.step)
        try:
            if jax.process_index() == 0:
                publish(config, workdir, system, variables, steps, tested, test, options, screen)
        finally:
            parallel.barrier("published")  # a process that left early would take the others down with it
        return 0


def publish(
    config: ConfigDict,
    workdir: Path,
    system: System,
    variables: PyTree,
    steps: int,
    tested: Source,
    test: str,
    options: dict,
    screen: Console,
) -> None:
    """Export a model into its workdir, score it on `tested` (spec `test`), write the report, say where all that is."""
    model = workdir / bundle.WORKDIR_MODEL
    bundle.save(model, variables, describe(config, system, workdir.resolve().name, steps))
    metrics = measure(system, variables, tested, test, options, screen, workdir)
    bundle.rescore(model, {"data": test, "examples": len(tested), "metrics": metrics})
    screen.print()
    reported = published.find(config.system, system.label_set, config.image_size, test)
    scores.show(screen, metrics, system.label_set, reported)
    screen.print()
    for title, path in (("report", html.write_report(workdir)), ("model", model), ("scores", workdir / "metrics.json")):
        screen.print(f"{title:7} {console.escape(str(path))}", soft_wrap=True)
    screen.print(f"\nnext    l2s parse PHOTO --out masks --model {console.escape(str(workdir))}", soft_wrap=True)


def open_data(spec: str, config: ConfigDict) -> Source:
    """The evaluation or test data of a spec, framed as the config says; rendered faces have the network's size.

    Every face comes once, as it is: neither mixtures nor balance apply to data that are scored.
    """
    return _framed(sources.open_source(spec, size=config.image_size), config)


def training_parts(config: ConfigDict, *, require_masks: bool = True) -> list[Weighted]:
    """The parts of the training data (one, or those of a mixture): balanced, mended, framed as the config says."""
    parts = sources.open_mixture(config.data.train, size=config.image_size, require_masks=require_masks)
    return [Weighted(weight, _framed(_mended(_balanced(source, config), config), config)) for weight, source in parts]


def _mended(source: Source, config: ConfigDict) -> Source:
    return MendedSides(source) if config.data.mend_sides else source


def _balanced(source: Source, config: ConfigDict) -> Source:
    threshold = config.data.balance
    return RepeatFactorSource(source, threshold, config.seed) if threshold else source


def _framed(source: Source, config: ConfigDict) -> Source:
    return source if config.data.framing == "whole" else FramedSource(source, config.data.framing)


def training_batches(config: ConfigDict, system: System) -> loader.TrainBatches:
    """This process's part of the stream of batches that the config describes."""
    data = config.data
    return loader.train_batches(
        training_parts(config, require_masks=system.needs_masks),
        label_set=system.label_set,
        image_size=config.image_size,
        batch_size=data.batch_size,
        seed=config.seed,
        augment=Augment.from_dict(data.augment.to_dict()),
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


def describe(config: ConfigDict, system: System, name: str, steps: int) -> bundle.Meta:
    """What `model.json` says before the model is scored."""
    return bundle.Meta(
        name=bundle.safe_name(name),
        system=config.system,
        config=config.to_dict(),
        label_set=system.label_set,
        preprocessing=bundle.Preprocessing(config.image_size),
        licence=LICENCE,
        provenance=bundle.provenance(steps),
    )


def measure(
    system: System, variables: PyTree, source: Source, spec: str, options: dict, screen: Console, workdir: Path | None
) -> dict:
    """All scores of a model on a source, with a progress bar; `metrics["data"]` says which source it was.

    Args:
      system, variables: the model.
      source, spec: what it is measured on.
      options: `image_size`, `batch_size`, `seed` of the evaluation.
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
