"""`l2s train`: train a model from a config, score it and write its report; or print the cost, with --dry-run."""

import argparse
from pathlib import Path

import jax

from input_pipeline.errors import UserError
from l2s_jax import config as configs
from l2s_jax.commands import console, dry_run
from l2s_jax.commands.run import run as run_recipe
from l2s_jax.training.compilation import enable_compilation_cache


def run(args: argparse.Namespace) -> int:
    """Train `args.config`; the final scores are those on `config.data.test`."""
    if args.config is None:
        raise UserError(f"`l2s train` needs --config NAME; there are: {configs.listed(configs.names())}")
    if args.devices and not args.dry_run:
        raise UserError("--devices goes with --dry-run; training uses every device it finds")
    screen = console.out()
    if configs.is_local(args.config):
        screen.print(f"config  {console.escape(str(configs.find(args.config)))} of this folder", soft_wrap=True)
    config = configs.load(args.config, args.overrides)
    if args.dry_run:
        return dry_run.run(config, args.devices or jax.device_count())
    if args.cluster:
        jax.distributed.initialize()
    enable_compilation_cache()
    workdir = args.workdir or Path("runs") / Path(args.config).stem
    return run_recipe(config, workdir, screen)
