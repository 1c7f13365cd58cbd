"""Change the colours of a region and keep its shape: with the style of another face (--from), or with noise on its own
(--noise). For models with a style for each region.

One standard deviation of --noise is that of the numbers in the region's own style; the same --seed gives the same
noise.

examples:
  l2s edit restyle --target a.jpg --region lips --from c.jpg --out edits --model l2s-synthetic
  l2s edit restyle --target a.jpg --region hair --noise 1.5 --seed 3 --out edits
"""

import argparse
from pathlib import Path

from l2s_jax.commands.edit import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s edit restyle`."""
    options.add_target(parser)
    options.add_regions(parser, "--region", "what changes its colours, such as lips")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--from", metavar="PHOTO", dest="donor", type=Path, help="the face that gives the style")
    how.add_argument(
        "--noise", metavar="S", type=options.positive, help="standard deviations of noise on the own style"
    )
    options.add_seed(parser)
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Restyle, and write the results."""
    from l2s_jax.commands.edit import single, work

    arguments = {"target": args.target, "regions": args.regions, "from": args.donor, "noise": args.noise}
    arguments |= {"seed": args.seed if args.noise else None, "blend": args.blend}
    photos = [args.target] if args.donor is None else [args.target, args.donor]
    task = work.begin("restyle", arguments, photos, args.out, args.model, 1)
    target, *donors = (face.code for face in task.faces)
    if donors:
        code, meaning = (
            task.editor.restyle(target, *donors, args.regions),
            "the target's face in the donor's colours of the regions",
        )
    else:
        code = task.editor.perturb_style(target, args.regions, args.noise, args.seed)
        meaning = "the target's face with noise on the style of the regions"
    single.finish(task, meaning, code, args.regions, args.blend, ["target", "donor"][: len(photos)])
    return 0
