"""Arguments that several commands share."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

DATA = """\
KIND:WHERE[?split], e.g. synthetic:200?test (200 procedural faces), folder:DIR?val (DIR/val/images and DIR/val/masks,
paired by name), records:DIR?train (from `l2s data prepare`), or a layout: celebamask_hq:DIR?val"""


def whole(least: int, what: str, most: float = math.inf) -> Callable[[str], int]:
    """Return the parser of integers from `least` (not negative) to `most`; what is none of these is not `what`."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"'{text}' is not {what}")
        return int(text)

    return parse


def number(fits: Callable[[float], bool], what: str) -> Callable[[str], float]:
    """Return the parser of numbers that fit (no NaN does); what is none of these is not `what`."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not fits(value):
            raise argparse.ArgumentTypeError(f"'{text}' is not {what}")
        return value

    return parse


natural = whole(1, "a number above 0")


def regions(text: str) -> tuple[str, ...]:
    """Parse names between commas; one named twice counts once."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if "" in names:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of regions: write names with commas, hair,eyes")
    return names


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add `--config.a.b=v` to the help; `cli` reads it into `args.overrides`."""
    parser.add_argument(
        "--config.a.b=v",
        metavar="",
        dest="_",
        default=argparse.SUPPRESS,
        help="change the field a.b of the config; repeatable",
    )


def add_jobs(parser: argparse.ArgumentParser) -> None:
    """Add `--jobs`."""
    parser.add_argument("--jobs", metavar="N", type=natural, help="processes (default: one for each CPU core)")


def add_json(parser: argparse.ArgumentParser, content: str) -> None:
    """Add `--json`, the file for `content`."""
    parser.add_argument("--json", metavar="FILE", type=Path, help=f"write {content} there")
