"""Give the face of --target the named regions of --source. The result is the target's face: all that is not named
stays the target's, and without --style the regions keep the target's colours too.

The JSON says how much has changed inside of the regions (where either face shows them) and outside.

examples:
  l2s edit swap --source b.jpg --target a.jpg --regions hair,eyes --out edits --model l2s-synthetic
  l2s edit swap --source b.jpg --target a.jpg --regions hair --style --out edits     b's colour of hair, too
  l2s edit swap --source b.jpg --target a.jpg --regions lips --out edits --blend     into the photo a.jpg
"""

import argparse
from pathlib import Path

from l2s_jax.commands.edit import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s edit swap`."""
    parser.add_argument("--source", metavar="PHOTO", type=Path, required=True, help="the face that gives the regions")
    options.add_target(parser)
    options.add_regions(parser, "--regions", "what the source gives, such as hair,eyes")
    parser.add_argument("--style", action="store_true", help="take the source's colours of the regions, too")
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Swap, and write the results."""
    from l2s_jax.commands.edit import single, work

    names = ("source", "target", "regions", "style", "blend")
    arguments = {name: getattr(args, name) for name in names}
    task = work.begin("swap", arguments, [args.target, args.source], args.out, args.model, 1)
    target, source = (face.code for face in task.faces)
    code = task.editor.swap(target, source, args.regions, args.style)
    meaning = "the target's face with the regions of the source" + (", in the source's colours" * args.style)
    single.finish(task, meaning, code, args.regions, args.blend, ["target", "source"])
    return 0
