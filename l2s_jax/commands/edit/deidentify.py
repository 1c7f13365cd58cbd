"""Show somebody else with the pose, expression, light and background of each PHOTO.

--how synthetic: the person of a generated face, the first in the order of --seed whose identity has a cosine below
--threshold to that of the photo. --how ksame: the mean of the --k identities that are nearest to the photo's. Both
choose among faces that the model generates, or among those of --gallery; the photo itself does not count.

--keep lays parts of the photo back into the result, cut and decoded by a model of parts (--parts, of `l2s edit swap`):
the expression of the mouth stays, and with it something of the person.

The JSON has the cosine of the identities before and after, and for several photos how often each face is still found
among the photos. Neither is a promise: another encoder may see what this one does not.

examples:
  l2s edit deidentify a.jpg b.jpg --out edits --model runs/identity --threshold 0.2 --seed 7
  l2s edit deidentify a.jpg --how ksame --k 5 --gallery faces --out edits
  l2s edit deidentify a.jpg --keep eyes,mouth --parts l2s-synthetic --out edits
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from input_pipeline.errors import UserError, printable, require
from l2s_jax.commands import arguments as shared
from l2s_jax.commands.edit import options

if TYPE_CHECKING:
    import numpy as np

    from l2s_jax.commands.edit.work import Face
    from l2s_jax.inference.editor import Editor
    from l2s_jax.inference.identity_editor import IdentityEditor, Surrogate
    from l2s_jax.inference.pictures import Picture

THRESHOLD, K = 0.3, 5
"""Of the two ways, if not told."""

CANDIDATES = 64
"""Generated faces to choose among."""

LIMITS = (
    "a surrogate is chosen among few faces, so people who know them may tell them; clothes, hair, background and what "
    "--keep keeps still tell who it is; and another encoder may find again whom this one does not"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s edit deidentify`."""
    parser.add_argument("photos", metavar="PHOTO", type=Path, nargs="+", help="the faces")
    parser.add_argument("--how", choices=("synthetic", "ksame"), default="synthetic", help="default: synthetic")
    parser.add_argument(
        "--threshold", metavar="T", type=options.cosine, help=f"of --how synthetic, a cosine (default: {THRESHOLD})"
    )
    parser.add_argument("--k", metavar="K", type=shared.natural, help=f"of --how ksame (default: {K})")
    parser.add_argument(
        "--gallery", metavar="FOLDER", type=Path, help=f"faces to choose among (default: {CANDIDATES} generated ones)"
    )
    options.add_regions(parser, "--keep", "parts of the photo that stay, such as eyes,nose,mouth", required=False)
    parser.add_argument("--parts", metavar="NAME|PATH|WORKDIR", help="the model of parts that --keep cuts with")
    options.add_seed(parser)
    options.add_output(parser, blend=False)


def run(args: argparse.Namespace) -> int:
    """De-identify, and write the results."""
    from l2s_jax.commands.edit import persons, work
    from l2s_jax.commands.edit.cells import cell
    from l2s_jax.commands.edit.folders import photos_of
    from l2s_jax.inference.identity_editor import IdentityEditor
    from l2s_jax.report.image_grid import sheet

    synthetic = args.how == "synthetic"
    _check(args)
    gallery = None if args.gallery is None else photos_of(args.gallery)
    threshold = (THRESHOLD if args.threshold is None else args.threshold) if synthetic else None
    k = None if synthetic else args.k or K
    arguments = {"photos": args.photos, "how": args.how, "threshold": threshold, "k": k, "gallery": args.gallery}
    arguments |= {"keep": args.regions, "parts": args.parts, "seed": args.seed if synthetic or not gallery else None}
    count = len(args.photos)
    task = work.begin("deidentify", arguments, args.photos, args.out, args.model, count, kind=IdentityEditor)
    editor = task.editor
    parts, regions = _parts(args)
    pool = _identities(editor, editor.sample(CANDIDATES, args.seed) if gallery is None else gallery)
    ways = [_surrogate(pool, threshold, k, args.seed + number) for number in range(count)]
    columns = _columns(editor, task.faces, ways, parts, regions)
    *_, results = columns.values()
    cosines = _cosines(editor, task.faces, ways, columns["decoded"], results)
    for path, cosine in zip(args.photos, cosines, strict=True):
        _report(path, cosine, threshold)
    found = _found(editor, args.photos, columns["photo"], columns["decoded"], results) if count > 1 else None
    persons.remark()
    named = zip(work.names(task, count), args.photos, cosines, strict=True)
    facts = {
        "faces": [{"file": file, "photo": path, "cosine": cosine} for file, path, cosine in named],
        "reidentification": found,
        "pool": len(pool),
        "parts": None if parts is None else work.identified(parts.model) | {"regions": regions},
        "limits": LIMITS,
        "note": persons.OWN_ENCODER,
    }
    rows = [[cell(column[number]) for column in columns.values()] for number in range(count)]
    titles = [printable(path.stem)[:20] for path in args.photos]
    grid = sheet(rows, row_titles=titles, column_titles=list(columns))
    who = "of a face below the threshold" if synthetic else f"that is the mean of {k} faces"
    work.finish(task, f"the attributes of each photo with an identity {who}", results, grid, facts)
    return 0


