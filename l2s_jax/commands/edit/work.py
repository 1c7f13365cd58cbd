"""The work that the commands `l2s edit VERB` share: read the photos, load the model, write pictures, grid and JSON."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from input_pipeline import files, licences
from input_pipeline.images import decode
from l2s_jax import bundle
from l2s_jax.commands import console, results
from l2s_jax.commands.edit.cells import cell
from l2s_jax.inference.editor import Editor
from l2s_jax.inference.edits import Edit
from l2s_jax.inference.identity_editor import Halves, IdentityEditor
from l2s_jax.inference.model import Model, load_model
from l2s_jax.report.animation import gif
from l2s_jax.training.compilation import enable_compilation_cache
from l2s_jax.types import Code

_FRAMES = 256, 480  # longer side of the pictures of a GIF, least and most, pixels
_MILLISECONDS = 120
_APART = 0.05  # overlap of the regions before and after, below which the edit has missed the face
_DIGITS = 5


class Face(NamedTuple):
    """A photo and its code.

    Attributes:
      path: as the user named it.
      pixels: uint8 [H, W, 3], upright.
      code: what the editor's `encode_face` returns.
    """

    path: Path
    pixels: np.ndarray
    code: Code | Halves


@dataclasses.dataclass(frozen=True)
class Work:
    """One edit: its faces, the model and the place of its results.

    Attributes:
      verb: the verb.
      arguments: what the user asked for, by name.
      editor: the model.
      faces: in the order of the paths that were given to `begin`.
      out: folder of the results.
      name: first part of their names.
      mark: see `results.edit_mark`.
      animated: the results have a GIF.
    """

    verb: str
    arguments: Mapping[str, object]
    editor: Editor | IdentityEditor
    faces: Sequence[Face]
    out: Path
    name: str
    mark: str
    animated: bool


def begin(
    verb: str,
    arguments: Mapping[str, object],
    photos: Sequence[Path],
    out: Path,
    model: str | None,
    pictures: int,
    *,
    animated: bool = False,
    kind: type[Editor] | type[IdentityEditor] = Editor,
    stem: str | None = None,
) -> Work:
    """Read the photos, claim names for the results, load the model and encode the faces.

    Args:
      verb: the verb.
      arguments: all that distinguishes this edit from others of the verb; values are paths, numbers, texts, or lists
        and mappings of them.
      photos: the faces; the first names the results, if no `stem` does.
      out: folder of the results.
      model: of `bundle.resolve`, or None for the newest.
      pictures: number of edited pictures: one, or several that are numbered.
      animated: they become a GIF, too.
      kind: the editor that the verb needs.
      stem: first part of the names of the results.

    Raises:
      UserError: an unreadable photo, a result's name taken by another file, no such model, one of another kind, or no
        face in a photo.
    """
    pixels = [decode.read_image(path) for path in photos]
    files.writable_folder(out)
    mark = results.edit_mark(verb, arguments, out)
    endings = [*_numbered(pictures), *[".gif"] * animated, "_grid.png", ".json"]
    name = results.edit_name(photos[0].stem if stem is None else stem, verb, endings, mark, out)
    enable_compilation_cache()
    editor = kind(introduce(model or bundle.newest()))
    named = dict(zip(photos, pixels, strict=True))  # a photo that is named twice is encoded once
    codes = {path: editor.encode_face(image, f"'{path}'") for path, image in named.items()}
    faces = [Face(path, named[path], codes[path]) for path in photos]
    return Work(verb, arguments, editor, faces, out, name, mark, animated)


def introduce(where: str | Path, what: str = "model") -> Model:
    """Load a model, and say in one line which it is."""
    model = load_model(where)
    meta = model.meta
    console.out().print(
        f"{what} [bold]{console.escape(meta.name)}[/] [dim]({console.escape(str(model.path))}, {meta.system}, "
        f"{meta.preprocessing.image_size} px) licence: {console.escape(licences.short(meta.licence))}[/]",
        soft_wrap=True,
    )
    return model


def _numbered(pictures: int) -> list[str]:
    """Return the suffixes of the edited pictures."""
    return [".png"] if pictures == 1 else [f"_{number:02d}.png" for number in range(pictures)]


def finish(
    work: Work, meaning: str, pictures: Sequence[np.ndarray], grid: np.ndarray, facts: Mapping, *, back: bool = True
) -> None:
    """Write the results, the JSON last: if it exists, the others are complete. Say where they are.

    Args:
      work: the edit.
      meaning: one phrase on what the pictures show.
      pictures: uint8 [H, W, 3], as many as `begin` was told.
      grid: uint8 [*, *, 3].
      facts: more fields of the JSON.
      back: a GIF runs back again.

    Raises:
      UserError: a file cannot be written.
    """
    written = names(work, len(pictures))
    for name, picture in zip(written, pictures, strict=True):
        files.replace(work.out / name, results.png(Image.fromarray(picture), work.mark))
    if work.animated:
        written.append(f"{work.name}.gif")
        film = gif([cell(each, _FRAMES) for each in pictures], _MILLISECONDS, work.mark, back=back)
        files.replace(work.out / written[-1], film)
    written.append(f"{work.name}_grid.png")
    files.replace(work.out / written[-1], results.png(Image.fromarray(grid), work.mark))
    model = identified(work.editor.model)
    head = {results.JSON_KEY: work.mark, "verb": work.verb, "result": meaning}
    files.replace_json(
        work.out / f"{work.name}.json",
        head | {"arguments": _plain(work.arguments), "model": model, "files": written} | _plain(facts),
    )
    console.out().print(f"{len(written) + 1} files  {console.escape(str(work.out / work.name))}*", soft_wrap=True)


def names(work: Work, pictures: int) -> list[str]:
    """Return the names of the edited pictures."""
    return [f"{work.name}{ending}" for ending in _numbered(pictures)]


def identified(model: Model) -> dict:
    """Return which model it was, for the JSON."""
    meta = model.meta
    return {"name": meta.name, "system": meta.system, "sha256": meta.sha256, "licence": meta.licence}


def measures(edit: Edit) -> dict:
    """Return the measures of an edit for the JSON."""
    measured = {"change": edit.change._asdict(), "overlap": edit.overlap, "blend": None}
    if edit.blend is not None:
        change, seam, untouched = edit.blend
        measured["blend"] = {"change": change._asdict(), "seam": seam._asdict(), "untouched": untouched}
    return measured


def report(what: str, edit: Edit) -> None:
    """Print the measures of an edit in one line, and a note if the edit has missed the face."""
    inside, outside, ratio, _ = edit.change
    line = f"{console.escape(what)}  change inside {_level(inside)}, outside {_level(outside)} of 255"
    line += "" if ratio is None else f" (ratio {ratio:.3f})"
    if edit.blend:
        seam = edit.blend.seam
        line += f"  [dim]seam {_level(seam.added)}, with scissors {_level(seam.cut)}, the photo itself "
        line += f"{_level(seam.photo)}; {console.percent(edit.blend.untouched)} of the photo untouched[/]"
    console.out().print(line, soft_wrap=True)
    if edit.overlap is not None and edit.overlap < _APART:
        console.out(stderr=True).print(
            f"note: before and after the edit the regions hardly overlap ({edit.overlap:.2f}): slices keep their place "
            "in the picture, so frame the faces of all photos alike",
            soft_wrap=True,
        )


def _level(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _plain(value: object) -> object:
    """Return what JSON knows: paths as texts, numbers with a few digits."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, _DIGITS)
    return str(value) if isinstance(value, Path) else value
