"""`l2s report`: write the HTML page of a training run."""

import argparse

from input_pipeline.errors import UserError
from l2s_jax.commands import console
from l2s_jax.report import html


def run(args: argparse.Namespace) -> int:
    """Write WORKDIR/report.html and print its path."""
    if not args.workdir.is_dir():
        raise UserError(f"there is no workdir '{args.workdir}'; `l2s train` and `l2s demo` make one")
    console.out().print(f"report: {console.escape(str(html.write_report(args.workdir)))}")
    return 0
