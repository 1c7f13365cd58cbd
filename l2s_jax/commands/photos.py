"""List and read the photos of `l2s parse`; write an overlay, class ids and a JSON description for each."""

import os
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console

from input_pipeline import files
from input_pipeline.errors import UserError
from input_pipeline.images import decode
from input_pipeline.readers import photos
from input_pipeline.types import Problem
from l2s_jax.commands import console, results
from l2s_jax.inference import parser as api


class Listed(NamedTuple):
    """The photos that the command line names.

    Attributes:
      paths: photos in the order of the command line, within a folder in name order.
      passed_over: files in folders that look like photos but cannot be read.
      results: number of files left out because `l2s parse` wrote them.
    """

    paths: list[Path]
    passed_over: list[Problem]
    results: int


class Photo(NamedTuple):
    """A readable photo and the name of its results.

    Attributes:
      path: as the user named it.
      name: name of its results, see `results.names`.
      mark: mark of its results, see `results.mark`.
      pixels: uint8 [H, W, 3], upright.
      read_ms: time to read and decode it.
    """

    path: Path
    name: str
    mark: str
    pixels: np.ndarray
    read_ms: float


def list_photos(inputs: Sequence[Path]) -> Listed:
    """List the files of the command line and the photos in its folders, except files that `l2s parse` wrote.

    Raises:
      UserError: a path is missing or cannot be read, or a folder holds no photos.
    """
    paths, passed_over = [], []
    for path in inputs:
        if _is_folder(path):
            inside, obstacles = photos.list_photos(path)
            if not inside:
                lost = f"'{obstacles[0].path}' {obstacles[0].reason}" if obstacles else ", ".join(photos.SUFFIXES)
                raise UserError(f"the folder '{path}' holds no photos ({lost})")
            paths += inside
            passed_over += obstacles
        else:
            paths.append(path)
    wanted = [path for path in paths if not results.is_result(path)]
    if not wanted:
        raise UserError(f"'{inputs[0]}' holds only results of `l2s parse`: name the photos themselves")
    return Listed(wanted, passed_over, len(paths) - len(wanted))


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"there is no photo or folder '{path}'") from error
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror}") from error


def read_photos(
    paths: Sequence[Path], names: Sequence[str], out: Path, skipped: list[str], warnings: Console
) -> Iterator[Photo]:
    """Yield the readable photos in order; report the others on `warnings` and append their names to `skipped`."""
    for path, name in zip(paths, names, strict=True):
        start = time.perf_counter()
        try:
            pixels = decode.read_image(path)
        except UserError as error:
            warn(warnings, str(error))
            skipped.append(path.name)
            continue
        yield Photo(path, name, results.mark(path, out), pixels, (time.perf_counter() - start) * 1e3)


def warn(warnings: Console, sentence: str) -> None:
    """Report a photo that is skipped."""
    warnings.print(f"[red]skipped:[/] {console.escape(sentence)}", soft_wrap=True)


def write(out: Path, photo: Photo, parsing: api.Parsing, parser: api.Parser, parse_ms: float) -> None:
    """Write the three files of one photo, the JSON last: if it exists, the images are complete.

    Raises:
      UserError: a file cannot be written.
    """
    start = time.perf_counter()
    overlay, labels, description = (out / f"{photo.name}{ending}" for ending in results.ENDINGS)
    files.replace(overlay, results.png(parsing.overlay(photo.pixels), photo.mark))
    files.replace(labels, results.png(parsing.palette_image(), photo.mark))
    write_ms = (time.perf_counter() - start) * 1e3
    files.replace_json(description, facts(photo, parsing, parser, parse_ms, write_ms))


def facts(photo: Photo, parsing: api.Parsing, parser: api.Parser, parse_ms: float, write_ms: float) -> dict:
    """Return the content of `NAME.json`.

    `area` is a fraction of the photo, `confidence` a mean probability (null: no pixels).
    """
    areas, confidences, meta = parsing.areas(), parsing.confidences(), parser.model.meta
    return {
        results.JSON_KEY: photo.mark,
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


def line(photo: Photo, parsing: api.Parsing, parse_ms: float) -> str:
    """Format one line about a photo: size, largest parts, confidence, time."""
    areas = parsing.areas()
    parts = sorted((n for n in parsing.label_set.names[1:] if areas[n] > 0.0005), key=areas.get, reverse=True)[:5]
    shown = "  ".join(f"{name} {console.percent(areas[name])}" for name in parts) or "only background"
    height, width = parsing.ids.shape
    return (
        f"{console.escape(photo.name)}  [dim]{width}x{height}[/]  {shown}"
        f"  [dim]confidence {parsing.confidence.mean():.2f}, {parse_ms:.0f} ms[/]"
    )


def warm_up(parser: api.Parser, batch_size: int) -> float:
    """Compile the program of this batch size; return the seconds it took."""
    start = time.perf_counter()
    blank = np.zeros((parser.image_size, parser.image_size, 3), np.uint8)
    list(parser.batch([blank], batch_size))
    return time.perf_counter() - start
