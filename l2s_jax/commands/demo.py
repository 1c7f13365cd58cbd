"""`l2s demo`: train, evaluate and report on faces that need no download."""

import argparse

from input_pipeline.errors import UserError
from l2s_jax import config as configs
from l2s_jax.commands import console
from l2s_jax.commands.run import run as run_recipe
from l2s_jax.training.compilation import enable_compilation_cache

CONFIG = "demo"


def run(args: argparse.Namespace) -> int:
    """Train configs/demo.py, score it on unseen faces, write the report."""
    if args.config is not None:
        raise UserError("`l2s demo` has its own config; `l2s train --config NAME` runs another")
    config = configs.load(configs.shipped_file(CONFIG), args.overrides)
    enable_compilation_cache()
    screen = console.out()
    screen.print(
        f"[bold]l2s demo[/]: trains on {config.train.steps:,} batches of {config.data.batch_size} procedural faces at "
        f"{config.image_size} px, then scores the model on {config.data.test or config.data.eval}\n"
    )
    return run_recipe(config, args.workdir, screen)
