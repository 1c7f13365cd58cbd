"""Walk one region of the face of --target along a few directions, from -R to +R deviations around the face itself.

With --among, the directions are the leading ones in which this region differs between the given photos: the principal
components of their codes of the region, one deviation long, the longest first. N photos have N - 1 directions at most.
Without it they are random (--seed): every number of a style moves by the standard deviation of that style, every
channel of a structure by what it holds, each times a standard normal number.

examples:
  l2s edit traverse --target a.jpg --region hair --among b.jpg c.jpg d.jpg --out edits --model l2s-synthetic
  l2s edit traverse --target a.jpg --region lips --code style --directions 3 --seed 7 --out edits
"""

import argparse
from pathlib import Path

from l2s_jax.commands import arguments as shared
from l2s_jax.commands.edit import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s edit traverse`."""
    options.add_target(parser)
    parser.add_argument("--region", metavar="NAME", required=True, help="what moves, such as hair")
    parser.add_argument(
        "--code",
        choices=("structure", "style"),
        default="structure",
        help="the half of the code that moves: structure (shape, the default) or style (colours)",
    )
    parser.add_argument(
        "--among",
        metavar="PHOTO",
        type=Path,
        nargs="+",
        default=[],
        help="photos whose differences give the directions",
    )
    parser.add_argument("--directions", metavar="N", type=shared.natural, default=1, help="how many (default: 1)")
    parser.add_argument(
        "--reach", metavar="R", type=options.positive, default=2.0, help="deviations to either side (default: 2)"
    )
    parser.add_argument("--steps", metavar="N", type=options.steps, default=7, help="faces of a direction (default: 7)")
    options.add_seed(parser)
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Walk, and write the results."""
    from l2s_jax.commands.edit import walk, work

    names = ("target", "region", "code", "among", "directions", "reach", "steps", "blend")
    arguments = {name: getattr(args, name) for name in names} | {"seed": None if args.among else args.seed}
    photos, pictures = [args.target, *args.among], args.directions * args.steps
    task = work.begin("traverse", arguments, photos, args.out, args.model, pictures, animated=True)
    editor = task.editor
    target, *among = (face.code for face in task.faces)
    if among:
        directions = editor.directions(args.region, among, args.directions, args.code)
    else:
        directions = editor.random_directions(target, args.region, args.directions, args.code, args.seed)
    walks = [editor.traverse(target, args.region, way, args.reach, args.steps, args.code) for way in directions]
    places = [args.reach * (2 * step / (args.steps - 1) - 1) for step in range(args.steps)]
    titles = [f"{place:+.1f}" if place else "0" for place in places]
    kind = "leading" if among else "random"
    meaning = f"the target's face along {kind} directions of the {args.code} of one region"
    walk.finish(task, meaning, walks, [args.region], args.blend, titles)
    return 0
