"""`l2s evaluate`: score a model on a data set."""

import argparse

from input_pipeline import files
from l2s_jax import recipe, systems
from l2s_jax.commands import console, scores
from l2s_jax.inference.model import load_model
from l2s_jax.training.compilation import enable_compilation_cache


def run(args: argparse.Namespace) -> int:
    """Score `args.model` on `args.data`, framed as in training; print tables, write `args.json`."""
    if args.json is not None:
        files.writable_file(args.json)
    enable_compilation_cache()
    model = load_model(args.model)
    preprocessing = model.meta.preprocessing
    side = preprocessing.image_size
    source = recipe.open_data(args.data, model.config)
    screen = console.out()
    screen.print(
        f"[bold]{model.meta.name}[/] [dim]{console.escape(str(model.path))}, {model.meta.system}, {side} px[/] on "
        f"{len(source)} faces of {console.escape(args.data)}\n"
    )
    options = {"image_size": side, "batch_size": args.batch, "seed": model.config.seed, "resize": preprocessing.rule}
    with console.evaluation_bar(screen) as progress:
        metrics = recipe.measure(model.system, model.variables, source, args.data, options, progress).metrics
    metrics["model"] = {"name": model.meta.name, "system": model.meta.system, "sha256": model.meta.sha256}
    label_set = model.system.label_set
    scores.show(screen, metrics, label_set, systems.published_result(model.meta.system, label_set, side, args.data))
    if args.json is not None:
        files.replace_json(args.json, metrics)
        screen.print(f"\nscores  {console.escape(str(args.json))}", soft_wrap=True)
    return 0
