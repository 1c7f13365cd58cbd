"""`l2s data`: commands on data sets, one module for each."""

import argparse
import importlib


def run(args: argparse.Namespace) -> int:
    """Run `l2s data COMMAND`; return the exit code."""
    return importlib.import_module(f"l2s_jax.commands.data_{args.data_command}").run(args)
