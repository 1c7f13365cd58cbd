"""Parse a video or the pictures of a camera: an overlay as MP4, a folder of frames for other pictures, one JSON."""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from input_pipeline import files
from input_pipeline.errors import UserError
from input_pipeline.images import frames
from l2s_jax import progress
from l2s_jax.commands import console, mask_files, photos, results
from l2s_jax.commands.album import Task
from l2s_jax.inference.parsing import Parsing
from l2s_jax.report.video import Mp4

if TYPE_CHECKING:
    from l2s_jax.report.h264 import H264

OVERLAY = "_overlay.mp4"
"""Suffix of the film with its parts in colour."""

_CAMERA_RATE = 25.0  # frames a second of its film, however fast it was parsed


def parse(task: Task, path: Path, name: str, smoothing: float) -> None:
    """Parse a film and write its results, the JSON last; one that cannot be decoded to its end is told and skipped.

    The JSON has the number of `faces` in every frame (null where nobody looked), and the `doubt` of the first frame.

    Args:
      task: what to do.
      path: a video, or the name of a camera, which is read until the user interrupts.
      name: of its results.
      smoothing: weight of the frame before, see `Parser.film`.

    Raises:
      UserError: a file cannot be written, or another one has its name.
    """
    camera, mark = photos.CAMERA.fullmatch(str(path)), results.mark(path, task.out)
    pictures = frames.read_camera(int(camera[1])) if camera else frames.read_frames(path)
    rate = _CAMERA_RATE if camera else frames.frames_per_second(path)
    errors, areas, certainty, faces, doubt, start = [], [], [], [], None, time.perf_counter()
    with tempfile.TemporaryDirectory(dir=task.out, prefix=".l2s-") as scratch:
        movie = Path(scratch, "film.mp4")
        with (
            contextlib.closing(_encoder()(movie, rate)) as overlays,
            progress.shown(task.tally.screen, "frames", line_every=10) as show,
            contextlib.suppress(KeyboardInterrupt) if camera else contextlib.nullcontext(),
        ):
            for parsing in task.parser.film(_decoded(pictures, errors), task.batch_size, smoothing):
                _write(task, name, mark, len(areas), parsing, overlays)
                areas.append(list(parsing.areas().values()))
                certainty.append([confidence or 0.0 for confidence in parsing.confidences().values()])
                faces.append(None if parsing.faces is None else len(parsing.faces))
                if len(areas) == 1:
                    doubt = parsing.doubt
                show(len(areas), None)
        if errors and not (camera and areas):
            task.tally.skip(path, errors[0])
            return
        with movie.open("ab") as file:
            file.write(results.mp4_box(mark))
        with files.replacing(task.out / f"{name}{OVERLAY}") as part:
            os.replace(movie, part)
    shares = np.mean(areas, axis=0)
    sums = np.multiply(areas, certainty).mean(axis=0)
    seconds = time.perf_counter() - start
    facts = {
        "video": str(path),
        "frames": len(areas),
        "frames_per_second": rate,
        "height": parsing.ids.shape[0],
        "width": parsing.ids.shape[1],
        "label_set": parsing.label_set.name,
        "classes": {
            label.name: {"id": label.id, "area": round(area, 6), "confidence": total / area if area else None}
            for label, area, total in zip(parsing.label_set.labels, shares.tolist(), sums.tolist(), strict=True)
        },
        "faces": faces,
        "doubt": doubt,
        "smoothing": smoothing,
        "options": task.options,
        "model": mask_files.identified(task.parser),
        "licence": task.parser.licence,
        "timings_ms": {"frame": round(1e3 * seconds / len(areas), 2)},
    }
    files.replace_json(task.out / f"{name}{mask_files.FACTS}", {results.JSON_KEY: mark} | facts)
    line = f"{console.escape(name)}  {len(areas)} frames  [dim]{1e3 * seconds / len(areas):.0f} ms a frame[/]"
    most = None if None in faces else max(faces)
    task.tally.add(line + mask_files.doubts(most, doubt), facts, film=True)


def _encoder() -> type[Mp4] | type["H264"]:
    """Return what writes films: H.264 where PyAV is installed, which is an extra, else what OpenCV has."""
    try:
        from l2s_jax.report.h264 import H264
    except ModuleNotFoundError:
        return Mp4
    return H264


def _decoded(pictures: Iterator[np.ndarray], errors: list[UserError]) -> Iterator[np.ndarray]:
    """Yield the pictures up to one that cannot be decoded, whose error is appended to `errors`."""
    try:
        yield from pictures
    except UserError as error:
        errors.append(error)


def _write(task: Task, name: str, mark: str, number: int, parsing: Parsing, overlays: "Mp4 | H264") -> None:
    """Add a frame to the film, and write the other pictures of it."""
    for ending, draw in task.drawn.items():
        if ending == mask_files.OVERLAY:
            overlays.add(np.asarray(draw(parsing)))
            continue
        folder = task.out / f"{name}{Path(ending).stem}"
        folder.mkdir(exist_ok=True)
        files.replace(results.claim(folder / f"{number:06d}.png", mark), results.png(draw(parsing), mark))
