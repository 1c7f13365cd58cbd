"""`python -m input_pipeline.synthetic OUT.png`: draw a contact sheet of generated faces."""

import argparse
import sys
from pathlib import Path

from input_pipeline.errors import UserError, printable
from input_pipeline.synthetic.sheet import contact_sheet, save_png


def main(arguments: list[str] | None = None) -> int:
    """Write the contact sheet and return the exit code (2 after a user's mistake)."""
    parser = argparse.ArgumentParser(
        prog="python -m input_pipeline.synthetic",
        description="Writes a contact sheet of synthetic faces, each above its coloured mask.",
    )
    parser.add_argument("out", type=Path, metavar="OUT.png", help="the picture to write")
    parser.add_argument("--rows", type=int, default=4, help="rows of faces (%(default)s)")
    parser.add_argument("--columns", type=int, default=8, help="faces in a row (%(default)s)")
    parser.add_argument("--size", type=int, default=128, help="side of a face in pixels (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the stream of faces (%(default)s)")
    options = parser.parse_args(arguments)
    try:
        if min(options.rows, options.columns) < 1 or options.rows * options.columns * options.size**2 > 2**28:
            raise UserError("the sheet must have at least one face and at most 2^28 pixels")
        save_png(contact_sheet(options.rows, options.columns, options.size, options.seed), options.out)
    except UserError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
