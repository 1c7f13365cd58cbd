"""Train a small model on procedural faces, score it on 200 faces it has not seen, and write a report.
Needs no data and no accelerator. Run the same command again to resume an interrupted run.

Any field of the config is an option: --config.train.steps=200, --config.optim.encoder.learning_rate=1e-3. A wrong
name is answered with the nearest right one.

examples:
  l2s demo
  l2s demo --workdir /tmp/demo --config.seed=1
"""

import argparse
from pathlib import Path

from input_pipeline.errors import require
from l2s_jax.commands import arguments, console

CONFIG = "demo"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s demo`."""
    parser.add_argument("--workdir", metavar="DIR", type=Path, default=Path("runs/demo"), help="default: runs/demo")
    arguments.add_config(parser)


def run(args: argparse.Namespace) -> int:
    """Train configs/demo.py, score it on unseen faces, write the report."""
    from l2s_jax import config as configs
    from l2s_jax.commands.training_run import run_recipe

    require(args.config is None, "`l2s demo` has its own config; `l2s train --config NAME` runs another")
    config = configs.load(configs.shipped_file(CONFIG), args.overrides)
    screen = console.out()
    screen.print(
        f"[bold]l2s demo[/]: trains on {config.train.steps:,} batches of {config.data.batch_size} procedural faces at "
        f"{config.image_size} px, then scores the model on {config.data.test or config.data.eval}\n"
    )
    return run_recipe(config, args.workdir, screen)
