"""Walk in a straight line from the face of --target to that of --source: in all regions, so that the last face is the
source's, or in the named ones, so that the last face is the target's with these regions of the source.

Shapes and colours move together; a model with one style for all regions moves it only if all of them do.

examples:
  l2s edit interpolate --source b.jpg --target a.jpg --steps 9 --out edits --model l2s-synthetic
  l2s edit interpolate --source b.jpg --target a.jpg --steps 9 --regions hair --out edits --blend
"""

import argparse
from pathlib import Path

from l2s_jax.commands.edit import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s edit interpolate`."""
    parser.add_argument("--source", metavar="PHOTO", type=Path, required=True, help="the end of the walk")
    parser.add_argument("--target", metavar="PHOTO", type=Path, required=True, help="its beginning")
    options.add_regions(parser, "--regions", "what changes (default: all)", required=False)
    parser.add_argument(
        "--steps", metavar="N", type=options.steps, default=9, help="faces, both ends included (default: 9)"
    )
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Walk, and write the results."""
    from l2s_jax.commands.edit import walk, work

    arguments = {name: getattr(args, name) for name in ("source", "target", "regions", "steps", "blend")}
    photos = [args.target, args.source]
    task = work.begin("interpolate", arguments, photos, args.out, args.model, args.steps, animated=True)
    target, source = (face.code for face in task.faces)
    regions = args.regions or task.editor.regions
    codes = task.editor.interpolate(target, source, args.steps, regions)
    shares = [f"{100 * step / (args.steps - 1):.0f} %" for step in range(args.steps)]
    walk.finish(task, "the target's face on its way to the source's", [codes], regions, args.blend, shares)
    return 0
