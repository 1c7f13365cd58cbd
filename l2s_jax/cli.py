"""The `l2s` command: finds the subcommand, runs it, and turns a user's mistake into one sentence.

Exit codes: 0 done (also where nobody reads the output any more), 2 a mistake the user can mend, or a file that
the system refuses (one sentence on stderr), 130 interrupted. Anything else is a bug and keeps its traceback.
"""

import importlib
import io
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence

from input_pipeline.errors import UserError, printable
from l2s_jax.commands import arguments
from l2s_jax.commands.outlet import outlets


def main(argv: Sequence[str] | None = None) -> int:
    """Run `l2s` with `argv` (the process's own by default); returns the exit code."""
    # A terminal that knows no bars or no umlauts shows question marks for them.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    with outlets() as out:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        out.flush()
        if out.error is not None:
            return _mistake(f"cannot write to standard output: {out.error.strerror}")
        return code


def _run(argv: Sequence[str]) -> int:
    try:
        args = arguments.read(argv)
        _quiet()
        return importlib.import_module(f"l2s_jax.commands.{args.command}").run(args)
    except SystemExit as finished:  # argparse after --help and --version
        return finished.code or 0
    except UserError as error:
        _trace(argv)
        return _mistake(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        # A file that the system refuses (rights, loops of links, names too long), wherever it is met.
        _trace(argv)
        return _mistake(f"'{os.fsdecode(error.filename)}' cannot be used: {error.strerror}")
    except KeyboardInterrupt:
        print("l2s: interrupted", file=sys.stderr)
        return 130


def _trace(argv: Sequence[str]) -> None:
    if "--debug" in argv:
        print("\n".join(map(printable, traceback.format_exc().splitlines())), file=sys.stderr)


def _mistake(sentence: str) -> int:
    print("l2s: " + printable(sentence.replace("\n", " ")), file=sys.stderr)
    return 2


def _quiet() -> None:
    """Keep the libraries' start-up chatter out of the terminal; errors still show."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name in ("jax", "absl", "orbax", "grain", "matplotlib"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for category in (DeprecationWarning, FutureWarning, UserWarning):
        warnings.simplefilter("ignore", category)
    warnings.filterwarnings("ignore", module=r"PIL\.Image")  # of large pictures, which are refused by a limit of ours


if __name__ == "__main__":
    sys.exit(main())
