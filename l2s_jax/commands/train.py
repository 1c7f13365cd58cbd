"""Train a model from a config, score it and write its report. Everything goes into one folder: checkpoints, curves,
the exported model, metrics.json and report.html. Ctrl-C (or a closed terminal) saves a checkpoint; run the same
command again to resume.

Any field of the config is an option: --config.train.steps=200, --config.optim.encoder.learning_rate=1e-3. A wrong
name is answered with the nearest right one.

examples:
  l2s train --config demo
  l2s train --config demo --config.train.steps=500 --workdir runs/longer
  l2s train --config l2s_512x8 --dry-run --devices 8 --device h100
  srun l2s train --config l2s_512x8 --cluster              each process of a job, see docs/hosts.md
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from input_pipeline.errors import UserError, clipped, listed
from l2s_jax.commands import arguments, console

if TYPE_CHECKING:
    from ml_collections import ConfigDict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s train`."""
    parser.add_argument("--config", metavar="NAME", help="NAME of ./configs/NAME.py or of a shipped config, or a path")
    arguments.add_config(parser)
    parser.add_argument("--workdir", metavar="DIR", type=Path, help="where everything goes (default: runs/NAME)")
    parser.add_argument("--dry-run", action="store_true", help="only show shapes, parameters, sharding, FLOPs, memory")
    parser.add_argument("--cluster", action="store_true", help="join the processes of a Slurm, MPI, TPU or GKE job")
    parser.add_argument("--coordinator", metavar="HOST:PORT", help="join processes by hand: where process 0 listens")
    parser.add_argument("--processes", metavar="N", type=arguments.natural, help="with --coordinator: how many")
    parser.add_argument("--process", metavar="I", type=int, help="with --coordinator: which this is, 0 to N-1")
    parser.add_argument(
        "--devices", metavar="N", type=arguments.natural, help="with --dry-run: numbers for N accelerators"
    )
    parser.add_argument("--device", metavar="NAME", help="with --dry-run: must fit one, such as h100, h200, v5e, v5p")
    parser.add_argument("--topology", metavar="SLICE", help="with --dry-run: compile for a TPU slice, such as v5e-256")


def run(args: argparse.Namespace) -> int:
    """Train `args.config`; the final scores are those on `config.data.test`."""
    from l2s_jax import config as configs
    from l2s_jax.commands import dry_run
    from l2s_jax.commands.training_run import run_recipe
    from l2s_jax.training import hosts

    if args.config is None:
        raise UserError(f"`l2s train` needs --config NAME; there are: {listed(configs.names())}")
    if (args.devices or args.device or args.topology) and not args.dry_run:
        raise UserError("--devices, --device and --topology go with --dry-run; training uses every device it finds")
    if args.topology and (args.devices or args.device):
        raise UserError("--topology says which devices there are: leave out --devices and --device")
    if args.dry_run:
        return dry_run.run(_load(args), args.devices, args.device, args.topology)
    _check_process(args)
    workdir = args.workdir or Path("runs") / Path(args.config).stem
    if not (args.cluster or args.coordinator):
        return run_recipe(_load(args), workdir, console.out())
    with hosts.joined(workdir, args.coordinator, args.processes, args.process):
        config = _load(args)
        hosts.agree(config)
        return run_recipe(config, workdir, console.out())


def _load(args: argparse.Namespace) -> ConfigDict:
    """Load the config; say so if a bare name means a file of this folder."""
    from l2s_jax import config as configs

    if configs.is_local(args.config):
        where = console.escape(str(configs.find(args.config)))
        console.out().print(f"config  {where} of this folder", soft_wrap=True)
    return configs.load(args.config, args.overrides)


def _check_process(args: argparse.Namespace) -> None:
    """Check the words that say which of several processes this is."""
    words = (args.coordinator, args.processes, args.process)
    if words == (None, None, None):
        return
    if None in words or args.cluster:
        raise UserError("--coordinator HOST:PORT, --processes N and --process I go together, without --cluster")
    if not re.fullmatch(r"\S+:\d{1,5}", args.coordinator) or int(args.coordinator.rpartition(":")[2]) > 65535:
        raise UserError(f"--coordinator={clipped(args.coordinator)} must be HOST:PORT, like node1:9876")
    if args.process not in range(args.processes):
        raise UserError(f"--process={args.process} of --processes={args.processes}: the first one is 0")
