"""The `l2s` command: find the command, run it, and turn a user's mistake into one sentence.

Exit codes: 0 done (also if the reader of the output has gone away), 2 a mistake that the user can correct or a file
that the operating system refuses (one sentence on stderr), 130 interrupted. Any other exception is a bug and keeps its
traceback.
"""

import argparse
import atexit
import functools
import gc
import importlib.metadata
import io
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterable, Sequence
from types import ModuleType

import l2s_jax
from input_pipeline.errors import UserError, nearest, printable, sentence_of
from l2s_jax.commands.config_flags import read_cli
from l2s_jax.commands.outlet import outlets

EIGEN = "--xla_cpu_experimental_ynn_fusion_type=-LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION"
"""Flag of XLA in jaxlib 0.10, see `_convolve_with_eigen`."""

COMMANDS = {
    "demo": "train, evaluate and report on synthetic faces, in a few minutes",
    "train": "train a model from a config; the same command resumes",
    "evaluate": "score a model on a data set",
    "parse": "write the face parts of your photos",
    "edit": "swap, mix and move the parts of faces in your photos, or the persons",
    "export": "write a parser as StableHLO, ONNX or a page that runs in the browser",
    "serve": "parse and edit photos in the browser, on this machine",
    "data": "prepare, check, count and show data sets",
    "convert": "make a model of published weights",
    "bench": "measure the speed of systems on this device",
    "report": "write the HTML report of a training run",
    "labels": "show the label sets and how they map onto each other",
    "models": "list the models that are here, with their scores",
}
"""Each is a module of `l2s_jax.commands`."""

DATA_COMMANDS = {
    "prepare": "turn a download into sharded records",
    "check": "find what is wrong with a data set",
    "stats": "count faces, classes and pixels",
    "show": "draw a contact sheet of faces and masks",
}
"""The commands `l2s data NAME`."""

EDIT_COMMANDS = {
    "swap": "give a face parts of another",
    "mix": "give a face parts of several others, or mix three by parts in a triangle",
    "restyle": "give a part the colours of another face, or noise on its own",
    "interpolate": "walk from one face to another, in all parts or in some",
    "traverse": "walk a part along its leading or random directions",
    "identity": "show a person with pose, expression and light of another picture",
    "deidentify": "show somebody else with the pose, expression and light of a photo",
    "sequence": "show one person in all frames of a folder, an animation or a video",
}
"""The commands `l2s edit NAME`."""

GROUPS = {"data": DATA_COMMANDS, "edit": EDIT_COMMANDS}
"""Commands that have commands of their own; each is a package of modules."""

WITH_CONFIG = ("demo", "train")
"""Commands that take `--config.a.b=v`."""

_DESCRIPTION = "Face parsing and face autoencoders whose latents know the parts of a face."
_EXAMPLES = """examples:
  l2s demo                               see it work, no data needed
  l2s parse photo.jpg --out masks        the parts of a photo
  l2s COMMAND --help                     options and examples of a command"""


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
        _collect_rarely()
        command, args = _read(argv)
        _quiet()
        _convolve_with_eigen()
        return command.run(args)
    except SystemExit as finished:  # argparse after --help and --version
        return finished.code or 0
    except (UserError, OSError) as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        _trace(argv)
        return _mistake(sentence)
    except KeyboardInterrupt:
        print("l2s: interrupted", file=sys.stderr)
        return 130


