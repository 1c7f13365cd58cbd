"""The command line of `l2s`: arguments and help texts. Imports nothing heavy, so every `--help` answers at once."""

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path

import l2s_jax
from input_pipeline.errors import UserError, nearest
from l2s_jax.commands import data_arguments
from l2s_jax.commands.data_arguments import DATA, natural

COMMANDS = {
    "demo": "train, evaluate and report on synthetic faces, in a few minutes",
    "train": "train a model from a config; the same command resumes",
    "evaluate": "score a model on a data set",
    "parse": "write the face parts of your photos",
    "data": "prepare, check, count and show data sets",
    "convert": "make a model of published weights",
    "report": "write the HTML report of a training run",
    "labels": "show the label sets and how they map onto each other",
    "models": "list the models that are here, with their scores",
}

WITH_CONFIG = ("demo", "train")
"""Commands that take `--config.a.b=v`."""

_OVERRIDES = """\
Any field of the config is an option: --config.train.steps=200, --config.optim.encoder.learning_rate=1e-3. A wrong
name is answered with the nearest right one."""


def read(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; set `config` (NAME or None) and `overrides` (`a.b=v`) if the command takes them.

    Raises:
      UserError: an unknown command or option; the message names the nearest known one.
      SystemExit: after `--help` and `--version`.
    """
    words = [word for word in argv if not word.startswith("-")]
    parser, commands = _grammar(words[0] if words else "")
    if words and words[0] not in COMMANDS:
        raise UserError(f"unknown command '{words[0]}'{_nearest(words[0], COMMANDS)}")
    if words[:1] == ["data"] and len(words) > 1 and words[1] not in data_arguments.COMMANDS:
        raise UserError(f"unknown command 'data {words[1]}'{_nearest(words[1], data_arguments.COMMANDS)}")
    name, overrides, rest = None, [], list(argv)
    if words and words[0] in WITH_CONFIG and not {"-h", "--help"} & set(argv):
        from l2s_jax import config  # imports jax, which these commands need anyway and `--help` does not

        name, overrides, rest = config.read_cli(argv)
    args, unknown = parser.parse_known_args(rest)
    if args.command is None:
        parser.print_help()
        raise SystemExit(0)
    if unknown:
        spoken = f"data {args.data_command}" if args.command == "data" else args.command
        options = [o for o in commands[spoken]._option_string_actions if o.startswith("--")]
        raise UserError(f"`l2s {spoken}` does not take '{unknown[0]}'{_nearest(unknown[0], options)}")
    args.config, args.overrides = name, overrides
    return args


def _grammar(command: str) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = _Parser(
        prog="l2s",
        usage="l2s COMMAND ...",
        description="Face parsing and face autoencoders whose latents know the parts of a face.",
        epilog="examples:\n  l2s demo                               see it work, no data needed\n"
        "  l2s parse photo.jpg --out masks        the parts of a photo\n"
        "  l2s COMMAND --help                     options and examples of a command",
    )
    parser.add_argument("--version", action="version", version=f"l2s {l2s_jax.__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers = parser.add_subparsers(
        prog="l2s", dest="command", metavar="COMMAND", title="commands", parser_class=_Parser
    )
    commands = {}
    for name, summary in COMMANDS.items():
        description, epilog, add = _TEXTS[name]
        commands[name] = subparsers.add_parser(name, help=summary, description=description, epilog=epilog)
        if name == command:  # those of other commands are not needed and may cost imports
            add(commands[name])
        _add_debug(commands[name])
    nested = commands["data"].add_subparsers(
        prog="l2s data", dest="data_command", metavar="COMMAND", title="commands", required=True, parser_class=_Parser
    )
    for name, summary in data_arguments.COMMANDS.items():
        description, epilog, add = data_arguments.TEXTS[name]
        commands[f"data {name}"] = nested.add_parser(name, help=summary, description=description, epilog=epilog)
        add(commands[f"data {name}"])
        _add_debug(commands[f"data {name}"])
    return parser, commands


def _add_debug(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def _demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workdir", metavar="DIR", type=Path, default=Path("runs/demo"), help="default: runs/demo")


def _train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="NAME", help="NAME of ./configs/NAME.py or of a shipped config, or a path")
    parser.add_argument(
        "--config.a.b=v",
        metavar="",
        dest="_",
        default=argparse.SUPPRESS,
        help="change the field a.b of the config; repeatable",
    )
    parser.add_argument("--workdir", metavar="DIR", type=Path, help="where everything goes (default: runs/NAME)")
    parser.add_argument("--dry-run", action="store_true", help="only show shapes, parameters, FLOPs and memory")
    parser.add_argument("--cluster", action="store_true", help="one of several processes (Slurm, TPU pod, ...)")
    parser.add_argument("--devices", metavar="N", type=natural, help="with --dry-run: numbers for N accelerators")


def _evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="NAME|PATH|WORKDIR", required=True, help="a model, see `l2s models`")
    parser.add_argument("--data", metavar="DATA", required=True, help=DATA)
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all metrics there")
    parser.add_argument("--batch", metavar="N", type=natural, default=16, help="images at a time (default: 16)")


def _parse(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", metavar="IMAGE|FOLDER", nargs="+", type=Path, help="photos, or folders of photos")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the results")
    parser.add_argument("--model", metavar="NAME|PATH|WORKDIR", help="default: the model that was trained last")
    parser.add_argument("--batch", metavar="N", type=natural, default=8, help="photos at a time (default: 8)")
    parser.add_argument(
        "--clean",
        metavar="N",
        type=_pixels,
        default=0,
        help="connected pieces of a class with fewer than N pixels of the photo take the class of what surrounds them "
        "(default: 0, none do)",
    )


def _pixels(text: str) -> int:
    """Parse an integer >= 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of pixels, 0 or more")
    return int(text)


def _convert(parser: argparse.ArgumentParser) -> None:
    from l2s_jax import systems  # only their metadata, without JAX

    weights = {name: systems.published(name).weights for name in systems.convertible()}
    heads = [head.name for each in weights.values() for head in each.heads]
    sizes = ", ".join(f"{name} {each.image_size}" for name, each in weights.items())
    parser.add_argument("system", metavar="SYSTEM", choices=[*weights], help=f"whose weights: {', '.join(weights)}")
    parser.add_argument("file", metavar="FILE", type=Path, help="the authors' checkpoint, .pt or .safetensors")
    parser.add_argument("--out", metavar="MODEL", type=Path, required=True, help="folder of the model")
    parser.add_argument("--name", metavar="NAME", help="name of the model (default: that of its folder)")
    parser.add_argument(
        "--head",
        choices=heads,
        help="data set of the weights, where they do not tell it themselves",
    )
    parser.add_argument(
        "--image-size",
        metavar="N",
        type=natural,
        help=f"pixels a side it was trained on ({sizes})",
    )


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("workdir", metavar="WORKDIR", type=Path, help="folder of a training run")


def _labels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("set", metavar="SET", nargs="?", help="a label set (default: a list of all)")
    parser.add_argument("--map", metavar=("SRC", "DST"), nargs=2, help="where each class of SRC goes in DST")


def _nothing(parser: argparse.ArgumentParser) -> None:
    pass


# fmt: off
_TEXTS = {
    "demo": (
        "Train a small model on procedural faces, score it on 200 faces it has not seen, and write a report.\n"
        "Needs no data and no accelerator. Started again, it goes on where it stopped.\n\n" + _OVERRIDES,
        "examples:\n  l2s demo\n  l2s demo --workdir /tmp/demo --config.seed=1", _demo),
    "train": (
        "Train a model, score it and write its report. Everything goes into one folder: checkpoints, curves,\n"
        "the exported model, metrics.json and report.html. Ctrl-C (or a closed terminal) saves; the same command\n"
        "goes on from there.\n\n"
        + _OVERRIDES,
        "examples:\n  l2s train --config demo\n"
        "  l2s train --config demo --config.train.steps=500 --workdir runs/longer\n"
        "  l2s train --config l2s_512x8 --dry-run --devices 8", _train),
    "evaluate": (
        "Score a model: F1 and IoU of every class, reconstruction, and how far each slice of the code acts outside\n"
        "its own region.",
        "examples:\n  l2s evaluate --model runs/demo --data 'synthetic:200?test'\n"
        "  l2s evaluate --model runs/demo --data 'folder:faces?val' --json scores.json", _evaluate),
    "parse": (
        "For every photo NAME writes three files into the folder --out:\n\n"
        "  NAME_overlay.png  the photo with its parts in colour\n"
        "  NAME_labels.png   class ids as a palette PNG, at the photo's own size, turned upright as EXIF says\n"
        "  NAME.json         areas and confidence by class, model, timings\n\n"
        "A photo that cannot be read is named and skipped, and the exit code is 2. Photos should show one face that\n"
        "fills most of the picture.\n\n"
        "Started again, it replaces what it wrote for the same photo, and nothing else; its own files are no photos.\n"
        "So --out may be the folder of the photos.",
        "examples:\n  l2s parse photo.jpg --out masks\n  l2s parse album/ more/*.png --out masks --model runs/demo\n"
        "  l2s parse photo.jpg --out masks --clean 500     without specks of fewer than 500 pixels",
        _parse),
    "convert": (
        "Make a model of published weights, for all other commands. The file is read as data: nothing is executed.\n"
        "Every tensor must have its place, otherwise the sentence names it.",
        "examples:\n  l2s convert segface mobilenet_celeba_512/model_299.pt --out models/segface-mobilenet\n"
        "  l2s convert segface swinb_helen_512/model_299.pt --head helen --out models/segface-helen\n"
        "  l2s convert latents2segments latest_checkpoint.pth --head five_regions --out models/l2s\n"
        "  l2s convert structure_via_consensus face_occ_net.pth --head part_labels --out models/occ", _convert),
    "report": (
        "Write WORKDIR/report.html: one self-contained page with curves, panels, bars and the region-effect map.",
        "examples:\n  l2s report runs/demo", _report),
    "labels": (
        "Show label sets: ids, names, colours and the partners that change places when a picture is mirrored.\n"
        "l_ and r_ are the subject's own left and right.",
        "examples:\n  l2s labels\n  l2s labels celebamask\n  l2s labels --map celebamask lapa", _labels),
    "models": (
        "List the models in $L2S_MODELS, ./models, ~/.local/share/l2s_jax/models, the installed ones, and those of\n"
        "./runs. Every command takes them by the name shown here, or by path.",
        "examples:\n  l2s models", _nothing),
    "data": (
        "Data sets: make records of a download, find its faults, count its classes, look at its faces.",
        "examples:\n  l2s data prepare CelebAMask-HQ --layout celebamask_hq --out records/celebamask\n"
        "  l2s data check folder:faces\n  l2s data show 'records:records/celebamask?val' --out faces.png", _nothing),
}
# fmt: on


class _Parser(argparse.ArgumentParser):
    """An argument parser that raises `UserError`."""

    def __init__(self, **options):
        super().__init__(**options, allow_abbrev=False, formatter_class=_Formatter, add_help=False)
        self.add_argument("-h", "--help", action="help", help="show this help")

    def error(self, message: str):
        raise UserError(f"{message}; see `{self.prog} --help`")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """A help formatter with a wide option column; option texts are filled, descriptions and examples kept verbatim."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=34, width=110)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width)


def _nearest(word: str, choices) -> str:
    return "; " + nearest(word.partition("=")[0], choices, f"there are: {', '.join(choices)}")
