"""Write WORKDIR/report.html: one self-contained page with curves, panels, bars and the region-effect map.

examples:
  l2s report runs/demo
"""

import argparse
from pathlib import Path

from input_pipeline import files
from input_pipeline.errors import require
from l2s_jax.commands import console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s report`."""
    parser.add_argument("workdir", metavar="WORKDIR", type=Path, help="folder of a training run")


def run(args: argparse.Namespace) -> int:
    """Write WORKDIR/report.html and print its path."""
    from l2s_jax.report import html

    files.local(args.workdir)
    require(args.workdir.is_dir(), f"there is no workdir '{args.workdir}'; `l2s train` and `l2s demo` make one")
    console.out().print(f"report: {console.escape(str(html.write_report(args.workdir)))}")
    return 0
