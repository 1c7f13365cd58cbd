"""`l2s parse`: photos in; overlay, class ids at the original size and a JSON of facts out."""

import argparse
import io
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from rich.console import Console

from input_pipeline import files, images, licences
from input_pipeline.errors import UserError
from l2s_jax import api, bundle
from l2s_jax.commands import console
from l2s_jax.training.compilation import enable_compilation_cache

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""What counts as a photo inside a folder; a file named on the command line is tried whatever its name."""


class Photo(NamedTuple):
    """A readable photo and the name its results get.

    Attributes:
      path: as the user named it.
      name: unique stem in the out folder.
      pixels: uint8 [H, W, 3], upright.
      read_ms: time to read and decode it.
    """

    path: Path
    name: str
    pixels: np.ndarray
    read_ms: float


def run(args: argparse.Namespace) -> int:
    """Parse every photo; unreadable ones are named, skipped, and reported as a UserError at the end."""
    paths = list_photos(args.inputs)
    out = files.writable_folder(args.out)
    screen = console.out()
    warnings = console.errors(screen)
    enable_compilation_cache()
    parser = api.Parser.load(args.model or bundle.newest(), args.clean)
    batch_size = min(args.batch, len(paths))
    compile_s = _warm_up(parser, batch_size)
    screen.print(
        f"model [bold]{parser.model.meta.name}[/] [dim]({console.escape(str(parser.model.path))}, "
        f"{parser.model.meta.system}, {parser.image_size} px, ready in {compile_s:.1f} s)[/] "
        f"[dim]licence: {console.escape(licences.short(parser.model.meta.licence))}[/]"
    )
    skipped: list[Path] = []
    with console.bar(screen) as progress:
        task = progress.add_task("parsing", total=len(paths))
        photos = read_photos(paths, skipped, warnings)
        while chunk := list(itertools.islice(photos, batch_size)):
            start = time.perf_counter()
            parsings = list(parser.batch([photo.pixels for photo in chunk], batch_size))
            parse_ms = (time.perf_counter() - start) * 1e3 / len(chunk)
            for photo, parsing in zip(chunk, parsings, strict=True):
                write(out, photo, parsing, parser, parse_ms)
                screen.print(_line(photo, parsing, parse_ms), soft_wrap=True)
                progress.advance(task)
            progress.update(task, total=len(paths) - len(skipped))
    done = len(paths) - len(skipped)
    screen.print(f"{done} photo{'s' * (done != 1)} parsed into {console.escape(str(out))}", soft_wrap=True)
    if skipped:
        names = ", ".join(path.name for path in skipped[:5]) + (", ..." if len(skipped) > 5 else "")
        raise UserError(f"{len(skipped)} of {len(paths)} photos could not be read and were skipped: {names}")
    return 0


def list_photos(inputs: Sequence[Path]) -> list[Path]:
    """The files of the command line, and the photos (by suffix) of its folders, in name order.

    Raises:
      UserError: a path that is not there, or a folder without photos.
    """
    photos = []
    for path in inputs:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
            if not inside:
                raise UserError(f"the folder '{path}' holds no photos ({', '.join(SUFFIXES)})")
            photos += inside
        elif path.exists():
            photos.append(path)
        else:
            raise UserError(f"there is no photo or folder '{path}'")
    return photos


def unique_stems(paths: Sequence[Path]) -> list[str]:
    """Names for results: the file's stem, with `-2`, `-3` ... where another photo (in any letter case) has it.

    A photo that is alone with its stem always keeps it, whatever the numbering of others.
    """
    stems = {path.stem.casefold() for path in paths}
    taken: set[str] = set()
    names = []
    for path in paths:
        name = path.stem
        numbers = itertools.count(2)
        while name.casefold() in taken or (name != path.stem and name.casefold() in stems):
            name = f"{path.stem}-{next(numbers)}"
        taken.add(name.casefold())
        names.append(name)
    return names


def read_photos(paths: Sequence[Path], skipped: list[Path], warnings: Console) -> Iterator[Photo]:
    """The readable photos in order; the others are named on `warnings` and appended to `skipped`."""
    for path, name in zip(paths, unique_stems(paths), strict=True):
        start = time.perf_counter()
        try:
            pixels = images.read_image(path)
        except UserError as error:
            warnings.print(f"[red]skipped:[/] {console.escape(str(error))}", soft_wrap=True)
            skipped.append(path)
            continue
        yield Photo(path, name, pixels, (time.perf_counter() - start) * 1e3)


def write(out: Path, photo: Photo, parsing: api.Parsing, parser: api.Parser, parse_ms: float) -> None:
    """Write the three files of one photo, the JSON last: where it is, the pictures are complete.

    Raises:
      UserError: the disk refuses.
    """
    start = time.perf_counter()
    files.replace(out / f"{photo.name}_overlay.png", _png(parsing.overlay(photo.pixels)))
    files.replace(out / f"{photo.name}_labels.png", _png(parsing.palette_image()))
    write_ms = (time.perf_counter() - start) * 1e3
    files.replace_json(out / f"{photo.name}.json", facts(photo, parsing, parser, parse_ms, write_ms))


def facts(photo: Photo, parsing: api.Parsing, parser: api.Parser, parse_ms: float, write_ms: float) -> dict:
    """What `NAME.json` says. `area` is a fraction of the photo, `confidence` a mean probability (null: no pixels)."""
    areas, confidences, meta = parsing.areas(), parsing.confidences(), parser.model.meta
    return {
        "image": str(photo.path),
        "width": photo.pixels.shape[1],
        "height": photo.pixels.shape[0],
        "label_set": parsing.label_set.name,
        "classes": {
            label.name: {"id": label.id, "area": round(areas[label.name], 6), "confidence": confidences[label.name]}
            for label in parsing.label_set.labels
        },
        "confidence": float(parsing.confidence.mean()),
        "clean": parser.clean,
        "model": {"name": meta.name, "system": meta.system, "sha256": meta.sha256, "licence": meta.licence},
        "timings_ms": {"read": round(photo.read_ms, 2), "parse": round(parse_ms, 2), "write": round(write_ms, 2)},
    }


def _line(photo: Photo, parsing: api.Parsing, parse_ms: float) -> str:
    """One line about one photo: size, its largest parts, how sure, how fast."""
    areas = parsing.areas()
    parts = sorted((n for n in parsing.label_set.names[1:] if areas[n] > 0.0005), key=areas.get, reverse=True)[:5]
    shown = "  ".join(f"{name} {console.percent(areas[name])}" for name in parts) or "only background"
    height, width = parsing.ids.shape
    return (
        f"{console.escape(photo.name)}  [dim]{width}x{height}[/]  {shown}"
        f"  [dim]confidence {parsing.confidence.mean():.2f}, {parse_ms:.0f} ms[/]"
    )


def _warm_up(parser: api.Parser, batch_size: int) -> float:
    """Compile the program of this batch size; returns the seconds it took."""
    start = time.perf_counter()
    blank = np.zeros((parser.image_size, parser.image_size, 3), np.uint8)
    list(parser.batch([blank], batch_size))
    return time.perf_counter() - start


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
