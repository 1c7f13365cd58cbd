"""Run the recipe for `l2s train` and `l2s demo`, with its progress and its results on the terminal."""

from pathlib import Path

from ml_collections import ConfigDict
from rich.console import Console

from l2s_jax import progress, recipe, systems
from l2s_jax.commands import console, scores
from l2s_jax.training.compilation import enable_compilation_cache


def run_recipe(config: ConfigDict, workdir: Path, screen: Console) -> int:
    """Run the recipe; print scores and paths.

    Returns:
      the exit code: 0, or 128 + the number of the signal that stopped the training.
    """
    enable_compilation_cache()
    with progress.shown(screen, "evaluating") as show:
        outcome = recipe.run(
            config,
            workdir,
            warn=lambda sentence: screen.print(console.escape(sentence), soft_wrap=True),
            progress=show,
            console=screen,
        )
    if outcome.interrupted:
        return 128 + outcome.interrupted
    if outcome.metrics is None:  # only the first process prints results
        return 0
    label_set, spec = outcome.system.label_set, outcome.metrics["data"]["spec"]
    screen.print()
    reported = systems.published_result(config.system, label_set, config.image_size, spec)
    scores.show(screen, outcome.metrics, label_set, reported)
    screen.print()
    places = {"report": outcome.report, "model": outcome.model, "scores": workdir / "metrics.json"}
    for title, path in places.items():
        screen.print(f"{title:7} {console.escape(str(path))}", soft_wrap=True)
    if outcome.system.predict is not None:
        screen.print(f"\nnext    l2s parse PHOTO --out masks --model {console.escape(str(workdir))}", soft_wrap=True)
    return 0
