"""`l2s data`: everything about data sets, one module for each of its commands."""

import argparse
import importlib


def run(args: argparse.Namespace) -> int:
    """Runs `l2s data COMMAND`; returns the exit code."""
    return importlib.import_module(f"l2s_jax.commands.data_{args.data_command}").run(args)
