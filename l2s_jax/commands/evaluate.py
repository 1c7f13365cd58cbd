"""Score a model: F1 and IoU of every class, boundaries and components, reconstruction, and how far each slice of the
code acts outside its own region; or, of a system that does not segment, its own scores.

examples:
  l2s evaluate --model runs/demo --data 'synthetic:200?test'
  l2s evaluate --model runs/demo --data 'folder:faces?val' --json scores.json
"""

import argparse

from l2s_jax.commands import arguments, console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s evaluate`."""
    parser.add_argument("--model", metavar="NAME|PATH|WORKDIR", required=True, help="a model, see `l2s models`")
    parser.add_argument("--data", metavar="DATA", required=True, help=arguments.DATA)
    parser.add_argument(
        "--features",
        metavar="MODEL",
        help="measure how real decoded faces look in the features of this model: its code, or a parser's class "
        "probabilities (default: colour and sharpness, without a model)",
    )
    arguments.add_json(parser, "all metrics")
    parser.add_argument(
        "--batch", metavar="N", type=arguments.natural, default=16, help="images at a time (default: 16)"
    )


def run(args: argparse.Namespace) -> int:
    """Score `args.model` on `args.data`, framed as in training; print tables, write `args.json`."""
    from input_pipeline import files
    from l2s_jax import progress, recipe, systems
    from l2s_jax.commands import scores
    from l2s_jax.inference.features import of_model
    from l2s_jax.inference.model import load_model
    from l2s_jax.training.compilation import enable_compilation_cache

    if args.json is not None:
        files.writable_file(args.json)
    enable_compilation_cache()
    model = load_model(args.model)
    preprocessing = model.meta.preprocessing
    side = preprocessing.image_size
    source = recipe.open_data(args.data, model.config, require_masks=model.system.predict is not None)
    screen = console.out()
    screen.print(
        f"[bold]{model.meta.name}[/] [dim]{console.escape(str(model.path))}, {model.meta.system}, {side} px[/] on "
        f"{len(source)} faces of {console.escape(args.data)}\n"
    )
    options = {"image_size": side, "batch_size": args.batch, "seed": model.config.seed, "resize": preprocessing.rule}
    if args.features is not None:
        options["features"] = of_model(args.features)
    with progress.shown(screen, "evaluating") as show:
        metrics = recipe.measure(model.system, model.variables, source, args.data, options, show).metrics
    metrics["model"] = {"name": model.meta.name, "system": model.meta.system, "sha256": model.meta.sha256}
    label_set = model.system.label_set
    scores.show(screen, metrics, label_set, systems.published_result(model.meta.system, label_set, side, args.data))
    if args.json is not None:
        files.replace_json(args.json, metrics)
        screen.print(f"\nscores  {console.escape(str(args.json))}", soft_wrap=True)
    return 0
