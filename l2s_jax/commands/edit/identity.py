"""Show the person of --id with the pose, expression, light and background of --attributes; several of each make a table
of all pairs. For models that have a code of the person apart from all else (`id_disentanglement`).

--interpolate walks between two such faces, both ends included: `identity` from the first --id to the second with the
same --attributes, `attributes` the other way round, `both` from first to first to second to second.

The JSON has the cosines of identities: of each result to the photo of --id, to that of --attributes, and of these two.

examples:
  l2s edit identity --id a.jpg --attributes b.jpg --out edits --model runs/identity
  l2s edit identity --id a.jpg b.jpg --attributes c.jpg d.jpg e.jpg --out edits
  l2s edit identity --id a.jpg b.jpg --attributes c.jpg --interpolate identity --steps 9 --out edits
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from input_pipeline.errors import printable, require
from l2s_jax.commands.edit import options

if TYPE_CHECKING:
    import numpy as np

    from l2s_jax.commands.edit.work import Face
    from l2s_jax.inference.identity_editor import IdentityEditor

STEPS = 9
"""Faces of a walk, if not told."""

WALKS = {"identity": (2, 1), "attributes": (1, 2), "both": (2, 2)}
"""How many photos of --id and of --attributes each walk needs."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s edit identity`."""
    parser.add_argument("--id", metavar="PHOTO", type=Path, nargs="+", required=True, help="who is shown")
    parser.add_argument("--attributes", metavar="PHOTO", type=Path, nargs="+", required=True, help="and all else")
    parser.add_argument("--interpolate", choices=list(WALKS), help="walk between two photos of one or of both")
    parser.add_argument("--steps", metavar="N", type=options.steps, help=f"faces of the walk (default: {STEPS})")
    parser.add_argument(
        "--space",
        choices=("w", "codes"),
        help="where the walk is straight: in the generator's w (the default), or in the codes of person and attributes",
    )
    options.add_output(parser, blend=False)


def run(args: argparse.Namespace) -> int:
    """Transfer, and write the results."""
    return _table(args) if args.interpolate is None else _walk(args)


def _table(args: argparse.Namespace) -> int:
    import numpy as np

    from l2s_jax.commands.edit import persons, work
    from l2s_jax.commands.edit.cells import cell
    from l2s_jax.inference.identity_editor import IdentityEditor
    from l2s_jax.report.image_grid import sheet
    from l2s_jax.report.overlays import MAT

    for option in ("steps", "space"):
        require(getattr(args, option) is None, f"--{option} goes with --interpolate: only a walk has one")
    arguments = {"id": args.id, "attributes": args.attributes}
    count = len(args.id) * len(args.attributes)
    task = work.begin(
        "identity", arguments, [*args.id, *args.attributes], args.out, args.model, count, kind=IdentityEditor
    )
    editor, people, looks = task.editor, task.faces[: len(args.id)], task.faces[len(args.id) :]
    table = editor.render(editor.cross([face.code for face in people], [face.code for face in looks]))
    pictures = list(table.reshape(-1, *table.shape[2:]))
    pairs = [(who, what) for who in people for what in looks]
    facts = []
    for file, picture, (who, what) in zip(work.names(task, count), pictures, pairs, strict=True):
        cosines = editor.cosines(picture, who.code, what.code)
        persons.report(f"{who.path.stem} as {what.path.stem}", cosines)
        facts.append({"file": file, "id": who.path, "attributes": what.path, "cosine": cosines._asdict()})
    persons.remark()
    head = [
        np.full((editor.image_size, editor.image_size, 3), MAT, np.uint8),
        *(editor.square(f.pixels) for f in looks),
    ]
    rows = [head] + [[editor.square(f.pixels), *row] for f, row in zip(people, table, strict=True)]
    grid = sheet(
        [[cell(each) for each in row] for row in rows],
        row_titles=["attributes", *(printable(face.path.stem)[:20] for face in people)],
        column_titles=["person", *(printable(face.path.stem) for face in looks)],
    )
    meaning = "the person of each photo of --id (rows) with all else of each photo of --attributes (columns)"
    work.finish(task, meaning, pictures, grid, {"faces": facts, "note": persons.OWN_ENCODER})
    return 0


def _walk(args: argparse.Namespace) -> int:
    from l2s_jax.commands.edit import persons, work
    from l2s_jax.commands.edit.cells import cell
    from l2s_jax.inference.identity_editor import IdentityEditor, W
    from l2s_jax.report.image_grid import sheet

    wanted = WALKS[args.interpolate]
    require(
        (len(args.id), len(args.attributes)) == wanted,
        f"--interpolate {args.interpolate} needs {wanted[0]} of --id and {wanted[1]} of --attributes, not "
        f"{len(args.id)} and {len(args.attributes)}",
    )
    steps, space = args.steps or STEPS, args.space or W
    arguments = {"id": args.id, "attributes": args.attributes, "interpolate": args.interpolate}
    arguments |= {"steps": steps, "space": space}
    photos = [*args.id, *args.attributes]
    task = work.begin("identity", arguments, photos, args.out, args.model, steps, animated=True, kind=IdentityEditor)
    editor, people, looks = task.editor, task.faces[: wanted[0]], task.faces[wanted[0] :]
    start, end = ((people[k].code, looks[k].code) for k in (0, -1))
    frames = list(editor.render(editor.interpolate(start, end, steps, space)))
    cosines = [{"start": editor.cosines(frame, *start), "end": editor.cosines(frame, *end)} for frame in frames]
    persons.report("first step", cosines[0]["start"])
    persons.report("last step", cosines[-1]["end"])
    persons.remark()
    shares = [f"{100 * step / (steps - 1):.0f} %" for step in range(steps)]
    # The photos of the first face, the walk, and of those of the last face what differs.
    first, last = ([("id", who), ("as", what)] for who, what in ((people[:1], looks[:1]), (people[1:], looks[1:])))
    columns = [*_photos(editor, first), *zip(shares, frames, strict=True), *_photos(editor, last)]
    grid = sheet([[cell(picture) for _, picture in columns]], column_titles=[title for title, _ in columns])
    named = [
        {"file": file, "cosine": {name: found._asdict() for name, found in each.items()}}
        for file, each in zip(work.names(task, steps), cosines, strict=True)
    ]
    moving = {"identity": "the person", "attributes": "all but the person", "both": "the whole face"}[args.interpolate]
    meaning = f"{moving} on a straight way from the first photo to the second"
    work.finish(task, meaning, frames, grid, {"faces": named, "note": persons.OWN_ENCODER})
    return 0


def _photos(editor: IdentityEditor, groups: Sequence[tuple[str, Sequence[Face]]]) -> list[tuple[str, np.ndarray]]:
    """Return titles and pictures of photos for the grid."""
    return [
        (f"{role} {printable(face.path.stem)}", editor.square(face.pixels)) for role, faces in groups for face in faces
    ]
