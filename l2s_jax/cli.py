"""The `l2s` command: finds the subcommand, runs it, and turns a user's mistake into one sentence.

Exit codes: 0 done, 2 a mistake the user can mend (one sentence on stderr), 130 interrupted. Anything else is a bug
and keeps its traceback.
"""

import importlib
import io
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence

from input_pipeline.errors import UserError
from l2s_jax.commands import arguments


def main(argv: Sequence[str] | None = None) -> int:
    """Run `l2s` with `argv` (the process's own by default); returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        # A terminal that knows no bars or no umlauts shows question marks for them.
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        args = arguments.read(argv)
        _quiet()
        return importlib.import_module(f"l2s_jax.commands.{args.command}").run(args)
    except SystemExit as finished:  # argparse after --help and --version
        return finished.code or 0
    except UserError as error:
        if "--debug" in argv:
            traceback.print_exc()
        # A sentence may quote a file's name or content: no control characters to the terminal.
        print("l2s: " + re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", str(error)), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("l2s: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `l2s labels | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _quiet() -> None:
    """Keep the libraries' start-up chatter out of the terminal; errors still show."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name in ("jax", "absl", "orbax", "grain"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for category in (DeprecationWarning, FutureWarning, UserWarning):
        warnings.simplefilter("ignore", category)
    warnings.filterwarnings("ignore", module=r"PIL\.Image")  # of large pictures, which are refused by a limit of ours


if __name__ == "__main__":
    sys.exit(main())