def _read(argv: Sequence[str]) -> tuple[ModuleType, argparse.Namespace]:
    """Return the command's module and its arguments, with `config` and `overrides` if it takes a config.

    Raises:
      UserError: an unknown command or option; the message names the nearest known one.
      SystemExit: after `--help` and `--version`.
    """
    rest = list(argv)
    name = _take_word(rest, COMMANDS, "")
    if name is None:
        top = _Parser(
            prog="l2s", usage="l2s COMMAND ...", description=_listed(_DESCRIPTION, COMMANDS), epilog=_EXAMPLES
        )
        top.add_argument("--version", action="version", version=f"l2s {l2s_jax.__version__}")
        top.parse_args(rest)
        top.print_help()
        raise SystemExit(0)
    if name in GROUPS:
        word = _take_word(rest, GROUPS[name], f"{name} ")
        if word is None:
            group = importlib.import_module(f"l2s_jax.commands.{name}")
            description, _, examples = group.__doc__.partition("\n\n")
            parser = _Parser(
                prog=f"l2s {name}",
                usage=f"l2s {name} COMMAND ...",
                description=_listed(description, GROUPS[name]),
                epilog=examples,
            )
            parser.parse_args(rest)
            parser.error("the following arguments are required: COMMAND")
        name = f"{name} {word}"
    command = importlib.import_module(f"l2s_jax.commands.{name.replace(' ', '.')}")
    description, _, examples = command.__doc__.partition("examples:\n")
    parser = _Parser(prog=f"l2s {name}", description=description.strip(), epilog=f"examples:\n{examples.rstrip()}")
    command.add_arguments(parser)
    config, overrides = None, []
    if name in WITH_CONFIG and not {"-h", "--help"} & set(rest):
        config, overrides, rest = read_cli(rest)
    args, unknown = parser.parse_known_args(rest)
    if unknown:
        raise UserError(f"`l2s {name}` does not take '{unknown[0]}'; {_nearest(unknown[0], parser.options)}")
    if name in WITH_CONFIG:
        args.config, args.overrides = config, overrides
    return command, args


def _take_word(rest: list[str], commands: Iterable[str], before: str) -> str | None:
    """Remove the first word that is no option, the name of a command, from the command line; None if there is none."""
    word = next((word for word in rest if not word.startswith("-")), None)
    if word is None:
        return None
    if word not in commands:
        raise UserError(f"unknown command '{before}{word}'; {_nearest(word, commands)}")
    rest.remove(word)
    return word


def _listed(description: str, commands: dict[str, str]) -> str:
    width = max(10, *map(len, commands))
    return description + "\n\ncommands:\n" + "\n".join(f"  {name:{width}} {text}" for name, text in commands.items())


def _nearest(word: str, choices: Iterable[str]) -> str:
    return nearest(word.partition("=")[0], choices, f"there are: {', '.join(choices)}")


class _Parser(argparse.ArgumentParser):
    """An argument parser that raises `UserError`, and knows its long `options`; help texts keep their lines."""

    def __init__(self, **texts: str):
        self.options: list[str] = []
        layout = functools.partial(argparse.RawDescriptionHelpFormatter, max_help_position=34, width=110)
        super().__init__(**texts, allow_abbrev=False, formatter_class=layout, add_help=False)
        self.add_argument("-h", "--help", action="help", help="show this help")
        self.add_argument("--debug", action="store_true", help="show the traceback of an error")

    def add_argument(self, *names: str, **options) -> argparse.Action:
        """Add an argument as every parser does."""
        action = super().add_argument(*names, **options)
        self.options += [option for option in action.option_strings if option.startswith("--")]
        return action

    def error(self, message: str):
        """Raise a UserError."""
        raise UserError(f"{message}; see `{self.prog} --help`")


def _trace(argv: Sequence[str]) -> None:
    if "--debug" in argv:
        print("\n".join(map(printable, traceback.format_exc().splitlines())), file=sys.stderr)


def _mistake(sentence: str) -> int:
    print(f"l2s: {sentence}", file=sys.stderr)
    return 2


def _collect_rarely() -> None:
    """Let Python search for garbage less often: imports and traces make a million objects, and hardly any garbage."""
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)  # or the process would search them all once more as it ends


def _quiet() -> None:
    """Silence the start-up messages of libraries in the terminal; errors still show."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    for name in ("jax", "absl", "orbax", "grain", "matplotlib"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for category in (DeprecationWarning, FutureWarning, UserWarning):
        warnings.simplefilter("ignore", category)
    warnings.filterwarnings("ignore", module=r"PIL\.Image")  # about large images, for which we have our own limit


def _convolve_with_eigen() -> None:
    """Let XLA compute convolutions on CPUs as it did before it had YNNPACK, which takes longer (docs/speed.md).

    Flags that are set already come later and have precedence. Other versions of XLA may not know this one, which would
    end the process.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if importlib.metadata.version("jaxlib").startswith("0.10.") and "ynn_fusion_type" not in flags:
        os.environ["XLA_FLAGS"] = f"{EIGEN} {flags}".rstrip()


if __name__ == "__main__":
    sys.exit(main())
