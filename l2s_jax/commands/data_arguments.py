"""Arguments and texts of `l2s data`, and of every option that names data. Imports nothing heavy."""

import argparse
from pathlib import Path

from input_pipeline.readers import downloads

COMMANDS = {
    "prepare": "turn a download into sharded records",
    "check": "find what is wrong with a data set",
    "stats": "count faces, classes and pixels",
    "show": "draw a contact sheet of faces and masks",
}

DATA = """\
KIND:WHERE[?split], e.g. synthetic:200?test (200 procedural faces), folder:DIR?val (DIR/val/images and DIR/val/masks,
paired by name), records:DIR?train (from `l2s data prepare`), or a layout: celebamask_hq:DIR?val"""


def natural(text: str) -> int:
    """Parse an integer >= 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return int(text)


def _prepare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SRC", help="root folder of the download; local, or gs://bucket/folder")
    parser.add_argument("--layout", metavar="NAME[/VARIANT]", required=True, help="how SRC is laid out, see above")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the records")
    parser.add_argument("--splits", metavar="A,B", help="only these splits (default: all)")
    parser.add_argument(
        "--size", metavar="N", type=natural, help="shrink photos to N pixels (default: files as they are)"
    )
    parser.add_argument("--shard-mb", metavar="N", type=natural, default=256, help="size of a shard (default: 256)")
    parser.add_argument("--jobs", metavar="N", type=natural, help="processes (default: one for each CPU core)")
    parser.add_argument("--skip-broken", action="store_true", help="leave broken faces out instead of stopping short")


def _check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", nargs="+", help=f"{DATA}; without ?split: all its splits together")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write every finding there")
    parser.add_argument("--jobs", metavar="N", type=natural, help="processes (default: one for each CPU core)")


def _stats(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", nargs="+", help=f"{DATA}; without ?split: all its splits")
    parser.add_argument("--recount", action="store_true", help="read every face of records too, see above")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the numbers there")
    parser.add_argument("--jobs", metavar="N", type=natural, help="processes (default: one for each CPU core)")


def _show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help=DATA)
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="the picture, a PNG")
    parser.add_argument("--count", metavar="N", type=natural, default=24, help="faces (default: 24)")
    parser.add_argument("--names", metavar="A,B", help="these faces instead of --count evenly spaced ones")
    parser.add_argument("--with-class", metavar="NAME", help="only faces that have this class, e.g. hat")
    parser.add_argument("--augment", action="store_true", help="as training would see them (default augmentation)")


# fmt: off
TEXTS = {
    "prepare": (
        "Read a raw download and write sharded ArrayRecord files with a manifest: counts, class frequencies,\n"
        "checksums, licence note. Works in parallel; started again, it goes on where it stopped. Photos are kept as\n"
        "they are (their own bytes) unless --size asks for smaller ones.\n\n"
        "Broken faces are listed in DIR/broken.jsonl; then no manifest is written and the exit code is 2, until they\n"
        "are fixed or --skip-broken leaves them out.\n\n"
        f"layouts: {', '.join(downloads.NAMES)}",
        "examples:\n  l2s data prepare CelebAMask-HQ --layout celebamask_hq --out records/celebamask\n"
        "  l2s data prepare CelebAMask-HQ --layout celebamask_hq/farl --out records/celebamask_farl\n"
        "  l2s data prepare faces --layout folder --out records/faces --size 512", _prepare),
    "check": (
        "Look at every face: missing and damaged files, sizes that differ, unknown ids, classes that no face has,\n"
        "faces that occur twice (also across splits), faces whose left and right are swapped. Nothing is changed.\n"
        "The exit code is 2 if files must be fixed; findings to review leave it at 0. The terminal names a few of\n"
        "each kind, --json all of them.",
        "examples:\n  l2s data check folder:faces\n  l2s data check 'lapa:LaPa?val' --json found.json",
        _check),
    "stats": (
        "Count faces and classes: in how many faces each class occurs, how many pixels it has, and how large it is in\n"
        "the faces that have it (median). Records are counted at once from their manifest, but without the median;\n"
        "--recount reads them face by face.",
        "examples:\n  l2s data stats folder:faces\n  l2s data stats 'records:records/celebamask?train'",
        _stats),
    "show": (
        "Draw faces with their masks and landmarks laid over them, and a legend.",
        "examples:\n  l2s data show 'folder:faces?val' --out faces.png\n"
        "  l2s data show 'folder:faces?train' --with-class hat --out hats.png\n"
        "  l2s data show 'synthetic:100' --augment --out views.png", _show),
}
# fmt: on