def _check(args: argparse.Namespace) -> None:
    for option, way in (("threshold", "synthetic"), ("k", "ksame")):
        require(getattr(args, option) is None or way == args.how, f"--{option} goes with --how {way}")
    if bool(args.regions) != bool(args.parts):
        missing = "--parts MODEL, which finds them" if args.regions else "--keep REGIONS, what it is to find"
        raise UserError(f"`l2s edit deidentify` also needs {missing}")


def _parts(args: argparse.Namespace) -> tuple[Editor | None, list[str]]:
    """Load the model of parts, and find the regions that are kept; `mouth` may be said for `lips`."""
    from l2s_jax.commands.edit import work
    from l2s_jax.inference.editor import Editor

    if not args.regions:
        return None, []
    editor = Editor(work.introduce(args.parts, "parts"))
    lips = "mouth" not in editor.regions and "lips" in editor.regions
    regions = ["lips" if name == "mouth" and lips else name for name in args.regions]
    editor.check_regions(regions)
    return editor, list(dict.fromkeys(regions))


def _identities(editor: IdentityEditor, faces: Sequence[Picture]) -> np.ndarray:
    """Encode the faces to choose among, [N, I]; say which photos cannot be read."""
    import numpy as np

    from l2s_jax.commands import console, photos

    found = []
    for face in faces:
        try:
            found.append(editor.encode_face(face).identity)
        except UserError as error:
            photos.warn(console.out(stderr=True), str(error))
    require(found, "none of the faces to choose among can be read: give another --gallery")
    return np.concatenate(found)


def _surrogate(pool: np.ndarray, threshold: float | None, k: int | None, seed: int) -> Surrogate:
    from l2s_jax.inference import surrogates

    return surrogates.k_same(pool, k) if threshold is None else surrogates.below(pool, threshold, seed)


def _columns(
    editor: IdentityEditor, faces: Sequence[Face], ways: Sequence[Surrogate], parts: Editor | None, regions: list[str]
) -> dict[str, list[np.ndarray]]:
    """Return the columns of the grid by title, a picture a photo; the last has the results."""
    columns = {
        "photo": [editor.square(face.pixels) for face in faces],
        "decoded": [editor.render(editor.transfer(face.code, face.code))[0] for face in faces],
        "somebody else": [
            editor.render(editor.deidentify(face.code, way))[0] for face, way in zip(faces, ways, strict=True)
        ],
    }
    if parts is not None:
        both = zip(columns["photo"], columns["somebody else"], strict=True)
        kept = [parts.restore(photo, changed, regions, options.FEATHER) for photo, changed in both]
        columns[f"with {', '.join(regions)}"] = kept
    return columns


def _cosines(
    editor: IdentityEditor,
    faces: Sequence[Face],
    ways: Sequence[Surrogate],
    before: Sequence[np.ndarray],
    after: Sequence[np.ndarray],
) -> list[dict[str, float]]:
    """Return, for each photo, the cosines to its own identity: of the surrogate, of the picture before and after."""
    found = []
    for face, way, *pictures in zip(faces, ways, before, after, strict=True):
        own = face.code.identity[0]
        first, second = (float(editor.encode(picture).identity[0] @ own) for picture in pictures)
        found.append({"surrogate": float(way(own) @ own), "before": first, "after": second})
    return found


def _report(path: Path, cosine: Mapping[str, float], threshold: float | None) -> None:
    from l2s_jax.commands import console

    console.out().print(
        f"{console.escape(path.stem)}  cosine to the photo's identity {cosine['after']:.3f} [dim](decoded with its own "
        f"{cosine['before']:.3f}; the other identity {cosine['surrogate']:.3f})[/]",
        soft_wrap=True,
    )
    if threshold is not None and cosine["after"] >= threshold:
        console.out(stderr=True).print(
            f"note: the result for '{console.escape(str(path))}' is not below the threshold ({cosine['after']:.3f}), "
            "only the identity that it was made with: try another --seed, a lower --threshold, or keep fewer parts",
            soft_wrap=True,
        )


def _found(
    editor: IdentityEditor,
    paths: Sequence[Path],
    photos: Sequence[np.ndarray],
    before: Sequence[np.ndarray],
    after: Sequence[np.ndarray],
) -> dict:
    """Try to find each person among the photos, before and after, and say how often it works."""
    import numpy as np

    from l2s_jax.commands import console
    from l2s_jax.metrics.reidentification import reidentification

    people = np.array([paths.index(path) for path in paths])
    treatments = {"before": np.stack(before), "after": np.stack(after)}

    def encode(pictures: np.ndarray) -> np.ndarray:
        return editor.encode_all(list(pictures)).identity

    found = reidentification(encode, treatments, people, np.stack(photos), people)
    shares = (console.percent(found[name]["rank1"]) for name in ("before", "after", "chance"))
    console.out().print("found again among the photos: before {}, after {}, by chance {}".format(*shares))
    return found
