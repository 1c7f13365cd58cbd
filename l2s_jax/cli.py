"""The `l2s` command: find the subcommand, run it, and turn a user's mistake into one sentence.

Exit codes: 0 done (also if the reader of the output has gone away), 2 a mistake that the user can correct or a file
that the operating system refuses (one sentence on stderr), 130 interrupted. Any other exception is a bug and keeps its
traceback.
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
    """Run `l2s` with `argv` (default: this process's arguments) and return the exit code."""
    # Characters that the terminal's encoding lacks (bars, umlauts) are printed as question marks.
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
        # A file that the operating system refuses anywhere (permissions, symlink loops, names too long).
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
    """Silence the start-up messages of libraries in the terminal; errors still show."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name in ("jax", "absl", "orbax", "grain", "matplotlib"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for category in (DeprecationWarning, FutureWarning, UserWarning):
        warnings.simplefilter("ignore", category)
    warnings.filterwarnings("ignore", module=r"PIL\.Image")  # about large images, for which we have our own limit


if __name__ == "__main__":
    sys.exit(main())
