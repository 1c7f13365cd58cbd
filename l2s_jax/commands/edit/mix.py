"""Mix parts of several faces, in one of two ways.

--target T --take REGION=PHOTO (repeatable): the target's face with each named region of its donor; without --style in
the target's colours.

--faces A B C: a triangle. Its corners are the three faces, merely decoded; every face between them has the regions,
with their colours, of two people (on an edge) or three, the more of a corner's the nearer it is. A gives the first
regions of the model, C the last ones.

examples:
  l2s edit mix --faces a.jpg b.jpg c.jpg --out edits --model l2s-synthetic
  l2s edit mix --target a.jpg --take hair=b.jpg --take eyes=c.jpg --out edits
"""

import argparse
from pathlib import Path

from input_pipeline.errors import UserError, printable, require
from l2s_jax.commands.edit import options

SIDE = 4
"""Faces along an edge of the triangle, if not told."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s edit mix`."""
    parser.add_argument(
        "--faces", metavar="PHOTO", type=Path, nargs="+", default=[], help="three faces, the corners of a triangle"
    )
    parser.add_argument("--side", metavar="N", type=options.steps, help=f"faces along an edge of it (default: {SIDE})")
    options.add_target(parser, required=False)
    parser.add_argument(
        "--take",
        metavar="REGION=PHOTO",
        type=options.take,
        action="append",
        default=[],
        help="a region and the face that gives it; repeatable",
    )
    parser.add_argument("--style", action="store_true", help="take the donors' colours of the regions, too")
    options.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Mix, and write the results."""
    if bool(args.faces) == bool(args.target or args.take):
        raise UserError("`l2s edit mix` takes either --faces A B C, or --target and --take REGION=PHOTO")
    return _triangle(args) if args.faces else _take(args)


def _take(args: argparse.Namespace) -> int:
    from l2s_jax.commands.edit import single, work

    require(args.side is None, "--side goes with --faces: only a triangle has edges")
    if args.target is None or not args.take:
        missing = "--target, the face that is edited" if args.take else "--take REGION=PHOTO, what it gets"
        raise UserError(f"`l2s edit mix` also needs {missing}")
    take = dict(args.take)
    require(len(take) == len(args.take), "--take names a region twice: a region has one donor")
    arguments = {"target": args.target, "take": take, "style": args.style, "blend": args.blend}
    task = work.begin("mix", arguments, [args.target, *take.values()], args.out, args.model, 1)
    target, *donors = (face.code for face in task.faces)
    code = task.editor.mix(target, dict(zip(take, donors, strict=True)), args.style)
    meaning = "the target's face with regions of several donors" + (", in the donors' colours" * args.style)
    single.finish(task, meaning, code, list(take), args.blend, ["target", *take])
    return 0


def _triangle(args: argparse.Namespace) -> int:
    from l2s_jax.codes import split
    from l2s_jax.commands.edit import work
    from l2s_jax.commands.edit.cells import cell
    from l2s_jax.report.triangle import triangle

    require(len(args.faces) == 3, f"--faces needs three photos, the corners of the triangle, not {len(args.faces)}")
    require(args.blend is None, "a triangle has no photo of its own to --blend into: use --target and --take")
    require(not args.style, "--style goes with --take: the regions of a triangle always bring their colours")
    side = args.side or SIDE
    count = side * (side + 1) // 2
    arguments = {"faces": args.faces, "side": side}
    task = work.begin("mix", arguments, args.faces, args.out, args.model, count)
    code, owners = task.editor.triangle([face.code for face in task.faces], side)
    pictures = [task.editor.render(each)[0] for each in split(code)]
    captions = ["  ".join(f"{sum(row == k)} {'ABC'[k]}" for k in range(3) if (row == k).any()) for row in owners]
    for corner, letter, face in zip((0, count - side, count - 1), "ABC", task.faces, strict=True):
        captions[corner] = f"{letter}: {printable(face.path.stem)}"
    grid = triangle([cell(each) for each in pictures], [[line] for line in captions])
    gives = [dict(zip(task.editor.regions, ("ABC"[k] for k in row), strict=True)) for row in owners]
    meaning = "the corners A, B, C are the faces as decoded; between them each region comes from one of the faces"
    work.finish(task, meaning, pictures, grid, {"gives": gives})
    return 0
