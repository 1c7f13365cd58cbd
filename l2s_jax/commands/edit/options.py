"""The options that the commands `l2s edit VERB` share."""

import argparse
import math
from pathlib import Path

from l2s_jax.commands import arguments

FEATHER = 4
"""Default width of the soft border of `--blend`, pixels of the model's square."""

count = arguments.whole(0, "a whole number, 0 or more")
steps = arguments.whole(2, "a number of steps, 2 or more")
positive = arguments.number(lambda value: 0 < value < math.inf, "a number above 0")
cosine = arguments.number(lambda value: -1 < value <= 1, "a cosine, above -1 and at most 1")


def add_target(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add `--target`."""
    parser.add_argument(
        "--target", metavar="PHOTO", type=Path, required=required, help="the face that is edited, and keeps the rest"
    )


def add_regions(parser: argparse.ArgumentParser, name: str, text: str, *, required: bool = True) -> None:
    """Add the option `name` with one region or more; it is `args.regions`."""
    parser.add_argument(
        name, metavar="NAME[,NAME]", dest="regions", type=arguments.regions, default=(), required=required, help=text
    )


def add_output(parser: argparse.ArgumentParser, *, blend: bool = True) -> None:
    """Add `--out`, `--model` and, where there is a photo to lay the edit into, `--blend`."""
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the results")
    parser.add_argument("--model", metavar="NAME|PATH|WORKDIR", help="default: the model that was trained last")
    if blend:
        parser.add_argument(
            "--blend",
            metavar="N",
            type=count,
            nargs="?",
            const=FEATHER,
            help="lay the edited regions into the photo at its own size; outside of them, but for a soft border of "
            f"N pixels of the model's square, the photo's own pixels stay (N without a number: {FEATHER})",
        )


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add `--seed`."""
    parser.add_argument("--seed", metavar="N", type=count, default=0, help="of the random numbers (default: 0)")


def take(text: str) -> tuple[str, Path]:
    """Parse REGION=PHOTO."""
    region, equals, photo = text.partition("=")
    if not (region and equals and photo):
        raise argparse.ArgumentTypeError(f"'{text}' is not REGION=PHOTO, such as hair=b.jpg")
    return region, Path(photo)
