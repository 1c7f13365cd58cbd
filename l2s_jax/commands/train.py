"""Train a model from a config, score it and write its report. Everything goes into one folder: checkpoints, curves,
the exported model, metrics.json and report.html. Ctrl-C (or a closed terminal) saves a checkpoint; run the same
command again to resume.

Any field of the config is an option: --config.train.steps=200, --config.optim.encoder.learning_rate=1e-3. A wrong
name is answered with the nearest right one.

examples:
  l2s train --config demo
  l2s train --config demo --config.train.steps=500 --workdir runs/longer
  l2s train --config l2s_512x8 --dry-run --devices 8 --device h100
"""

import argparse
from pathlib import Path

from input_pipeline.errors import UserError
from l2s_jax.commands import arguments, console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s train`."""
    parser.add_argument("--config", metavar="NAME", help="NAME of ./configs/NAME.py or of a shipped config, or a path")
    arguments.add_config(parser)
    parser.add_argument("--workdir", metavar="DIR", type=Path, help="where everything goes (default: runs/NAME)")
    parser.add_argument("--dry-run", action="store_true", help="only show shapes, parameters, sharding, FLOPs, memory")
    parser.add_argument("--cluster", action="store_true", help="one of several processes (Slurm, TPU pod, ...)")
    parser.add_argument(
        "--devices", metavar="N", type=arguments.natural, help="with --dry-run: numbers for N accelerators"
    )
    parser.add_argument("--device", metavar="NAME", help="with --dry-run: must fit one, such as h100, h200, v5e, v5p")
    parser.add_argument("--topology", metavar="SLICE", help="with --dry-run: compile for a TPU slice, such as v5e-256")


def run(args: argparse.Namespace) -> int:
    """Train `args.config`; the final scores are those on `config.data.test`."""
    import jax

    from l2s_jax import config as configs
    from l2s_jax.commands import dry_run
    from l2s_jax.commands.training_run import run_recipe

    if args.config is None:
        raise UserError(f"`l2s train` needs --config NAME; there are: {configs.listed(configs.names())}")
    if (args.devices or args.device or args.topology) and not args.dry_run:
        raise UserError("--devices, --device and --topology go with --dry-run; training uses every device it finds")
    if args.topology and (args.devices or args.device):
        raise UserError("--topology says which devices there are: leave out --devices and --device")
    screen = console.out()
    if configs.is_local(args.config):
        screen.print(f"config  {console.escape(str(configs.find(args.config)))} of this folder", soft_wrap=True)
    config = configs.load(args.config, args.overrides)
    if args.dry_run:
        return dry_run.run(config, args.devices, args.device, args.topology)
    if args.cluster:
        jax.distributed.initialize()
    return run_recipe(config, args.workdir or Path("runs") / Path(args.config).stem, screen)
