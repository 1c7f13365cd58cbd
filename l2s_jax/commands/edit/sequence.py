"""Show one person in all frames of a folder of photos, of an animation (GIF, WebP) or of a video, with the pose and the
expression of each: the person of --id, or without it the mean of the frames' own identities.

A folder's photos are frames in the order of the numbers in their names. Videos are read by OpenCV, as far as it can.

The JSON says how still the identity keeps: the mean cosine from frame to frame and the variance, of the photos, of the
result, and of the frames decoded each with its own identity.

examples:
  l2s edit sequence frames --id a.jpg --out edits --model runs/identity
  l2s edit sequence clip.mp4 --every 5 --out edits
"""

from __future__ import annotations

import argparse
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from input_pipeline.errors import require
from l2s_jax.commands import arguments as shared
from l2s_jax.commands.edit import options

if TYPE_CHECKING:
    import numpy as np

MOST = 300
"""Frames of a result, at most: all are kept in memory, and in one GIF."""

_SHOWN = 8  # frames of the grid


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s edit sequence`."""
    parser.add_argument("frames", metavar="FRAMES", type=Path, help="a folder of photos, an animation or a video")
    parser.add_argument("--id", metavar="PHOTO", type=Path, help="who is shown (default: the mean over the frames)")
    parser.add_argument("--every", metavar="N", type=shared.natural, default=1, help="take each Nth frame (default: 1)")
    options.add_output(parser, blend=False)


def run(args: argparse.Namespace) -> int:
    """Transfer frame by frame, and write the results."""
    import numpy as np

    from l2s_jax.commands import console
    from l2s_jax.commands.edit import persons, work
    from l2s_jax.commands.edit.cells import cell
    from l2s_jax.inference.identity_editor import IdentityEditor
    from l2s_jax.metrics.temporal_coherence import temporal_coherence
    from l2s_jax.report.image_grid import sheet

    count = _count(args.frames, args.every)
    arguments = {"frames": args.frames, "id": args.id, "every": args.every}
    photos = [] if args.id is None else [args.id]
    stem = args.frames.resolve().stem
    task = work.begin(
        "sequence", arguments, photos, args.out, args.model, count, animated=True, kind=IdentityEditor, stem=stem
    )
    editor = task.editor
    squares = [editor.square(frame) for frame in _frames(args.frames, args.every)]
    names = (f"frame {number} of '{args.frames}'" for number in range(0, count * args.every, args.every))
    track = editor.encode_all([editor.encode_face(frame, name) for frame, name in zip(squares, names, strict=True)])
    person = task.faces[0].code if task.faces else None
    results = editor.render(editor.sequence([track], person))
    own = editor.render(editor.transfer(track, track))
    identities = {
        "photos": track.identity,
        "result": editor.encode_all(list(results)).identity,
        "own_identities": editor.encode_all(list(own)).identity,
    }
    coherence = {name: temporal_coherence(identity) for name, identity in identities.items()}
    for name, found in coherence.items():
        consecutive, variance = found["consecutive"], found["variance"]
        title = name.replace("_", " ")
        console.out().print(f"{title:15} cosine from frame to frame {consecutive:.4f}, variance {variance:.4f}")
    facts = [{"file": file} for file in work.names(task, count)]
    if person is not None:
        for fact, identity in zip(facts, identities["result"], strict=True):
            fact["cosine"] = {"to_identity": float(identity @ person.identity[0])}
    persons.remark()
    shown = np.unique(np.linspace(0, count - 1, _SHOWN).round().astype(int))
    rows = [[cell(column[number]) for number in shown] for column in (squares, results, own)]
    grid = sheet(rows, row_titles=["frames", "one person", "own identities"], column_titles=[str(n) for n in shown])
    who = "the mean identity of the frames" if person is None else "the person of --id"
    work.finish(
        task,
        f"{who} with all else of each frame",
        list(results),
        grid,
        {"coherence": coherence, "faces": facts, "note": persons.OWN_ENCODER},
        back=False,
    )
    return 0


def _count(path: Path, every: int) -> int:
    """Decode all frames once, so that no work begins on a sequence that breaks off; return how many are taken.

    Raises:
      UserError: what a frame is refused for, or fewer than 2 or more than MOST of them.
    """
    count = sum(1 for _ in itertools.islice(_frames(path, every), MOST + 1))
    require(count >= 2, f"'{path}' holds {count} frame{'' if count == 1 else 's'}: a sequence has 2 or more")
    require(count <= MOST, f"'{path}' has more than {MOST} frames: cut it, or take fewer with --every {2 * every}")
    return count


def _frames(path: Path, every: int) -> Iterator[np.ndarray]:
    from input_pipeline.images import decode
    from input_pipeline.images.frames import read_frames
    from l2s_jax.commands.edit.folders import photos_of

    if path.is_dir():
        return map(decode.read_image, sorted(photos_of(path), key=_by_number)[::every])
    return itertools.islice(read_frames(path), 0, None, every)


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Return a key that sorts frame2 before frame10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"([0-9]+)", path.name)]
